"""A data loader as one process of several sees it, which continues where a run stopped."""

from collections.abc import Callable, Iterator
from typing import Any, Literal

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from lit_tasks.protocols import ReadsTogether
from lit_tasks.sampling import (
    BatchShard,
    EpochBatches,
    ShardedBatches,
    derived_seed,
    seed_generators,
)


class RankLoader:
    """A plain :class:`~torch.utils.data.DataLoader`, read by one process of several.

    Nothing is drawn before the first batch is asked for. By then Lightning has restored its
    counters, so the position in a continued epoch is simply the number of batches done.

    Args:
        loader: What the data module returned. Its batches are global ones.
        rank: Which process this is.
        world_size: How many there are.
        how: How a global batch is shared, see :class:`~lit_tasks.sampling.ShardedBatches`.
        seed: Together with the epoch, decides order and augmentation.
        position: Returns the epoch and the number of its batches that are done.

    Attributes:
        dataset: The loader's dataset.
        shards: Which samples come to this process.
        current: Which of them the batch holds that was handed out last.
    """

    def __init__(
        self,
        loader: DataLoader[Any],
        rank: int,
        world_size: int,
        how: Literal["in_step", "split", "whole"],
        seed: int,
        position: Callable[[], tuple[int, int]],
    ) -> None:
        assert loader.batch_sampler is not None
        candidates = (loader.generator, getattr(loader.sampler, "generator", None))
        generators = [g for g in candidates if isinstance(g, torch.Generator)]
        self.dataset = loader.dataset
        self.seed, self.position = seed, position
        self._batch_size = loader.batch_size  # none where a batch sampler decides
        self.order = EpochBatches(loader.batch_sampler, seed, generators)
        self.shards = ShardedBatches(self.order, rank, world_size=world_size, how=how)
        self.current: BatchShard | None = None
        self._restored: dict[str, int] | None = None
        # A generator of its own, or beginning an epoch would draw from the one dropout uses.
        self._generator = torch.Generator()
        # Without workers the samples draw from the main process, whose state is in the checkpoint.
        replay = how == "in_step" and loader.num_workers > 0
        self._loader: DataLoader[Any] = DataLoader(
            dataset=_Replayed(loader.dataset) if replay else loader.dataset,
            batch_sampler=_WithSeeds(self) if replay else self.shards,
            num_workers=loader.num_workers,
            collate_fn=loader.collate_fn,
            pin_memory=loader.pin_memory,
            timeout=loader.timeout,
            worker_init_fn=loader.worker_init_fn,
            multiprocessing_context=loader.multiprocessing_context,
            generator=self._generator,
            prefetch_factor=loader.prefetch_factor,
            persistent_workers=loader.persistent_workers,
        )

    def __len__(self) -> int:
        """Count the global batches; in evaluation a process may get fewer, or none."""
        return len(self.shards)

    def shard(self, index: int) -> BatchShard | None:
        """Return the current batch's shard: Lightning reads one batch at a time here."""
        return self.current

    @property
    def some_empty(self) -> bool:
        """Whether some process gets no batch at all when batches are split."""
        if self._batch_size is None:
            largest = max(map(len, self.order), default=0)
        else:
            largest = min(self._batch_size, len(self.dataset))  # type: ignore[arg-type]
        return largest < self.shards.world_size

    def __iter__(self) -> Iterator[Any]:
        epoch, done = self.position()
        # Beside a longer loader, Lightning plays this one several times an epoch.
        cycle, self.shards.skip = divmod(done, max(len(self), 1))
        if self.shards.skip and self._restored not in (None, self.state_dict()):
            raise ValueError(
                "an epoch can only be continued with the same data and batch size: the"
                f" checkpoint was made with {_described(self._restored)}, now there are"
                f" {_described(self.state_dict())}; restore them, or start a new run"
            )
        self.order.set_epoch(epoch + cycle)
        self._generator.manual_seed(derived_seed(self.seed, epoch, cycle))
        for batch in self._loader:
            self.current = self.shards.shards.popleft()
            yield batch

    def state_dict(self) -> dict[str, int]:
        """Return what has to be the same for an epoch to be continued."""
        return {"samples": len(self.dataset), "batches": len(self)}  # type: ignore[arg-type]

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Remember what the checkpoint was made with; the position is Lightning's to restore."""
        self._restored = dict(state_dict)


def _described(state: dict[str, int] | None) -> str:
    return " in ".join(f"{number} {what}" for what, number in (state or {}).items())


class _WithSeeds(Sampler[list[tuple[int, int]]]):
    """Hands a worker, with every sample, the seed of what it draws for it."""

    def __init__(self, loader: RankLoader) -> None:
        self.loader = loader

    def __len__(self) -> int:
        return len(self.loader.shards)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        seed, epoch = self.loader.seed, self.loader.order.epoch
        for indices in self.loader.shards:
            yield [(derived_seed(seed, epoch, index), index) for index in indices]


class _Replayed(Dataset[Any]):
    """Draws the same augmentation for a sample and an epoch, on whichever worker it is read."""

    def __init__(self, dataset: Dataset[Any]) -> None:
        self.dataset = dataset

    def __getitems__(self, items: list[tuple[int, int]]) -> list[Any]:
        if isinstance(self.dataset, ReadsTogether):
            seed_generators(items[0][0])
            samples: list[Any] = self.dataset.__getitems__([index for _, index in items])
            return samples
        return [self[item] for item in items]

    def __getitem__(self, item: tuple[int, int]) -> Any:
        seed_generators(item[0])
        return self.dataset[item[1]]
