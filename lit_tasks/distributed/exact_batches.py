"""The same batches, gradients and numbers on any number of processes."""

import os
from functools import partial
from typing import ClassVar, Literal

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import RunningStage
from lightning.pytorch.utilities import rank_zero_warn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, IterableDataset

from lit_tasks.distributed import lightning_internals
from lit_tasks.distributed.gather import allow_empty_processes
from lit_tasks.distributed.lightning_internals import Prepare
from lit_tasks.distributed.rank_loader import RankLoader
from lit_tasks.distributed.stream_loader import StreamLoader
from lit_tasks.protocols import Command
from lit_tasks.sampling import derived_seed
from lit_tasks.torch_internals import leaves, sync_buffers

_HOW: dict[RunningStage, Literal["in_step", "split", "whole"]] = {
    RunningStage.TRAINING: "in_step",
    RunningStage.PREDICTING: "whole",
}


class ExactBatches(Callback):
    """Read plain data loaders so that nothing depends on the number of processes.

    A loader's batch is the *global* batch. Training, every process reads its part of it and the
    gradient is that of the mean over all samples, whatever the parts' sizes; validating and
    testing, every sample is read once, without padding; predicting, whole batches are handed
    out in turn. The order of an epoch is a function of the seed, and a continued run goes on
    with the next batch. Data modules and tasks need not know.

    ``training_step`` has to return the mean of the loss over its batch. Streams (iterable datasets)
    are shared as :class:`~lit_tasks.distributed.stream_loader.StreamLoader` says. Loaders of
    another type than :class:`~torch.utils.data.DataLoader` are left alone, with a warning.

    Args:
        seed: Decides order and augmentation; none means the one given to ``seed_everything``.
    """

    commands: ClassVar[frozenset[Command]] = frozenset({"fit", "validate", "test", "predict"})
    display_only: ClassVar[bool] = False

    def __init__(self, seed: int | None = None) -> None:
        self.seed = seed
        self._train_loaders: list[RankLoader | StreamLoader] = []
        self._some_empty = False

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Replace Lightning's data-loader preparation with sharded loaders."""
        if trainer.world_size == 1:  # there is nothing to weight
            lightning_internals.skip_hook(self, "on_before_backward")
        if stage == "fit":
            lightning_internals.ask_once(trainer, pl_module)
        lightning_internals.replace_loader_preparation(trainer, partial(self._preparation, trainer))

    def _preparation(self, trainer: Trainer, prepare: Prepare) -> Prepare:
        """Return how a loader is shared by the processes; ``prepare`` is Lightning's way."""

        def rank_loader(dataloader: object, shuffle: bool, mode: RunningStage) -> object:
            training = mode == RunningStage.TRAINING
            epoch_position = partial(lightning_internals.epoch_position, trainer)
            position = epoch_position if training else (lambda: (0, 0))
            rank, world = trainer.global_rank, trainer.world_size
            if _is_stream(dataloader):
                assert isinstance(dataloader, DataLoader)
                device = trainer.strategy.root_device
                return StreamLoader(
                    dataloader,
                    rank,
                    world_size=world,
                    training=training,
                    position=position,
                    device=device,
                )
            if not _is_plain(dataloader):
                if world > 1:
                    rank_zero_warn(
                        f"{type(dataloader).__name__} is not sharded and will be read in full by"
                        f" each of {world} processes: use a plain DataLoader that makes batches"
                    )
                return prepare(dataloader, shuffle, mode)
            assert isinstance(dataloader, DataLoader)
            how = _HOW.get(mode, "split")
            return RankLoader(
                dataloader, rank, world_size=world, how=how, seed=self._seed(), position=position
            )

        return rank_loader

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Let the processes draw different dropout; the first keeps the stream it has."""
        if trainer.global_rank > 0:
            torch.manual_seed(derived_seed(self._seed(), trainer.global_rank))

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look up the loaders (a continued epoch does not start, so not only there)."""
        self._look_up(trainer)
        streams = any(isinstance(x, StreamLoader) for x in self._train_loaders)
        if streams and trainer.ckpt_path and trainer.fit_loop.restarting:
            # A first batch was read ahead, perhaps before the position was restored.
            lightning_internals.restart_prefetching(trainer)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look up the loaders again, for they may have been made anew."""
        self._look_up(trainer)

    def _look_up(self, trainer: Trainer) -> None:
        loaders = leaves(trainer.train_dataloader)
        self._train_loaders = [x for x in loaders if isinstance(x, RankLoader | StreamLoader)]

    def on_before_backward(
        self, trainer: Trainer, pl_module: LightningModule, loss: torch.Tensor
    ) -> None:
        """Weight the gradient so that the mean over processes is the mean over samples."""
        weight = self._weight(trainer)
        if weight != 1 and loss.requires_grad:
            loss.register_hook(lambda gradient: gradient * weight)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Sync buffers here, since processes without a batch skip ``forward``."""
        self._allow_empty_processes(pl_module, trainer.val_dataloaders)
        model = trainer.strategy.model
        if isinstance(model, DistributedDataParallel):
            sync_buffers(model)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Let metrics be gathered from processes without a sample."""
        self._allow_empty_processes(pl_module, trainer.test_dataloaders)

    def _allow_empty_processes(self, pl_module: LightningModule, loaders: object) -> None:
        ours = [x for x in leaves(loaders) if isinstance(x, RankLoader)]
        self._some_empty = any(loader.some_empty for loader in ours)
        if self._some_empty:
            allow_empty_processes(pl_module)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Refuse what would wait for ever for a process without a sample."""
        if not self._some_empty:
            return
        if logged := lightning_internals.step_logged_names(trainer):
            raise ValueError(
                f"{', '.join(sorted(logged))} is logged in a step that not all of"
                f" {trainer.world_size} processes have a sample for: log it in"
                " on_validation_epoch_end or on_test_epoch_end, or use fewer processes"
            )

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Refuse what would wait for ever for a process without a sample."""
        self.on_validation_batch_end(
            trainer, pl_module, outputs=outputs, batch=batch, batch_idx=batch_idx
        )

    def _seed(self) -> int:
        return int(os.environ.get("PL_GLOBAL_SEED", 0)) if self.seed is None else self.seed

    def _weight(self, trainer: Trainer) -> float:
        index = lightning_internals.batch_index(trainer)
        shards = [shard for loader in self._train_loaders if (shard := loader.shard(index))]
        weights = {shard.counted * trainer.world_size / shard.total for shard in shards}
        if len(weights) > 1:
            rank_zero_warn(
                "batches of several training loaders are shared unequally by the processes, and"
                " one loss cannot weight them apart: choose batch sizes that the number of"
                f" processes divides, or drop_last (now {weights})"
            )
        return weights.pop() if len(weights) == 1 else 1.0


def _is_plain(loader: object) -> bool:
    return (
        type(loader) is DataLoader
        and loader.batch_sampler is not None
        and not isinstance(loader.dataset, IterableDataset)
    )


def _is_stream(loader: object) -> bool:
    return (
        type(loader) is DataLoader
        and loader.batch_size is not None
        and isinstance(loader.dataset, IterableDataset)
    )
