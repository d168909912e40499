"""Progress on a terminal as a bar; in a file or a pipe as one line every few seconds."""

import sys
import time
from typing import Any, ClassVar

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.callbacks.progress.tqdm_progress import Tqdm

from lit_tasks.printable import printable
from lit_tasks.protocols import Command

_REPAINTED = 20  # batches between two repaints of the bar: each costs a millisecond


class Progress(TQDMProgressBar):
    """Lightning's bar on a terminal; elsewhere lines on stderr, which a log file can hold.

    Args:
        seconds: Time between two lines where there is no terminal.
    """

    commands: ClassVar[frozenset[Command]] = frozenset({"fit", "validate", "test", "predict"})
    display_only: ClassVar[bool] = True

    def __init__(self, seconds: float = 10.0) -> None:
        super().__init__(refresh_rate=_REPAINTED)
        self.seconds = seconds
        self._lines = not sys.stdout.isatty()
        self._next = 0.0

    def init_train_tqdm(self) -> Tqdm:
        """Return the bar of training; an invisible one where there is no terminal."""
        return self._visible(super().init_train_tqdm)

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

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Show the batch."""
        if not self._lines:
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        elif self._due(trainer):
            total, last = self.total_train_batches, f"{(trainer.max_epochs or 0) - 1}"
            epoch = f"{trainer.current_epoch}/{last}" if int(last) >= 0 else trainer.current_epoch
            self._say(trainer, f"fit: epoch {epoch}, batch {batch_idx + 1}/{total}")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the metrics of the validation."""
        super().on_validation_end(trainer, pl_module)
        if (
            self._lines
            and trainer.is_global_zero
            and trainer.training
            and not trainer.sanity_checking
        ):
            self._say(trainer, f"fit: epoch {trainer.current_epoch} validated")

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Show the batch."""
        super().on_predict_batch_end(trainer, pl_module, outputs, batch, batch_idx, dataloader_idx)
        if self._lines and self._due(trainer):
            self._say(trainer, f"predict: batch {batch_idx + 1}")

    def _due(self, trainer: Trainer) -> bool:
        now = time.monotonic()
        if not trainer.is_global_zero or now < self._next:
            return False
        self._next = now + self.seconds
        return True

    def _say(self, trainer: Trainer, text: str) -> None:
        shown = {k: float(v) for k, v in trainer.progress_bar_metrics.items()}
        values = " ".join(f"{name} {value:.4f}" for name, value in shown.items())
        print(printable(f"{text} {values}".rstrip()), file=sys.stderr, flush=True)  # noqa: T201 (its purpose)
