"""Which way a metric is better: declared by the task, or by what monitors the metric."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Protocol, runtime_checkable

from lightning.pytorch import LightningModule
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint

from lit_tasks.metrics.names import without_stage


@runtime_checkable
class DeclaresDirections(Protocol):
    """A task that says which way its metrics are better."""

    @property
    def higher_is_better(self) -> Mapping[str, bool]:
        """For a metric's name, without its stage: whether more of it is better."""


def directions(task: LightningModule) -> dict[str, bool]:
    """Return for the names of metrics, without ``val/`` or ``test/``, whether more is better.

    A task declares them in an attribute ``higher_is_better``, such as ``{"wer": False}``. The
    ``mode`` of a ``ModelCheckpoint`` or an ``EarlyStopping`` counts for the metric that it
    monitors, unless the task declares otherwise. Other metrics have no direction.
    """
    found: dict[str, bool] = {}
    with suppress(RuntimeError):  # a task without a trainer
        for callback in task.trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, ModelCheckpoint | EarlyStopping) and callback.monitor:
                found[without_stage(callback.monitor)] = callback.mode == "max"
    if isinstance(task, DeclaresDirections):
        found |= {without_stage(name): more for name, more in task.higher_is_better.items()}
    return found
