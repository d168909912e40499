"""One step as a function that autograd knows, with the arguments of torch's own cells.

A step is a sequence of length 1 for the compiled loop, which computes it where it can. The seams
hold no mathematics of their own but the products with the weights, ``eq. (1)`` to ``eq. (5)`` and
``eq. (17)`` to ``eq. (31)`` of ``docs/derivations.md``. For a second derivative the backward passes
are made of plain tensor calls, so torch can derive them again.
"""

from functools import lru_cache
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lit_tasks.functional.recurrent import loops
from lit_tasks.functional.recurrent.autograd import added, direct, loop_ready, needed, widened
from lit_tasks.functional.recurrent.gru import gru_cell_backward, gru_cell_forward
from lit_tasks.functional.recurrent.lstm import lstm_cell_backward, lstm_cell_forward
from lit_tasks.functional.recurrent.rnn import Nonlinearity, rnn_cell_backward, rnn_cell_forward
from lit_tasks.functional.recurrent.sequences import (
    GRUSaved,
    LSTMGrads,
    LSTMSaved,
    RNNGrads,
    RNNSaved,
)
from lit_tasks.torch_internals import forward_mode


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


def _compiled(*tensors: Tensor | None) -> bool:
    """Tell whether the compiled loop can go back: there may not be a second derivative."""
    return not torch.is_grad_enabled() and loop_ready(*tensors)


@lru_cache(maxsize=64)
def _one_step(rows: int) -> Tensor:
    """Return the batch sizes of sequences of length 1; not to be called under a transform."""
    with torch.inference_mode(False):
        return torch.tensor([rows])


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


def _needs(ctx: Any, states: int) -> tuple[bool, bool]:
    """Tell whether the input needs a gradient, and whether a state does."""
    return ctx.needs_input_grad[0], any(ctx.needs_input_grad[1 : 1 + states])


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
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*inputs[:5], *output)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> Any:
        kept = x, h, c, w_ih, w_hh, h_next, c_next, gates = ctx.saved_tensors
        if grads[2] is None and _compiled(*kept, *grads):
            saved = LSTMSaved(*(*kept, _one_step(x.shape[0])))
            reach = LSTMGrads(None, grads[0], grads[1])
            return needed(ctx, loops.lstm_backward(reach, saved, *_needs(ctx, 2)))
        grad_h = torch.zeros_like(h_next) if grads[0] is None else grads[0]
        grad_c = torch.zeros_like(c_next) if grads[1] is None else grads[1]
        grad_z, of_c = lstm_cell_backward(grad_h, grad_c, c, c_next, gates, grads[2])
        of_x, of_h, of_w_ih, of_w_hh, bias = products_backward(grad_z, x, h, w_ih, w_hh)
        return needed(ctx, (of_x, of_h, of_c, of_w_ih, of_w_hh, bias))


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
    ) -> tuple[Tensor]:
        return (rnn_cell_forward(_sum(input, h, w_ih, w_hh, b_ih, b_hh), nonlinearity),)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        *tensors, ctx.nonlinearity = inputs
        ctx.save_for_backward(*tensors[:4], *output)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        kept = x, h, w_ih, w_hh, h_next = ctx.saved_tensors
        if _compiled(*kept, *grads):
            saved = RNNSaved(*(*kept, _one_step(x.shape[0])))
            reach, relu = RNNGrads(None, grads[0]), ctx.nonlinearity == "relu"
            return needed(ctx, loops.rnn_backward(reach, saved, relu, *_needs(ctx, 1)))
        grad_z = rnn_cell_backward(grads[0], h_next, ctx.nonlinearity)
        return needed(ctx, products_backward(grad_z, x, h, w_ih, w_hh))


