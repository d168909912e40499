"""torch's recurrent layers on derivatives of our own; names, start and state dict are torch's.

Beyond torch: ``lengths`` as a plain tensor beside padded input (on any device, in any order, zeros
allowed), all cell states, second derivatives, and ``torch.compile`` and ``torch.export`` without a
break.
"""

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from lit_tasks.functional.recurrent.lstm_autograd import lstm
from lit_tasks.functional.recurrent.rnn_autograd import rnn
from lit_tasks.nn.recurrent.onnx import onnx_lstm, onnx_rnn
from lit_tasks.nn.recurrent.packed_inputs import Rows, final, form_of, initial, rows_of
from lit_tasks.torch_internals import let_dynamo_trace

Implementation = Literal["auto", "analytic", "torch"]
# output rows, final states, all cell states (an RNN has none)
Direction = tuple[Tensor, tuple[Tensor, ...], Tensor | None]


def run_layers(
    module: nn.RNNBase, rows: Rows, run: Callable[[int, Tensor], Direction]
) -> tuple[Tensor, list[tuple[Tensor, ...]], Tensor | None]:
    """Run all layers and directions over packed rows.

    Returns:
        The last layer's rows, the final states of each layer and direction, and the last layer's
        cell states.
    """
    data, ends, cells = to_autocast_dtype(rows.data), [], None
    ways = 1 + module.bidirectional
    for layer in range(module.num_layers):
        outputs, all_cells = [], []
        for way in range(ways):
            output, end, cell = run(layer * ways + way, rows.flipped(data) if way else data)
            outputs.append(rows.flipped(output) if way else output)
            if cell is not None:
                all_cells.append(rows.flipped(cell) if way else cell)
            ends.append(end)
        data = torch.cat(outputs, 1) if module.bidirectional else outputs[0]
        cells = torch.cat(all_cells, 1) if all_cells else None
        if module.dropout and layer < module.num_layers - 1:
            data = nn.functional.dropout(data, module.dropout, module.training)
    return data, ends, cells


def to_autocast_dtype(tensor: Tensor) -> Tensor:
    """Return the tensor in autocast's type where autocast is on, as torch's layers do."""
    kind = tensor.device.type
    if torch.is_autocast_enabled(kind) and tensor.dtype is not torch.float64:
        return tensor.to(torch.get_autocast_dtype(kind))
    return tensor


