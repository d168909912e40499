"""torch's recurrent layers on derivatives of our own; names, start and state dict are torch's.

Beyond torch: ``lengths`` beside padded input (a tensor on any device, a list, an array; in any
order, zeros allowed), all cell states, second derivatives, and ``torch.compile`` and
``torch.export`` without a break.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from lit_tasks.functional.recurrent.gru_autograd import gru
from lit_tasks.functional.recurrent.lstm_autograd import lstm
from lit_tasks.functional.recurrent.packing import as_lengths
from lit_tasks.functional.recurrent.rnn_autograd import rnn
from lit_tasks.nn.recurrent.onnx import onnx_gru, onnx_lstm, onnx_rnn
from lit_tasks.nn.recurrent.packed_inputs import (
    Layered,
    Rows,
    autocast_enabled,
    check,
    final,
    form_of,
    initial,
    initial_states,
    one_state,
    rows_of,
    to_autocast_dtype,
    two_states,
)
from lit_tasks.nn.recurrent.torch_kernel import (
    DropIn,
    Implementation,
    calls_module,
    through_torch,
    uses_torch_kernel,
)
from lit_tasks.torch_internals import let_dynamo_trace

# output rows, final states, all cell states (only an LSTM has some)
Direction = tuple[Tensor, tuple[Tensor, ...], Tensor | None]
# runs one direction: its index, rows, their batch sizes, initial states, weights
Run = Callable[[Tensor, Tensor, Sequence[Tensor], Sequence[Tensor]], Direction]


class Found(NamedTuple):
    """What a stack of layers returns.

    Attributes:
        output: The last layer's states in the form of the input.
        ends: The final states, ``(layers * directions, B, H)`` for each kind of state.
        cells: The last layer's cell states in the form of the input, if it has some.
    """

    output: Tensor | PackedSequence
    ends: tuple[Tensor, ...]
    cells: Tensor | PackedSequence | None


def run_layers(
    module: Layered,
    rows: Rows,
    starts: Sequence[Sequence[Tensor]],
    weights: Sequence[Sequence[Tensor]],
    run: Run,
) -> tuple[Tensor, list[tuple[Tensor, ...]], Tensor | None]:
    """Run all layers and directions over packed rows.

    Args:
        module: What describes the layers.
        rows: A batch in packed order.
        starts: For each kind of state, the initial one of each layer and direction, ``(B, H)``.
        weights: Those of each layer and direction, in torch's order.
        run: Runs one direction.

    Returns:
        The last layer's rows, the final states of each layer and direction, and the last layer's
        cell states.
    """
    data, ends, cells = rows.data, [], None
    ways = 1 + module.bidirectional
    for layer in range(module.num_layers):
        outputs, all_cells = [], []
        for way in range(ways):
            index = layer * ways + way
            x = rows.flipped(data) if way else data
            own = [state[index] for state in starts]
            output, end, cell = run(x, rows.batch_sizes, own, weights[index])
            outputs.append(rows.flipped(output) if way else output)
            if cell is not None:
                all_cells.append(rows.flipped(cell) if way else cell)
            ends.append(end)
        data = torch.cat(outputs, 1) if module.bidirectional else outputs[0]
        cells = (torch.cat(all_cells, 1) if ways > 1 else all_cells[0]) if all_cells else None
        if module.dropout and layer < module.num_layers - 1:
            data = nn.functional.dropout(data, module.dropout, module.training)
    return data, ends, cells


def run_module(
    module: DropIn,
    input: Tensor | PackedSequence,
    states: dict[str, Tensor | None],
    lengths: Tensor | None,
    run: Run,
    kernel: bool,
) -> Found:
    """Return what a layer computes, by torch's kernel over packed rows if ``kernel``."""
    weights: Sequence[Sequence[Tensor]] = module.all_weights
    rows = rows_of(module, input, lengths)
    single = isinstance(input, Tensor) and input.dim() == 2

    def ours(data: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        flat = iter(rest[len(states) :])
        own = [[next(flat) for _ in group] for group in weights]
        starts = [state.unbind(0) for state in rest[: len(states)]]
        rows_now = rows._replace(data=to_autocast_dtype(data))
        output, ends, _ = run_layers(module, rows_now, starts, own, run)
        return output, *(torch.stack(column) for column in zip(*ends, strict=True))

    if kernel and rows.batch_sizes.shape[0]:
        flat = [weight for group in weights for weight in group]
        starts = [initial(module, rows, state, single) for state in states.values()]
        data, last = through_torch(module, rows, starts, flat, ours)
        ends, cells = [final(rows, list(end), single) for end in last], None
    else:
        if autocast_enabled(rows.data):
            weights = [[to_autocast_dtype(weight) for weight in group] for group in weights]
            rows = rows._replace(data=to_autocast_dtype(rows.data))
        own = [initial_states(module, rows, state, single) for state in states.values()]
        data, columns, cells = run_layers(module, rows, own, weights, run)
        ends = [final(rows, list(end), single) for end in zip(*columns, strict=True)]
    rectangle = isinstance(input, Tensor)
    if data.requires_grad and rows.positions is None and not (rectangle and len(ends) > 1):
        data = data.clone()  # a caller may change it in place, as it may torch's; ours is saved
    form = form_of(module, input, rows, data)
    return Found(form, tuple(ends), None if cells is None else form_of(module, input, rows, cells))


class RNN(DropIn, nn.RNN):
    """`torch.nn.RNN` on the derivative of `lit_tasks.functional.recurrent.rnn`.

    The positional and other named arguments are those of torch's layer.

    Args:
        implementation: ``analytic`` runs ours in plain tensor calls, ``torch`` hands over to
            torch's own; ``auto`` takes torch's on a GPU, where it is one fused kernel, and ours
            elsewhere, with the time loop compiled where there is a compiler.
    """

    def __init__(self, *args: Any, implementation: Implementation = "auto", **kwargs: Any) -> None:
        super().__init__(*args, implementation=implementation, **kwargs)

    def forward(  # type: ignore[override]
        self,
        input: Tensor | PackedSequence,
        hx: Tensor | None = None,
        lengths: Tensor | Sequence[int] | None = None,
    ) -> tuple[Tensor | PackedSequence, Tensor]:
        """Return all hidden states in the form of the input, and the last of each sequence.

        Args:
            input: ``(T, B, I)``, ``(B, T, I)`` with ``batch_first``, ``(T, I)`` for a single
                sequence, or packed.
            hx: Initial states, ``(layers * directions, B, H)``; zeros by default.
            lengths: Steps of each padded sequence, in any order, zeros allowed. The output is
                zero beyond them.
        """
        lengths = None if lengths is None else as_lengths(lengths)
        if torch.onnx.is_in_onnx_export() and isinstance(input, Tensor):
            return onnx_rnn(self, input, hx, lengths)
        check(self, input, {"hx": one_state(hx)}, lengths, self.weight_dtype)
        kernel = uses_torch_kernel(self, input, lengths)
        if kernel and calls_module(self, input, lengths):
            return super().forward(input, hx)
        found = run_module(self, input, {"hx": hx}, lengths, self._run, kernel)
        return found.output, found.ends[0]

    def _run(
        self, x: Tensor, sizes: Tensor, states: Sequence[Tensor], weights: Sequence[Tensor]
    ) -> Direction:
        """Run one layer in one direction."""
        w_ih, w_hh, *biases = weights
        b_ih, b_hh = biases or (None, None)
        given = (x, states[0], w_ih, w_hh, b_ih, b_hh, sizes, self.nonlinearity)
        done = rnn(*given, self.implementation == "auto")
        return done.output, (done.h_n,), None


class GRU(DropIn, nn.GRU):
    """`torch.nn.GRU` on the derivative of `lit_tasks.functional.recurrent.gru`.

    The positional and other named arguments are those of torch's layer.

    Args:
        implementation: As for `RNN`.
    """

    def __init__(self, *args: Any, implementation: Implementation = "auto", **kwargs: Any) -> None:
        super().__init__(*args, implementation=implementation, **kwargs)

    def forward(  # type: ignore[override]
        self,
        input: Tensor | PackedSequence,
        hx: Tensor | None = None,
        lengths: Tensor | Sequence[int] | None = None,
    ) -> tuple[Tensor | PackedSequence, Tensor]:
        """Return all hidden states in the form of the input, and the last of each sequence.

        Args:
            input: As for `RNN`.
            hx: Initial states, ``(layers * directions, B, H)``; zeros by default.
            lengths: Steps of each padded sequence, in any order, zeros allowed. The output is
                zero beyond them.
        """
        lengths = None if lengths is None else as_lengths(lengths)
        if torch.onnx.is_in_onnx_export() and isinstance(input, Tensor):
            return onnx_gru(self, input, hx, lengths)
        check(self, input, {"hx": one_state(hx)}, lengths, self.weight_dtype)
        kernel = uses_torch_kernel(self, input, lengths)
        if kernel and calls_module(self, input, lengths):
            return super().forward(input, hx)
        found = run_module(self, input, {"hx": hx}, lengths, self._run, kernel)
        return found.output, found.ends[0]

    def _run(
        self, x: Tensor, sizes: Tensor, states: Sequence[Tensor], weights: Sequence[Tensor]
    ) -> Direction:
        """Run one layer in one direction."""
        w_ih, w_hh, *biases = weights
        b_ih, b_hh = biases or (None, None)
        done = gru(x, states[0], w_ih, w_hh, b_ih, b_hh, sizes, self.implementation == "auto")
        return done.output, (done.h_n,), None


class LSTM(DropIn, nn.LSTM):
    """`torch.nn.LSTM` on the derivative of `lit_tasks.functional.recurrent.lstm`.

    The positional and other named arguments are those of torch's layer; ``proj_size`` must be 0.

    Args:
        implementation: ``analytic`` runs ours in plain tensor calls, ``torch`` hands over to
            torch's own; ``auto`` takes torch's on a GPU, where it is one fused kernel, and for a
            rectangle without gradients on a CPU, and ours elsewhere, with the time loop compiled
            where there is a compiler.

    Raises:
        ValueError: When an argument is not supported or contradicts another.
    """

    def __init__(self, *args: Any, implementation: Implementation = "auto", **kwargs: Any) -> None:
        super().__init__(*args, implementation=implementation, **kwargs)

    def forward(  # type: ignore[override]
        self,
        input: Tensor | PackedSequence,
        hx: tuple[Tensor, Tensor] | None = None,
        lengths: Tensor | Sequence[int] | None = None,
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
        lengths = None if lengths is None else as_lengths(lengths)
        if torch.onnx.is_in_onnx_export() and isinstance(input, Tensor):
            return onnx_lstm(self, input, hx, lengths)
        states = two_states(hx)
        check(self, input, states, lengths, self.weight_dtype)
        kernel = uses_torch_kernel(self, input, lengths)
        if kernel and calls_module(self, input, lengths):
            return super().forward(input, hx)
        output, (h_n, c_n), _ = run_module(self, input, states, lengths, self._run, kernel)
        return output, (h_n, c_n)

    def forward_with_cells(
        self,
        input: Tensor | PackedSequence,
        hx: tuple[Tensor, Tensor] | None = None,
        lengths: Tensor | Sequence[int] | None = None,
    ) -> tuple[Tensor | PackedSequence, tuple[Tensor, Tensor], Tensor | PackedSequence]:
        """Return what `forward` does, and all cell states of the last layer in the same form."""
        lengths = None if lengths is None else as_lengths(lengths)
        states = two_states(hx)
        check(self, input, states, lengths, self.weight_dtype)
        output, (h_n, c_n), cells = run_module(self, input, states, lengths, self._run, False)
        assert cells is not None
        return output, (h_n, c_n), cells

    def _run(
        self, x: Tensor, sizes: Tensor, states: Sequence[Tensor], weights: Sequence[Tensor]
    ) -> Direction:
        """Run one layer in one direction."""
        h0, c0 = states
        w_ih, w_hh, *biases = weights
        b_ih, b_hh = biases or (None, None)
        done = lstm(x, h0, c0, w_ih, w_hh, b_ih, b_hh, sizes, self.implementation == "auto")
        return done.output, (done.h_n, done.c_n), done.cells


let_dynamo_trace(RNN, LSTM, GRU)
