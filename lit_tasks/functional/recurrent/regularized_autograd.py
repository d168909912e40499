"""The seam between the regularized layers' own derivative and torch: no mathematics.

For a second derivative the forward pass is run once more, recorded this time: then the states that
the derivative reads hang together with the inputs.
"""

from typing import Any

import torch
from torch import Tensor

from lit_tasks.functional.recurrent.lstm import LSTMSequence
from lit_tasks.functional.recurrent.packing import last_rows
from lit_tasks.functional.recurrent.regularized import (
    Options,
    Trace,
    regularized_lstm_backward,
    regularized_lstm_forward,
    regularized_rnn_backward,
    regularized_rnn_forward,
)
from lit_tasks.functional.recurrent.rnn import Nonlinearity, RNNSequence


class _RegularizedLSTM(torch.autograd.Function):
    """Saves what the derivative needs and hands it over."""

    @staticmethod
    def forward(*args: Any) -> tuple[Tensor, ...]:
        x, h0, c0, w_ih, w_hh, bias, batch_sizes, *rest = args
        trace = regularized_lstm_forward(x, h0, c0, w_ih, w_hh, bias, batch_sizes, Options(*rest))
        ends = (last_rows(trace.output, h0, batch_sizes), last_rows(trace.cells, c0, batch_sizes))
        return trace.output, *ends, trace.cells, trace.new_cells, trace.gates

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.set_materialize_grads(False)
        states, _, _, cells, new_cells, gates = output
        ctx.mark_non_differentiable(new_cells, gates)
        ctx.save_for_backward(*inputs, states, cells, new_cells, gates)

    @staticmethod
    def backward(ctx: Any, *given: Tensor | None) -> Any:
        x, h0, c0, w_ih, w_hh, bias, batch_sizes, *rest = ctx.saved_tensors
        options = Options(*rest[:-4])
        trace = Trace(*rest[-4:])
        if torch.is_grad_enabled():
            trace = regularized_lstm_forward(x, h0, c0, w_ih, w_hh, bias, batch_sizes, options)
        grad_output, grad_h_n, grad_c_n, grad_cells, *_ = given
        found = regularized_lstm_backward(
            grad_output,
            grad_h_n,
            grad_c_n,
            grad_cells,
            trace,
            x,
            h0,
            c0,
            w_ih,
            w_hh,
            batch_sizes,
            options,
        )
        of_x, of_w_ih, gain_x, of_h, of_c, of_w_hh, of_b, gain_h, gain_c, shift_c = found
        scales = [
            None if option is None else grad
            for option, grad in zip(options, (gain_x, gain_h, gain_c, shift_c), strict=False)
        ]
        of_bias = None if bias is None else of_b
        return of_x, of_h, of_c, of_w_ih, of_w_hh, of_bias, None, *scales, None, None, None


class _RegularizedRNN(torch.autograd.Function):
    """Saves what the derivative needs and hands it over."""

    @staticmethod
    def forward(*args: Any) -> tuple[Tensor, ...]:
        x, h0, w_ih, w_hh, bias, batch_sizes, *rest, nonlinearity = args
        output, fresh = regularized_rnn_forward(
            x, h0, w_ih, w_hh, bias, batch_sizes, Options(*rest), nonlinearity
        )
        return output, last_rows(output, h0, batch_sizes), fresh

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.set_materialize_grads(False)
        *tensors, ctx.nonlinearity = inputs
        ctx.mark_non_differentiable(output[2])
        ctx.save_for_backward(*tensors, output[0], output[2])

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor | None, grad_h_n: Tensor | None, _: None) -> Any:
        x, h0, w_ih, w_hh, bias, batch_sizes, *rest, output, fresh = ctx.saved_tensors
        options = Options(*rest)
        if torch.is_grad_enabled():
            output, fresh = regularized_rnn_forward(
                x, h0, w_ih, w_hh, bias, batch_sizes, options, ctx.nonlinearity
            )
        given = (output, fresh, x, h0, w_ih, w_hh, batch_sizes, options, ctx.nonlinearity)
        found = regularized_rnn_backward(grad_output, grad_h_n, *given)
        of_x, of_w_ih, gain_x, of_h, of_w_hh, of_b, gain_h = found
        gains = [
            None if option is None else grad
            for option, grad in zip(options, (gain_x, gain_h), strict=False)
        ]
        of_bias = None if bias is None else of_b
        return of_x, of_h, of_w_ih, of_w_hh, of_bias, None, *gains, *[None] * 6


def regularized_lstm(
    input: Tensor,
    h0: Tensor,
    c0: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    bias: Tensor | None,
    batch_sizes: Tensor,
    options: Options,
) -> LSTMSequence:
    """Run packed sequences like :func:`.lstm_autograd.lstm`, with options."""
    output, h_n, c_n, cells, _, gates = _RegularizedLSTM.apply(
        input, h0, c0, w_ih, w_hh, bias, batch_sizes, *options
    )
    return LSTMSequence(output, h_n, c_n, cells, gates)


def regularized_rnn(
    input: Tensor,
    h0: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    bias: Tensor | None,
    batch_sizes: Tensor,
    nonlinearity: Nonlinearity,
    options: Options,
) -> RNNSequence:
    """Run packed sequences like `lit_tasks.functional.recurrent.rnn_autograd.rnn`, with options."""
    output, h_n, _ = _RegularizedRNN.apply(
        input, h0, w_ih, w_hh, bias, batch_sizes, *options, nonlinearity
    )
    return RNNSequence(output, h_n)
