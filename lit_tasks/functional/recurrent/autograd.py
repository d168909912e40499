"""What the seams to torch's autograd share: surplus rows, second derivatives, ``vmap``."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from jaxtyping import Int
from torch import Tensor, nn
from torch.utils.flop_counter import register_flop_formula

from lit_tasks.functional.recurrent.fused import has_loop
from lit_tasks.functional.recurrent.sequences import (
    GRUSaved,
    LSTMGrads,
    LSTMSaved,
    RNNGrads,
    RNNSaved,
)
from lit_tasks.torch_internals import observed

Grads = TypeVar("Grads", RNNGrads, LSTMGrads)
Saved = TypeVar("Saved", RNNSaved, LSTMSaved, GRUSaved)
_PLAIN = (Tensor, nn.Parameter)


def plain(*arguments: Any) -> bool:
    """Tell whether all tensors are numbers in memory and nobody watches what is done to them.

    Then a function of ours is called as it is. Otherwise the operator made of it is, which
    transforms, modes (fake tensors, counters of operations) and the meta device know.
    """
    if observed():
        return False
    for argument in arguments:
        if type(argument) in _PLAIN:
            if argument.is_meta:
                return False
        elif isinstance(argument, Tensor):
            return False
    return True


def loop_ready(*tensors: Tensor | None) -> bool:
    """Tell, in one go, whether tensors are `plain` and the compiled loop can run on them."""
    first = tensors[0]
    assert first is not None
    dtype = first.dtype
    if observed() or torch.compiler.is_compiling() or not has_loop(dtype):
        return False
    for tensor in tensors:
        if tensor is None:
            continue
        if type(tensor) not in _PLAIN or tensor.dtype is not dtype or not tensor.is_cpu:
            return False
    return True


def direct(
    function: type[torch.autograd.Function], compute: Callable[..., Any]
) -> type[torch.autograd.Function]:
    """Return a function's older form, which no transform knows, for tensors that are `plain`.

    Its call takes 40 microseconds less: torch binds the arguments of the newer form to a signature.

    Args:
        function: The newer form.
        compute: Does what its forward pass does for such tensors.
    """

    def forward(ctx: Any, *args: Any) -> Any:
        output = compute(*args)
        function.setup_context(ctx, args, output)
        return output

    parts = {"forward": staticmethod(forward), "backward": staticmethod(function.backward)}
    return type(f"{function.__name__}Direct", (torch.autograd.Function,), parts)


def widened(tensors: Sequence[Tensor | None]) -> list[Any] | None:
    """Return 16-bit tensors in float32 where the compiled loop would take those, else ``None``.

    Products of 16-bit numbers are slow on most CPUs, and sums of them are inexact on all.
    """
    first = tensors[0]
    assert first is not None
    if first.element_size() != 2 or not first.is_cpu or torch.compiler.is_compiling():
        return None
    if not has_loop(torch.float32):
        return None
    return [None if tensor is None else tensor.float() for tensor in tensors]


def added(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    """Return the sum of two biases, either of which may be missing."""
    return second if first is None else first if second is None else first + second


def needed(ctx: Any, found: Sequence[Tensor]) -> tuple[Tensor | None, ...]:
    """Return a gradient for each argument that needs one; the last is that of all biases."""
    last, needs = len(found) - 1, ctx.needs_input_grad
    return tuple([found[min(n, last)] if need else None for n, need in enumerate(needs)])


def count_flops(forward: Any, backward: Any, states: int) -> None:
    """Tell torch's counter of operations how many the products of two operators take.

    Args:
        forward: Takes the rows, initial states, the weights of input and state, and others.
        backward: Takes gradients, a list that begins likewise, and whether the rows need one.
        states: How many initial states there are.
    """

    def sizes(shapes: Sequence[Any]) -> tuple[int, int]:
        rows, w_ih, w_hh = shapes[0], *shapes[states + 1 : states + 3]
        return 2 * rows[0] * w_ih[0] * w_ih[1], 2 * rows[0] * w_hh[0] * w_hh[1]

    def of_forward(*shapes: Any, **_: Any) -> int:
        return sum(sizes(shapes))

    def of_backward(_: Any, saved: Any, needs_input: bool, *__: Any, **___: Any) -> int:
        of_input, of_state = sizes(saved)
        return (1 + needs_input) * of_input + 2 * of_state

    register_flop_formula(forward)(of_forward)
    register_flop_formula(backward)(of_backward)


def drop_padding_rows(
    batch_sizes: Int[Tensor, " T"], rows: int
) -> tuple[Tensor, int, Callable[..., Tensor]]:
    """Return the batch sizes above zero, how many rows they have, and what adds the other rows.

    A compiler knows only how many rows there can be, so a batch it packs may end in rows that
    belong to no sequence. They are not computed; in results they are zero.
    """
    used = int(batch_sizes.sum())
    if used == rows:
        return batch_sizes[batch_sizes > 0], rows, lambda tensor: tensor

    def fill(tensor: Tensor) -> Tensor:
        return torch.cat((tensor, tensor.new_zeros(rows - used, tensor.shape[1])))

    return batch_sizes[batch_sizes > 0], used, fill


def used_rows(grads: Grads, saved: Saved) -> tuple[Grads, Saved, Callable[..., Tensor]]:
    """Return both without the rows that no step has, and what adds those; see above."""
    sizes, rows, fill = drop_padding_rows(saved.batch_sizes, saved.input.shape[0])

    def cut(found: Any) -> Any:
        names = {"input", "output", "cells", "gates"} & set(found._fields)
        parts = {name: getattr(found, name) for name in names}
        return found._replace(**{n: t if t is None else t[:rows] for n, t in parts.items()})

    return cut(grads), cut(saved)._replace(batch_sizes=sizes), fill


def grad_through(
    formula: Callable[..., Sequence[Tensor]],
    inputs: Sequence[Tensor | None],
    grads: Sequence[Tensor | None],
) -> list[Tensor | None]:
    """Return the gradients of a differentiable formula's results with respect to its inputs.

    This is how a derivative is derived again. Each input is seen through an alias: some inputs
    were computed from others, and the path between them is not the formula's.
    """
    with torch.enable_grad():
        aliases = [None if tensor is None else tensor.view_as(tensor) for tensor in inputs]
        results = formula(*aliases)
    pairs = [
        (result, grad)
        for result, grad in zip(results, grads, strict=True)
        if grad is not None and result.requires_grad
    ]
    wanted = [alias for alias in aliases if alias is not None and alias.requires_grad]
    if not pairs or not wanted:
        return [None] * len(inputs)
    found = iter(
        torch.autograd.grad(
            [result for result, _ in pairs],
            wanted,
            [grad for _, grad in pairs],
            allow_unused=True,
            create_graph=torch.is_grad_enabled(),
        )
    )
    return [next(found) if alias is not None and alias.requires_grad else None for alias in aliases]


def vmap_by_loop(operator: Any) -> Callable[..., tuple[tuple[Tensor, ...], tuple[int, ...]]]:
    """Return a ``vmap`` rule that calls the operator for each sample and stacks the results."""

    def sample(arg: Any, dim: Any, place: int) -> Any:
        if dim is None:
            return arg
        if isinstance(arg, Tensor):
            return arg.select(dim, place)
        return [sample(*pair, place) for pair in zip(arg, dim, strict=True)]

    def rule(info: Any, in_dims: Any, *args: Any) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        results = [operator(*sample(args, in_dims, n)) for n in range(info.batch_size)]
        stacked = tuple(torch.stack(column) for column in zip(*results, strict=True))
        return stacked, (0,) * len(stacked)

    return rule


def vmap_by_batching(
    operator: Any, states: int, sizes: int
) -> Callable[..., tuple[tuple[Tensor, ...], tuple[int, ...]]]:
    """Return a ``vmap`` rule that lays the samples' sequences beside one another.

    Rows and initial states get the samples as their second dimension, so a step has all of them,
    and one call serves. Where weights differ between samples, they are run one by one.

    Args:
        operator: Takes rows, so many initial states, weights, batch sizes and settings.
        states: How many initial states there are.
        sizes: Where the batch sizes stand among the arguments.
    """

    def rule(info: Any, in_dims: Any, *args: Any) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        if any(dim is not None for dim in in_dims[1 + states :]):
            return vmap_by_loop(operator)(info, in_dims, *args)
        merged = list(args)
        for index in range(1 + states):
            arg, dim = args[index], in_dims[index]
            if dim is None:
                arg, dim = arg.expand(info.batch_size, *arg.shape), 0
            merged[index] = arg.movedim(dim, 1).flatten(0, 1)
        merged[sizes] = args[sizes] * info.batch_size
        results = operator(*merged)
        parted = tuple(result.unflatten(0, (-1, info.batch_size)) for result in results)
        return parted, (1,) * len(parted)

    return rule
