"""The splits of a data set: what they are called, and how one is cut by a seed."""

from collections.abc import Sequence

import numpy as np

from lit_tasks.protocols import Split

LABELED_SPLITS = ("train", "val", "test")
SPLITS_OF: dict[str, tuple[Split, ...]] = {
    "fit": ("train", "val"),
    "validate": ("val",),
    "test": ("test",),
    "predict": ("predict",),
}
"""The splits that each of Lightning's stages needs."""


def held_out_fractions(val_fraction: float, test_fraction: float) -> list[float]:
    """Return the fractions for training, validation and test; that of the test may be 0.

    Raises:
        ValueError: A fraction is out of its range, or nothing is left to train on.
    """
    if not 0 < val_fraction < 1 or not 0 <= test_fraction < 1 - val_fraction:
        raise ValueError(
            "val_fraction must be positive, test_fraction at least 0, and both must leave"
            f" something to train on, got {val_fraction} and {test_fraction}"
        )
    return [1 - val_fraction - test_fraction, val_fraction, test_fraction]


def stratified_splits(
    labels: np.ndarray, groups: np.ndarray, fractions: Sequence[float], seed: int
) -> list[np.ndarray]:
    """Return the rows of each split, in the order of the set; together they are all rows.

    Every class keeps its fraction. Rows of one group (repeats of one text or image) go to one
    split, so a split may be a few rows larger or smaller than its fraction. A group counts as a
    member of its first row's class.

    Args:
        labels: Class of each row, whole numbers.
        groups: Group of each row, whole numbers.
        fractions: Fraction of each split; they add up to 1.
        seed: Decides which group goes where.
    """
    if min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-9:
        raise ValueError(f"fractions must be positive and add up to 1, got {list(fractions)}")
    _, first, member = np.unique(groups, return_index=True, return_inverse=True)
    label_of_group = labels[first]
    split_of_group = np.zeros(len(first), dtype=np.int64)
    random = np.random.default_rng(seed)
    for label in np.unique(labels):
        shuffled = random.permutation(np.flatnonzero(label_of_group == label))
        ends = np.round(np.cumsum(fractions)[:-1] * len(shuffled)).astype(np.int64)
        for index, groups_of_split in enumerate(np.split(shuffled, ends)):
            split_of_group[groups_of_split] = index
    split_of_row = split_of_group[member]
    return [np.flatnonzero(split_of_row == index) for index in range(len(fractions))]
