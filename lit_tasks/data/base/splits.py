"""The parts of a data set: what they are called, and how one is cut by a seed."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

Part = Literal["train", "val", "test", "predict"]
Split = Literal["train", "val", "test"]
SPLITS = ("train", "val", "test")
PARTS_OF: dict[str, tuple[Part, ...]] = {
    "fit": ("train", "val"),
    "validate": ("val",),
    "test": ("test",),
    "predict": ("predict",),
}
"""The parts that each of Lightning's stages needs."""


def held_out_fractions(val_fraction: float, test_fraction: float) -> list[float]:
    """Return the shares of training, validation and test; that of the test may be 0.

    Raises:
        ValueError: A share is out of its range, or nothing is left to train on.
    """
    if not 0 < val_fraction < 1 or not 0 <= test_fraction < 1 - val_fraction:
        raise ValueError(
            "val_fraction must be positive, test_fraction at least 0, and both must leave"
            f" something to train on, got {val_fraction} and {test_fraction}"
        )
    return [1 - val_fraction - test_fraction, val_fraction, test_fraction]


def stratified_parts(
    labels: np.ndarray, groups: np.ndarray, fractions: Sequence[float], seed: int
) -> list[np.ndarray]:
    """Return the rows of each part, in the order of the set; together they are all rows.

    Every class keeps its share. Rows of one group (repeats of one text or picture) go to one part,
    so a part may be a few rows larger or smaller than its fraction. A group counts as a member of
    its first row's class.

    Args:
        labels: Class of each row, whole numbers.
        groups: Group of each row, whole numbers.
        fractions: Share of each part; they add up to 1.
        seed: Decides which group goes where.
    """
    if min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-9:
        raise ValueError(f"fractions must be positive and add up to 1, got {list(fractions)}")
    _, first, member = np.unique(groups, return_index=True, return_inverse=True)
    label_of_group = labels[first]
    part_of_group = np.zeros(len(first), dtype=np.int64)
    random = np.random.default_rng(seed)
    for label in np.unique(labels):
        shuffled = random.permutation(np.flatnonzero(label_of_group == label))
        ends = np.round(np.cumsum(fractions)[:-1] * len(shuffled)).astype(np.int64)
        for part, of_part in enumerate(np.split(shuffled, ends)):
            part_of_group[of_part] = part
    part_of_row = part_of_group[member]
    return [np.flatnonzero(part_of_row == part) for part in range(len(fractions))]
