"""Images and tables for any logger, through its own methods; what it cannot show it says once.

Weights & Biases has ``log_image`` and ``log_table``. TensorBoard shows images and, as text,
Markdown tables. MLflow keeps both as artifacts. Files in the run folder hold everything anyway.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import CSVLogger, Logger
from lightning.pytorch.utilities import rank_zero_warn

Rows = Sequence[Sequence[Any]]
_EXCUSES = "_lit_tasks_said"  # attribute of a logger: what it was excused for


def show_image(trainer: Trainer, key: str, path: Path, step: int) -> None:
    """Hand an image to every logger.

    Args:
        trainer: Whose loggers.
        key: What the image is called, such as ``val/examples``.
        path: The PNG file.
        step: Optimizer steps so far.
    """
    for logger in trainer.loggers:
        if isinstance(logger, CSVLogger):
            continue  # the file itself lies beside its table
        with _going_on(logger, "images", path.parent):
            _show_image(logger, key, path=path, step=step)


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
        with _going_on(logger, "tables", path):
            _show_table(logger, key, columns=columns, rows=rows, path=path, step=step)


def _show_image(logger: Any, key: str, path: Path, step: int) -> None:
    experiment: Any = getattr(logger, "experiment", None)
    if hasattr(logger, "log_image"):
        logger.log_image(key, [str(path)], step=step)
    elif hasattr(experiment, "add_image"):
        experiment.add_image(key, _pixels(path), step, dataformats="HWC")
    elif hasattr(experiment, "log_artifact"):
        experiment.log_artifact(logger.version, str(path), "figures")
    else:
        _excuse(logger, "images", path.parent)


def _show_table(
    logger: Any, key: str, columns: Sequence[str], rows: Rows, path: Path, step: int
) -> None:
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


@contextmanager
def _going_on(logger: Logger, what: str, where: Path) -> Iterator[None]:
    """Let no logger that fails at showing something end a training run."""
    try:
        yield
    except Exception as error:  # whatever a server, or a disk that is not ours, came up with
        _excuse(logger, what, where=where, error=error)


def markdown(columns: Sequence[str], rows: Rows) -> str:
    """Return a Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")


def _pixels(path: Path) -> np.ndarray:
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def _excuse(logger: Logger, what: str, where: Path, error: Exception | None = None) -> None:
    said: set[str] = getattr(logger, _EXCUSES, set())
    if what not in said:
        setattr(logger, _EXCUSES, said | {what})
        why = "" if error is None else f" ({error!r})"
        rank_zero_warn(f"{type(logger).__name__} cannot show {what}{why}: they are in {where}")
