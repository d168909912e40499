"""What is logged of training: the mean since it was logged last, not that of one batch."""

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from lit_tasks.tasks.optimization import shows_step


class TrainMean(nn.Module):
    """Logs a metric of training as the mean over all samples since the last time.

    The last batch of an epoch may hold one sample. A checkpoint keeps what was added up, so that a
    resumed run logs the same numbers. Adding costs a microsecond a step, and ``self.log``, which
    costs more than a step of a small model, is called only where the trainer logs.

    Args:
        name: The metric, such as ``train/loss``.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self._total: Tensor | None = None
        self._samples = 0
        self._logged = -1  # the step whose value was logged

    def forward(self, task: LightningModule, mean: Tensor, samples: int) -> None:
        """Add a batch, and log the mean if the trainer logs this step.

        Args:
            task: The task, in its ``training_step``.
            mean: The mean over the batch, or over a part of it where gradients are accumulated.
            samples: How many samples it is the mean of.
        """
        step = task.global_step
        if self._logged not in (-1, step):
            self._total, self._samples, self._logged = None, 0, -1
        if self._total is None:
            self._total = torch.zeros((), device=mean.device)
        self._total = self._total.to(mean.device).add_(mean.detach(), alpha=samples)
        self._samples += samples
        if shows_step(task):
            task.log(self.name, self._total / self._samples, batch_size=self._samples)
            self._logged = step

    def get_extra_state(self) -> Tensor:
        """Return what was added up, for the checkpoint."""
        total = 0.0 if self._total is None else float(self._total)
        values = [total, float(self._samples), float(self._logged)]
        return torch.tensor(values, dtype=torch.float64)

    def set_extra_state(self, state: Tensor) -> None:
        """Go on with what a checkpoint has."""
        total, samples, logged = state.double().tolist()
        self._total = torch.tensor(total, dtype=torch.float32) if samples else None
        self._samples, self._logged = int(samples), int(logged)
