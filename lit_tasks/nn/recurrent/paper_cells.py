"""Three cells from papers, each written as one step: examples of `OwnCell`, ready to use."""

from typing import ClassVar

import torch
from torch import Tensor

from lit_tasks.functional.recurrent.own_step import States, Weights
from lit_tasks.nn.recurrent.own_cell import OwnCell


class MinGRU(OwnCell):
    r"""A GRU whose gate and new state do not read the state: :math:`h' = (1 - z) h + z n`.

    Source: Feng, Tung, Hassan, Bengio and Hajimirsadeghi (2024, *Were RNNs All We Needed?*),
    the version without logarithms. Its derivative is written by hand.
    """

    def shapes(self, input_size: int, hidden_size: int) -> dict[str, tuple[int, ...]]:
        """Return those of gate and new state."""
        weight, bias = (hidden_size, input_size), (hidden_size,)
        return {"w_z": weight, "w_n": weight, "b_z": bias, "b_n": bias}

    def step(self, x: Tensor, states: States, weights: Weights) -> States:
        """Return the next ``h``."""
        z = (x @ weights["w_z"].t() + weights["b_z"]).sigmoid()
        n = x @ weights["w_n"].t() + weights["b_n"]
        return ((1 - z) * states[0] + z * n,)

    def step_backward(
        self, grads: States, x: Tensor, before: States, weights: Weights, after: States
    ) -> tuple[Tensor, States, Weights]:
        """Return the gradients, with :math:`h' - h = z (n - h)`."""
        z = (x @ weights["w_z"].t() + weights["b_z"]).sigmoid()
        of_n = grads[0] * z
        of_z = grads[0] * (after[0] - before[0]) * (1 - z)
        of_x = of_z @ weights["w_z"] + of_n @ weights["w_n"]
        of_weights = {"w_z": of_z.t() @ x, "w_n": of_n.t() @ x, "b_z": of_z.sum(0)}
        return of_x, (grads[0] * (1 - z),), {**of_weights, "b_n": of_n.sum(0)}


class PeepholeLSTM(OwnCell):
    """An LSTM whose gates look at the cell state: input and forget before, output after the step.

    Source: Gers, Schraudolph and Schmidhuber (2002, *Learning Precise Timing with LSTM Recurrent
    Networks*). Gates in the order input, forget, cell, output.
    """

    num_states: ClassVar[int] = 2

    def shapes(self, input_size: int, hidden_size: int) -> dict[str, tuple[int, ...]]:
        """Return those of an LSTM and three vectors of peepholes."""
        wide, peep = 4 * hidden_size, (hidden_size,)
        weights = {"w_x": (wide, input_size), "w_h": (wide, hidden_size), "b": (wide,)}
        return {**weights, "p_i": peep, "p_f": peep, "p_o": peep}

    def step(self, x: Tensor, states: States, weights: Weights) -> States:
        """Return the next ``h`` and ``c``."""
        h, c = states
        sums = x @ weights["w_x"].t() + h @ weights["w_h"].t() + weights["b"]
        i, f, g, o = sums.chunk(4, dim=1)
        i, f = (i + weights["p_i"] * c).sigmoid(), (f + weights["p_f"] * c).sigmoid()
        c = f * c + i * g.tanh()
        return (o + weights["p_o"] * c).sigmoid() * c.tanh(), c


class CoupledLSTM(OwnCell):
    """An LSTM that forgets as much as it takes in: the input gate is one minus the forget gate.

    Source: Greff, Srivastava, Koutnik, Steunebrink and Schmidhuber (2017, *LSTM: A Search Space
    Odyssey*), variant CIFG without peepholes. Gates in the order forget, cell, output.
    """

    num_states: ClassVar[int] = 2

    def shapes(self, input_size: int, hidden_size: int) -> dict[str, tuple[int, ...]]:
        """Return those of three gates."""
        wide = 3 * hidden_size
        return {"w_x": (wide, input_size), "w_h": (wide, hidden_size), "b": (wide,)}

    def step(self, x: Tensor, states: States, weights: Weights) -> States:
        """Return the next ``h`` and ``c``."""
        h, c = states
        sums = x @ weights["w_x"].t() + h @ weights["w_h"].t() + weights["b"]
        f, g, o = sums.chunk(3, dim=1)
        f = f.sigmoid()
        c = f * c + torch.mul(1 - f, g.tanh())
        return o.sigmoid() * c.tanh(), c
