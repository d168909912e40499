"""Which samples come when, and which process gets them.

A *global* batch is what all processes together read in one step. Everything here is a pure
function of a seed and an epoch, so that any number of processes agree without talking and an
interrupted run continues where it stopped.
"""

import hashlib
import random
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Literal, NamedTuple

import numpy
import torch
from torch.utils.data import Sampler


def derived_seed(*parts: int) -> int:
    """Return a seed of 63 bits for these numbers, unrelated to that of any other numbers."""
    text = " ".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1


def evenly_spread(size: int, count: int) -> list[int]:
    """Return at most ``count`` of the indices from 0 to ``size - 1``, evenly spread."""
    indices = numpy.linspace(0, size - 1, min(count, size)).round()
    return [int(index) for index in numpy.unique(indices)]


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch's CPU, numpy's and Python's generators inside the block, and put them back."""
    states = torch.get_rng_state(), numpy.random.get_state(), random.getstate()  # noqa: NPY002
    seed_generators(seed)
    try:
        yield
    finally:
        torch.set_rng_state(states[0])
        numpy.random.set_state(states[1])  # noqa: NPY002
        random.setstate(states[2])


def seed_generators(seed: int) -> None:
    """Seed torch's CPU, numpy's and Python's generators."""
    torch.default_generator.manual_seed(seed)
    numpy.random.seed(seed % 2**32)  # noqa: NPY002 (the global one is what datasets draw from)
    random.seed(seed)


class LengthBuckets(Sampler[list[int]]):
    """Global batches of samples that are about equally long.

    An epoch is shuffled, cut into windows, and each window is sorted by length before it is cut
    into batches; the batches then come in random order. The same seed and epoch give the same
    batches.

    Args:
        lengths: Length of every sample, in the dataset's order.
        batch_size: Samples in a global batch; the last one cut may be smaller.
        seed: Together with the epoch, decides the order.
        window: Batches in a window; 1 is plain shuffling, more sorts better and shuffles less.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        batch_size: int,
        seed: int = 0,
        *,
        window: int = 50,
    ) -> None:
        for name, value in (("batch_size", batch_size), ("window", window)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self.lengths = torch.as_tensor(lengths, dtype=torch.int64)
        self.batch_size, self.window = batch_size, window
        self.seed, self.epoch = seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration plays."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-len(self.lengths) // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        generator = torch.Generator().manual_seed(derived_seed(self.seed, self.epoch))
        batches = list(self._cut(generator))
        order = torch.randperm(len(batches), generator=generator).tolist()
        return iter([batches[i] for i in order])

    def _cut(self, generator: torch.Generator) -> Iterator[list[int]]:
        order = torch.randperm(len(self.lengths), generator=generator)
        for window in order.split(self.window * self.batch_size):
            ordered = window[self.lengths[window].argsort(stable=True)]
            yield from (batch.tolist() for batch in ordered.split(self.batch_size) if len(batch))


class EpochBatches(Sampler[list[int]]):
    """Any batch sampler as a pure function of (seed, epoch), also one that draws at random.

    Args:
        batches: Yields the global batches of one epoch; its ``set_epoch``, if any, is called.
        seed: Together with the epoch, seeds whatever generator the sampler draws from.
        generators: Generators of the sampler's own, which are seeded as well.
    """

    def __init__(
        self, batches: Iterable[list[int]], seed: int, generators: Sequence[torch.Generator] = ()
    ) -> None:
        self.batches, self.seed, self.generators, self.epoch = batches, seed, generators, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration plays."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.batches)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[list[int]]:
        for part in (self.batches, getattr(self.batches, "sampler", None)):
            set_epoch = getattr(part, "set_epoch", None)
            if set_epoch is not None:
                set_epoch(self.epoch)
        seed = derived_seed(self.seed, self.epoch)
        with seeded(seed):
            for generator in self.generators:
                generator.manual_seed(seed)
            # The whole epoch at once, because a sampler may draw for every batch.
            return iter([list(batch) for batch in self.batches])


class BatchShard(NamedTuple):
    """One process's part of one global batch.

    Attributes:
        indices: Positions of the samples that this process reads.
        counted: How many of them count: all, or none where one is read only to keep in step.
        total: Samples of the global batch, over all processes.
    """

    indices: list[int]
    counted: int
    total: int


class ShardedBatches(Sampler[list[int]]):
    """What one process reads of every global batch.

    Args:
        batches: The global batches of an epoch, the same on every process.
        rank: Which process this is.
        world_size: How many there are.
        how: ``"in_step"`` splits every batch and gives each process as many batches as there
            are global ones: one for which nothing is left gets a sample that does not count.
            ``"split"`` splits without padding: every sample once.
            ``"whole"`` hands out whole batches in turn, so that a batch, and with it the last
            bit of what is computed from it, is the same on any number of processes.

    Attributes:
        skip: Global batches to leave out at the beginning of the next iteration.
        done: Samples that need not be read again: a batch of nothing else is left out.
        shards: The shards handed out and not yet fetched from here, oldest first.
    """

    def __init__(
        self,
        batches: Iterable[list[int]],
        rank: int,
        world_size: int,
        how: Literal["in_step", "split", "whole"],
    ) -> None:
        self.batches, self.rank, self.world_size, self.how = batches, rank, world_size, how
        self.skip = 0
        self.done: frozenset[int] = frozenset()
        self.shards: deque[BatchShard] = deque()

    def __len__(self) -> int:
        """Count the global batches: equal on all processes, never less than what one yields."""
        return len(self.batches)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[list[int]]:
        self.shards.clear()
        batches: Iterable[list[int]] = islice(self.batches, self.skip, None)
        if self.done:
            batches = (batch for batch in batches if not self.done.issuperset(batch))
        for shard in self._shards(batches):
            self.shards.append(shard)
            yield shard.indices

    def _shards(self, batches: Iterable[list[int]]) -> Iterator[BatchShard]:
        for number, batch in enumerate(batches):
            if self.how == "whole":
                if number % self.world_size == self.rank and batch:
                    yield BatchShard(batch, len(batch), len(batch))
            elif own := batch[self.rank :: self.world_size]:
                yield BatchShard(own, len(own), len(batch))
            elif self.how == "in_step" and batch:
                yield BatchShard(batch[:1], 0, len(batch))
