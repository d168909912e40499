"""Where every row of a batch of sequences goes: ragged, padded and packed form.

*Ragged*: the rows of the first sequence, then the rows of the second, and so on; ``lengths`` says
where one ends. *Packed* (:class:`torch.nn.utils.rnn.PackedSequence`): the first rows of all
sequences, longest sequence first, then all second rows, and so on; ``batch_sizes`` says where one
step ends and never grows. *Padded*: a rectangle with rows that mean nothing. A recurrence wants the
packed form, since the rows of a step then lie side by side and no row is wasted.

Sequences without any row are allowed everywhere. In a ``PackedSequence`` they are what
``sorted_indices`` has beyond ``batch_sizes[0]``.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy.typing as npt
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence


class Packing(NamedTuple):
    """How the rows of a batch of ``B`` sequences with ``N`` rows are put in packed order.

    Attributes:
        batch_sizes: How many sequences have a step ``t``, on the CPU as torch has it; ``(T,)``.
        sorted_indices: Sequences by falling length, equal lengths in their own order; ``(B,)``.
        unsorted_indices: Rank of each sequence, the inverse of the former; ``(B,)``.
        sequence: Which sequence each packed row comes from; ``(N,)``.
        step: Which step of its sequence each packed row is; ``(N,)``.
    """

    batch_sizes: Tensor
    sorted_indices: Tensor
    unsorted_indices: Tensor
    sequence: Tensor
    step: Tensor


def as_lengths(lengths: Tensor | Sequence[int] | npt.NDArray[Any]) -> Tensor:
    """Return lengths as a tensor: a list, a tuple or an array of numpy will do as well.

    Raises:
        ValueError: They are no numbers.
    """
    if isinstance(lengths, Tensor):
        return lengths
    try:
        found = torch.as_tensor(lengths)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"lengths must be one row of whole numbers, got {lengths!r}") from error
    return found if found.numel() else found.to(torch.int64)


def check_lengths(lengths: Tensor, rows: int, longest: int | None = None) -> None:
    """Refuse lengths that do not fit the rows they describe.

    Args:
        lengths: One whole number for each sequence.
        rows: How many rows there are in all, or ``-1`` where that is not known (padded form).
        longest: The largest length that is possible.

    Raises:
        ValueError: When the lengths are not a vector of whole numbers, or not between 0 and
            ``longest``, or do not add up to ``rows``.
    """
    if lengths.dim() != 1 or lengths.is_floating_point() or lengths.dtype == torch.bool:
        raise ValueError(
            "lengths must be one row of whole numbers, got shape "
            f"{tuple(lengths.shape)} and {lengths.dtype}"
        )
    if lengths.numel() and int(lengths.min()) < 0:
        raise ValueError(f"lengths must not be negative, got {int(lengths.min())}")
    if longest is not None and lengths.numel() and int(lengths.max()) > longest:
        raise ValueError(
            f"lengths must be at most the {longest} steps of the input, got {int(lengths.max())}"
        )
    if rows >= 0 and int(lengths.sum()) != rows:
        raise ValueError(
            f"lengths must add up to the {rows} rows of the values, got {int(lengths.sum())}"
        )


def packing(
    lengths: Int[Tensor, " B"], steps: int | None = None, rows: int | None = None
) -> Packing:
    """Return the packed order of sequences of these lengths, in any order, zeros allowed.

    Everything but ``batch_sizes`` stays on the device of ``lengths``. When both sizes are given,
    no number is read from the tensor, so that a compiler can follow: steps that no sequence has
    get the batch size 0, and surplus rows stand at the end with ``sequence`` 0.

    Args:
        lengths: Rows of each sequence.
        steps: Number of steps, the longest length by default.
        rows: Number of rows, the sum of the lengths by default.
    """
    steps = (int(lengths.max()) if lengths.shape[0] else 0) if steps is None else steps
    rows = int(lengths.sum()) if rows is None else rows
    sorted_lengths, sorted_indices = torch.sort(lengths.detach(), descending=True, stable=True)
    times = torch.arange(steps, device=lengths.device)
    # as many sequences have a step t as there are lengths above t
    batch_sizes = lengths.shape[0] - torch.searchsorted(sorted_lengths.flip(0), times, right=True)
    step, lane = places(batch_sizes, rows)
    return Packing(
        batch_sizes.cpu(), sorted_indices, invert(sorted_indices), sorted_indices[lane], step
    )


def places(batch_sizes: Int[Tensor, " T"], rows: int) -> tuple[Tensor, Tensor]:
    """Return the step of each packed row, and which one of the step's rows it is.

    Rows beyond the sum of the batch sizes get the last step and place 0.
    """
    ends = batch_sizes.cumsum(0)
    row = torch.arange(rows, device=batch_sizes.device)
    step = torch.searchsorted(ends, row, right=True)
    surplus = step >= ends.shape[0]
    step = step.clamp(max=ends.shape[0] - 1)
    return step, (row - (ends - batch_sizes)[step]).masked_fill(surplus, 0)


def invert(permutation: Int[Tensor, " B"]) -> Int[Tensor, " B"]:
    """Return the permutation that undoes this one."""
    places = torch.arange(permutation.numel(), device=permutation.device)
    return torch.empty_like(permutation).scatter_(0, permutation, places)


def lengths_of(packed: PackedSequence) -> Int[Tensor, " B"]:
    """Return the length of each sequence, in the order in which the batch was packed."""
    order, sizes = packed.unsorted_indices, packed.batch_sizes
    if order is None:
        return sorted_lengths(sizes, int(sizes[0]) if sizes.shape[0] else 0).to(packed.data.device)
    return sorted_lengths(sizes, order.shape[0]).to(order.device)[order]


def sorted_lengths(batch_sizes: Int[Tensor, " T"], sequences: int) -> Int[Tensor, " B"]:
    """Return the falling lengths of so many sequences; those that no step has are empty."""
    lane = torch.arange(sequences, device=batch_sizes.device)
    # a sequence has as many steps as there are steps with more sequences than its place
    return torch.searchsorted(-batch_sizes, -lane)


def pack_ragged(values: Tensor, lengths: Int[Tensor, " B"]) -> PackedSequence:
    """Return ragged rows in packed order, without padding on the way.

    Args:
        values: The rows of all sequences, sequence by sequence, ``(N, ...)``; words as well as
            vectors, so that a text can be packed before it is embedded.
        lengths: Rows of each sequence, in any order; they add up to ``N`` and may be zero.

    Raises:
        ValueError: When the lengths do not describe the values.
    """
    lengths = as_lengths(lengths).cpu()  # the one time that a GPU is waited for
    check_lengths(lengths, values.shape[0])
    order = packing(lengths)
    starts = lengths.cumsum(0) - lengths
    rows = starts[order.sequence] + order.step
    return PackedSequence(
        values[rows.to(values.device)],
        order.batch_sizes,
        order.sorted_indices.to(values.device),
        order.unsorted_indices.to(values.device),
    )


def unpack_ragged(packed: PackedSequence) -> tuple[Tensor, Int[Tensor, " B"]]:
    """Return the rows sequence by sequence, and the lengths: the inverse of `pack_ragged`."""
    lengths = lengths_of(packed)
    sequence = torch.arange(lengths.numel(), device=lengths.device).repeat_interleave(lengths)
    starts = lengths.cumsum(0) - lengths
    step = torch.arange(sequence.numel(), device=lengths.device) - starts[sequence]
    rank = packed.unsorted_indices
    lane = sequence if rank is None else rank[sequence]
    offsets = (packed.batch_sizes.cumsum(0) - packed.batch_sizes).to(lengths.device)
    return packed.data[offsets[step] + lane], lengths


def reversal(batch_sizes: Int[Tensor, " T"], rows: int) -> Int[Tensor, " N"]:
    """Return the packed rows that turn every sequence round; it is its own inverse."""
    step, lane = places(batch_sizes, rows)
    offsets = batch_sizes.cumsum(0) - batch_sizes
    last = torch.searchsorted(-batch_sizes, -lane) - 1
    turned = offsets[last - step] + lane
    row = torch.arange(rows, device=batch_sizes.device)
    return torch.where(row < batch_sizes.sum(), turned, row)


def last_rows(
    states: Float[Tensor, "N H"], initial: Float[Tensor, "B H"], batch_sizes: Int[Tensor, " T"]
) -> Float[Tensor, "B H"]:
    """Return the state after the last step of each sequence; an empty one keeps its initial."""
    sequences = int(batch_sizes[0]) if batch_sizes.shape[0] else 0
    last = sorted_lengths(batch_sizes, sequences) - 1
    rows = (batch_sizes.cumsum(0) - batch_sizes)[last] + torch.arange(sequences)
    return torch.cat((states[rows.to(states.device)], initial[sequences:]))


def previous_rows(
    states: Float[Tensor, "N H"], initial: Float[Tensor, "B H"], batch_sizes: Int[Tensor, " T"]
) -> Float[Tensor, "N H"]:
    """Return, for each packed row, the state before its step."""
    sizes = batch_sizes.tolist()
    if not sizes:
        return states
    before = [initial[: sizes[0]]]
    before += [h[:size] for h, size in zip(states.split(sizes)[:-1], sizes[1:], strict=True)]
    return torch.cat(before)


class Block(NamedTuple):
    """Some steps on end, enough of them that a product of matrices is worth its while.

    Attributes:
        start: First packed row.
        total: Number of rows.
        sizes: Sequences that have each of the steps.
        first: Sequences that have the step before the block.
    """

    start: int
    total: int
    sizes: list[int]
    first: int

    @property
    def rows(self) -> slice:
        """Return the packed rows of the block."""
        return slice(self.start, self.start + self.total)

    def before(
        self, states: Float[Tensor, "N H"], initial: Float[Tensor, "B H"]
    ) -> Float[Tensor, "M H"]:
        """Return, for each row of the block, the state before its step."""
        if self.start and self.first == self.sizes[-1]:  # sizes do not grow: all are equal
            return states[self.start - self.first : self.start - self.first + self.total]
        offset = self.start - self.first
        found = [
            states[offset : offset + self.sizes[0]] if self.start else initial[: self.sizes[0]]
        ]
        offset = self.start
        for size, after in zip(self.sizes, self.sizes[1:], strict=False):
            found.append(states[offset : offset + after])
            offset += size
        return torch.cat(found)


def blocks(sizes: list[int], rows: int) -> list[Block]:
    """Return the steps in blocks of about so many rows, in the order of time."""
    found: list[Block] = []
    start, first, taken, count = 0, 0, list[int](), 0
    for place, size in enumerate(sizes):
        taken.append(size)
        count += size
        if count >= rows or place == len(sizes) - 1:
            found.append(Block(start, count, taken, first))
            start, first, taken, count = start + count, size, [], 0
    return found
