"""A stream of samples as one process of several reads it, in step with the others."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import torch
from torch import distributed as dist
from torch.utils.data import DataLoader, IterableDataset

from lit_tasks.protocols import SetsEpoch, SplitsByProcess
from lit_tasks.sampling import BatchShard


class StreamLoader:
    """A plain data loader of an iterable dataset, whose length nobody knows.

    Every sample comes to one process: a dataset of Hugging Face is split by its shards, one that
    has ``split_by_process(rank, world_size)`` splits itself, of any other each process takes
    every ``world_size``-th sample. Training, all processes go on until the last of them has no
    sample left: one without repeats its last batch, which counts nothing.

    A continued epoch is read from its beginning and what was seen is thrown away: that is exact
    also with a shuffle buffer and workers, and costs the reading.

    Args:
        loader: What the data module returned; its ``batch_size`` is the global one.
        rank: Which process this is.
        world_size: How many there are.
        training: Whether processes keep in step.
        position: Returns the epoch and the number of its batches that are done.
        device: Where the processes count together.
    """

    def __init__(
        self,
        loader: DataLoader[Any],
        rank: int,
        world_size: int,
        training: bool,
        position: Callable[[], tuple[int, int]],
        device: torch.device,
    ) -> None:
        assert loader.batch_size is not None
        if loader.batch_size < world_size:
            raise ValueError(
                f"batch_size is shared by all processes: {loader.batch_size} samples cannot be"
                f" shared by {world_size}"
            )
        self.dataset = split(loader.dataset, rank, world_size)
        self.world_size, self.training = world_size, training
        self.position, self.device = position, device
        self._shards: dict[int, BatchShard] = {}
        self._loader: DataLoader[Any] = DataLoader(
            dataset=self.dataset,
            batch_size=len(range(rank, loader.batch_size, world_size)),
            num_workers=loader.num_workers,
            collate_fn=_Counted(loader.collate_fn),
            pin_memory=loader.pin_memory,
            drop_last=loader.drop_last,
            timeout=loader.timeout,
            worker_init_fn=loader.worker_init_fn,
            multiprocessing_context=loader.multiprocessing_context,
            generator=torch.Generator(),
            prefetch_factor=loader.prefetch_factor,
            persistent_workers=loader.persistent_workers,
        )

    def shard(self, index: int) -> BatchShard | None:
        """Return what the epoch's batch of this number holds here, of how much."""
        return self._shards.get(index)

    def __iter__(self) -> Iterator[Any]:
        epoch, done = self.position()
        if isinstance(self.dataset, SetsEpoch):
            self.dataset.set_epoch(epoch)
        self._shards.clear()
        batches = iter(self._loader)
        if not self.training:
            yield from (batch for _, batch in batches)
            return
        last = None
        for last in islice(batches, done):  # noqa: B007 (kept for a process that has no more)
            pass
        for index in range(done, 2**62):
            counted, batch = next(batches, (0, None))
            counts = self._counts(counted)
            if not any(counts):
                return
            if index == 0 and not all(counts):  # every process sees it, so all stop
                raise ValueError(
                    f"the stream has nothing for a process: it gives {counts} samples to"
                    f" {self.world_size} of them; use fewer processes, or more shards"
                )
            last = last if batch is None else (counted, batch)
            assert last is not None
            self._shards[index] = BatchShard([], counted, sum(counts))
            self._shards.pop(index - 4, None)  # Lightning reads one batch ahead
            yield last[1]

    def _counts(self, counted: int) -> list[int]:
        """Return how many samples each process has in this step."""
        if self.world_size == 1:
            return [counted]
        mine = torch.tensor([counted], device=self.device)
        counts = [torch.empty_like(mine) for _ in range(self.world_size)]
        dist.all_gather(counts, mine)
        return [int(count) for count in counts]


def split(dataset: Any, rank: int, world_size: int) -> Any:
    """Return one process's part of a stream."""
    if world_size == 1:
        return dataset
    if isinstance(dataset, SplitsByProcess):
        return dataset.split_by_process(rank, world_size)
    if type(dataset).__module__.startswith("datasets."):
        from datasets.distributed import split_dataset_by_node

        return split_dataset_by_node(dataset, rank, world_size)
    return _EveryNth(dataset, rank, world_size)


class _EveryNth(IterableDataset[Any]):
    """Every ``world_size``-th sample, beginning with number ``rank``."""

    def __init__(self, dataset: IterableDataset[Any], rank: int, world_size: int) -> None:
        self.dataset, self.rank, self.world_size = dataset, rank, world_size

    def set_epoch(self, epoch: int) -> None:
        if isinstance(self.dataset, SetsEpoch):
            self.dataset.set_epoch(epoch)

    def __iter__(self) -> Iterator[Any]:
        return islice(iter(self.dataset), self.rank, None, self.world_size)


class _Counted:
    """Collates, and counts what it collated: a batch itself need not tell."""

    def __init__(self, collate: Callable[[list[Any]], Any]) -> None:
        self.collate = collate

    def __call__(self, samples: list[Any]) -> tuple[int, Any]:
        return len(samples), self.collate(samples)
