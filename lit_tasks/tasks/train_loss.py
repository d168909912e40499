"""What is logged of training: the mean since it was logged last, not that of one batch."""

from dataclasses import dataclass

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from lit_tasks.tasks.optimization import shows_step


@dataclass
class _Window:
    """What was added up since the mean was logged last, and the step that it was logged in."""

    total: Tensor | None = None
    samples: int = 0
    logged: int = -1


class TrainMean(nn.Module):
    """Logs a metric of training as the mean over all samples since the last time.

    The last batch of an epoch may hold one sample. A checkpoint keeps what was added up, so that a
    resumed run logs the same numbers. ``self.log``, which costs more than a step of a small model,
    is called only where the trainer logs.

    Args:
        name: The metric, such as ``train/loss``.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self._window = _Window()

    def update(self, task: LightningModule, mean: Tensor, samples: int) -> None:
        """Add a batch, and log the mean if the trainer logs this step.

        Args:
            task: The task, in its ``training_step``.
            mean: The mean over the batch, or over a part of it where gradients are accumulated.
            samples: How many samples it is the mean of.
        """
        window = self._window
        if window.logged >= 0 and window.logged != task.global_step:
            window = self._window = _Window()
        mean = mean.detach()
        if window.total is None:
            window.total = torch.zeros((), device=mean.device)
        elif window.total.device != mean.device:  # as a checkpoint has it
            window.total = window.total.to(mean.device)
        window.total.add_(mean, alpha=samples)
        window.samples += samples
        if shows_step(task):
            task.log(self.name, window.total / window.samples, batch_size=window.samples)
            window.logged = task.global_step

    def get_extra_state(self) -> Tensor:
        """Return what was added up, for the checkpoint."""
        total, samples = self._window.total, self._window.samples
        values = [0.0 if total is None else float(total), float(samples), self._window.logged]
        return torch.tensor(values, dtype=torch.float64)

    def set_extra_state(self, state: Tensor) -> None:
        """Go on with what a checkpoint has."""
        if state.shape != (3,) or not bool(torch.isfinite(state[1:]).all()):
            raise ValueError("the checkpoint is damaged: its mean loss should be three numbers")
        total, samples, logged = state.double().tolist()
        added = torch.tensor(total, dtype=torch.float32) if samples else None
        self._window = _Window(added, int(samples), int(logged))
