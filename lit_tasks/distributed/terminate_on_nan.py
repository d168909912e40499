"""Stop on a NaN or infinite loss and name the batch."""

import math
from typing import Any, ClassVar

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch import distributed as dist

from lit_tasks.distributed.gather import gather_objects
from lit_tasks.distributed.last_checkpoint import LastCheckpoint
from lit_tasks.protocols import Command, attributes, batch_index

_MAX_SAMPLES = 8  # samples named in a message


class TerminateOnNaN(Callback):
    """Stop at the first loss that is infinite or not a number, and name step and samples.

    One process stops before the weights change. Several have to stop together: they ask one
    another every few steps, and before any checkpoint is written, so that none holds such weights.
    On a GPU the loss of a step is looked at in the next one, when it has been computed anyway.

    Args:
        every_n_steps: How often several processes ask one another.
    """

    commands: ClassVar[frozenset[Command]] = frozenset({"fit"})
    display_only: ClassVar[bool] = False

    def __init__(self, every_n_steps: int = 10) -> None:
        if every_n_steps < 1:
            raise ValueError(f"every_n_steps must be at least 1, got {every_n_steps}")
        self.every_n_steps = every_n_steps
        self._samples: Tensor | None = None
        self._pending: tuple[Tensor, int, Tensor | None] | None = None
        self._found: str | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin without a memory of another run."""
        self._pending = self._found = None

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Remember which samples come, and ask the other processes every few steps."""
        self._samples = batch_index(batch)
        if batch_idx % self.every_n_steps == 0:
            self._stop_together(trainer)

    def on_before_backward(
        self, trainer: Trainer, pl_module: LightningModule, loss: Tensor
    ) -> None:
        """Look at the loss."""
        self._look()
        if loss.device.type != "cpu" or not _is_finite(loss):
            self._pending = loss.detach(), trainer.global_step, self._samples
        if loss.device.type == "cpu":
            self._look()
        if self._found is not None and trainer.world_size == 1:
            self._stop_together(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at the last steps too."""
        self._look()
        self._stop_together(trainer)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Do not save a checkpoint after a non-finite loss."""
        self._look()
        self._stop_together(trainer)

    def _look(self) -> None:
        if self._pending is None:
            return
        loss, step, samples = self._pending
        self._pending = None
        if self._found is None and not _is_finite(loss):
            value = loss.item() if loss.numel() == 1 else loss.sum().item()
            indices = [] if samples is None else samples.tolist()
            more = ", ..." if len(indices) > _MAX_SAMPLES else ""
            named = (
                f", samples {', '.join(map(str, indices[:_MAX_SAMPLES]))}{more}" if indices else ""
            )
            self._found = f"the loss is {value} in step {step}{named}"

    def _stop_together(self, trainer: Trainer) -> None:
        found = [self._found]
        if trainer.world_size > 1 and dist.is_initialized():
            vote = torch.tensor(self._found is not None, device=trainer.strategy.root_device).int()
            dist.all_reduce(vote)
            if not vote.item():
                return
            found = gather_objects(trainer, found)
        messages = [message for message in found if message is not None]
        if messages:
            raise ValueError(f"{messages[0]}; {_advice(trainer)}")


def _is_finite(loss: Tensor) -> bool:
    return math.isfinite(loss.item() if loss.numel() == 1 else loss.sum().item())


def _advice(trainer: Trainer) -> str:
    """Return what can be done, and where the last weights without fault are."""
    for callback in attributes(trainer).callbacks:
        if isinstance(callback, LastCheckpoint) and callback.saved_step is not None:
            return (
                f"the last good checkpoint is {callback.path} of step {callback.saved_step}:"
                " lower the learning rate, clip gradients, or look at those samples"
            )
    return (
        "there is no checkpoint yet: lower the learning rate, clip gradients, or look at those"
        " samples"
    )
