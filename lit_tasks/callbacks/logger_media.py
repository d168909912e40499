"""Pictures and tables for any logger, through its own methods; what it cannot show it says once.

Weights & Biases has ``log_image`` and ``log_table``. TensorBoard shows pictures and, as text,
Markdown tables. MLflow keeps both as artifacts. Files in the run folder hold everything anyway.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import CSVLogger, Logger
from lightning.pytorch.utilities import rank_zero_warn

Rows = Sequence[Sequence[Any]]
_SAID = "_lit_tasks_said"  # attribute of a logger: what it was excused for


def show_image(trainer: Trainer, key: str, path: Path, step: int) -> None:
    """Hand a picture to every logger.

    Args:
        trainer: Whose loggers.
        key: What the picture is called, such as ``val/examples``.
        path: The PNG file.
        step: Optimizer steps so far.
    """
    for logger in trainer.loggers:
        if isinstance(logger, CSVLogger):
            continue  # the file itself lies beside its table
        experiment: Any = getattr(logger, "experiment", None)
        if hasattr(logger, "log_image"):
            logger.log_image(key, [str(path)], step=step)
        elif hasattr(experiment, "add_image"):
            experiment.add_image(key, _pixels(path), step, dataformats="HWC")
        elif hasattr(experiment, "log_artifact"):
            experiment.log_artifact(logger.version, str(path), "figures")
        else:
            _excuse(logger, "pictures", path.parent)


def show_table(
    trainer: Trainer, key: str, columns: Sequence[str], rows: Rows, path: Path, step: int
) -> None:
    """Hand a table to every logger.

    Args:
        trainer: Whose loggers.
        key: What the table is called.
        columns: Their names.
        rows: Plain values.
        path: The CSV file that holds the table too.
        step: Optimizer steps so far.
    """
    for logger in trainer.loggers:
        if isinstance(logger, CSVLogger):
            continue
        experiment: Any = getattr(logger, "experiment", None)
        if hasattr(logger, "log_table"):
            logger.log_table(key, columns=list(columns), data=[list(r) for r in rows], step=step)
        elif hasattr(experiment, "add_text"):
            experiment.add_text(key, markdown(columns, rows), step)
        elif hasattr(experiment, "log_text"):
            name = f"tables/{key.replace('/', '_')}_{step}.md"
            experiment.log_text(logger.version, markdown(columns, rows), name)
        else:
            _excuse(logger, "tables", path)


def markdown(columns: Sequence[str], rows: Rows) -> str:
    """Return a Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")


def _pixels(path: Path) -> np.ndarray:
    from PIL import Image

    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def _excuse(logger: Logger, what: str, where: Path) -> None:
    said: set[str] = getattr(logger, _SAID, set())
    if what not in said:
        setattr(logger, _SAID, said | {what})
        rank_zero_warn(f"{type(logger).__name__} cannot show {what}: they are in {where}")
