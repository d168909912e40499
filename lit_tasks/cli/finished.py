"""Whether a run that is started again has anything left to do."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lit_tasks.cli import run_folder


def sentence(run_dir: Path, content: Mapping[str, Any] | None, settings: Mapping[str, Any]) -> str:
    """Return that a run is complete and why, or nothing if there is something left to do.

    Args:
        run_dir: The run's folder.
        content: Its last checkpoint, if it has one.
        settings: The configuration that it is to go on with.
    """
    splits = ("val", "test") if settings["test"] else ("val",)
    is_complete = all(is_evaluated(run_dir, split) for split in splits)
    has_best = (run_dir / "checkpoints" / "best.ckpt").is_file()
    if not is_complete and (has_best or content is None):
        return ""
    reason, remedy = "it kept no last.ckpt to go on from", "choose another folder"
    if content is not None:
        reason, remedy = _limit_reached(content, settings["trainer"])
    done = f"{run_dir} is finished ({reason}) and stays as it is; to train on, {remedy}"
    return done if reason else ""


def is_evaluated(run_dir: Path, split: str) -> bool:
    """Return whether ``results.json`` says what the best checkpoint of a run reached."""
    path, last = run_dir / "results.json", run_folder.last_checkpoint(run_dir)
    if not path.is_file():
        return False
    if last is not None and path.stat().st_mtime < last.stat().st_mtime:
        return False  # of an earlier command: the run went on since
    results = json.loads(path.read_text())
    return any(name.startswith(f"{split}/") and "value" in results[name] for name in results)


def _limit_reached(content: Mapping[str, Any], trainer: Mapping[str, Any]) -> tuple[str, str]:
    """Return what ended training and how to go on, or nothing if it goes on by itself."""
    steps, max_steps = content["global_step"], trainer["max_steps"]
    if 0 <= max_steps <= steps:
        return f"step {steps} of {max_steps}", "raise --trainer.max_steps"
    epochs = content["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"]
    max_epochs = trainer["max_epochs"]
    if max_epochs is not None and 0 <= max_epochs <= epochs:
        return f"epoch {epochs} of {max_epochs}", "raise --trainer.max_epochs"
    stopped = any(
        state.get("stopping_reason") or state.get("stopped_epoch")
        for name, state in content["callbacks"].items()
        if name.startswith("EarlyStopping")
    )
    return ("early stopping", "choose another folder") if stopped else ("", "")
