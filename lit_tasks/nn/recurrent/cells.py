"""torch's recurrent cells on derivatives of our own; names, start and state dict are torch's."""

import torch
from torch import Tensor, nn

from lit_tasks.functional.recurrent.cells import (
    gru_cell,
    lstm_cell,
    rnn_relu_cell,
    rnn_tanh_cell,
)
from lit_tasks.nn.recurrent.packed_inputs import (
    autocast_enabled,
    one_state,
    to_autocast_dtype,
    two_states,
)
from lit_tasks.torch_internals import traced

LSTMState = tuple[Tensor, Tensor]


def _weights(module: nn.RNNCellBase) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """Return both weights and both biases."""
    weights = (module.weight_ih, module.weight_hh)
    biases = (module.bias_ih, module.bias_hh) if module.bias else (None, None)
    if not autocast_enabled(weights[0]):
        return *weights, *biases
    w_ih, w_hh = map(to_autocast_dtype, weights)
    b_ih, b_hh = (None if bias is None else to_autocast_dtype(bias) for bias in biases)
    return w_ih, w_hh, b_ih, b_hh


def _checked(module: nn.RNNCellBase, input: Tensor, **states: Tensor | None) -> list[Tensor]:
    """Return input and states with a batch dimension, zeros where a state is missing.

    Raises:
        ValueError: When a shape or a type does not fit the cell.
    """
    *batch, features = input.shape
    if len(batch) > 1 or features != module.input_size:
        raise ValueError(
            f"input must have shape (B, {module.input_size}) or ({module.input_size},), "
            f"got {tuple(input.shape)}"
        )
    lowered, kind = autocast_enabled(input), module.weight_ih.dtype
    shape, zeros = (*batch, module.hidden_size), None
    found, names = [input], ["input", *states]
    for name, tensor in states.items():
        if tensor is None:
            tensor = zeros = input.new_zeros(shape) if zeros is None else zeros
        elif tensor.shape != shape:
            raise ValueError(f"{name} must have shape {shape}, got {tuple(tensor.shape)}")
        found.append(tensor)
    if lowered:
        found = [to_autocast_dtype(tensor) for tensor in found]
    for name, tensor in zip(names, found, strict=True):
        if tensor.dtype is not kind and not lowered:
            raise ValueError(
                f"{name} dtype ({tensor.dtype}) does not match weight dtype ({kind}). Convert it: "
                f"{name}.to({kind}), or convert the cell: cell.to({tensor.dtype})"
            )
    return found if batch else [tensor.unsqueeze(0) for tensor in found]


class RNNCell(nn.RNNCell):
    """`torch.nn.RNNCell` on `lit_tasks.functional.recurrent.cells`."""

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """Return the next ``h``, ``(B, H)``, or ``(H,)`` without a batch; no ``hx`` means zeros.

        Raises:
            ValueError: The nonlinearity is neither tanh nor relu, or a shape or type does not fit.
        """
        if self.nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"nonlinearity must be 'tanh' or 'relu', got {self.nonlinearity!r}")
        if traced():
            return super().forward(input, hx)
        x, h = _checked(self, input, hx=one_state(hx))
        cell = rnn_tanh_cell if self.nonlinearity == "tanh" else rnn_relu_cell
        found = cell(x, h, *_weights(self))
        return found if input.dim() == 2 else found.squeeze(0)


class GRUCell(nn.GRUCell):
    """`torch.nn.GRUCell` on `lit_tasks.functional.recurrent.cells`."""

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """Return the next ``h``, ``(B, H)``, or ``(H,)`` without a batch; no ``hx`` means zeros."""
        if traced():
            return super().forward(input, hx)
        x, h = _checked(self, input, hx=one_state(hx))
        found = gru_cell(x, h, *_weights(self))
        return found if input.dim() == 2 else found.squeeze(0)


class LSTMCell(nn.LSTMCell):
    """`torch.nn.LSTMCell` on `lit_tasks.functional.recurrent.cells`."""

    def forward(self, input: Tensor, hx: LSTMState | None = None) -> LSTMState:
        """Return the next ``(h, c)``, each ``(B, H)`` or ``(H,)``; no ``hx`` means zeros."""
        if traced():
            return super().forward(input, hx)
        x, h, c = _checked(self, input, **two_states(hx))
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
