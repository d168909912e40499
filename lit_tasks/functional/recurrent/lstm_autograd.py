"""The seam between the LSTM's own derivative and torch: no mathematics, only who gets what.

Two operators make the sequence one node for ``torch.compile`` and ``torch.export``. Outside a
compiler an ``autograd.Function`` calls them, since that is what ``torch.func`` can transform.
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
from lit_tasks.functional.recurrent.lstm import (
    lstm_backward,
    lstm_backward_by_steps,
    lstm_forward,
    lstm_forward_by_steps,
)
from lit_tasks.functional.recurrent.sequences import Five, LSTMGrads, LSTMSaved, LSTMSequence, Six
from lit_tasks.torch_internals import forward_mode


@torch.library.custom_op("lit_tasks::lstm", mutates_args=())
def lstm_op(
    input: Tensor,
    h0: Tensor,
    c0: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
    batch_sizes: Tensor,
    keep: bool,
    fused: bool,
) -> Five:
    """Call `lstm_forward`; rows that no step has are zero."""
    sizes, rows, fill = drop_padding_rows(batch_sizes, input.shape[0])
    given = (input[:rows], h0, c0, w_ih, w_hh, added(b_ih, b_hh), sizes)
    done = lstm_forward(*given, keep, fused)
    return (
        fill(done.output),
        done.h_n,
        done.c_n,
        fill(done.cells),
        fill(done.gates) if keep else done.gates,
    )


@torch.library.custom_op("lit_tasks::lstm_backward", mutates_args=())
def lstm_backward_op(
    grads: Sequence[Tensor | None], saved: Sequence[Tensor], needs_input: bool, fused: bool
) -> Six:
    """Call `lstm_backward` on what its tuples hold; rows that no step has have no gradient."""
    reach, kept, fill = used_rows(LSTMGrads(*grads), LSTMSaved(*saved))
    if reach.gates is None:
        done = lstm_backward(reach, kept, needs_input, fused=fused)
    else:
        done = lstm_backward_by_steps(reach, kept)
    return fill(done[0]) if needs_input else kept.input[:0].clone(), *done[1:]


@lstm_op.register_fake
def _(
    input: Tensor,
    h0: Tensor,
    c0: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
    batch_sizes: Tensor,
    keep: bool,
    fused: bool,
) -> Five:
    rows, hidden = input.shape[0], h0.shape[1]
    states, gates = input.new_empty(rows, hidden), input.new_empty(rows if keep else 0, 4 * hidden)
    return states, torch.empty_like(h0), torch.empty_like(c0), torch.empty_like(states), gates


@lstm_backward_op.register_fake
def _(
    grads: Sequence[Tensor | None], saved: Sequence[Tensor], needs_input: bool, fused: bool
) -> Six:
    x, h0, c0, w_ih, w_hh = (torch.empty_like(tensor) for tensor in saved[:5])
    return x if needs_input else x[:0].clone(), h0, c0, w_ih, w_hh, w_ih.new_empty(w_ih.shape[0])


def _forward(*args: Any) -> Any:
    """Do what the operator does with rows that all have a step."""
    given, (b_ih, b_hh), options = args[:5], args[5:7], args[7:]
    return lstm_forward(*(*given, added(b_ih, b_hh), *options))


class _LSTM(torch.autograd.Function):
    """Saves what the derivative needs and hands it over."""

    generate_vmap_rule = True

    @staticmethod
    def forward(*args: Any) -> Five:
        found: Five = _forward(*args) if plain(*args) else lstm_op(*args)
        return found

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.set_materialize_grads(False)
        x, h0, c0, w_ih, w_hh, _, _, batch_sizes, _, ctx.fused = inputs
        states, _, _, cells, gates = output
        ctx.save_for_backward(x, h0, c0, w_ih, w_hh, states, cells, gates, batch_sizes)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> Any:
        saved, needs = LSTMSaved(*ctx.saved_tensors), ctx.needs_input_grad
        if torch.is_grad_enabled():  # there may be a second derivative
            return _by_operator(ctx, *grads)
        if grads[4] is not None or not plain(*grads, *saved):
            return needed(ctx, lstm_backward_op(grads, saved, needs[0], ctx.fused))
        needs_state = needs[1] or needs[2]
        return needed(
            ctx, lstm_backward(LSTMGrads(*grads), saved, needs[0], needs_state, ctx.fused)
        )


def _by_operator(ctx: Any, *grads: Tensor | None) -> Any:
    """Do the same where the rows may end in some that no step has, as a compiler packs them."""
    options = ctx.needs_input_grad[0], ctx.fused
    if torch.compiler.is_compiling():
        return needed(ctx, lstm_backward_op(grads, ctx.saved_tensors, *options))
    return needed(ctx, _LSTMBackward.apply(*grads, *ctx.saved_tensors, *options))


class _LSTMBackward(torch.autograd.Function):
    """The derivative as a function of its own, so that there is a second derivative."""

    generate_vmap_rule = True

    @staticmethod
    def forward(*args: Any) -> Six:
        found: Six = lstm_backward_op(args[:5], args[5:-2], *args[-2:])
        return found

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*inputs[:-2])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> Any:
        def formula(*given: Any) -> tuple[Tensor, ...]:
            reach, kept, fill = used_rows(LSTMGrads(*given[:5]), LSTMSaved(*given[5:]))
            x, *others = lstm_backward_by_steps(reach, kept)
            return fill(x), *others

        return *grad_through(formula, ctx.saved_tensors, grads), None, None


lstm_op.register_autograd(_by_operator, setup_context=_LSTM.setup_context)
lstm_op.register_vmap(vmap_by_batching(lstm_op, states=2, sizes=7))
lstm_backward_op.register_vmap(vmap_by_loop(lstm_backward_op))
_LSTMDirect = direct(_LSTM, _forward)
ops = torch.ops.lit_tasks
count_flops(ops.lstm, ops.lstm_backward, states=2)


def lstm(
    input: Float[Tensor, "N I"],
    h0: Float[Tensor, "B H"],
    c0: Float[Tensor, "B H"],
    w_ih: Float[Tensor, "4*H I"],
    w_hh: Float[Tensor, "4*H H"],
    b_ih: Float[Tensor, " 4*H"] | None,
    b_hh: Float[Tensor, " 4*H"] | None,
    batch_sizes: Int[Tensor, " T"],
    fused: bool = False,
) -> LSTMSequence:
    """Run packed sequences through one layer in one direction, with our own derivative.

    Args:
        input: Rows of all sequences in packed order.
        h0: Initial hidden states, longest sequence first; more rows than ``batch_sizes[0]``
            belong to sequences without a step.
        c0: Initial cell states likewise.
        w_ih: Weights of the input, gates in the order input, forget, cell, output.
        w_hh: Weights of the previous hidden state.
        b_ih: The input's biases.
        b_hh: The state's biases.
        batch_sizes: Sequences that have each step, on the CPU.
        fused: Use the compiled element-wise step where there is one.
    """
    given = (input, h0, c0, w_ih, w_hh, b_ih, b_hh)
    if fused and (wide := widened(given)) is not None:
        found = lstm(*(*wide, batch_sizes, fused))
        return LSTMSequence(*(tensor.to(input.dtype) for tensor in found))
    learn = torch.is_grad_enabled()
    if torch.compiler.is_compiling():
        return LSTMSequence(*lstm_op(*given, batch_sizes, learn, fused))
    if forward_mode():
        return lstm_forward_by_steps(*given[:5], added(b_ih, b_hh), batch_sizes)
    if learn and any(tensor is not None and tensor.requires_grad for tensor in given):
        function = _LSTMDirect if plain(*given) else _LSTM
        return LSTMSequence(*function.apply(*given, batch_sizes, True, fused))
    call = _forward if plain(*given) else lstm_op
    return LSTMSequence(*call(*given, batch_sizes, False, fused))
