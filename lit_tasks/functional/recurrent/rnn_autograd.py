"""The seam between the RNN's own derivative and torch: no mathematics, only who gets what.

It is built like `lstm_autograd`.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lit_tasks.functional.recurrent.autograd import (
    added,
    count_flops,
    direct,
    drop_padding_rows,
    grad_through,
    needed,
    plain,
    used_rows,
    vmap_by_batching,
    vmap_by_loop,
    widened,
)
from lit_tasks.functional.recurrent.rnn import (
    Nonlinearity,
    rnn_backward,
    rnn_backward_by_steps,
    rnn_forward,
    rnn_forward_by_steps,
)
from lit_tasks.functional.recurrent.sequences import Five, RNNGrads, RNNSaved, RNNSequence
from lit_tasks.torch_internals import forward_mode


@torch.library.custom_op("lit_tasks::rnn", mutates_args=())
def rnn_op(
    input: Tensor,
    h0: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
    batch_sizes: Tensor,
    nonlinearity: str,
    fused: bool,
) -> tuple[Tensor, Tensor]:
    """Call `rnn_forward`; rows that no step has are zero."""
    sizes, rows, fill = drop_padding_rows(batch_sizes, input.shape[0])
    given = (input[:rows], h0, w_ih, w_hh, added(b_ih, b_hh), sizes)
    done = rnn_forward(*given, _checked(nonlinearity), fused)
    return fill(done.output), done.h_n


@torch.library.custom_op("lit_tasks::rnn_backward", mutates_args=())
def rnn_backward_op(
    grads: Sequence[Tensor | None],
    saved: Sequence[Tensor],
    needs_input: bool,
    fused: bool,
    nonlinearity: str,
) -> Five:
    """Call `rnn_backward` on what its tuples hold; rows that no step has have no gradient."""
    reach, kept, fill = used_rows(RNNGrads(*grads), RNNSaved(*saved))
    done = rnn_backward(reach, kept, _checked(nonlinearity), needs_input, fused=fused)
    return fill(done[0]) if needs_input else kept.input[:0].clone(), *done[1:]


def _checked(nonlinearity: str) -> Nonlinearity:
    """Return the argument under its narrow type, which an operator's schema cannot have."""
    assert nonlinearity in ("tanh", "relu")
    return "tanh" if nonlinearity == "tanh" else "relu"


@rnn_op.register_fake
def _(
    input: Tensor,
    h0: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
    batch_sizes: Tensor,
    nonlinearity: str,
    fused: bool,
) -> tuple[Tensor, Tensor]:
    return input.new_empty(input.shape[0], h0.shape[1]), torch.empty_like(h0)


@rnn_backward_op.register_fake
def _(
    grads: Sequence[Tensor | None],
    saved: Sequence[Tensor],
    needs_input: bool,
    fused: bool,
    nonlinearity: str,
) -> Five:
    x, h0, w_ih, w_hh = (torch.empty_like(tensor) for tensor in saved[:4])
    return x if needs_input else x[:0].clone(), h0, w_ih, w_hh, w_ih.new_empty(w_ih.shape[0])


def _forward(*args: Any) -> Any:
    """Do what the operator does with rows that all have a step."""
    given, (b_ih, b_hh), options = args[:4], args[4:6], args[6:]
    return rnn_forward(*(*given, added(b_ih, b_hh), *options))


class _RNN(torch.autograd.Function):
    """Saves what the derivative needs and hands it over."""

    generate_vmap_rule = True

    @staticmethod
    def forward(*args: Any) -> tuple[Tensor, Tensor]:
        found: tuple[Tensor, Tensor] = _forward(*args) if plain(*args) else rnn_op(*args)
        return found

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.set_materialize_grads(False)
        x, h0, w_ih, w_hh, _, _, batch_sizes, ctx.nonlinearity, ctx.fused = inputs
        ctx.save_for_backward(x, h0, w_ih, w_hh, output[0], batch_sizes)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> Any:
        if torch.is_grad_enabled():  # there may be a second derivative
            return _by_operator(ctx, *grads)
        saved, needs = RNNSaved(*ctx.saved_tensors), ctx.needs_input_grad
        if not plain(*grads, *saved):
            found = rnn_backward_op(grads, saved, needs[0], ctx.fused, ctx.nonlinearity)
            return needed(ctx, found)
        options = ctx.nonlinearity, *needs[:2], ctx.fused
        return needed(ctx, rnn_backward(RNNGrads(*grads), saved, *options))


