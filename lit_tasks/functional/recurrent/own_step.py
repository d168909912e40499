"""A sequence made of anybody's step: packed order, and a derivative by hand or by torch.

A step takes the rows of an input, the states before it and the weights, and returns the states
after it; the first of them is the output. Only states are kept for the derivative: each step is
run once more on the way back, as far as its derivative needs it.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lit_tasks.functional.recurrent.packing import last_rows, previous_rows
from lit_tasks.torch_internals import forward_mode, transformed

States = tuple[Tensor, ...]
Weights = dict[str, Tensor]
Step = Callable[[Tensor, States, Weights], States]
#: Takes gradients of the states after a step, then its input, the states before it, the weights
#: and the states after it; returns the gradients of input, states before and weights.
StepBackward = Callable[[States, Tensor, States, Weights, States], tuple[Tensor, States, Weights]]


def run_steps(
    step: Step,
    backward: StepBackward | None,
    input: Float[Tensor, "N I"],
    starts: Sequence[Float[Tensor, "B H"]],
    weights: Weights,
    batch_sizes: Int[Tensor, " T"],
) -> tuple[Float[Tensor, "N H"], States]:
    """Return the first state of every row, and the final states of each sequence.

    Args:
        step: One step.
        backward: Its derivative; `torch.func.vjp` supplies one if there is none.
        input: Rows of all sequences in packed order.
        starts: Initial states, longest sequence first.
        weights: By name.
        batch_sizes: Sequences that have each step, on the CPU.
    """
    if torch.compiler.is_compiling() or transformed() or forward_mode():
        states = _recorded(step, input, starts, weights, batch_sizes)
        return states[0], _ends(states, starts, batch_sizes)
    names = tuple(weights)
    found = _Steps.apply(
        step, backward, names, len(starts), batch_sizes, input, *starts, *weights.values()
    )
    return found[0], tuple(found[1 : 1 + len(starts)])


def _ends(states: States, starts: Sequence[Tensor], batch_sizes: Tensor) -> States:
    return tuple(
        last_rows(rows, start, batch_sizes) for rows, start in zip(states, starts, strict=True)
    )


def _recorded(
    step: Step,
    input: Tensor,
    starts: Sequence[Tensor],
    weights: Weights,
    batch_sizes: Tensor,
) -> States:
    """Return all states of all rows, by calls that torch can derive."""
    states, steps = tuple(starts), []
    for x in input.split(batch_sizes.tolist()):
        states = tuple(step(x, tuple(state[: x.shape[0]] for state in states), weights))
        steps.append(states)
    if not steps:
        return tuple(start.new_empty(0, start.shape[1]) for start in starts)
    return tuple(torch.cat(column) for column in zip(*steps, strict=True))


def derivative_by_torch(step: Step) -> StepBackward:
    """Return the derivative of a step that `torch.func.vjp` supplies."""

    def backward(
        grads: States, x: Tensor, before: States, weights: Weights, after: States
    ) -> tuple[Tensor, States, Weights]:
        pull: Any = torch.func.vjp(lambda *given: tuple(step(*given)), x, before, weights)[1]
        found: tuple[Tensor, States, Weights] = pull(grads)
        return found

    return backward


class _Steps(torch.autograd.Function):
    """Runs forwards without a record, and backwards one step after the other."""

    @staticmethod
    def forward(ctx: Any, step: Step, backward: StepBackward | None, *rest: Any) -> Any:
        names, count, sizes, rows, *tensors = rest
        starts, weights = tensors[:count], dict(zip(names, tensors[count:], strict=True))
        states = _recorded(step, rows, starts, weights, sizes)
        ctx.step, ctx.backward_step = step, backward or derivative_by_torch(step)
        ctx.names, ctx.count, ctx.sizes = names, count, sizes
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(rows, *tensors, *states)
        # a caller may change the output in place; the states are kept for the way back
        return states[0].clone(), *_ends(states, starts, sizes)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> Any:
        x, *tensors = ctx.saved_tensors
        count, given = ctx.count, len(tensors) - ctx.count
        starts, states = tensors[:count], tuple(tensors[given:])
        weights = dict(zip(ctx.names, tensors[count:given], strict=True))
        if torch.is_grad_enabled():  # there may be a second derivative
            states = _recorded(ctx.step, x, starts, weights, ctx.sizes)
            outputs = (states[0], *_ends(states, starts, ctx.sizes))
            found: Sequence[Tensor | None] = _derived(outputs, grads, [x, *tensors[:given]])
        else:
            found = _walk_back(ctx, grads, (x, starts, weights, states))
        return None, None, None, None, None, *found


def _derived(
    outputs: Sequence[Tensor], grads: Sequence[Tensor | None], inputs: Sequence[Tensor]
) -> list[Tensor | None]:
    pairs = [(o, g) for o, g in zip(outputs, grads, strict=True) if g is not None]
    wanted = [tensor for tensor in inputs if tensor.requires_grad]
    found = iter(
        torch.autograd.grad(
            [output for output, _ in pairs],
            wanted,
            [grad for _, grad in pairs],
            create_graph=True,
            allow_unused=True,
        )
    )
    return [next(found) if tensor.requires_grad else None for tensor in inputs]


def _walk_back(
    ctx: Any,
    grads: Sequence[Tensor | None],
    saved: tuple[Tensor, Sequence[Tensor], Weights, States],
) -> list[Tensor]:
    """Return the gradients of input, initial states and weights."""
    x, starts, weights, states = saved
    of_output, *of_ends = grads
    carry = [
        torch.zeros_like(start) if end is None else end
        for start, end in zip(starts, of_ends, strict=True)
    ]
    before = [previous_rows(s, start, ctx.sizes) for s, start in zip(states, starts, strict=True)]
    of_input, stop = torch.zeros_like(x), x.shape[0]
    of_weights = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    for size in reversed(ctx.sizes.tolist()):
        rows = slice(stop - size, stop)
        stop -= size
        own = [grad[:size] for grad in carry]
        if of_output is not None:
            own[0] = own[0] + of_output[rows]
        at = (x[rows], tuple(s[rows] for s in before), weights, tuple(s[rows] for s in states))
        of_input[rows], of_states, step_weights = ctx.backward_step(tuple(own), *at)
        carry = [
            torch.cat((grad, rest[size:])) for grad, rest in zip(of_states, carry, strict=True)
        ]
        for name, grad in step_weights.items():
            of_weights[name] += grad
    return [of_input, *carry, *of_weights.values()]
