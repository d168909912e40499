"""Learning rates over a run: a scheduler of one's own, or a rise and a fall until the last step."""

from collections.abc import Callable, Mapping
from functools import partial
from math import cos, isfinite, pi
from typing import Any, Literal

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import StochasticWeightAveraging
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from lightning.pytorch.cli import ReduceLROnPlateau as MonitoringPlateau
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import (
    CyclicLR,
    LambdaLR,
    LRScheduler,
    OneCycleLR,
    ReduceLROnPlateau,
)

from lit_tasks.checked_loading import CheckedLoading
from lit_tasks.distributed.lightning_internals import is_attached, rebuild_ddp
from lit_tasks.nn.image.finetuning import Finetuning
from lit_tasks.protocols import attributes

Decay = Literal["constant", "linear", "cosine"]
Rate = Callable[[int, int, int, Decay], float]
"""Factor of the learning rate at a step, given the steps of the warm-up and of the whole run."""


def _check_schedule(
    lr_scheduler: LRSchedulerCallable | None, lr_decay: Decay, warmup: float
) -> None:
    """Refuse a scheduler beside a rise or a fall, and a rise that is not a fraction of the run."""
    if not 0 <= warmup <= 1:
        raise ValueError(f"warmup must be from 0 to 1, got {warmup}")
    others = [f"lr_decay '{lr_decay}'"] if lr_decay != "constant" else []
    others += [f"warmup {warmup}"] if warmup else []
    if lr_scheduler is not None and others:
        raise ValueError(
            f"lr_scheduler and {' and '.join(others)} set the same learning rate: leave"
            f" lr_scheduler out, or {' and '.join(name.split()[0] for name in others)}"
        )


def learning_rate(step: int, warmup: int, total: int, lr_decay: Decay) -> float:
    """Return the learning rate's factor at a step: a linear rise, then ``lr_decay`` to zero."""
    if step < warmup:
        return (step + 1) / (warmup + 1)
    done = min(1.0, (step - warmup) / max(1, total - warmup))
    return {"constant": 1.0, "linear": 1 - done, "cosine": 0.5 * (1 + cos(pi * done))}[lr_decay]


def in_two_phases(fraction: float, factor: float) -> Rate:
    """Return a course in which each of two phases falls to zero.

    Args:
        fraction: Of all steps, those of the first phase.
        factor: What the learning rate is multiplied by in the second.
    """

    def rate(step: int, warmup: int, total: int, lr_decay: Decay) -> float:
        first = min(total, round(total * fraction))
        if step < first:
            return learning_rate(step, warmup, total=first, lr_decay=lr_decay)
        return factor * learning_rate(step - first, 0, total=total - first, lr_decay=lr_decay)

    return rate


def _own(trainer: Trainer, lr_scheduler: LRSchedulerCallable, optimizer: Optimizer) -> Any:
    """Return a scheduler of the user's, with when it is stepped and by what."""
    try:
        scheduler: Any = lr_scheduler(optimizer)
    except ValueError as error:
        if "total_steps" not in str(error):
            raise
        more: Any = lr_scheduler  # a OneCycleLR that was not told how long the run is
        scheduler = more(optimizer, total_steps=_total_steps(trainer))
    if isinstance(scheduler, ReduceLROnPlateau):
        monitor = scheduler.monitor if isinstance(scheduler, MonitoringPlateau) else "val/loss"
        return {"scheduler": scheduler, "monitor": monitor}
    if isinstance(scheduler, OneCycleLR):
        _check_cycle(scheduler.total_steps, trainer)
    by_step = isinstance(scheduler, OneCycleLR | CyclicLR)
    return {"scheduler": scheduler, "interval": "step" if by_step else "epoch"}


def _check_cycle(steps: int, trainer: Trainer) -> None:
    """Refuse a cycle that is over before the run."""
    of_run = trainer.estimated_stepping_batches
    if isfinite(of_run) and steps < of_run:
        raise ValueError(
            f"the cycle of OneCycleLR has {steps:,} steps and the run {of_run:,}: leave total_steps"
            " (and epochs and steps_per_epoch) out, then it takes the whole run"
        )


def _total_steps(trainer: Trainer) -> int:
    steps = trainer.estimated_stepping_batches
    if not isfinite(steps) or steps < 0:  # Lightning says -1 where max_steps is left out
        raise ValueError(
            "the learning rate falls until the last step, and a stream has no known length: set "
            "trainer.max_steps, or model.lr_decay to constant without warmup and lr_scheduler"
        )
    return max(1, int(steps))


