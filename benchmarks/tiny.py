"""The smallest model and data: what is left of a step when there is next to nothing to compute."""

import sys
import time
from typing import Any

import torch
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset


def network() -> nn.Module:
    """Return three small layers."""
    return nn.Sequential(
        nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2)
    )


def samples(count: int) -> TensorDataset:
    """Return ``count`` rows of 16 numbers with labels."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(count, 16, generator=generator)
    return TensorDataset(inputs, (inputs.sum(1) > 0).long())


class TinyTask(LightningModule):
    """Classify 16 numbers; log the loss as seldom as the tasks of lit_tasks do."""

    def __init__(self) -> None:
        super().__init__()
        self.net = network()

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        """Return the mean loss of a batch."""
        loss = nn.functional.cross_entropy(self.net(batch[0]), batch[1])
        every = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        if every and (self.global_step + 1) % every == 0:
            self.log("train/loss", loss)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return plain SGD."""
        return torch.optim.SGD(self.parameters(), lr=0.01)


class TinyData(LightningDataModule):
    """Random rows."""

    def __init__(self, steps: int = 500, batch_size: int = 32) -> None:
        super().__init__()
        self.steps, self.batch_size = steps, batch_size

    def train_dataloader(self) -> DataLoader[Any]:
        """Return shuffled batches."""
        dataset = samples(self.steps * self.batch_size)
        return DataLoader(dataset=dataset, batch_size=self.batch_size, shuffle=True)


class StopAtFirstStep(Callback):
    """Print the CPU seconds that the process took so far, and end it."""

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Print and leave."""
        print(f"cpu {time.process_time():.3f}", flush=True)
        sys.exit(0)
