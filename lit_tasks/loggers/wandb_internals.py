"""Everything of W&B that its documentation does not promise, one function for each need.

Each has a test of its own, which fails when a new release of wandb changes what it rests on.
"""

import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wandb import Run, Table

#: Beginnings of the lines of its log after which something was not sent and will not be.
_GIVEN_UP = ("filestream: fatal error", "runfiles: ", "runupserter: failed", "fileTransfer: ")


def import_early() -> None:
    """Import what W&B needs to start a run: before torch it costs half as much as after.

    Its data classes look for their source in every module that is loaded by then.
    """
    with suppress(ImportError):  # the launch part is W&B's own, and may move
        import wandb.sdk.launch.inputs.internal  # noqa: F401


def keep_as_file(table: "Table", key: str, run: "Run") -> None:
    """Make a table a file of its run, as images are, and no artifact.

    Logging an artifact asks the server, in the thread that trains: it waits while there is no
    answer, and raises when the answer is no. Files are sent by W&B's own process. A table that
    already belongs to a run is not made an artifact.
    """
    table.bind_to_run(run, key, run.step)


def has_given_up(run_files: Path) -> bool:
    """Return whether W&B's own process says that it could not send something.

    Args:
        run_files: The folder of the run, ``wandb/run-...``, with its log.
    """
    log = run_files / "logs" / "debug-internal.log"
    if not log.is_file():
        return False
    with log.open(encoding="utf-8", errors="replace") as lines:
        return any(_says_so(line) for line in lines if '"ERROR' in line)


def _says_so(line: str) -> bool:
    try:
        content: Any = json.loads(line)
    except ValueError:
        return False
    return isinstance(content, dict) and str(content.get("msg")).startswith(_GIVEN_UP)