def train_stages(task: LightningModule, backbone: Any, tuning: Finetuning | None) -> None:
    """Train the stages of the current epoch and freeze the others; all of them without ``tuning``.

    Without a trainer, as after ``load_from_checkpoint``, there is no epoch, and all are frozen. DDP
    reduces the gradients of what needed them when it was built, so it is built again where the
    choice changes.
    """
    trained = 0
    attached = is_attached(task)
    if tuning is not None and attached:
        trained = tuning.trained_stages(task.trainer.current_epoch, len(backbone.stages()))
    changed = backbone.freeze(trained, tuning is not None and tuning.statistics)
    if changed and attached:
        rebuild_ddp(task)


def shows_step(task: LightningModule) -> bool:
    """Return whether the trainer logs the step that is being made.

    Each ``self.log`` costs more than a step of a small model, so a task logs in these steps only.
    """
    every = attributes(task.trainer).log_every_n_steps
    return bool(every) and (task.global_step + 1) % every == 0


class OptimizedModule(CheckedLoading, LightningModule):
    """A task with an optimizer, a schedule of its learning rate, and a loss over classes or words.

    Lightning's ``LearningRateFinder`` and ``Tuner`` can set the learning rate, ``lr``.

    Args:
        optimizer: Builds the optimizer from the parameters.
        lr_scheduler: Builds a scheduler that is stepped after every epoch; ``OneCycleLR`` and
            ``CyclicLR`` after every step.
        lr_decay: How the learning rate falls over all steps of the run, to zero: ``linear``,
            ``cosine``, or not at all (``constant``).
        warmup: Fraction of all steps in which the learning rate rises.
        label_smoothing: Probability that is spread over all classes (or words) in the training
            loss.

    Raises:
        ValueError: Two things set the learning rate, or ``warmup`` is out of its range.
    """

    def __init__(
        self,
        optimizer: OptimizerCallable = torch.optim.AdamW,
        lr_scheduler: LRSchedulerCallable | None = None,
        lr_decay: Decay = "constant",
        warmup: float = 0.0,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()  # of the subclass as well
        _check_schedule(lr_scheduler, lr_decay, warmup)
        self.optimizer, self.lr_scheduler = optimizer, lr_scheduler
        self.lr_decay, self.warmup, self.label_smoothing = lr_decay, warmup, label_smoothing

    def scheduled(self, optimizer: Optimizer, rate: Rate = learning_rate) -> OptimizerLRScheduler:
        """Return an optimizer with what changes its learning rate.

        Args:
            optimizer: The optimizer.
            rate: Course of the learning rate under ``lr_decay``.

        Raises:
            ValueError: The run has no known length, and the course needs one; or weights are to be
                averaged that were copied before the task built its model.
        """
        trainer = self.trainer
        callbacks = attributes(trainer).callbacks
        if any(isinstance(callback, StochasticWeightAveraging) for callback in callbacks):
            raise ValueError(
                "StochasticWeightAveraging averages a copy made before the model is built, which is"
                " empty: take lightning.pytorch.callbacks.EMAWeightAveraging instead"
            )
        if self.lr_scheduler is not None:
            own = _own(trainer, self.lr_scheduler, optimizer)
            return {"optimizer": optimizer, "lr_scheduler": own}
        if self.lr_decay == "constant" and not self.warmup and rate is learning_rate:
            return optimizer
        steps, lr_decay = _total_steps(trainer), self.lr_decay
        rise = int(self.warmup * steps)
        schedule = LambdaLR(optimizer, lambda step: rate(step, rise, steps, lr_decay))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    @property
    def lr(self) -> float:
        """The learning rate that the optimizer begins with."""
        made = self.optimizer([nn.Parameter(torch.zeros(1))])
        return float(made.param_groups[0]["lr"])

    @lr.setter
    def lr(self, value: float) -> None:
        factor = value / self.lr if self.lr else 1.0
        make: Any = self.optimizer
        self.optimizer = partial(make, lr=value)
        spec = self.hparams.get("optimizer")
        if isinstance(spec, Mapping) and "class_path" in spec:  # what a checkpoint says of it
            arguments = {**(spec.get("init_args") or {}), "lr": value}
            self.hparams["optimizer"] = {**spec, "init_args": arguments}
        elif spec is not None:
            self.hparams["optimizer"] = self.optimizer
        if not is_attached(self):
            return
        for config in self.trainer.lr_scheduler_configs:  # or the old rate comes back
            if isinstance(config.scheduler, LRScheduler):
                config.scheduler.base_lrs = [rate * factor for rate in config.scheduler.base_lrs]
