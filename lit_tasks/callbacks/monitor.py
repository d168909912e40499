"""Learning rate and speed of a run; on request gradient norms and what each process uses."""

import csv
import math
import resource
import time
from pathlib import Path
from typing import Any, ClassVar

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch import distributed as dist
from torch.optim import Optimizer

from lit_tasks.distributed.lightning_internals import logging_step, skip_hook
from lit_tasks.distributed.run_dir import run_dir
from lit_tasks.protocols import Command, attributes, batch_index


class Monitor(Callback):
    """Log what is not in a task's hands, whenever the trainer logs a step.

    ``lr/<optimizer>`` and ``gradient/norm`` go with the other metrics. What depends on the
    clock, ``speed/...`` and ``system/...``, goes to loggers and to ``monitor.csv``, but not to
    ``metrics.csv``, which is the same for a resumed run as for one never stopped.

    Args:
        learning_rate: Log the rate of every group of parameters.
        speed: Log samples per second over all processes, without the time of validations.
        gradient_norm: Log the norm of the whole gradient, before it is clipped.
        processes: Log memory and processor time of every process, also those of a W&B run that
            shows only the first one's.
    """

    commands: ClassVar[frozenset[Command]] = frozenset({"fit"})
    display_only: ClassVar[bool] = True

    def __init__(
        self,
        learning_rate: bool = True,
        speed: bool = True,
        gradient_norm: bool = False,
        processes: bool = False,
    ) -> None:
        self.learning_rate, self.speed = learning_rate, speed
        self.gradient_norm, self.processes = gradient_norm, processes
        self._folder = Path()
        self._norm: dict[str, float] = {}
        self._samples, self._logged = 0, -1
        self._since = self._began = self._paused = self._cpu = 0.0
        if not gradient_norm:
            # Lightning then does not even call it: thirty microseconds in every step.
            skip_hook(self, "on_before_optimizer_step")

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Remember the run's folder."""
        self._folder = run_dir(trainer)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Reset the metrics."""
        self._begin()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the clock."""
        self._paused = time.perf_counter()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Let the clock run on."""
        self._since += time.perf_counter() - self._paused

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer
    ) -> None:
        """Measure the gradient's norm, which by now is the same on all processes."""
        if _logs(trainer, trainer.global_step + 1):
            self._norm = {"gradient/norm": gradient_norm(optimizer)}

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the samples, and log when it is time."""
        self._samples += _size(batch)
        step = trainer.global_step
        if step == self._logged or not _logs(trainer, step):
            return
        self._logged = step
        found = rates(trainer) if self.learning_rate else {}
        found |= self._norm
        timed = self._clock(trainer) if self.speed or self.processes else {}
        if found or timed:
            _log(trainer, {**found, **timed})
        if timed and trainer.is_global_zero:
            self._write(trainer, timed)

    def _begin(self) -> None:
        self._samples = 0
        self._since = self._began = time.perf_counter()
        self._cpu = time.process_time()

    def _clock(self, trainer: Trainer) -> dict[str, float]:
        """Return what this moment tells; every process takes part."""
        now = time.perf_counter()
        mine = [
            float(self._samples),
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            100 * (time.process_time() - self._cpu) / max(now - self._began, 1e-9),
            torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_initialized() else 0.0,
        ]
        everyone = _gathered(trainer, mine)
        seconds, found = max(now - self._since, 1e-9), {}
        if self.speed:
            found["speed/samples_per_second"] = sum(row[0] for row in everyone) / seconds
        for rank, (_, memory, cpu, gpu) in enumerate(everyone if self.processes else []):
            found[f"system/peak_memory_mb_rank{rank}"] = memory
            found[f"system/cpu_percent_rank{rank}"] = cpu
            if torch.cuda.is_initialized():
                found[f"system/gpu_memory_mb_rank{rank}"] = gpu
        self._begin()
        return found

    def _write(self, trainer: Trainer, found: dict[str, float]) -> None:
        path = self._folder / "monitor.csv"
        fresh = not path.is_file()
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            if fresh:
                writer.writerow(["epoch", "step", *found])
            values = [f"{value:.4g}" for value in found.values()]
            writer.writerow([trainer.current_epoch, trainer.global_step - 1, *values])


def rates(trainer: Trainer) -> dict[str, float]:
    """Return the learning rate of every optimizer's groups, under names of their own."""
    found: dict[str, float] = {}
    for optimizer in trainer.optimizers:
        groups = optimizer.param_groups
        for number, group in enumerate(groups, start=1):
            name = f"lr/{type(optimizer).__name__}" + (f"/{number}" if len(groups) > 1 else "")
            while name in found:
                name += "_"
            found[name] = float(group["lr"])
    return found


def gradient_norm(optimizer: Optimizer) -> float:
    """Return the length of the gradient of all of an optimizer's parameters as one vector."""
    squares = 0.0
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            gradient: Tensor | None = parameter.grad
            if gradient is not None:
                values = gradient.coalesce().values() if gradient.is_sparse else gradient
                squares += float(values.detach().double().square().sum())
    return math.sqrt(squares)


def _logs(trainer: Trainer, step: int) -> bool:
    every = attributes(trainer).log_every_n_steps
    return bool(every) and step % every == 0


def _log(trainer: Trainer, values: dict[str, float]) -> None:
    step = logging_step(trainer)
    for logger in trainer.loggers:
        logger.log_metrics({"epoch": trainer.current_epoch, **values}, step=step)


def _size(batch: Any) -> int:
    index = batch_index(batch)
    if index is not None:
        return len(index)
    first = batch
    while isinstance(first, list | tuple | dict) and first:
        first = next(iter(first.values())) if isinstance(first, dict) else first[0]
    return len(first) if isinstance(first, Tensor) and first.ndim else 1


def _gathered(trainer: Trainer, mine: list[float]) -> list[list[float]]:
    if trainer.world_size == 1 or not dist.is_initialized():
        return [mine]
    value = torch.tensor(mine, device=trainer.strategy.root_device)
    everyone = [torch.empty_like(value) for _ in range(trainer.world_size)]
    dist.all_gather(everyone, value)
    return [row.tolist() for row in everyone]
