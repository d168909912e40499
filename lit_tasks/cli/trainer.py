"""Lightning's trainer, whose ``log_dir`` is the run folder; skips no-op hooks and profiling."""

import os
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.profilers import PassThroughProfiler, Profiler
from lightning.pytorch.strategies import (
    DeepSpeedStrategy,
    FSDPStrategy,
    ModelParallelStrategy,
    Strategy,
)
from lightning.pytorch.trainer.states import RunningStage
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch import distributed as dist

from lit_tasks.cli.checkpoint_io import WholeCheckpoints
from lit_tasks.distributed.lightning_internals import (
    copies_this_process,
    skip_hook,
    spare_gradient_copies,
    strategy_name,
)

_EVERY_STEP = (
    "on_train_batch_start",
    "on_before_zero_grad",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
    "on_train_batch_end",
)


class RunTrainer(Trainer):
    """Lightning's trainer, whose ``log_dir`` is the run folder whatever the loggers are."""

    def __init__(
        self,
        *,
        profiler: Profiler | str | None = None,
        log_every_n_steps: int | None = None,
        **kwargs: Any,
    ) -> None:
        bare = kwargs.get("barebones")
        self._log_every = 0 if bare else log_every_n_steps
        self._log_dir: str | None = None
        kwargs["log_every_n_steps"] = log_every_n_steps
        profiler = NoProfiler() if profiler is None and not bare else profiler
        super().__init__(profiler=profiler, **kwargs)
        _look_for_gpus_quickly()
        _check_strategy(self.strategy, self.world_size)
        spare_gradient_copies(self.strategy)
        if type(self.strategy.checkpoint_io) is TorchCheckpointIO:
            self.strategy.checkpoint_io = WholeCheckpoints()
        for callback in self.callbacks:  # type: ignore[attr-defined]
            skip_empty_hooks(callback)

    @property
    def log_every_n_steps(self) -> int:
        """How often steps are logged: as said, else every 50, but at least once an epoch."""
        if self._log_every is None:
            return int(max(1, min(50, self.num_training_batches)))
        return self._log_every

    @log_every_n_steps.setter
    def log_every_n_steps(self, steps: int) -> None:
        pass  # Lightning would set its default, which leaves short epochs without a point

    @property
    def training(self) -> bool:
        """Whether training goes on: Lightning asks a dozen times a step, and compares texts."""
        return self.state.stage is RunningStage.TRAINING

    @training.setter
    def training(self, val: bool) -> None:
        if val:
            self.state.stage = RunningStage.TRAINING
        elif self.training:
            self.state.stage = None

    @property
    def log_dir(self) -> str | None:
        """The run folder of rank 0.

        Lightning asks for it at the start of every run, on all processes: then it is broadcast,
        and after that a process may ask alone.
        """
        if self._log_dir is None:
            folder: str = self.strategy.broadcast(self.default_root_dir)
            if self.world_size > 1 and not dist.is_initialized():
                return folder  # nothing was sent: the processes have not met yet
            self._log_dir = folder
        return self._log_dir


def _check_strategy(strategy: Strategy, processes: int) -> None:
    """Refuse what would fail after the training, or wait for ever.

    Raises:
        ValueError: The strategy cannot work here.
    """
    name = strategy_name(strategy)
    remedy = "set --trainer.strategy=ddp"
    if copies_this_process(strategy):
        raise ValueError(
            f"strategy must start processes that read the command line again, and {name} copies"
            f" this one, which cannot hand its loggers on: {remedy}, or use torchrun"
        )
    shards = isinstance(strategy, FSDPStrategy | DeepSpeedStrategy | ModelParallelStrategy)
    if shards and processes > 1:
        raise ValueError(
            f"strategy must not share weights between processes, since each evaluates a number of"
            f" batches of its own and {name} would wait for ever: {remedy}"
        )


def _look_for_gpus_quickly() -> None:
    """Where there is no GPU, let torch ask CUDA for one, as it does without Lightning.

    Adam asks in every step. Lightning sets the variable by which torch then looks for the library
    of NVIDIA's driver in all folders, a third of a millisecond, so that processes which fork keep
    their GPU: here is none to keep.
    """
    if not torch.cuda.is_available():
        os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"


class NoProfiler(PassThroughProfiler):
    """Measures nothing: Lightning's own does so in sixty generators per training step."""

    _nothing = nullcontext()

    def profile(  # type: ignore[override]
        self, action_name: str
    ) -> AbstractContextManager[Any]:
        """Return a context that does nothing."""
        return self._nothing


def skip_empty_hooks(owner: Callback | LightningModule) -> None:
    """Let Lightning pass over the hooks of every step that a callback or a task does not fill.

    It calls what is callable, and names each empty call for the profiler first: a tenth of a
    millisecond per step.
    """
    for hook in _EVERY_STEP:
        if not is_overridden(hook, owner):
            skip_hook(owner, hook)
