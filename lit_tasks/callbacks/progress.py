"""One kept line an epoch; below it a bar on a terminal, elsewhere a line every few seconds."""

import sys
import time
from collections.abc import Sequence
from typing import Any, ClassVar

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.callbacks.progress.tqdm_progress import Tqdm, convert_inf

from lit_tasks.callbacks.epoch_lines import (
    Best,
    Pace,
    clock,
    epoch_of,
    metrics_line,
    monitor_of,
    number,
    shown_metrics,
)
from lit_tasks.printable import printable
from lit_tasks.protocols import Command

_REPAINTED = 20  # batches between two repaints of the bar: each costs a millisecond


class Progress(TQDMProgressBar):
    """A line an epoch, such as ``epoch 3/10  train/loss 0.41  val/accuracy 0.92 (best)  0:12``.

    The line has the losses, the metric that chooses the best checkpoint, the time since the start
    and about how much is left; ``(best)`` marks a new best value. On a terminal Lightning's bar
    shows the epoch that is going on; elsewhere lines on stderr do, which a log file can hold.

    Args:
        seconds: Time between two lines within an epoch where there is no terminal.
    """

    commands: ClassVar[frozenset[Command]] = frozenset({"fit", "validate", "test", "predict"})
    display_only: ClassVar[bool] = True

    def __init__(self, seconds: float = 10.0) -> None:
        super().__init__(refresh_rate=_REPAINTED)
        self.seconds = seconds
        self._lines = not sys.stdout.isatty()
        self._began = time.monotonic()
        self._next = self._began + seconds
        self._pace, self._best = Pace(), Best()
        self._loss: Any = None  # of the last batch

    # Bars.

    def init_train_tqdm(self) -> Tqdm:
        """Return the bar of training; an invisible one where there is no terminal."""
        bar = self._visible(super().init_train_tqdm)
        bar.leave = False  # the lines are what stays
        return bar

    def init_validation_tqdm(self) -> Tqdm:
        """Return the bar of validation; an invisible one where there is no terminal."""
        return self._visible(super().init_validation_tqdm)

    def init_sanity_tqdm(self) -> Tqdm:
        """Return the bar of the first check; an invisible one where there is no terminal."""
        return self._visible(super().init_sanity_tqdm)

    def init_test_tqdm(self) -> Tqdm:
        """Return the bar of testing; an invisible one where there is no terminal."""
        return self._visible(super().init_test_tqdm)

    def init_predict_tqdm(self) -> Tqdm:
        """Return the bar of prediction; an invisible one where there is no terminal."""
        return self._visible(super().init_predict_tqdm)

    def _visible(self, make: Any) -> Tqdm:
        return Tqdm(disable=True) if self._lines else make()

    def get_metrics(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """Return what stands behind the bar of training: losses, metric and time."""
        found: dict[str, int | str | float | dict[str, float]] = {
            name: number(value) for name, value in self._in_epoch(trainer, pl_module).items()
        }
        in_epoch = self.train_progress_bar.n / max(1.0, float(self.total_train_batches))
        return {**found, "time": self._pace(trainer, in_epoch)}

    # Training.

    def on_train_start(self, *arguments: Any) -> None:
        """Start the clock, and say how large the model is."""
        super().on_train_start(*arguments)
        trainer, task = arguments
        self._pace.begin(trainer)
        self._best.begin(trainer)
        self._next = time.monotonic() + self.seconds
        self._say(trainer, parameters_line(task))

    def on_train_epoch_start(self, trainer: Trainer, *arguments: Any) -> None:
        """Begin the bar of an epoch, and name it; Lightning's own would count from 0."""
        bar = self.train_progress_bar
        bar.reset()
        bar.total, bar.initial = convert_inf(self.total_train_batches), 0
        bar.set_description(epoch_of(trainer))

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Show the batch."""
        self._loss = outputs["loss"] if isinstance(outputs, dict) and "loss" in outputs else None
        if not self._lines:
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        elif self._due(trainer):
            found, total = self._in_epoch(trainer, pl_module), self.total_train_batches
            pace = self._pace(trainer, (batch_idx + 1) / max(1.0, float(total)))
            where = f"{epoch_of(trainer)}, batch {_of(batch_idx + 1, total)}"
            self._say(trainer, where, metrics_line(found), pace)

    def _in_epoch(self, trainer: Trainer, task: LightningModule) -> dict[str, float]:
        """Return what is known within an epoch: a batch's loss, until the first mean is logged."""
        found = shown_metrics(trainer, task)
        if "train/loss" in found or self._loss is None:
            return found
        return {"loss": float(self._loss), **found}

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep a line where an epoch is validated before its end."""
        super().on_validation_end(trainer, pl_module)
        training = trainer.state.fn == "fit" and not trainer.sanity_checking
        if training and not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
            batch = trainer.fit_loop.epoch_loop.batch_progress.current.ready
            total = self.total_train_batches
            self._keep(
                trainer, pl_module, in_epoch=batch / max(1.0, float(total)), batch=_of(batch, total)
            )

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep a line about the epoch."""
        super().on_train_epoch_end(trainer, pl_module)
        self._keep(trainer, pl_module, 1.0)

    def _keep(
        self, trainer: Trainer, task: LightningModule, in_epoch: float, batch: str = ""
    ) -> None:
        if not trainer.is_global_zero:
            return
        found = shown_metrics(trainer, task)
        best = monitor_of(trainer) if self._best.is_new(trainer, found) else ""
        where = f"{epoch_of(trainer)}, batch {batch}" if batch else epoch_of(trainer)
        self._say(trainer, where, metrics_line(found, best), self._pace(trainer, in_epoch))
        self._next = time.monotonic() + self.seconds

    # Evaluation and prediction.

    def on_validation_batch_end(self, trainer: Trainer, *arguments: Any) -> None:
        """Show the batch of a long validation."""
        super().on_validation_batch_end(trainer, *arguments)
        self._count(
            trainer,
            "validate",
            arguments=arguments,
            total=self.total_val_batches_current_dataloader,
        )

    def on_test_batch_end(self, trainer: Trainer, *arguments: Any) -> None:
        """Show the batch of a long test."""
        super().on_test_batch_end(trainer, *arguments)
        self._count(
            trainer, "test", arguments=arguments, total=self.total_test_batches_current_dataloader
        )

    def on_predict_batch_end(self, trainer: Trainer, *arguments: Any) -> None:
        """Show the batch of a long prediction."""
        super().on_predict_batch_end(trainer, *arguments)
        self._count(
            trainer,
            "predict",
            arguments=arguments,
            total=self.total_predict_batches_current_dataloader,
        )

    def on_test_start(self, *arguments: Any) -> None:
        """Start the clock."""
        super().on_test_start(*arguments)
        self._restart()

    def on_predict_start(self, *arguments: Any) -> None:
        """Start the clock."""
        super().on_predict_start(*arguments)
        self._restart()

    def on_validation_start(self, trainer: Trainer, *arguments: Any) -> None:
        """Start the clock, unless training goes on."""
        super().on_validation_start(trainer, *arguments)
        if trainer.state.fn != "fit":
            self._restart()

    def _restart(self) -> None:
        self._began = time.monotonic()
        self._next = self._began + self.seconds

    def _count(
        self, trainer: Trainer, what: str, arguments: Sequence[Any], total: int | float
    ) -> None:
        """Print how many batches are done; ``arguments`` are those of Lightning's hook."""
        if self._lines and self._due(trainer):
            batch = arguments[3] + 1
            spent = time.monotonic() - self._began
            times = [clock(spent)] if trainer.state.fn != "fit" else []
            self._say(trainer, f"{what}: batch {_of(batch, total)}", *times)

    # Lines.

    def _due(self, trainer: Trainer) -> bool:
        now = time.monotonic()
        if not trainer.is_global_zero or now < self._next:
            return False
        self._next = now + self.seconds
        return True

    def _say(self, trainer: Trainer, *parts: str) -> None:
        if not trainer.is_global_zero:
            return
        line = printable("  ".join(part for part in parts if part))
        if self._lines:
            print(line, file=sys.stderr, flush=True)  # noqa: T201 (its purpose)
        else:
            Tqdm.write(line)


def parameters_line(task: LightningModule) -> str:
    """Return how many parameters a task has, and how many of them are trained."""
    sizes = [(p.numel(), p.requires_grad) for p in task.parameters()]
    total, trained = sum(n for n, _ in sizes), sum(n for n, learns in sizes if learns)
    some = "all" if total == trained else f"{trained:,}"
    return f"{type(task).__name__}: {total:,} parameters, {some} of them trained"


def _of(batch: int, total: int | float) -> str:
    """Return ``3/10``, or the first alone where a stream has no end."""
    return f"{batch}/{int(total)}" if total != float("inf") else str(batch)
