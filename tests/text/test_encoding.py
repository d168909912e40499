import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lit_tasks.text.encoding import TextOptions, encode, truncate
from lit_tasks.text.vocabulary import Vocabulary


@given(
    lengths=st.lists(st.integers(0, 9), max_size=6),
    longest=st.integers(1, 10) | st.none(),
    which=st.sampled_from(["head", "tail", "both"]),
)
def test_truncation_keeps_what_slicing_keeps(
    lengths: list[int], longest: int | None, which: str
) -> None:
    offsets = np.cumsum([3, *lengths])  # as in a slice, the first row need not start at 0
    keep, kept = truncate(offsets, longest, which)
    expected = []
    for length in lengths:
        row = list(range(length))
        if longest is not None and length > longest:
            tail = {"head": 0, "tail": longest, "both": longest // 2}[which]
            row = row[: longest - tail] + row[length - tail :]
        expected.append(row)
    places = np.concatenate([np.arange(n) for n in lengths] or [np.zeros(0, int)])[keep]
    assert places.tolist() == [place for row in expected for place in row]
    assert kept.tolist() == [len(row) for row in expected]


def test_encoding_gives_numbers_row_by_row() -> None:
    rows = pa.array([["a", "b", "x"], [], ["b", "b", "a", "a"]])
    options = TextOptions(max_length=2, truncate="tail")
    numbers = encode(rows, Vocabulary(["<unk>", "a", "b"]), options)
    assert numbers.to_pylist() == [[2, 0], [], [1, 1]]
    assert numbers.type.value_type == pa.int32()


def test_only_truncation_may_differ_from_a_checkpoint() -> None:
    stored = TextOptions(split="space", min_count=3, max_length=5, truncate="tail").plain()
    assert TextOptions().after(stored) == TextOptions("space", True, False, 3, None, 5, "tail")
    asked = TextOptions(max_length=9, truncate="both").after(stored)
    assert (asked.split, asked.max_length, asked.truncate) == ("space", 9, "both")


@pytest.mark.parametrize(("name", "value"), [("min_count", 0), ("max_size", 1), ("max_length", 0)])
def test_sizes_that_mean_nothing_are_refused(name: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"{name} must be at least .*, got {value}"):
        TextOptions(**{name: value})
