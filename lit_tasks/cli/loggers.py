"""What the command line asks of loggers: that ``metrics.csv`` is among them, and names."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

from lightning.pytorch.loggers import Logger

from lit_tasks.distributed.lightning_internals import renamed_metrics
from lit_tasks.loggers.csv import RunCSVLogger


def with_csv(loggers: Logger | Iterable[Logger] | bool | None) -> list[Logger] | Literal[False]:
    """Return the loggers and ours of ``metrics.csv``; none where they are switched off."""
    if not loggers:
        return False
    found = (
        [loggers] if isinstance(loggers, Logger) else list(loggers) if loggers is not True else []
    )
    ours = [] if any(isinstance(logger, RunCSVLogger) for logger in found) else [RunCSVLogger()]
    return [*ours, *found]


@contextmanager
def after_training(loggers: Iterable[Logger]) -> Iterator[None]:
    """Call numbers ``best/val/...`` that would be one point more of the curve ``val/...``."""
    with renamed_metrics(loggers, _best):
        yield


def _best(name: str, value: Any) -> str:
    return f"best/{name}" if name.startswith("val/") and isinstance(value, float | int) else name
