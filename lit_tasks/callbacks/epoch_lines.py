"""What a line about an epoch says: where the run is, what it found, and how long it still takes."""

import math
import time
from collections.abc import Mapping

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from lit_tasks.metrics.directions import directions
from lit_tasks.metrics.names import without_stage

_ASIDE = ("_low", "_high", "/samples")  # of another metric


class Pace:
    """How far a run is, and how long it has taken and will take.

    A run that is resumed counts what it does itself.
    """

    def __init__(self) -> None:
        self._began, self._start = time.monotonic(), 0.0

    def begin(self, trainer: Trainer) -> None:
        """Start the clock."""
        self._began, self._start = time.monotonic(), done(trainer, 0.0)

    def __call__(self, trainer: Trainer, in_epoch: float) -> str:
        """Return ``0:12, 0:28 left``; the first alone where a run has no known end.

        Args:
            trainer: Knows what is done and what is to be done.
            in_epoch: Fraction of the current epoch that is done.
        """
        seconds, reached = time.monotonic() - self._began, done(trainer, in_epoch)
        spent = clock(seconds)
        if reached >= 1 or reached <= self._start:
            return spent
        left = seconds * (1 - reached) / (reached - self._start)
        return f"{spent}, {clock(left)} left"


def done(trainer: Trainer, in_epoch: float) -> float:
    """Return the fraction of a run that is done, by whichever limit ends it first."""
    epochs, steps = trainer.max_epochs or 0, trainer.max_steps
    fractions = [0.0]
    if epochs > 0:
        fractions.append((trainer.current_epoch + in_epoch) / epochs)
    if steps > 0:
        fractions.append(trainer.global_step / steps)
    return min(1.0, max(fractions))


def clock(seconds: float) -> str:
    """Return minutes and seconds, with hours where there are any."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def epoch_of(trainer: Trainer) -> str:
    """Return ``epoch 3/10``, counted from 1; of a run limited by steps also the step."""
    epochs, steps = trainer.max_epochs or 0, trainer.max_steps
    number = trainer.current_epoch + 1
    said = f"epoch {number:>{len(str(epochs))}}/{epochs}" if epochs > 0 else f"epoch {number}"
    return f"{said}, step {trainer.global_step}/{steps}" if steps > 0 else said


def number(value: float) -> str:
    """Return a metric's value with four decimals, or in powers of ten where they say nothing."""
    if value and math.isfinite(value) and not 1e-3 <= abs(value) < 1e5:
        return f"{value:.3g}"
    return f"{value:.4f}"


def shown_metrics(trainer: Trainer, task: LightningModule) -> dict[str, float]:
    """Return the few metrics that tell how training goes: losses, and what chooses the best.

    Where the loss chooses, the first metric of which more is better is shown as well.
    """
    found = {name: float(value) for name, value in trainer.callback_metrics.items()}
    ways = directions(task)
    better = [
        name
        for name in found
        if name.startswith("val/") and ways.get(without_stage(name)) and not name.endswith(_ASIDE)
    ]
    chosen = monitor_of(trainer)
    names = ["train/loss", "val/loss"]
    names.append(next(iter(better), "") if chosen in ("", "val/loss") else chosen)
    return {name: found[name] for name in dict.fromkeys(names) if name in found}


def monitor_of(trainer: Trainer) -> str:
    """Return the metric by which the best checkpoint is chosen, or nothing."""
    callbacks = [c for c in trainer.checkpoint_callbacks if isinstance(c, ModelCheckpoint)]
    return next((c.monitor for c in callbacks if c.monitor), "")


class Best:
    """Whether a value is better than all before it."""

    def __init__(self) -> None:
        self._value: float | None = None

    def begin(self, trainer: Trainer) -> None:
        """Go on from the best value of the checkpoint that a run is resumed from."""
        self._value = None
        for callback in trainer.checkpoint_callbacks:
            if isinstance(callback, ModelCheckpoint) and callback.best_model_score is not None:
                self._value = float(callback.best_model_score)

    def is_new(self, trainer: Trainer, metrics: Mapping[str, float]) -> bool:
        """Return whether the metric that chooses the best checkpoint has a new best value."""
        name = monitor_of(trainer)
        value = metrics.get(name, math.nan)
        if math.isnan(value):
            return False
        modes = [c.mode for c in trainer.checkpoint_callbacks if isinstance(c, ModelCheckpoint)]
        sign = 1 if modes[0] == "max" else -1
        if self._value is not None and sign * value <= sign * self._value:
            return False
        self._value = value
        return True


def metrics_line(metrics: Mapping[str, float], best: str = "") -> str:
    """Return ``train/loss 0.4100  val/loss 0.3900``; the metric ``best`` is marked."""
    return "  ".join(
        f"{name} {number(value)}{' (best)' if name == best else ''}"
        for name, value in metrics.items()
    )