def weights_of(module: nn.RNNBase, index: int) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return both weights of one layer and direction, and the sum of its two biases."""
    w_ih, w_hh, *biases = (to_autocast_dtype(weight) for weight in module.all_weights[index])
    return w_ih, w_hh, biases[0] + biases[1] if biases else None


class RNN(nn.RNN):
    """`torch.nn.RNN` on the derivative of `lit_tasks.functional.recurrent.rnn`.

    The positional and other named arguments are those of torch's layer.

    Args:
        implementation: ``analytic`` runs ours in plain tensor calls, ``torch`` hands over to
            torch's own; ``auto`` takes torch's on a GPU, where it is one fused kernel, and ours
            elsewhere.
    """

    def __init__(
        self,
        *args: Any,
        implementation: Implementation = "auto",
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.implementation = check_implementation(implementation)

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
        if torch.onnx.is_in_onnx_export() and isinstance(input, Tensor):
            return onnx_rnn(self, input, hx, lengths)
        if uses_torch_kernel(self, input, lengths) and lengths is None:
            return super().forward(input, hx)
        rows = rows_of(self, input, lengths)
        single = isinstance(input, Tensor) and input.dim() == 2
        h0 = to_autocast_dtype(initial(self, rows, hx, "hx", single))
        if uses_torch_kernel(self, input, lengths) and rows.batch_sizes.shape[0]:
            some = int(rows.batch_sizes[0])
            packed, h_n = super().forward(
                PackedSequence(rows.data, rows.batch_sizes), h0[:, :some].contiguous()
            )
            data, ends = packed.data, list(torch.cat((h_n, h0[:, some:]), 1))
            return form_of(self, input, rows, data), final(rows, ends, single)
        data, found, _ = run_layers(
            self, rows, lambda index, x: self._run(index, x, rows, h0[index])
        )
        return form_of(self, input, rows, data), final(rows, [h for (h,) in found], single)

    def _run(self, index: int, x: Tensor, rows: Rows, h0: Tensor) -> Direction:
        """Run one layer in one direction."""
        weights = weights_of(self, index)
        done = rnn(x, h0, *weights, rows.batch_sizes, self.nonlinearity)
        return done.output, (done.h_n,), None


class LSTM(nn.LSTM):
    """`torch.nn.LSTM` on the derivative of `lit_tasks.functional.recurrent.lstm`.

    The positional and other named arguments are those of torch's layer; ``proj_size`` must be 0.

    Args:
        implementation: ``analytic`` runs ours in plain tensor calls, ``torch`` hands over to
            torch's own; ``auto`` takes torch's on a GPU, where it is one fused kernel, and for a
            rectangle without gradients on a CPU, and ours elsewhere, with the element-wise part
            compiled where there is a compiler.

    Raises:
        ValueError: When an argument is not supported or contradicts another.
    """

    def __init__(
        self,
        *args: Any,
        implementation: Implementation = "auto",
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        if self.proj_size:
            raise ValueError(f"proj_size must be 0, got {self.proj_size}")
        self.implementation = check_implementation(implementation)

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
        if torch.onnx.is_in_onnx_export() and isinstance(input, Tensor):
            return onnx_lstm(self, input, hx, lengths)
        hand_over = uses_torch_kernel(self, input, lengths)
        if hand_over and lengths is None:
            return super().forward(input, hx)
        output, states, _ = self._forward(input, hx, lengths, hand_over)
        return output, states

    def forward_with_cells(
        self,
        input: Tensor | PackedSequence,
        hx: tuple[Tensor, Tensor] | None = None,
        lengths: Tensor | None = None,
    ) -> tuple[Tensor | PackedSequence, tuple[Tensor, Tensor], Tensor | PackedSequence]:
        """Return what `forward` does, and all cell states of the last layer in the same form."""
        output, states, cells = self._forward(input, hx, lengths, hand_over=False)
        assert cells is not None
        return output, states, cells

    def _forward(
        self,
        input: Tensor | PackedSequence,
        hx: tuple[Tensor, Tensor] | None,
        lengths: Tensor | None,
        hand_over: bool,
    ) -> tuple[Tensor | PackedSequence, tuple[Tensor, Tensor], Tensor | PackedSequence | None]:
        rows = rows_of(self, input, lengths)
        single = isinstance(input, Tensor) and input.dim() == 2
        given = (None, None) if hx is None else hx
        h0 = to_autocast_dtype(initial(self, rows, given[0], "hx[0]", single))
        c0 = to_autocast_dtype(initial(self, rows, given[1], "hx[1]", single))
        if hand_over and rows.batch_sizes.shape[0]:
            some = int(rows.batch_sizes[0])
            packed, (h_n, c_n) = super().forward(
                PackedSequence(rows.data, rows.batch_sizes),
                (h0[:, :some].contiguous(), c0[:, :some].contiguous()),
            )
            ends_h, ends_c = torch.cat((h_n, h0[:, some:]), 1), torch.cat((c_n, c0[:, some:]), 1)
            states = final(rows, list(ends_h), single), final(rows, list(ends_c), single)
            return form_of(self, input, rows, packed.data), states, None
        data, ends, cells = run_layers(
            self, rows, lambda index, x: self._run(index, x, rows, h0[index], c0[index])
        )
        states = (
            final(rows, [h for h, _ in ends], single),
            final(rows, [c for _, c in ends], single),
        )
        all_cells = None if cells is None else form_of(self, input, rows, cells)
        return form_of(self, input, rows, data), states, all_cells

    def _run(self, index: int, x: Tensor, rows: Rows, h0: Tensor, c0: Tensor) -> Direction:
        """Run one layer in one direction."""
        weights = weights_of(self, index)
        done = lstm(x, h0, c0, *weights, rows.batch_sizes, self.implementation == "auto")
        return done.output, (done.h_n, done.c_n), done.cells


def check_implementation(implementation: Implementation) -> Implementation:
    """Refuse an implementation that there is not."""
    if implementation not in ("auto", "analytic", "torch"):
        raise ValueError(
            f"implementation must be 'auto', 'analytic' or 'torch', got {implementation!r}"
        )
    return implementation


def uses_torch_kernel(
    module: "RNN | LSTM", input: Tensor | PackedSequence, lengths: Tensor | None
) -> bool:
    """Tell whether torch's own kernel is to run: when asked, or by itself where it is faster.

    That is on a GPU, and for an LSTM on a rectangle from which no gradient is wanted: oneDNN's
    kernel for the CPU is ahead of ours there, and nothing of ours is missed.
    """
    if module.implementation != "auto" or torch.compiler.is_compiling():
        return module.implementation == "torch"
    if isinstance(input, PackedSequence):
        return input.data.device.type == "cuda"
    plain = input.dtype is torch.float32 and not torch.is_autocast_enabled("cpu")
    idle = isinstance(module, LSTM) and plain and lengths is None and not torch.is_grad_enabled()
    return input.device.type == "cuda" or (idle and input.device.type == "cpu")


let_dynamo_trace(RNN, LSTM)
