"""The recurrent layers that an encoder or captioner is told to use: by name or by class path."""

from collections.abc import Callable
from typing import Any, Literal

from torch import nn

from lit_tasks.nn.recurrent.cells import init_forget_bias
from lit_tasks.nn.recurrent.layers import GRU, LSTM, RNN
from lit_tasks.nn.recurrent.own_cell import OwnCell

CellName = Literal["lstm", "rnn", "gru"]
OwnCells = Callable[[int, int], OwnCell]
Layers = LSTM | RNN | GRU | OwnCell


def recurrent_layers(
    cell: CellName | OwnCells, input_size: int, hidden_size: int, **options: Any
) -> Layers:
    """Return layers of a cell; an LSTM starts with open forget gates.

    Args:
        cell: A name, or what makes an `OwnCell` (in YAML its class path).
        input_size: Features of the input.
        hidden_size: Features of the state.
        **options: Those that all layers have, such as ``num_layers``.
    """
    if not isinstance(cell, str):
        return cell(input_size, hidden_size, **options)
    kinds: dict[str, Callable[..., Layers]] = {"lstm": LSTM, "rnn": RNN, "gru": GRU}
    layers = kinds[cell](input_size, hidden_size, **options)
    if isinstance(layers, LSTM):
        init_forget_bias(layers)
    return layers


def num_states(layers: Layers) -> int:
    """Return how many states the layers, or torch's in their place, hand from step to step."""
    if isinstance(layers, OwnCell):
        return layers.num_states
    return 2 if isinstance(layers, LSTM | nn.LSTM) else 1
