r"""The recurrent network of Elman: one step and a whole sequence, value and derivative.

.. math:: h_t = \phi(x_t W_x^T + h_{t-1} W_h^T + b), \quad \phi = \tanh \text{ or } \mathrm{relu}

Numbers like ``eq. (6)`` are those of ``docs/derivations.md``. Sequences are packed (see
`packing`): the rows of step ``t`` are ``batch_sizes[t]`` many, and the rows of one step carry on
from the first rows of the step before. No mathematics of torch's autograd is used here; the seam to
it is `rnn_autograd`.
"""

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lit_tasks.functional.recurrent import loops
from lit_tasks.functional.recurrent.fused import loop_usable
from lit_tasks.functional.recurrent.loops import GRAD_ROWS, carried, transposed
from lit_tasks.functional.recurrent.packing import blocks, last_rows, previous_rows
from lit_tasks.functional.recurrent.sequences import Five, RNNGrads, RNNSaved, RNNSequence

Nonlinearity = Literal["tanh", "relu"]


def rnn_cell_forward(
    z: Float[Tensor, "B H"], nonlinearity: Nonlinearity = "tanh"
) -> Float[Tensor, "B H"]:
    """Return the hidden state of one step from its sum before activation."""
    return z.tanh() if nonlinearity == "tanh" else z.relu()


def rnn_cell_backward(
    grad_h: Float[Tensor, "B H"], h: Float[Tensor, "B H"], nonlinearity: Nonlinearity = "tanh"
) -> Float[Tensor, "B H"]:
    r"""Return the gradient of the sum before activation, from the state after it.

    Both derivatives follow from the value: :math:`1 - h^2`, or 1 where ``h`` is positive.
    """
    if nonlinearity == "tanh":
        return grad_h * (1 - h**2)  # inside eq. (1) to eq. (5)
    return grad_h * (h > 0).to(h.dtype)


def rnn_forward(
    input: Float[Tensor, "N I"],
    h0: Float[Tensor, "B H"],
    w_ih: Float[Tensor, "H I"],
    w_hh: Float[Tensor, "H H"],
    bias: Float[Tensor, " H"] | None,
    batch_sizes: Int[Tensor, " T"],
    nonlinearity: Nonlinearity = "tanh",
    fused: bool = False,
) -> RNNSequence:
    """Run over packed sequences from their initial states, in the compiled loop if ``fused``."""
    if fused and loop_usable(input, h0, w_ih, w_hh, bias):
        relu = nonlinearity == "relu"
        return loops.rnn_forward(input, h0, w_ih, w_hh, bias, batch_sizes, relu)
    output = torch.mm(input, w_ih.t()) if bias is None else torch.addmm(bias, input, w_ih.t())
    activate_ = torch.tanh_ if nonlinearity == "tanh" else torch.relu_
    w_h = transposed(w_hh)
    h = h0
    for z in output.split(batch_sizes.tolist()):
        h = activate_(z.addmm_(h[: z.shape[0]], w_h))
    return RNNSequence(output, last_rows(output, h0, batch_sizes))


def rnn_forward_by_steps(
    input: Float[Tensor, "N I"],
    h0: Float[Tensor, "B H"],
    w_ih: Float[Tensor, "H I"],
    w_hh: Float[Tensor, "H H"],
    bias: Float[Tensor, " H"] | None,
    batch_sizes: Int[Tensor, " T"],
    nonlinearity: Nonlinearity = "tanh",
) -> RNNSequence:
    """Do `rnn_forward` without changing a tensor, so that torch can derive it in any way."""
    sums_x = input @ w_ih.t() if bias is None else input @ w_ih.t() + bias
    h, outputs = h0, []
    for sum_x in sums_x.split(batch_sizes.tolist()):
        h = rnn_cell_forward(sum_x + h[: sum_x.shape[0]] @ w_hh.t(), nonlinearity)
        outputs.append(h)
    output = torch.cat(outputs) if outputs else sums_x
    return RNNSequence(output, last_rows(output, h0, batch_sizes))


def rnn_backward(
    grads: RNNGrads,
    saved: RNNSaved,
    nonlinearity: Nonlinearity = "tanh",
    needs_input: bool = True,
    needs_state: bool = True,
    fused: bool = False,
) -> Five:
    """Return the gradients of ``input, h0, w_ih, w_hh, bias``.

    The recursion is left with a product of matrices and one multiplication. The derivative of the
    activation, the gradient of the input and the sums over time are computed for a block of many
    steps at once. That of the input is left empty unless ``needs_input``, and that of ``h0`` means
    nothing unless ``needs_state``.
    """
    if fused and loop_usable(*saved[:-1], *grads):
        relu = nonlinearity == "relu"
        return loops.rnn_backward(grads, saved, relu, needs_input, needs_state)
    x, h0, w_ih, w_hh, output, batch_sizes = saved
    grad_h = carried(grads.h_n, h0)
    grad_input = torch.empty_like(x) if needs_input else x.new_empty(0, x.shape[1])
    grad_bias = w_ih.new_zeros(w_ih.shape[0])
    grad_w_ih, grad_w_hh = torch.zeros_like(w_ih), torch.zeros_like(w_hh)
    for block in reversed(blocks(batch_sizes.tolist(), GRAD_ROWS)):
        states = output[block.rows]
        grad_z = rnn_cell_backward(torch.ones_like(states), states, nonlinearity)
        stop = block.total
        for size in reversed(block.sizes):
            own = slice(stop - size, stop)
            rows = slice(block.start + stop - size, block.start + stop)
            stop -= size
            dh, dz = grad_h[:size], grad_z[own]
            if grads.output is not None:
                dh += grads.output[rows]
            dz.mul_(dh)
            torch.mm(dz, w_hh, out=dh)
        if needs_input:
            torch.mm(grad_z, w_ih, out=grad_input[block.rows])
        grad_w_ih.addmm_(grad_z.t(), x[block.rows])
        grad_w_hh.addmm_(grad_z.t(), block.before(output, h0))
        grad_bias += grad_z.sum(0)
    return grad_input, grad_h, grad_w_ih, grad_w_hh, grad_bias


def rnn_backward_by_steps(
    grads: RNNGrads, saved: RNNSaved, nonlinearity: Nonlinearity = "tanh"
) -> Five:
    """Return the gradients of ``input, h0, w_ih, w_hh, bias``.

    Written with `rnn_cell_backward` and without changing a tensor, so it can be derived again.
    """
    grad_output, grad_h_n = grads
    x, h0, w_ih, w_hh, output, batch_sizes = saved
    carry = torch.zeros_like(h0) if grad_h_n is None else grad_h_n  # eq. (7)
    grads_z = []
    stop = len(x)
    for size in reversed(batch_sizes.tolist()):
        rows = slice(stop - size, stop)
        stop -= size
        grad_h = carry[:size]
        if grad_output is not None:
            grad_h = grad_h + grad_output[rows]  # eq. (6), first term
        grad_z = rnn_cell_backward(grad_h, output[rows], nonlinearity)
        carry = torch.cat((grad_z @ w_hh, carry[size:]))  # eq. (6), second term
        grads_z.append(grad_z)
    grad_z = torch.cat(grads_z[::-1]) if grads_z else output
    h_before = previous_rows(output, h0, batch_sizes)
    return (
        grad_z @ w_ih,  # eq. (11)
        carry,  # eq. (12)
        grad_z.t() @ x,  # eq. (8)
        grad_z.t() @ h_before,  # eq. (9)
        grad_z.sum(0),  # eq. (10)
    )
