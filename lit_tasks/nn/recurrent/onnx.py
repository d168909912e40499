"""Recurrent layers as the operators that ONNX has for them, lengths included.

An exported model must not need our library, and ONNX's operators mean the same as our layers.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

#: Where ONNX's gates are among torch's: an LSTM's are input, output, forget, cell there, a GRU's
#: update, reset, new.
ORDER = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2), "RNN": (0,)}


def onnx_lstm(
    module: nn.LSTM, input: Tensor, hx: tuple[Tensor, Tensor] | None, lengths: Tensor | None
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Return what the layer returns, as nodes of ONNX."""
    states = (None, None) if hx is None else hx
    output, h_n, c_n = _stack(module, "LSTM", input, list(states), lengths, {})
    return output, (h_n, c_n)


def onnx_rnn(
    module: nn.RNN, input: Tensor, hx: Tensor | None, lengths: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return what the layer returns, as nodes of ONNX."""
    activation = "Tanh" if module.nonlinearity == "tanh" else "Relu"
    names = [activation] * (1 + module.bidirectional)
    output, h_n = _stack(module, "RNN", input, [hx], lengths, {"activations": names})
    return output, h_n


def onnx_gru(
    module: nn.GRU, input: Tensor, hx: Tensor | None, lengths: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return what the layer returns, as nodes of ONNX."""
    attributes = {"linear_before_reset": 1}  # torch's reset gate acts behind the product
    output, h_n = _stack(module, "GRU", input, [hx], lengths, attributes)
    return output, h_n


def _stack(
    module: nn.RNNBase,
    operator: str,
    input: Tensor,
    states: list[Tensor | None],
    lengths: Tensor | None,
    attributes: Mapping[str, list[str] | int],
) -> tuple[Tensor, ...]:
    single = input.dim() == 2
    x = input.unsqueeze(1) if single else input.transpose(0, 1) if module.batch_first else input
    ways, hidden = 1 + module.bidirectional, module.hidden_size
    steps, batch = x.shape[0], x.shape[1]
    direction = "bidirectional" if module.bidirectional else "forward"
    sizes = None if lengths is None else lengths.to(torch.int32)
    ends: list[list[Tensor]] = [[] for _ in states]
    for layer in range(module.num_layers):
        own = slice(layer * ways, (layer + 1) * ways)
        starts = [_start(x, state, own, ways, hidden, single) for state in states]
        found = torch.onnx.ops.symbolic_multi_out(
            operator,
            (x, *_weights(module, own, operator), sizes, *starts),
            {"hidden_size": hidden, "direction": direction, **attributes},
            dtypes=[x.dtype] * (1 + len(states)),
            shapes=[(steps, ways, batch, hidden)] + [(ways, batch, hidden)] * len(states),
            version=14,
        )
        for column, end in zip(ends, found[1:], strict=True):
            column.append(end)
        x = found[0].transpose(1, 2).flatten(2)
    last = [torch.cat(column) for column in ends]
    if single:
        return x.squeeze(1), *(end.squeeze(1) for end in last)
    return x.transpose(0, 1) if module.batch_first else x, *last


def _start(
    x: Tensor, state: Tensor | None, own: slice, ways: int, hidden: int, single: bool
) -> Tensor:
    """Return the initial states of one layer."""
    if state is None:
        return x.new_zeros(ways, x.shape[1], hidden)
    return (state.unsqueeze(1) if single and state.dim() == 2 else state)[own]


def _weights(module: nn.RNNBase, own: slice, operator: str) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return the input's and the state's weights and both biases of one layer in ONNX's order."""

    def ordered(weight: Tensor) -> Tensor:
        gates = weight.chunk(len(ORDER[operator]))
        return torch.cat([gates[index] for index in ORDER[operator]])

    ways = [[ordered(weight) for weight in weights] for weights in module.all_weights[own]]
    w_ih = torch.stack([way[0] for way in ways])
    w_hh = torch.stack([way[1] for way in ways])
    if not module.bias:
        return w_ih, w_hh, None
    return w_ih, w_hh, torch.stack([torch.cat(way[2:]) for way in ways])
