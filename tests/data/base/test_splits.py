import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lit_tasks.data.base.splits import stratified_splits


@given(
    rows=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 30)), min_size=1, max_size=80),
    seed=st.integers(0, 5),
)
def test_parts_are_all_rows_once_and_no_group_straddles(
    rows: list[tuple[int, int]], seed: int
) -> None:
    labels, groups = np.array(rows).T
    splits = stratified_splits(labels, groups, [0.6, 0.2, 0.2], seed)
    assert sorted(np.concatenate(splits).tolist()) == list(range(len(rows)))
    seen = [set(groups[part].tolist()) for part in splits]
    assert sum(map(len, seen)) == len(set.union(*seen))


def test_every_class_keeps_its_share() -> None:
    labels = np.array([0] * 100 + [1] * 300)
    splits = stratified_splits(labels, np.arange(400), [0.9, 0.1], seed=3)
    assert [np.bincount(labels[part]).tolist() for part in splits] == [[90, 270], [10, 30]]


def test_the_seed_alone_decides() -> None:
    labels = np.arange(50) % 2
    first, again, other = (
        stratified_splits(labels, np.arange(50), [0.5, 0.5], seed)[0].tolist() for seed in (1, 1, 2)
    )
    assert first == again != other


def test_shares_must_add_up() -> None:
    with pytest.raises(ValueError, match=r"add up to 1, got \[0.5, 0.6\]"):
        stratified_splits(np.zeros(4), np.arange(4), [0.5, 0.6], 0)
