"""torch's recurrent layers on derivatives of our own; names, start and state dict are torch's.

Beyond torch: ``lengths`` as a plain tensor beside padded input (on any device, in any order, zeros
allowed), all cell states, second derivatives, ``torch.compile`` without a graph break.
"""

from typing import Any, Literal, NamedTuple, cast

import torch
import torch._dynamo.config  # Lightning and every optimizer of torch import it as well
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from lit_tasks.functional.lstm_autograd import lstm
from lit_tasks.functional.packing import check_lengths, invert, packing, reversal
from lit_tasks.functional.rnn_autograd import rnn

# Dynamo refuses every subclass of torch's layers, since it cannot trace what those do; ours it can.
torch._dynamo.config.allow_rnn = True

Implementation = Literal["auto", "analytic", "torch"]


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
            return data.unflatten(0, (self.steps, self.batch)).flip(0).flatten(0, 1)
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
        return data.unflatten(0, (rows.steps, rows.batch))
    places = rows.steps * rows.batch
    padded = data.new_zeros(places + 1, data.shape[1]).index_copy(0, rows.positions, data)
    return padded[:places].unflatten(0, (rows.steps, rows.batch))


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


def lowered(tensor: Tensor) -> Tensor:
    """Return the tensor in autocast's type where autocast is on, as torch's layers do."""
    kind = tensor.device.type
    if torch.is_autocast_enabled(kind) and tensor.dtype is not torch.float64:
        return tensor.to(torch.get_autocast_dtype(kind))
    return tensor


def weights_of(module: nn.RNNBase, place: int) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return both weights of one layer and direction, and the sum of its two biases."""
    w_ih, w_hh, *biases = (lowered(weight) for weight in module.all_weights[place])
    return w_ih, w_hh, biases[0] + biases[1] if biases else None


def handed_over(module: nn.RNNBase, implementation: Implementation, data: Tensor) -> bool:
    """Tell whether torch's own kernel is to run: when asked, or by itself on a GPU."""
    if implementation == "auto":
        return data.device.type == "cuda" and not torch.compiler.is_compiling()
    return implementation == "torch"


class RNN(nn.RNN):
    """`torch.nn.RNN` on the derivative of `lit_tasks.functional.rnn`.

    Args:
        implementation: ``analytic`` runs ours, ``torch`` hands over to torch's own, ``auto``
            takes torch's on a GPU, where it is one fused kernel, and ours elsewhere.
    """

    def __init__(self, *args: Any, implementation: Implementation = "auto", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.implementation = implementation

    def forward(  # type: ignore[override]
        self,
        input: Tensor | PackedSequence,
        hx: Tensor | None = None,
        lengths: Tensor | None = None,
    ) -> tuple[Tensor | PackedSequence, Tensor]:
        """Return all hidden states in the form of the input, and the last of each sequence.

        Args:
            input: ``(T, B, I)``, ``(B, T, I)`` with ``batch_first``, ``(T, I)`` for a single
                sequence, or packed.
            hx: Initial states, ``(layers * directions, B, H)``; zeros by default.
            lengths: Steps of each padded sequence, in any order, zeros allowed. The output is
                zero beyond them.
        """
        rows = rows_of(self, input, lengths)
        single = isinstance(input, Tensor) and input.dim() == 2
        data, ends = lowered(rows.data), []
        h0 = lowered(initial(self, rows, hx, "hx", single))
        for layer in range(self.num_layers):
            outputs = []
            for direction in range(1 + self.bidirectional):
                place = layer * (1 + self.bidirectional) + direction
                turned = rows.flipped(data) if direction else data
                output, h_n = rnn(
                    turned,
                    h0[place],
                    *weights_of(self, place),
                    rows.batch_sizes,
                    self.nonlinearity,
                )
                outputs.append(rows.flipped(output) if direction else output)
                ends.append(h_n)
            data = torch.cat(outputs, 1) if self.bidirectional else outputs[0]
            if self.dropout and layer < self.num_layers - 1:
                data = nn.functional.dropout(data, self.dropout, self.training)
        return form_of(self, input, rows, data), final(rows, ends, single)


class LSTM(nn.LSTM):
    """`torch.nn.LSTM` on the derivative of `lit_tasks.functional.lstm`.

    Args:
        implementation: ``analytic`` runs ours, ``torch`` hands over to torch's own, ``auto``
            takes torch's on a GPU, where it is one fused kernel, and ours elsewhere.
    """

    def __init__(self, *args: Any, implementation: Implementation = "auto", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.proj_size:
            raise ValueError(f"proj_size must be 0, got {self.proj_size}")
        self.implementation = implementation

    def forward(  # type: ignore[override]
        self,
        input: Tensor | PackedSequence,
        hx: tuple[Tensor, Tensor] | None = None,
        lengths: Tensor | None = None,
    ) -> tuple[Tensor | PackedSequence, tuple[Tensor, Tensor]]:
        """Return all hidden states in the form of the input, and the last of each sequence.

        Args:
            input: ``(T, B, I)``, ``(B, T, I)`` with ``batch_first``, ``(T, I)`` for a single
                sequence, or packed.
            hx: Initial hidden and cell states, each ``(layers * directions, B, H)``; zeros by
                default.
            lengths: Steps of each padded sequence, in any order, zeros allowed. The output is
                zero beyond them.
        """
        rows = rows_of(self, input, lengths)
        single = isinstance(input, Tensor) and input.dim() == 2
        data, ends_h, ends_c = lowered(rows.data), [], []
        h0, c0 = (
            lowered(initial(self, rows, None if hx is None else hx[k], f"hx[{k}]", single))
            for k in range(2)
        )
        for layer in range(self.num_layers):
            outputs = []
            for direction in range(1 + self.bidirectional):
                place = layer * (1 + self.bidirectional) + direction
                turned = rows.flipped(data) if direction else data
                done = lstm(
                    turned,
                    h0[place],
                    c0[place],
                    *weights_of(self, place),
                    rows.batch_sizes,
                    self.implementation == "auto",
                )
                outputs.append(rows.flipped(done.output) if direction else done.output)
                ends_h.append(done.h_n)
                ends_c.append(done.c_n)
            data = torch.cat(outputs, 1) if self.bidirectional else outputs[0]
            if self.dropout and layer < self.num_layers - 1:
                data = nn.functional.dropout(data, self.dropout, self.training)
        states = final(rows, ends_h, single), final(rows, ends_c, single)
        return form_of(self, input, rows, data), states
