"""torch's recurrent cells on derivatives of our own; names, start and state dict are torch's."""

import torch
from torch import Tensor, nn

from lit_tasks.functional.recurrent.cells import lstm_cell, rnn_relu_cell, rnn_tanh_cell
from lit_tasks.nn.recurrent.layers import to_autocast_dtype

LSTMState = tuple[Tensor, Tensor]


def _weights(module: nn.RNNCellBase) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """Return both weights and both biases."""
    w_ih, w_hh = to_autocast_dtype(module.weight_ih), to_autocast_dtype(module.weight_hh)
    if not module.bias:
        return w_ih, w_hh, None, None
    return w_ih, w_hh, to_autocast_dtype(module.bias_ih), to_autocast_dtype(module.bias_hh)


def _checked(module: nn.RNNCellBase, input: Tensor, **states: Tensor | None) -> list[Tensor]:
    """Return input and states with a batch dimension, zeros where a state is missing.

    Raises:
        ValueError: When a shape does not fit the cell.
    """
    if input.dim() not in (1, 2) or input.shape[-1] != module.input_size:
        raise ValueError(
            f"input must have shape (B, {module.input_size}) or ({module.input_size},), "
            f"got {tuple(input.shape)}"
        )
    shape = (*input.shape[:-1], module.hidden_size)
    found = [input]
    for name, state in states.items():
        if state is not None and tuple(state.shape) != shape:
            raise ValueError(f"{name} must have shape {shape}, got {tuple(state.shape)}")
        found.append(input.new_zeros(shape) if state is None else state)
    return [
        to_autocast_dtype(tensor if input.dim() == 2 else tensor.unsqueeze(0)) for tensor in found
    ]


class RNNCell(nn.RNNCell):
    """`torch.nn.RNNCell` on `lit_tasks.functional.recurrent.cells`."""

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """Return the next ``h``, ``(B, H)``, or ``(H,)`` without a batch; no ``hx`` means zeros."""
        x, h = _checked(self, input, hx=hx)
        cell = rnn_tanh_cell if self.nonlinearity == "tanh" else rnn_relu_cell
        found = cell(x, h, *_weights(self))
        return found if input.dim() == 2 else found.squeeze(0)


class LSTMCell(nn.LSTMCell):
    """`torch.nn.LSTMCell` on `lit_tasks.functional.recurrent.cells`."""

    def forward(self, input: Tensor, hx: LSTMState | None = None) -> LSTMState:
        """Return the next ``(h, c)``, each ``(B, H)`` or ``(H,)``; no ``hx`` means zeros."""
        given = (None, None) if hx is None else hx
        x, h, c = _checked(self, input, **{"hx[0]": given[0], "hx[1]": given[1]})
        h, c = lstm_cell(x, (h, c), *_weights(self))
        return (h, c) if input.dim() == 2 else (h.squeeze(0), c.squeeze(0))


@torch.no_grad()
def init_forget_bias(lstm: nn.Module) -> None:
    """Start an LSTM or its cell with forget gates open (bias 1), so that early inputs last.

    Source: Jozefowicz, Zaremba and Sutskever (2015).
    """
    for name, bias in lstm.named_parameters():
        if name.startswith("bias_ih"):
            size = len(bias) // 4
            bias[size : 2 * size] += 1