class _GRUCell(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(
        input: Tensor,
        h: Tensor,
        w_ih: Tensor,
        w_hh: Tensor,
        b_ih: Tensor | None,
        b_hh: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        return _gru_step(input, h, w_ih, w_hh, b_ih, b_hh)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(*inputs, *output)

    @staticmethod
    def backward(ctx: Any, grad: Tensor, _: Any) -> Any:
        x, h, w_ih, w_hh, b_ih, b_hh, h_next, gates = ctx.saved_tensors
        kept = (x, h, w_ih, w_hh, h_next, gates)
        if _compiled(*kept, grad):
            saved = GRUSaved(*kept, _one_step(x.shape[0]))
            return needed(ctx, loops.gru_backward(RNNGrads(None, grad), saved, *_needs(ctx, 1)))
        if torch.is_grad_enabled():  # the gates once more, recorded for a second derivative
            _, gates = _gru_step(x, h, w_ih, w_hh, b_ih, b_hh)
        of_sum_x, of_sum_h, direct = gru_cell_backward(grad, h, gates)
        of_weights = of_sum_x.t() @ x, of_sum_h.t() @ h, of_sum_x.sum(0), of_sum_h.sum(0)
        return needed(ctx, (of_sum_x @ w_ih, direct + of_sum_h @ w_hh, *of_weights))


def _gru_step(
    input: Tensor,
    h: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
) -> tuple[Tensor, Tensor]:
    sum_x, sum_h = input @ w_ih.t(), h @ w_hh.t()
    sum_x = sum_x if b_ih is None else sum_x + b_ih
    return gru_cell_forward(sum_x, sum_h if b_hh is None else sum_h + b_hh, h)


def _lstm_loop(*given: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Do what `_LSTMCell` does in the compiled loop."""
    bias, sizes = added(*given[5:]), _one_step(given[0].shape[0])
    done = loops.lstm_forward(*(*given[:5], bias, sizes, True, False))
    return done.output, done.cells, done.gates


def _rnn_loop(*given: Any) -> tuple[Tensor]:
    """Do what `_RNNCell` does in the compiled loop."""
    bias, sizes, relu = added(*given[4:6]), _one_step(given[0].shape[0]), given[6] == "relu"
    return (loops.rnn_forward(*(*given[:4], bias, sizes, relu, False)).output,)


def _gru_loop(*given: Any) -> tuple[Tensor, Tensor]:
    """Do what `_GRUCell` does in the compiled loop."""
    done = loops.gru_forward(*(*given, _one_step(given[0].shape[0]), True, False))
    return done.output, done.gates


_LSTMCellDirect = direct(_LSTMCell, _lstm_loop)
_RNNCellDirect = direct(_RNNCell, _rnn_loop)
_GRUCellDirect = direct(_GRUCell, _gru_loop)


def _call(function: Any, quick: Any, loop: Any, tensors: Any, *options: Any) -> Any:
    """Call the quickest form of a function that may be called here; return a tuple."""
    if not loop_ready(*tensors):
        if (wide := widened(tensors)) is not None:
            found = _call(function, quick, loop, wide, *options)
            return tuple(tensor.to(tensors[0].dtype) for tensor in found)
        return function.apply(*tensors, *options)
    if torch.is_grad_enabled():
        return quick.apply(*tensors, *options)
    return loop(*tensors, *options)


def lstm_cell(
    input: Float[Tensor, "B I"],
    hx: tuple[Float[Tensor, "B H"], Float[Tensor, "B H"]],
    w_ih: Float[Tensor, "4*H I"],
    w_hh: Float[Tensor, "4*H H"],
    b_ih: Float[Tensor, " 4*H"] | None = None,
    b_hh: Float[Tensor, " 4*H"] | None = None,
) -> tuple[Float[Tensor, "B H"], Float[Tensor, "B H"]]:
    """Return the next ``(h, c)``, like ``torch.lstm_cell``."""
    if forward_mode():
        return lstm_cell_forward(_sum(input, hx[0], w_ih, w_hh, b_ih, b_hh), hx[1])[:2]
    given = (input, *hx, w_ih, w_hh, b_ih, b_hh)
    h, c, _ = _call(_LSTMCell, _LSTMCellDirect, _lstm_loop, given)
    return h, c


def gru_cell(
    input: Float[Tensor, "B I"],
    hx: Float[Tensor, "B H"],
    w_ih: Float[Tensor, "3*H I"],
    w_hh: Float[Tensor, "3*H H"],
    b_ih: Float[Tensor, " 3*H"] | None = None,
    b_hh: Float[Tensor, " 3*H"] | None = None,
) -> Float[Tensor, "B H"]:
    """Return the next ``h``, like ``torch.gru_cell``."""
    given = (input, hx, w_ih, w_hh, b_ih, b_hh)
    if forward_mode():
        return _gru_step(*given)[0]
    found: tuple[Tensor, Tensor] = _call(_GRUCell, _GRUCellDirect, _gru_loop, given)
    return found[0]


def rnn_tanh_cell(
    input: Float[Tensor, "B I"],
    hx: Float[Tensor, "B H"],
    w_ih: Float[Tensor, "H I"],
    w_hh: Float[Tensor, "H H"],
    b_ih: Float[Tensor, " H"] | None = None,
    b_hh: Float[Tensor, " H"] | None = None,
) -> Float[Tensor, "B H"]:
    """Return the next ``h``, like ``torch.rnn_tanh_cell``."""
    return _rnn_cell(input, hx, w_ih, w_hh, b_ih, b_hh, "tanh")


def rnn_relu_cell(
    input: Float[Tensor, "B I"],
    hx: Float[Tensor, "B H"],
    w_ih: Float[Tensor, "H I"],
    w_hh: Float[Tensor, "H H"],
    b_ih: Float[Tensor, " H"] | None = None,
    b_hh: Float[Tensor, " H"] | None = None,
) -> Float[Tensor, "B H"]:
    """Return the next ``h``, like ``torch.rnn_relu_cell``."""
    return _rnn_cell(input, hx, w_ih, w_hh, b_ih, b_hh, "relu")


def _rnn_cell(
    input: Tensor,
    h: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
    nonlinearity: Nonlinearity,
) -> Tensor:
    given = (input, h, w_ih, w_hh, b_ih, b_hh)
    if forward_mode():
        return rnn_cell_forward(_sum(*given), nonlinearity)
    found: tuple[Tensor] = _call(_RNNCell, _RNNCellDirect, _rnn_loop, given, nonlinearity)
    return found[0]
