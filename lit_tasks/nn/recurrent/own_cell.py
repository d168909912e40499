"""Recurrent layers around a step of one's own; torch has no such place.

A subclass of `OwnCell` says which weights a layer has and computes one step. It gets what the other
layers have: padded and packed sequences of any lengths, several layers, two directions, initial
states, checkpoints, and a class path in YAML for encoders and captioners.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from math import sqrt
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from lit_tasks.functional.recurrent.own_step import (
    States,
    StepBackward,
    Weights,
    derivative_by_torch,
    run_steps,
)
from lit_tasks.functional.recurrent.packing import as_lengths
from lit_tasks.nn.recurrent.layers import Direction, run_layers
from lit_tasks.nn.recurrent.packed_inputs import (
    autocast_enabled,
    check,
    final,
    form_of,
    initial_states,
    rows_of,
    to_autocast_dtype,
)


class OwnCell(nn.Module, ABC):
    """Layers of a recurrent cell whose step a subclass writes.

    Args:
        input_size: Features of the input.
        hidden_size: Features of each state.
        num_layers: Layers on top of each other.
        batch_first: Whether padded input is ``(B, T, I)`` instead of ``(T, B, I)``.
        dropout: Fraction of the features set to zero between layers while training.
        bidirectional: Whether a second direction reads each sequence from its end.
        device: Where the weights are made.
        dtype: Type of the weights.
    """

    #: How many states a step hands to the next; the first is the output.
    num_states: ClassVar[int] = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.batch_first, self.dropout, self.bidirectional = batch_first, dropout, bidirectional
        ways = ("", "_reverse") if bidirectional else ("",)
        self._suffixes = [f"_l{layer}{way}" for layer in range(num_layers) for way in ways]
        for index, suffix in enumerate(self._suffixes):
            inputs = input_size if index < len(ways) else hidden_size * len(ways)
            for name, shape in self.shapes(inputs, hidden_size).items():
                weight = nn.Parameter(torch.empty(shape, device=device, dtype=dtype))
                self.register_parameter(name + suffix, weight)
        self.reset_parameters()

    @abstractmethod
    def shapes(self, input_size: int, hidden_size: int) -> dict[str, tuple[int, ...]]:
        """Return the shape of each weight of one layer by its name."""

    @abstractmethod
    def step(self, x: Tensor, states: States, weights: Weights) -> States:
        """Return the states after one step.

        Args:
            x: Rows of the input, ``(B, I)``.
            states: States before the step, ``(B, H)`` each.
            weights: Those of `shapes`.
        """

    def step_backward(
        self, grads: States, x: Tensor, before: States, weights: Weights, after: States
    ) -> tuple[Tensor, States, Weights]:
        """Return the gradients of ``x``, of the states before the step, and of the weights.

        A subclass may write it by hand; `check_step_backward` compares it with autograd.

        Args:
            grads: Gradients of the states after the step.
            x: Rows of the input.
            before: States before the step.
            weights: Those of `shapes`.
            after: States after the step.
        """
        return derivative_by_torch(self.step)(grads, x, before, weights, after)

    def reset_parameters(self) -> None:
        """Draw all weights as torch's recurrent layers do, evenly within one over the root of H."""
        bound = 1 / sqrt(self.hidden_size) if self.hidden_size else 0.0
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def forward(
        self,
        input: Tensor | PackedSequence,
        hx: Tensor | Sequence[Tensor] | None = None,
        lengths: Tensor | Sequence[int] | None = None,
    ) -> tuple[Tensor | PackedSequence, Tensor | tuple[Tensor, ...]]:
        """Return the first state of all steps in the form of the input, and the final states.

        Args:
            input: ``(T, B, I)``, ``(B, T, I)`` with ``batch_first``, ``(T, I)`` for a single
                sequence, or packed.
            hx: Initial states, ``(layers * directions, B, H)``: one tensor, or as many as there
                are states; zeros by default. The final states have the same form.
            lengths: Steps of each padded sequence, in any order, zeros allowed. The output is
                zero beyond them.
        """
        lengths = None if lengths is None else as_lengths(lengths)
        weights = [{n: getattr(self, n + end) for n in self.shapes(1, 1)} for end in self._suffixes]
        states = self._states(hx)
        check(self, input, states, lengths, next(iter(weights[0].values())).dtype)
        rows = rows_of(self, input, lengths)
        single = isinstance(input, Tensor) and input.dim() == 2
        starts = [initial_states(self, rows, state, single) for state in states.values()]
        if autocast_enabled(rows.data):
            weights = [{n: to_autocast_dtype(w) for n, w in own.items()} for own in weights]
            rows = rows._replace(data=to_autocast_dtype(rows.data))
        names = tuple(weights[0])
        by_hand = type(self).step_backward is not OwnCell.step_backward
        backward: StepBackward | None = self.step_backward if by_hand else None

        def run(
            x: Tensor, sizes: Tensor, begin: Sequence[Tensor], values: Sequence[Tensor]
        ) -> Direction:
            named = dict(zip(names, values, strict=True))
            output, ends = run_steps(self.step, backward, x, begin, named, sizes)
            return output, ends, None

        flat = [list(own.values()) for own in weights]
        data, columns, _ = run_layers(self, rows, starts, flat, run)
        last = tuple(final(rows, list(end), single) for end in zip(*columns, strict=True))
        return form_of(self, input, rows, data), last[0] if len(last) == 1 else last

    def _states(self, hx: Tensor | Sequence[Tensor] | None) -> dict[str, Tensor | None]:
        given = [hx] if isinstance(hx, Tensor) else [None] * self.num_states if hx is None else hx
        if len(given) != self.num_states:
            raise ValueError(
                f"hx must have the {self.num_states} states of {type(self).__name__}, "
                f"got {len(given)}"
            )
        if self.num_states == 1:
            return {"hx": given[0]}
        return {f"hx[{index}]": state for index, state in enumerate(given)}

    def extra_repr(self) -> str:
        """Return the sizes, as torch's layers show theirs."""
        return f"{self.input_size}, {self.hidden_size}, num_layers={self.num_layers}"


