"""The order of samples: laws, over every small case."""

import random
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

from lit_tasks.sampling import EpochBatches, LengthBuckets, ShardedBatches, derived_seed, seeded

LENGTHS = st.lists(st.integers(0, 50), max_size=70)


@given(LENGTHS, st.integers(1, 9), st.integers(1, 4), st.integers(0, 5))
def test_buckets_hold_every_sample_once(
    lengths: list[int], batch_size: int, window: int, epoch: int
) -> None:
    buckets = LengthBuckets(lengths, batch_size, window=window)
    buckets.set_epoch(epoch)
    batches = list(buckets)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    assert len(batches) == len(buckets)
    assert all(len(batch) <= batch_size for batch in batches)


def test_buckets_depend_on_seed_and_epoch_and_on_nothing_else() -> None:
    lengths = [random.randrange(100) for _ in range(200)]

    def batches(seed: int, epoch: int) -> list[list[int]]:
        buckets = LengthBuckets(lengths, 8, seed, window=4)
        buckets.set_epoch(epoch)
        torch.rand(3)
        return list(buckets)

    assert batches(1, 2) == batches(1, 2)
    assert batches(1, 2) != batches(1, 3)
    assert batches(1, 2) != batches(2, 2)


def test_buckets_waste_less_than_shuffling() -> None:
    lengths = [1 + i * 7 % 1000 for i in range(1000)]

    def padding(window: int) -> int:
        batches = LengthBuckets(lengths, 10, window=window)
        return sum(
            max(lengths[i] for i in b) * len(b) - sum(lengths[i] for i in b) for b in batches
        )

    assert padding(window=50) < padding(window=1) / 10


@pytest.mark.parametrize("name", ["batch_size", "window"])
def test_a_bucket_of_nothing_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        LengthBuckets([1], **{"batch_size": 1, name: 0})


class _Whims(Sampler[int]):
    """Draws from all three global generators, one sample at a time."""

    def __iter__(self) -> Iterator[int]:
        for _ in range(12):
            yield int(torch.randint(50, ())) + random.randrange(50)


@pytest.mark.parametrize(
    "sampler",
    [
        RandomSampler(range(12)),
        RandomSampler(range(12), replacement=True, num_samples=20),
        SubsetRandomSampler(list(range(3, 12))),
        WeightedRandomSampler([1.0, 2.0, 3.0], 12),
        _Whims(),
    ],
    ids=lambda sampler: type(sampler).__name__,
)
def test_any_random_sampler_becomes_a_function_of_seed_and_epoch(sampler: Sampler[int]) -> None:
    def batches(seed: int, epoch: int) -> list[list[int]]:
        source = EpochBatches(BatchSampler(sampler, 4, drop_last=False), seed)
        source.set_epoch(epoch)
        torch.rand(3)
        random.random()
        return list(source)

    assert batches(1, 2) == batches(1, 2)
    assert batches(1, 2) != batches(1, 3)
    assert batches(1, 2) != batches(2, 2)


def test_a_samplers_own_generator_is_seeded_too() -> None:
    generator = torch.Generator()
    sampler = BatchSampler(RandomSampler(range(50), generator=generator), 4, drop_last=False)
    source = EpochBatches(sampler, 7, [generator])
    assert list(source) == list(source)


def test_drawing_an_epoch_leaves_the_generators_alone() -> None:
    torch.manual_seed(0)
    random.seed(0)
    expected = torch.rand(3), random.random()
    torch.manual_seed(0)
    random.seed(0)
    list(EpochBatches(BatchSampler(_Whims(), 4, drop_last=False), 1))
    with seeded(5):
        torch.rand(1)
    assert torch.equal(torch.rand(3), expected[0])
    assert random.random() == expected[1]


BATCHES = st.lists(st.lists(st.integers(0, 99), min_size=1, max_size=7), max_size=8)


@given(BATCHES, st.integers(1, 4), st.sampled_from(["in_step", "split", "whole"]))
def test_the_shares_of_all_processes_are_the_whole(
    batches: list[list[int]], world: int, how: str
) -> None:
    counted = []
    for rank in range(world):
        sharded = ShardedBatches(batches, rank, world, how)
        for indices in sharded:
            shard = sharded.shards.popleft()
            assert shard.indices == indices != []
            counted += indices[: shard.counted]
            assert shard.counted in (len(indices), 0)
    assert sorted(counted) == sorted(i for batch in batches for i in batch)


@given(BATCHES, st.integers(1, 4), st.integers(0, 8))
def test_in_step_every_process_has_as_many_batches_and_the_weights_make_one_mean(
    batches: list[list[int]], world: int, skip: int
) -> None:
    shards = []
    for rank in range(world):
        sharded = ShardedBatches(batches, rank, world, "in_step")
        sharded.skip = skip
        list(sharded)
        shards.append(list(sharded.shards))
    assert {len(own) for own in shards} == {max(len(batches) - skip, 0)}
    for parts, batch in zip(zip(*shards, strict=True), batches[skip:], strict=True):
        assert sum(part.counted for part in parts) == len(batch) == parts[0].total


def test_finished_samples_are_left_out_a_batch_at_a_time() -> None:
    sharded = ShardedBatches([[0, 1], [2, 3], [4]], 0, 1, "whole")
    sharded.done = frozenset([0, 1, 2])
    assert list(sharded) == [[2, 3], [4]]


def test_derived_seeds_do_not_collide_where_sums_would() -> None:
    assert len({derived_seed(a, b) for a in range(30) for b in range(30)}) == 900
    assert derived_seed(1, 23) != derived_seed(12, 3)