def _by_operator(ctx: Any, *grads: Tensor | None) -> Any:
    """Do the same where the rows may end in some that no step has, as a compiler packs them."""
    options = ctx.needs_input_grad[0], ctx.fused, ctx.nonlinearity
    if torch.compiler.is_compiling():
        return needed(ctx, rnn_backward_op(grads, ctx.saved_tensors, *options))
    return needed(ctx, _RNNBackward.apply(*grads, *ctx.saved_tensors, *options))


class _RNNBackward(torch.autograd.Function):
    """The derivative as a function of its own, so that there is a second derivative."""

    generate_vmap_rule = True

    @staticmethod
    def forward(*args: Any) -> Five:
        found: Five = rnn_backward_op(args[:2], args[2:-3], *args[-3:])
        return found

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.set_materialize_grads(False)
        *tensors, _, _, ctx.nonlinearity = inputs
        ctx.save_for_backward(*tensors)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> Any:
        def formula(*given: Any) -> tuple[Tensor, ...]:
            reach, kept, fill = used_rows(RNNGrads(*given[:2]), RNNSaved(*given[2:]))
            x, *others = rnn_backward_by_steps(reach, kept, ctx.nonlinearity)
            return fill(x), *others

        return *grad_through(formula, ctx.saved_tensors, grads), None, None, None


rnn_op.register_autograd(_by_operator, setup_context=_RNN.setup_context)
rnn_op.register_vmap(vmap_by_batching(rnn_op, states=1, sizes=6))
rnn_backward_op.register_vmap(vmap_by_loop(rnn_backward_op))
_RNNDirect = direct(_RNN, _forward)
ops = torch.ops.lit_tasks
count_flops(ops.rnn, ops.rnn_backward, states=1)


def rnn(
    input: Float[Tensor, "N I"],
    h0: Float[Tensor, "B H"],
    w_ih: Float[Tensor, "H I"],
    w_hh: Float[Tensor, "H H"],
    b_ih: Float[Tensor, " H"] | None,
    b_hh: Float[Tensor, " H"] | None,
    batch_sizes: Int[Tensor, " T"],
    nonlinearity: Nonlinearity = "tanh",
    fused: bool = False,
) -> RNNSequence:
    """Run packed sequences through one layer in one direction, with our own derivative.

    Args:
        input: Rows of all sequences in packed order.
        h0: Initial hidden states, longest sequence first; more rows than ``batch_sizes[0]``
            belong to sequences without a step.
        w_ih: Weights of the input.
        w_hh: Weights of the previous hidden state.
        b_ih: The input's biases.
        b_hh: The state's biases.
        batch_sizes: Sequences that have each step, on the CPU.
        nonlinearity: What is applied to the sum.
        fused: Use the compiled loop where there is one.
    """
    given = (input, h0, w_ih, w_hh, b_ih, b_hh)
    if fused and (wide := widened(given)) is not None:
        found = rnn(*(*wide, batch_sizes, nonlinearity, fused))
        return RNNSequence(*(tensor.to(input.dtype) for tensor in found))
    if torch.compiler.is_compiling():
        return RNNSequence(*rnn_op(*given, batch_sizes, nonlinearity, fused))
    if forward_mode():
        return rnn_forward_by_steps(*given[:4], added(b_ih, b_hh), batch_sizes, nonlinearity)
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in given):
        function = _RNNDirect if plain(*given) else _RNN
        return RNNSequence(*function.apply(*given, batch_sizes, nonlinearity, fused))
    call = _forward if plain(*given) else rnn_op
    return RNNSequence(*call(*given, batch_sizes, nonlinearity, fused))