def check_step_backward(cell: OwnCell, rows: int = 3, seed: int = 0) -> dict[str, float]:
    """Compare a derivative written by hand with autograd's, in double precision.

    Args:
        cell: The layers; their first is tried, on random weights.
        rows: Rows of the random input.
        seed: Of the random numbers; those of the process are left alone.

    Returns:
        The largest difference of each term, as a fraction of its largest value.

    Raises:
        ValueError: A term is off, is missing or has another shape; all that are are named.
    """
    draw = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, generator=draw, dtype=torch.float64)

    x = random(rows, cell.input_size)
    before = tuple(random(rows, cell.hidden_size) for _ in range(cell.num_states))
    shapes = cell.shapes(cell.input_size, cell.hidden_size)
    weights = {name: random(*shape) for name, shape in shapes.items()}
    grads = tuple(random(rows, cell.hidden_size) for _ in range(cell.num_states))
    after = tuple(cell.step(x, before, weights))
    given = (grads, x, before, weights, after)
    expected = _terms(*derivative_by_torch(cell.step)(*given))
    with torch.no_grad():
        found = _terms(*cell.step_backward(*given))
    errors, wrong = {}, []
    for name, true in expected.items():
        ours = found.get(name)
        if ours is None or ours.shape != true.shape:
            got = "missing" if ours is None else f"of shape {tuple(ours.shape)}"
            wrong.append(f"{name} is {got} instead of {tuple(true.shape)}")
            continue
        size = float(true.abs().max()) if true.numel() else 0.0
        errors[name] = float((ours - true).abs().max()) / (size or 1.0) if true.numel() else 0.0
        if not errors[name] < 1e-9:
            wrong.append(f"{name} is off by {errors[name]:.1e} of its largest value")
    if wrong:
        raise ValueError(f"step_backward of {type(cell).__name__}: {'; '.join(wrong)}")
    return errors


def _terms(of_x: Tensor, of_states: States, of_weights: Weights) -> dict[str, Tensor]:
    states = {f"states[{index}]": grad for index, grad in enumerate(of_states)}
    return {"x": of_x, **states, **{f"weights[{n!r}]": g for n, g in of_weights.items()}}
