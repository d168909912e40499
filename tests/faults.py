"""Faults that a test asks for by the command line."""

import os
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from toy_task import ToyData


class Fault(Callback):
    """In one batch of one process, send a signal, or raise an error where there is none."""

    def __init__(self, number: int | None = None, step: int = 3, rank: int = 0) -> None:
        self.number, self.step, self.rank = number, step, rank

    def _happen(self, trainer: Trainer, batch: int) -> None:
        if (batch, trainer.global_rank) == (self.step, self.rank):
            if self.number is None:
                raise ValueError("own.csv, line 4, has no label; give it one")
            os.kill(os.getpid(), self.number)

    def on_train_batch_end(self, trainer: Trainer, *rest: Any) -> None:
        self._happen(trainer, trainer.global_step)

    def on_test_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._happen(trainer, batch_idx)

    def on_predict_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._happen(trainer, batch_idx)


class FaultyData(ToyData):
    """Send a signal while the data are prepared."""

    def __init__(self, number: int, samples: int = 24) -> None:
        super().__init__(samples)
        self.number = number

    def setup(self, stage: str) -> None:
        os.kill(os.getpid(), self.number)
        super().setup(stage)
