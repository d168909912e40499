"""The words a model knows, by number: 0 stands for every word it does not know."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

UNKNOWN = "<unk>"


class Vocabulary:
    """A fixed list of words, the unknown word first.

    Args:
        words: ``words[number]`` is the word; ``words[0]`` must be ``<unk>``.
    """

    def __init__(self, words: Sequence[str]) -> None:
        if not words or words[0] != UNKNOWN:
            raise ValueError(f"the first word of a vocabulary must be {UNKNOWN}, got {words[:1]}")
        self.words = list(words)
        self._array = pa.array(self.words[1:], type=pa.string())

    def __len__(self) -> int:
        return len(self.words)

    @classmethod
    def count(
        cls, words: pa.Array | pa.ChunkedArray, min_count: int = 1, max_size: int | None = None
    ) -> "Vocabulary":
        """Return the words that occur at least ``min_count`` times, the most frequent first."""
        return cls.of_counts(
            pa.Table.from_struct_array(pc.value_counts(words)), min_count, max_size
        )

    @classmethod
    def of_counts(
        cls, counts: pa.Table, min_count: int = 1, max_size: int | None = None
    ) -> "Vocabulary":
        """Return the words that occur at least ``min_count`` times, the most frequent first.

        Words of equal frequency stand in alphabetical order, so that the numbers depend on the
        texts alone and not on their order. ``max_size`` counts the unknown word too.
        """
        frequent = pc.and_(
            pc.greater_equal(counts["counts"], min_count), pc.not_equal(counts["values"], UNKNOWN)
        )
        ordered = counts.filter(frequent).sort_by(
            [("counts", "descending"), ("values", "ascending")]
        )
        known = ordered["values"].to_pylist()
        return cls([UNKNOWN, *known[: None if max_size is None else max_size - 1]])

    def token_ids(self, words: pa.Array) -> np.ndarray:
        """Return the number of each word, 0 for words outside the vocabulary (int32)."""
        found = pc.index_in(words, value_set=self._array)
        known = pc.fill_null(pc.add(found, 1), 0).to_numpy(zero_copy_only=False)
        return np.asarray(known, dtype=np.int32)
