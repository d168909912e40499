"""Convert padded, packed and single-sequence inputs to packed rows and back."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from lit_tasks.functional.recurrent.packing import check_lengths, invert, packing, reversal


class Rows(NamedTuple):
    """A batch of sequences in packed order, and the way back to the form it came in.

    Attributes:
        data: Rows of all sequences, step by step, ``(N, features)``.
        batch_sizes: Sequences that have each step, on the CPU.
        batch: Number of sequences, those without a step included.
        order: Sequences by falling length; ``None`` where they are in that order already.
        positions: Place of each row in the padded input, time first; ``None`` without ``lengths``.
        steps: Number of steps in the padded input.
    """

    data: Tensor
    batch_sizes: Tensor
    batch: int
    order: Tensor | None = None
    positions: Tensor | None = None
    steps: int = 0

    def flipped(self, data: Tensor) -> Tensor:
        """Return the rows with every sequence turned round."""
        if self.order is None and self.steps:
            shape = self.steps, self.batch, data.shape[1]
            return data.reshape(shape).flip(0).flatten(0, 1)
        rows = reversal(self.batch_sizes, data.shape[0]).to(data.device)
        return data.index_select(0, rows)


def rows_of_padded(input: Tensor, lengths: Tensor | None) -> Rows:
    """Return the packed rows of a padded batch, time first, without what is beyond its lengths."""
    steps, batch = input.shape[:2]
    if lengths is None:
        return Rows(input.flatten(0, 1), torch.full((steps,), batch), batch, steps=steps)
    if lengths.shape[0] != batch:
        raise ValueError(
            f"lengths must have one number for each of {batch} sequences, got {lengths.shape[0]}"
        )
    lengths = lengths.to(input.device)
    if torch.compiler.is_compiling():
        order = packing(lengths, steps, steps * batch)
        real = torch.arange(steps * batch, device=input.device) < lengths.sum()
    else:
        check_lengths(lengths, rows=-1, longest=steps)
        order, real = packing(lengths), None
    positions = order.step * batch + order.sequence
    data = input.flatten(0, 1).index_select(0, positions)
    if real is not None:  # surplus rows of a traced batch are put beyond the end, then cut off
        positions = torch.where(real, positions, steps * batch)
    return Rows(data, order.batch_sizes, batch, order.sorted_indices, positions, steps)


def padded_of_rows(rows: Rows, data: Tensor) -> Tensor:
    """Return packed rows as a rectangle, time first, with zeros where a sequence has ended."""
    if rows.positions is None:
        return data.reshape(rows.steps, rows.batch, data.shape[1])
    places = rows.steps * rows.batch
    padded = data.new_zeros(places + 1, data.shape[1]).index_copy(0, rows.positions, data)
    return padded[:places].reshape(rows.steps, rows.batch, data.shape[1])


def rows_of(module: nn.RNNBase, input: Tensor | PackedSequence, lengths: Tensor | None) -> Rows:
    """Return the packed rows of whatever form the input has.

    Raises:
        ValueError: When the input has a shape that the layer cannot read.
    """
    if isinstance(input, PackedSequence):
        if lengths is not None:
            raise ValueError("lengths must be left out beside a PackedSequence, which has its own")
        _check_features(module, input.data)
        order = input.sorted_indices
        sizes = input.batch_sizes
        batch = len(order) if order is not None else int(sizes[0]) if sizes.shape[0] else 0
        return Rows(input.data, sizes, batch, order)
    if input.dim() not in (2, 3):
        raise ValueError(f"input must have 2 or 3 dimensions, got {input.dim()}")
    _check_features(module, input)
    if input.dim() == 2:
        if lengths is not None:
            raise ValueError("lengths must be left out beside a single sequence of 2 dimensions")
        return rows_of_padded(input.unsqueeze(1), None)
    return rows_of_padded(input.transpose(0, 1) if module.batch_first else input, lengths)


def _check_features(module: nn.RNNBase, input: Tensor) -> None:
    if input.shape[-1] != module.input_size:
        raise ValueError(
            f"input must have {module.input_size} features (input_size), got {input.shape[-1]}"
        )


def initial(module: nn.RNNBase, rows: Rows, hx: Tensor | None, name: str, single: bool) -> Tensor:
    """Return initial states in packed order, ``(layers * directions, B, H)``; zeros by default.

    Raises:
        ValueError: When given states have another shape than torch's layer takes.
    """
    shape = (module.num_layers * (1 + module.bidirectional), rows.batch, module.hidden_size)
    if hx is None:
        return rows.data.new_zeros(shape)
    hx = hx.unsqueeze(1) if single and hx.dim() == 2 else hx
    if tuple(hx.shape) != shape:
        raise ValueError(f"{name} must have shape {shape}, got {tuple(hx.shape)}")
    return hx if rows.order is None else hx.index_select(1, rows.order)


def form_of(
    module: nn.RNNBase, input: Tensor | PackedSequence, rows: Rows, data: Tensor
) -> Tensor | PackedSequence:
    """Return packed rows in the form that the input had."""
    if isinstance(input, PackedSequence):
        return PackedSequence(data, input.batch_sizes, input.sorted_indices, input.unsorted_indices)
    padded = padded_of_rows(rows, data)
    if input.dim() == 2:
        return padded.squeeze(1)
    return padded.transpose(0, 1) if module.batch_first else padded


def final(rows: Rows, states: list[Tensor], single: bool) -> Tensor:
    """Return the final states of all layers and directions, in the order of the batch."""
    stacked = torch.stack(states)
    if rows.order is not None:
        stacked = stacked.index_select(1, invert(rows.order))
    return stacked.squeeze(1) if single else stacked
