"""Seeded parts of a labelled set that share no text and keep the share of every class."""

from collections.abc import Sequence

import numpy as np


def stratified_parts(
    labels: np.ndarray, groups: np.ndarray, fractions: Sequence[float], seed: int
) -> list[np.ndarray]:
    """Return the rows of each part, in the order of the set; together they are all rows.

    Rows of one group (repeats of one text) go to one part, so a part may be a few rows larger or
    smaller than its fraction. A group counts as a member of its first row's class.

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
