"""Index arithmetic: torch's packing is the oracle, going there and back is the law."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.utils.rnn import pack_sequence

from lit_tasks.functional.recurrent.packing import (
    lengths_of,
    pack_ragged,
    packing,
    reversal,
    unpack_ragged,
)

LENGTHS = st.lists(st.integers(0, 7), max_size=6)


@given(lengths=LENGTHS)
def test_unpacking_gives_back_what_was_packed(lengths: list[int]) -> None:
    given_lengths = torch.tensor(lengths, dtype=torch.int64)
    values = torch.randn(sum(lengths), 3)
    packed = pack_ragged(values, given_lengths)
    found, found_lengths = unpack_ragged(packed)
    assert torch.equal(found, values)
    assert torch.equal(found_lengths, given_lengths)
    assert torch.equal(lengths_of(packed), given_lengths)


@given(lengths=st.lists(st.integers(1, 7), min_size=1, max_size=6))
def test_ragged_rows_are_packed_as_torch_packs_sequences(lengths: list[int]) -> None:
    values = torch.randn(sum(lengths), 2)
    theirs = pack_sequence(list(values.split(lengths)), enforce_sorted=False)
    ours = pack_ragged(values, torch.tensor(lengths))
    assert torch.equal(ours.data, theirs.data) or lengths.count(lengths[0]) != len(lengths)
    assert torch.equal(ours.batch_sizes, theirs.batch_sizes)
    for one, other in zip(
        values.split(lengths), torch.nn.utils.rnn.unpack_sequence(ours), strict=True
    ):
        assert torch.equal(one, other)


@given(lengths=LENGTHS, steps=st.integers(0, 2), rows=st.integers(0, 5))
def test_room_that_a_compiler_leaves_does_not_move_a_row(
    lengths: list[int], steps: int, rows: int
) -> None:
    given_lengths = torch.tensor([*lengths, 1])
    exact = packing(given_lengths)
    total = int(given_lengths.sum())
    roomy = packing(given_lengths, int(given_lengths.max()) + steps, total + rows)
    assert torch.equal(roomy.sequence[:total], exact.sequence)
    assert torch.equal(roomy.step[:total], exact.step)
    assert torch.equal(roomy.batch_sizes[roomy.batch_sizes > 0], exact.batch_sizes)


@given(lengths=LENGTHS)
def test_turning_sequences_round_twice_changes_nothing(lengths: list[int]) -> None:
    packed = pack_ragged(torch.arange(sum(lengths)), torch.tensor(lengths, dtype=torch.int64))
    turn = reversal(packed.batch_sizes, sum(lengths))
    assert torch.equal(turn[turn], torch.arange(sum(lengths)))
    found, _ = unpack_ragged(packed._replace(data=packed.data[turn]))
    expected = [part.flip(0) for part in torch.arange(sum(lengths)).split(lengths)]
    assert torch.equal(found, torch.cat(expected) if expected else found)


def test_lengths_that_do_not_fit_are_refused_by_a_sentence() -> None:
    with pytest.raises(ValueError, match="add up to the 3 rows of the values, got 4"):
        pack_ragged(torch.zeros(3), torch.tensor([4]))
    with pytest.raises(ValueError, match="must not be negative, got -1"):
        pack_ragged(torch.zeros(3), torch.tensor([4, -1]))
    with pytest.raises(
        ValueError, match=r"one row of whole numbers, got shape \(1,\) and torch\.float32"
    ):
        pack_ragged(torch.zeros(3), torch.tensor([3.0]))
