"""Calls of the compiled time loop: allocate what it writes, and hand over where all numbers lie.

What it computes, and by which formulas, is said in `rnn`, `lstm` and `gru`.
"""

import torch
from torch import Tensor

from lit_tasks.functional.recurrent.fused import loop
from lit_tasks.functional.recurrent.loop_call import Call
from lit_tasks.functional.recurrent.sequences import (
    Five,
    GRUSaved,
    GRUSequence,
    LSTMGrads,
    LSTMSaved,
    LSTMSequence,
    RNNGrads,
    RNNSaved,
    RNNSequence,
    Six,
)

# Enough rows that a product of matrices runs at full speed; fewer where they are not kept, so that
# they stay in the cache.
KEPT_ROWS, SCRATCH_ROWS, GRAD_ROWS = 2048, 512, 512
NOTHING = torch.empty(0)  # stands where nothing is asked for


def transposed(weight: Tensor) -> Tensor:
    """Return a weight as the right factor of many products, laid out as they are fastest.

    For 16-bit numbers that is a view: a product with a copy takes four times as long on CPUs.
    """
    return weight.t() if weight.element_size() == 2 else weight.t().contiguous()


def carried(grad: Tensor | None, state: Tensor) -> Tensor:
    """Return the gradient of final states, zeros if there is none, for a loop to overwrite."""
    if grad is None:
        return state.new_zeros(state.shape)
    return grad.clone(memory_format=torch.contiguous_format)


def lstm_forward(
    input: Tensor,
    h0: Tensor,
    c0: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    bias: Tensor | None,
    batch_sizes: Tensor,
    keep: bool,
    ends: bool = True,
) -> LSTMSequence:
    """Do `lstm.lstm_forward`.

    Without ``ends`` the final states are not filled in: those of a single step are its output.
    """
    (rows, inputs), (sequences, hidden) = input.shape, h0.shape
    call = Call(batch_sizes, rows, sequences, inputs, hidden, KEPT_ROWS if keep else SCRATCH_ROWS)
    output, cells = input.new_empty(rows, hidden), input.new_empty(rows, hidden)
    gates = input.new_empty(rows if keep else 0, 4 * hidden)
    h_n, c_n = output, cells
    if ends:
        h_n, c_n = input.new_empty(sequences, hidden), input.new_empty(sequences, hidden)
    call.run(
        loop(input.dtype).lstm_forward,
        *call.read(
            (input, (rows, inputs)),
            (h0, (sequences, hidden)),
            (c0, (sequences, hidden)),
            (w_ih, (4 * hidden, inputs)),
            (w_hh, (4 * hidden, hidden)),
            (bias, (4 * hidden,)),
        ),
        output.data_ptr(),
        cells.data_ptr(),
        gates.data_ptr() if keep else None,
        h_n.data_ptr() if ends else None,
        c_n.data_ptr() if ends else None,
    )
    return LSTMSequence(output, h_n, c_n, cells, gates)


def lstm_backward(
    grads: LSTMGrads, saved: LSTMSaved, needs_input: bool, needs_state: bool = True
) -> Six:
    """Do `lstm.lstm_backward`."""
    x, h0, c0, w_ih, w_hh, output, cells, gates, batch_sizes = saved
    (rows, inputs), (sequences, hidden) = x.shape, h0.shape
    call = Call(batch_sizes, rows, sequences, inputs, hidden, GRAD_ROWS)
    grad_h, grad_c = carried(grads.h_n, h0), carried(grads.c_n, c0)
    grad_x = x.new_empty(rows, inputs) if needs_input else NOTHING
    grad_w_ih, grad_w_hh = x.new_empty(w_ih.shape), x.new_empty(w_hh.shape)
    grad_bias = x.new_empty(4 * hidden)
    call.run(
        loop(x.dtype).lstm_backward,
        needs_state,
        *call.read(
            (x, (rows, inputs)),
            (h0, (sequences, hidden)),
            (c0, (sequences, hidden)),
            (w_ih, (4 * hidden, inputs)),
            (w_hh, (4 * hidden, hidden)),
            (output, (rows, hidden)),
            (cells, (rows, hidden)),
            (gates, (rows, 4 * hidden)),
            (grads.output, (rows, hidden)),
            (grads.cells, (rows, hidden)),
            (grad_h, (sequences, hidden)),
            (grad_c, (sequences, hidden)),
        ),
        grad_x.data_ptr() if needs_input else None,
        grad_w_ih.data_ptr(),
        grad_w_hh.data_ptr(),
        grad_bias.data_ptr(),
    )
    return grad_x, grad_h, grad_c, grad_w_ih, grad_w_hh, grad_bias


