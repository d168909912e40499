"""The seam between the GRU's own derivative and torch: no mathematics, only who gets what.

It is built like `lstm_autograd`. For a second derivative the forward pass is run once more,
recorded this time: then the gates that the derivative reads hang together with the inputs.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lit_tasks.functional.recurrent.autograd import (
    count_flops,
    direct,
    drop_padding_rows,
    needed,
    plain,
    used_rows,
    vmap_by_batching,
    vmap_by_loop,
    widened,
)
from lit_tasks.functional.recurrent.gru import (
    gru_backward,
    gru_backward_by_steps,
    gru_forward,
    gru_forward_by_steps,
)
from lit_tasks.functional.recurrent.sequences import GRUSaved, GRUSequence, RNNGrads, Six
from lit_tasks.torch_internals import forward_mode

Three = tuple[Tensor, Tensor, Tensor]


@torch.library.custom_op("lit_tasks::gru", mutates_args=())
def gru_op(
    input: Tensor,
    h0: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
    batch_sizes: Tensor,
    keep: bool,
    fused: bool,
) -> Three:
    """Call `gru_forward`; rows that no step has are zero."""
    sizes, rows, fill = drop_padding_rows(batch_sizes, input.shape[0])
    done = gru_forward(input[:rows], h0, w_ih, w_hh, b_ih, b_hh, sizes, keep, fused)
    return fill(done.output), done.h_n, fill(done.gates) if keep else done.gates


@torch.library.custom_op("lit_tasks::gru_backward", mutates_args=())
def gru_backward_op(
    grads: Sequence[Tensor | None], saved: Sequence[Tensor], needs_input: bool, fused: bool
) -> Six:
    """Call `gru_backward` on what its tuples hold; rows that no step has have no gradient."""
    reach, kept, fill = used_rows(RNNGrads(*grads), GRUSaved(*saved))
    done = gru_backward(reach, kept, needs_input, fused=fused)
    return fill(done[0]) if needs_input else kept.input[:0].clone(), *done[1:]


@gru_op.register_fake
def _(
    input: Tensor,
    h0: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
    batch_sizes: Tensor,
    keep: bool,
    fused: bool,
) -> Three:
    rows, hidden = input.shape[0], h0.shape[1]
    gates = input.new_empty(rows if keep else 0, 4 * hidden)
    return input.new_empty(rows, hidden), torch.empty_like(h0), gates


@gru_backward_op.register_fake
def _(
    grads: Sequence[Tensor | None], saved: Sequence[Tensor], needs_input: bool, fused: bool
) -> Six:
    x, h0, w_ih, w_hh = (torch.empty_like(tensor) for tensor in saved[:4])
    biases = w_ih.new_empty(w_ih.shape[0]), w_ih.new_empty(w_ih.shape[0])
    return x if needs_input else x[:0].clone(), h0, w_ih, w_hh, *biases


class _GRU(torch.autograd.Function):
    """Saves what the derivative needs and hands it over."""

    generate_vmap_rule = True

    @staticmethod
    def forward(*args: Any) -> Three:
        found: Three = gru_forward(*args) if plain(*args) else gru_op(*args)
        return found

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.set_materialize_grads(False)
        x, h0, w_ih, w_hh, b_ih, b_hh, batch_sizes, _, ctx.fused = inputs
        states, _, gates = output
        ctx.mark_non_differentiable(gates)
        ctx.save_for_backward(x, h0, w_ih, w_hh, b_ih, b_hh, states, gates, batch_sizes)

    @staticmethod
    def backward(ctx: Any, *given: Tensor | None) -> Any:
        grads, saved, needs = RNNGrads(*given[:2]), _saved(ctx), ctx.needs_input_grad
        if torch.is_grad_enabled() or not plain(*saved, *grads):
            return _by_operator(ctx, *given)
        return needed(ctx, gru_backward(grads, saved, needs[0], needs[1], ctx.fused))


def _saved(ctx: Any) -> GRUSaved:
    x, h0, w_ih, w_hh, _, _, states, gates, sizes = ctx.saved_tensors
    return GRUSaved(x, h0, w_ih, w_hh, states, gates, sizes)


def _by_operator(ctx: Any, *given: Tensor | None) -> Any:
    """Do the same where the rows may end in some that no step has, as a compiler packs them."""
    grads, saved = RNNGrads(*given[:2]), _saved(ctx)
    if torch.is_grad_enabled() and not torch.compiler.is_compiling():  # a second derivative
        reach, kept, fill = used_rows(grads, saved)
        inputs = (kept.input, *ctx.saved_tensors[1:6], kept.batch_sizes)
        again = gru_forward_by_steps(*inputs)
        kept = kept._replace(output=again.output, gates=again.gates)
        x, *others = gru_backward_by_steps(reach, kept)
        return needed(ctx, (fill(x), *others))
    return needed(ctx, gru_backward_op(grads, saved, ctx.needs_input_grad[0], ctx.fused))


gru_op.register_autograd(_by_operator, setup_context=_GRU.setup_context)
gru_op.register_vmap(vmap_by_batching(gru_op, states=1, sizes=6))
gru_backward_op.register_vmap(vmap_by_loop(gru_backward_op))
_GRUDirect = direct(_GRU, gru_forward)
ops = torch.ops.lit_tasks
count_flops(ops.gru, ops.gru_backward, states=1)


def gru(
    input: Float[Tensor, "N I"],
    h0: Float[Tensor, "B H"],
    w_ih: Float[Tensor, "3*H I"],
    w_hh: Float[Tensor, "3*H H"],
    b_ih: Float[Tensor, " 3*H"] | None,
    b_hh: Float[Tensor, " 3*H"] | None,
    batch_sizes: Int[Tensor, " T"],
    fused: bool = False,
) -> GRUSequence:
    """Run packed sequences through one layer in one direction, with our own derivative.

    Args:
        input: Rows of all sequences in packed order.
        h0: Initial hidden states, longest sequence first; more rows than ``batch_sizes[0]``
            belong to sequences without a step.
        w_ih: Weights of the input, gates in the order reset, update, new.
        w_hh: Weights of the previous hidden state.
        b_ih: The input's biases.
        b_hh: The state's biases.
        batch_sizes: Sequences that have each step, on the CPU.
        fused: Use the compiled loop where there is one.
    """
    given = (input, h0, w_ih, w_hh, b_ih, b_hh)
    if fused and (wide := widened(given)) is not None:
        found = gru(*(*wide, batch_sizes, fused))
        return GRUSequence(*(tensor.to(input.dtype) for tensor in found))
    learn = torch.is_grad_enabled()
    if torch.compiler.is_compiling():
        return GRUSequence(*gru_op(*given, batch_sizes, learn, fused))
    if forward_mode():
        return gru_forward_by_steps(*given, batch_sizes)
    if learn and any(tensor is not None and tensor.requires_grad for tensor in given):
        function = _GRUDirect if plain(*given) else _GRU
        return GRUSequence(*function.apply(*given, batch_sizes, True, fused))
    call = gru_forward if plain(*given) else gru_op
    return GRUSequence(*call(*given, batch_sizes, False, fused))
