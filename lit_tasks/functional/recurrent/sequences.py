"""What passes over whole sequences take and return, for each kind of layer.

``N`` rows are those of all sequences in packed order (see `packing`), ``B`` the sequences, those
without a step included.
"""

from typing import NamedTuple

from jaxtyping import Float, Int
from torch import Tensor

Five = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
Six = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


class RNNSequence(NamedTuple):
    """What an RNN's forward pass computes.

    Attributes:
        output: All hidden states, packed.
        h_n: The last hidden state of each sequence.
    """

    output: Float[Tensor, "N H"]
    h_n: Float[Tensor, "B H"]


class RNNSaved(NamedTuple):
    """What an RNN's backward pass reads of the forward pass."""

    input: Float[Tensor, "N I"]
    h0: Float[Tensor, "B H"]
    w_ih: Float[Tensor, "H I"]
    w_hh: Float[Tensor, "H H"]
    output: Float[Tensor, "N H"]
    batch_sizes: Int[Tensor, " T"]


class RNNGrads(NamedTuple):
    """The gradients that reach an `RNNSequence`; ``None`` is zero. Those of a GRU are the same."""

    output: Float[Tensor, "N H"] | None = None
    h_n: Float[Tensor, "B H"] | None = None


class GRUSequence(NamedTuple):
    """What a GRU's forward pass computes; the last is what the derivative needs beside it.

    Attributes:
        output: All hidden states, packed.
        h_n: The last hidden state of each sequence.
        gates: Reset, update, new state and ``m`` of each row, packed.
    """

    output: Float[Tensor, "N H"]
    h_n: Float[Tensor, "B H"]
    gates: Float[Tensor, "N 4*H"]


class GRUSaved(NamedTuple):
    """What a GRU's backward pass reads of the forward pass."""

    input: Float[Tensor, "N I"]
    h0: Float[Tensor, "B H"]
    w_ih: Float[Tensor, "3*H I"]
    w_hh: Float[Tensor, "3*H H"]
    output: Float[Tensor, "N H"]
    gates: Float[Tensor, "N 4*H"]
    batch_sizes: Int[Tensor, " T"]


class LSTMSequence(NamedTuple):
    """What an LSTM's forward pass computes; the last two are what the derivative needs beside it.

    Attributes:
        output: All hidden states, packed.
        h_n: The last hidden state of each sequence.
        c_n: The last cell state of each sequence.
        cells: All cell states, packed.
        gates: All gates after activation, packed.
    """

    output: Float[Tensor, "N H"]
    h_n: Float[Tensor, "B H"]
    c_n: Float[Tensor, "B H"]
    cells: Float[Tensor, "N H"]
    gates: Float[Tensor, "N 4*H"]


class LSTMSaved(NamedTuple):
    """What an LSTM's backward pass reads of the forward pass."""

    input: Float[Tensor, "N I"]
    h0: Float[Tensor, "B H"]
    c0: Float[Tensor, "B H"]
    w_ih: Float[Tensor, "4*H I"]
    w_hh: Float[Tensor, "4*H H"]
    output: Float[Tensor, "N H"]
    cells: Float[Tensor, "N H"]
    gates: Float[Tensor, "N 4*H"]
    batch_sizes: Int[Tensor, " T"]


class LSTMGrads(NamedTuple):
    """The gradients that reach an `LSTMSequence`, in its order; ``None`` is zero."""

    output: Float[Tensor, "N H"] | None = None
    h_n: Float[Tensor, "B H"] | None = None
    c_n: Float[Tensor, "B H"] | None = None
    cells: Float[Tensor, "N H"] | None = None
    gates: Float[Tensor, "N 4*H"] | None = None