def rnn_forward(
    input: Tensor,
    h0: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    bias: Tensor | None,
    batch_sizes: Tensor,
    relu: bool,
    ends: bool = True,
) -> RNNSequence:
    """Do `rnn.rnn_forward`; ``ends`` as for `lstm_forward`."""
    (rows, inputs), (sequences, hidden) = input.shape, h0.shape
    call = Call(batch_sizes, rows, sequences, inputs, hidden, KEPT_ROWS)
    output = input.new_empty(rows, hidden)
    h_n = input.new_empty(sequences, hidden) if ends else output
    call.run(
        loop(input.dtype).rnn_forward,
        relu,
        *call.read(
            (input, (rows, inputs)),
            (h0, (sequences, hidden)),
            (w_ih, (hidden, inputs)),
            (w_hh, (hidden, hidden)),
            (bias, (hidden,)),
        ),
        output.data_ptr(),
        h_n.data_ptr() if ends else None,
    )
    return RNNSequence(output, h_n)


def rnn_backward(
    grads: RNNGrads, saved: RNNSaved, relu: bool, needs_input: bool, needs_state: bool = True
) -> Five:
    """Do `rnn.rnn_backward`."""
    x, h0, w_ih, w_hh, output, batch_sizes = saved
    (rows, inputs), (sequences, hidden) = x.shape, h0.shape
    call = Call(batch_sizes, rows, sequences, inputs, hidden, GRAD_ROWS)
    grad_h = carried(grads.h_n, h0)
    grad_x = x.new_empty(rows, inputs) if needs_input else NOTHING
    grad_w_ih, grad_w_hh = x.new_empty(w_ih.shape), x.new_empty(w_hh.shape)
    grad_bias = x.new_empty(hidden)
    call.run(
        loop(x.dtype).rnn_backward,
        needs_state,
        relu,
        *call.read(
            (x, (rows, inputs)),
            (h0, (sequences, hidden)),
            (w_ih, (hidden, inputs)),
            (w_hh, (hidden, hidden)),
            (output, (rows, hidden)),
            (grads.output, (rows, hidden)),
            (grad_h, (sequences, hidden)),
        ),
        grad_x.data_ptr() if needs_input else None,
        grad_w_ih.data_ptr(),
        grad_w_hh.data_ptr(),
        grad_bias.data_ptr(),
    )
    return grad_x, grad_h, grad_w_ih, grad_w_hh, grad_bias


def gru_forward(
    input: Tensor,
    h0: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
    batch_sizes: Tensor,
    keep: bool,
    ends: bool = True,
) -> GRUSequence:
    """Do `gru.gru_forward`; ``ends`` as for `lstm_forward`."""
    (rows, inputs), (sequences, hidden) = input.shape, h0.shape
    call = Call(batch_sizes, rows, sequences, inputs, hidden, KEPT_ROWS if keep else SCRATCH_ROWS)
    output = input.new_empty(rows, hidden)
    gates = input.new_empty(rows if keep else 0, 4 * hidden)
    h_n = input.new_empty(sequences, hidden) if ends else output
    call.run(
        loop(input.dtype).gru_forward,
        *call.read(
            (input, (rows, inputs)),
            (h0, (sequences, hidden)),
            (w_ih, (3 * hidden, inputs)),
            (w_hh, (3 * hidden, hidden)),
            (b_ih, (3 * hidden,)),
            (b_hh, (3 * hidden,)),
        ),
        output.data_ptr(),
        gates.data_ptr() if keep else None,
        h_n.data_ptr() if ends else None,
    )
    return GRUSequence(output, h_n, gates)


def gru_backward(
    grads: RNNGrads, saved: GRUSaved, needs_input: bool, needs_state: bool = True
) -> Six:
    """Do `gru.gru_backward`."""
    x, h0, w_ih, w_hh, output, gates, batch_sizes = saved
    (rows, inputs), (sequences, hidden) = x.shape, h0.shape
    call = Call(batch_sizes, rows, sequences, inputs, hidden, GRAD_ROWS)
    grad_h = carried(grads.h_n, h0)
    grad_x = x.new_empty(rows, inputs) if needs_input else NOTHING
    grad_w_ih, grad_w_hh = x.new_empty(w_ih.shape), x.new_empty(w_hh.shape)
    grad_b_ih, grad_b_hh = x.new_empty(3 * hidden), x.new_empty(3 * hidden)
    call.run(
        loop(x.dtype).gru_backward,
        needs_state,
        *call.read(
            (x, (rows, inputs)),
            (h0, (sequences, hidden)),
            (w_ih, (3 * hidden, inputs)),
            (w_hh, (3 * hidden, hidden)),
            (output, (rows, hidden)),
            (gates, (rows, 4 * hidden)),
            (grads.output, (rows, hidden)),
            (grad_h, (sequences, hidden)),
        ),
        grad_x.data_ptr() if needs_input else None,
        grad_w_ih.data_ptr(),
        grad_w_hh.data_ptr(),
        grad_b_ih.data_ptr(),
        grad_b_hh.data_ptr(),
    )
    return grad_x, grad_h, grad_w_ih, grad_w_hh, grad_b_ih, grad_b_hh
