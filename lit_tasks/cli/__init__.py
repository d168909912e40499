"""The command line: LightningCLI with a run folder, readable errors, checkpoints that suffice."""

import errno
import logging
import os
import re
import sys
import traceback
import warnings
from collections.abc import Sequence
from importlib.metadata import requires

os.environ.setdefault("JSONARGPARSE_DEPRECATION_WARNINGS", "off")  # Lightning 2.6 calls old names

from lightning.fabric.utilities.exceptions import MisconfigurationException

from lit_tasks.cli import ending, run_folder
from lit_tasks.cli.command import TaskCLI
from lit_tasks.loggers.wandb import finish_wandb
from lit_tasks.printable import printable

__all__ = ["run"]

_TRACEBACK = "LIT_TASKS_TRACEBACK"
#: Tips, and what every run would say.
_NOTHING_TO_DO = re.compile(
    r"💡|TPU available|Loaded model weights|`weights_only` was|Loading `train_data"
    r"|Seed set to|GPU available: False|Restoring states from|`Trainer\.fit` stopped: `max_"
)
_INTERRUPTED = 130  # the exit code of a shell for SIGINT


def run(argv: Sequence[str]) -> int:
    """Run one command; return the exit code, after one sentence on stderr if it failed."""
    _quieten()
    code = 1
    with ending.signals():
        try:
            code = _run(list(argv))
            ending.print_stopped(argv, code)
        finally:  # W&B may take its time: the error has been printed by now
            finish_wandb(code)
            run_folder.forget()
    return code


def _run(words: list[str]) -> int:
    try:
        TaskCLI(words)
    except KeyboardInterrupt:
        return ending.INTERRUPTED
    except SystemExit as stop:
        return ending.code_of(stop)
    except Exception as error:
        sentence = ending.shared(error, _sentence(error), words)
        if os.environ.get(_TRACEBACK):
            traceback.print_exc()
        else:
            print(f"lit-tasks: error: {printable(sentence)}", file=sys.stderr)
        return 1
    return 0


def _sentence(error: BaseException) -> str:
    """Return the innermost reason; where it arose, if the message itself may not tell enough."""
    root = error
    while root.__cause__ is not None and "\n" in str(root):
        root = root.__cause__
    if isinstance(root, OSError) and root.errno == errno.ENOSPC:
        place = root.filename or run_folder.current()
        return f"the disk is full at {place}: free some space, or choose another folder with --runs"
    if isinstance(root, OSError) and root.strerror:
        return f"{root.strerror}: {root.filename}" if root.filename else root.strerror
    text = " ".join(str(root).split()) or type(root).__name__
    if isinstance(root, ImportError):
        return f"{text}{_extra_with(root.name)}"
    if found := re.search(r"(\w+)\(monitor='(.*?)'\).* metrics: (\[.*?\])", text):
        name, monitor, logged = found.groups()
        return f"{name} monitors {monitor!r}, which nothing logs; logged are {logged}"
    if text.startswith("Error(s) in loading state_dict"):
        return f"the checkpoint does not fit the model: {text.partition(':')[2].strip()}"
    if isinstance(root, ValueError | OSError | MisconfigurationException):
        return text
    frames = traceback.extract_tb(root.__traceback__) or traceback.extract_tb(error.__traceback__)
    frame = frames[-1]
    place = f"{os.path.basename(frame.filename)}:{frame.lineno} in {frame.name}"
    return f"{type(root).__name__}: {text} ({place}; {_TRACEBACK}=1 shows the whole trace)"


def _extra_with(module: str | None) -> str:
    """Return how to install a module that one of our extras brings, or nothing.

    Some extras hold others whole: the smallest one that has the module is named.
    """
    package = (module or "").split(".")[0].replace("_", "-")
    extras: dict[str, list[str]] = {}
    for requirement in requires("lit-tasks") or ():
        name, _, marker = requirement.partition(";")
        if extra := re.search(r"extra == '(\w+)'", marker.replace('"', "'")):
            extras.setdefault(extra[1], []).append(name)
    having = [
        extra
        for extra, names in extras.items()
        if package and any(re.match(rf"{re.escape(package)}(?![\w-])", name) for name in names)
    ]
    smallest = min(set(having) - {"dev", "docs"}, key=lambda extra: len(extras[extra]), default="")
    return f"; install it with: pip install 'lit-tasks[{smallest}]'" if smallest else ""


def _is_news(record: logging.LogRecord) -> bool:
    return not _NOTHING_TO_DO.match(record.getMessage())


def _make_printable(record: logging.LogRecord) -> bool:
    """Escape what a label or a file's name may do to a terminal."""
    record.msg, record.args = printable(record.getMessage(), lines=True), None
    return True


def _quieten() -> None:
    """Remove advertisements, control characters and warnings about things that are as intended."""
    for name in (
        "lightning.pytorch.utilities.rank_zero",
        "lightning.fabric.utilities.rank_zero",
        "lightning.fabric.utilities.seed",
        "lightning.pytorch.trainer.connectors.checkpoint_connector",  # a line at every checkpoint
    ):
        for check in (_is_news, _make_printable):
            logging.getLogger(name).addFilter(check)
    for message in (
        r".*isinstance\(treespec, LeafSpec\).*",  # torch 2.14 about Lightning's own code
        r".*does not have many workers.*",  # in-memory data is faster without
        r".*sync_dist=True.*",  # torchmetrics sync themselves
        r".*exists and is not empty.*",  # the run folder is ours
        r".*in eval mode at the start of training.*",  # frozen networks are meant to be
        r".*The dirpath has changed.*",  # another command, another folder
        r".*callbacks used to create the checkpoint need to be provided.*",  # evaluation needs few
    ):
        warnings.filterwarnings("ignore", message=message)
