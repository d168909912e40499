"""One step as a function that autograd knows, with the arguments of torch's own cells.

The seams hold no mathematics of their own but the products with the weights, ``eq. (1)`` to
``eq. (5)`` and ``eq. (17)`` to ``eq. (31)`` of ``docs/derivations.md``. Their backward passes are
made of plain tensor calls, so torch can derive them again.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lit_tasks.functional.recurrent.lstm import lstm_cell_backward, lstm_cell_forward
from lit_tasks.functional.recurrent.rnn import Nonlinearity, rnn_cell_backward, rnn_cell_forward


def _sum(
    input: Tensor,
    h: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
) -> Tensor:
    """Return what is activated: both products and both biases."""
    z = input @ w_ih.t() + h @ w_hh.t()
    z = z if b_ih is None else z + b_ih
    return z if b_hh is None else z + b_hh


def products_backward(
    grad_z: Float[Tensor, "B G"],
    input: Float[Tensor, "B I"],
    h: Float[Tensor, "B H"],
    w_ih: Float[Tensor, "G I"],
    w_hh: Float[Tensor, "G H"],
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients of ``input, h, w_ih, w_hh, bias`` from that of the sum."""
    return (
        grad_z @ w_ih,  # eq. (4), eq. (30)
        grad_z @ w_hh,  # eq. (5), eq. (31)
        grad_z.t() @ input,  # eq. (1), eq. (17), eq. (19), eq. (21), eq. (23)
        grad_z.t() @ h,  # eq. (2), eq. (18), eq. (20), eq. (22), eq. (24)
        grad_z.sum(0),  # eq. (3), eq. (25), eq. (26), eq. (27), eq. (28)
    )


class _LSTMCell(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(
        input: Tensor,
        h: Tensor,
        c: Tensor,
        w_ih: Tensor,
        w_hh: Tensor,
        b_ih: Tensor | None,
        b_hh: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        return lstm_cell_forward(_sum(input, h, w_ih, w_hh, b_ih, b_hh), c)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.biases = [bias is not None for bias in inputs[5:]]
        ctx.save_for_backward(*inputs[:5], *output[1:])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        grad_h, grad_c, grad_gates = grads
        x, h, c, w_ih, w_hh, c_next, gates = ctx.saved_tensors
        grad_z, of_c = lstm_cell_backward(grad_h, grad_c, c, c_next, gates, grad_gates)
        of_x, of_h, of_w_ih, of_w_hh, bias = products_backward(grad_z, x, h, w_ih, w_hh)
        return of_x, of_h, of_c, of_w_ih, of_w_hh, *(bias if has else None for has in ctx.biases)


class _RNNCell(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(
        input: Tensor,
        h: Tensor,
        w_ih: Tensor,
        w_hh: Tensor,
        b_ih: Tensor | None,
        b_hh: Tensor | None,
        nonlinearity: Nonlinearity,
    ) -> Tensor:
        return rnn_cell_forward(_sum(input, h, w_ih, w_hh, b_ih, b_hh), nonlinearity)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        *tensors, ctx.nonlinearity = inputs
        ctx.biases = [bias is not None for bias in tensors[4:]]
        ctx.save_for_backward(*tensors[:4], output)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        x, h, w_ih, w_hh, h_next = ctx.saved_tensors
        grad_z = rnn_cell_backward(grads[0], h_next, ctx.nonlinearity)
        *found, bias = products_backward(grad_z, x, h, w_ih, w_hh)
        return *found, *(bias if has else None for has in ctx.biases), None


def lstm_cell(
    input: Float[Tensor, "B I"],
    hx: tuple[Float[Tensor, "B H"], Float[Tensor, "B H"]],
    w_ih: Float[Tensor, "4*H I"],
    w_hh: Float[Tensor, "4*H H"],
    b_ih: Float[Tensor, " 4*H"] | None = None,
    b_hh: Float[Tensor, " 4*H"] | None = None,
) -> tuple[Float[Tensor, "B H"], Float[Tensor, "B H"]]:
    """Return the next ``(h, c)``, like ``torch.lstm_cell``."""
    h, c, _ = _LSTMCell.apply(input, *hx, w_ih, w_hh, b_ih, b_hh)
    return h, c


def rnn_tanh_cell(
    input: Float[Tensor, "B I"],
    hx: Float[Tensor, "B H"],
    w_ih: Float[Tensor, "H I"],
    w_hh: Float[Tensor, "H H"],
    b_ih: Float[Tensor, " H"] | None = None,
    b_hh: Float[Tensor, " H"] | None = None,
) -> Float[Tensor, "B H"]:
    """Return the next ``h``, like ``torch.rnn_tanh_cell``."""
    h: Tensor = _RNNCell.apply(input, hx, w_ih, w_hh, b_ih, b_hh, "tanh")
    return h


def rnn_relu_cell(
    input: Float[Tensor, "B I"],
    hx: Float[Tensor, "B H"],
    w_ih: Float[Tensor, "H I"],
    w_hh: Float[Tensor, "H H"],
    b_ih: Float[Tensor, " H"] | None = None,
    b_hh: Float[Tensor, " H"] | None = None,
) -> Float[Tensor, "B H"]:
    """Return the next ``h``, like ``torch.rnn_relu_cell``."""
    h: Tensor = _RNNCell.apply(input, hx, w_ih, w_hh, b_ih, b_hh, "relu")
    return h
