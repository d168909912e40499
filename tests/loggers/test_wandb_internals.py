"""What we rest on in W&B beyond its documentation."""

import json
import sys
from pathlib import Path
from typing import Any

from lit_tasks.loggers import wandb_internals


def test_a_table_can_be_a_file_of_its_run(tmp_path: Path) -> None:
    import wandb

    run = wandb.init(mode="offline", dir=tmp_path, settings=wandb.Settings(silent=True))
    content = wandb.Table(columns=["a"], data=[[1]])
    wandb_internals.keep_as_file(content, "shown", run)
    run.log({"shown": content})
    (file,) = Path(run.dir).glob("media/table/shown_*")
    run.finish()
    assert json.loads(file.read_text()) == {"columns": ["a"], "data": [[1]]}


def test_wandb_says_in_its_log_what_it_gave_up(tmp_path: Path) -> None:
    """That the real log says so is held by the tests of trouble in mid-run."""
    log = tmp_path / "logs" / "debug-internal.log"
    assert not wandb_internals.has_given_up(tmp_path)
    log.parent.mkdir()
    harmless: list[dict[str, Any]] = [
        {"level": "ERROR", "msg": "api: HTTP error", "status": 500},  # tried again
        {"level": "ERROR", "msg": "stream: failed to shut down analytics"},
        {"level": "INFO", "msg": "filestream: fatal error"},
    ]
    log.write_text("\n".join(json.dumps(line) for line in harmless) + "\nno JSON")
    assert not wandb_internals.has_given_up(tmp_path)
    with log.open("a") as file:
        file.write("\n" + json.dumps({"level": "ERROR+4", "msg": "filestream: fatal error: 403"}))
    assert wandb_internals.has_given_up(tmp_path)


def test_what_is_imported_early_is_still_there() -> None:
    wandb_internals.import_early()
    assert "wandb.sdk.launch.inputs.internal" in sys.modules
