r"""RNN and LSTM with layer normalization, recurrent dropout and zoneout, each derived by hand.

For one step, with :math:`N` the normalization of a row (:func:`layer_norm_forward`), :math:`m` a
mask that stays the same over all steps, and :math:`k` a mask drawn anew for each:

.. math::
    z &= N_x(x_t W_x^T) + N_h((m h_{t-1}) W_h^T) + b \\
    \tilde c &= f c_{t-1} + i g, \quad \tilde h = o \tanh N_c(\tilde c) \\
    c_t &= c_{t-1} + k_c (\tilde c - c_{t-1}), \quad h_t = h_{t-1} + k_h (\tilde h - h_{t-1})

Sources: Ba, Kiros and Hinton (2016) for the normalization, Gal and Ghahramani (2016) for the mask
on the state, Krueger et al. (2017) for zoneout. Everything here is written without changing a
tensor, so the derivative can be derived again. Equation numbers are those of
``docs/derivations.md``.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lit_tasks.functional.recurrent.lstm import lstm_cell_forward
from lit_tasks.functional.recurrent.packing import previous_rows
from lit_tasks.functional.recurrent.rnn import Nonlinearity, rnn_cell_backward, rnn_cell_forward

EPSILON = 1e-5


class Options(NamedTuple):
    """What is switched on; ``None`` leaves a part out.

    Attributes:
        gain_x: Scale of the normalized product of the input, one for each of the gates' rows.
        gain_h: Scale of the normalized product of the state.
        gain_c: Scale of the normalized cell state (LSTM only).
        shift_c: Shift of the normalized cell state (LSTM only).
        mask: Factor of each sequence's previous hidden state, ``(B, H)``, the same at all steps.
        update_h: Fraction of the new hidden state in each packed row, ``(N, H)`` or ``(1, 1)``.
        update_c: Fraction of the new cell state likewise (LSTM only).
    """

    gain_x: Tensor | None = None
    gain_h: Tensor | None = None
    gain_c: Tensor | None = None
    shift_c: Tensor | None = None
    mask: Tensor | None = None
    update_h: Tensor | None = None
    update_c: Tensor | None = None


def layer_norm_forward(
    u: Float[Tensor, "B F"], gain: Float[Tensor, " F"] | None
) -> tuple[Float[Tensor, "B F"], Float[Tensor, "B F"], Float[Tensor, "B 1"]]:
    """Return the scaled rows, the rows of mean 0 and variance 1, and what they were divided by.

    No gain means no normalization at all.
    """
    if gain is None:
        return u, u, u
    centered = u - u.mean(1, keepdim=True)
    deviation = (centered.square().mean(1, keepdim=True) + EPSILON).sqrt()
    normal = centered / deviation
    return normal * gain, normal, deviation  # eq. (50)


def layer_norm_backward(
    grad: Float[Tensor, "B F"],
    normal: Float[Tensor, "B F"],
    deviation: Float[Tensor, "B 1"],
    gain: Float[Tensor, " F"] | None,
) -> Float[Tensor, "B F"]:
    """Return the gradient of the rows before normalization."""
    if gain is None:
        return grad
    bar = grad * gain
    along = (bar * normal).mean(1, keepdim=True)
    return (bar - bar.mean(1, keepdim=True) - normal * along) / deviation  # eq. (51)


def _rows(tensor: Tensor | None, rows: slice) -> Tensor | None:
    """Return a step's rows of a mask; one that is the same everywhere has a single row."""
    return tensor if tensor is None or tensor.shape[0] == 1 else tensor[rows]


def _mixed(old: Tensor, new: Tensor, weight: Tensor | None) -> Tensor:
    return new if weight is None else old + weight * (new - old)  # eq. (53)


def _masked(h: Tensor, mask: Tensor | None) -> Tensor:
    return h if mask is None else h * mask[: h.shape[0]]  # eq. (52)


def _parted(bar: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor | float]:
    """Return the gradient of the new state and of the old one past the step."""
    return (bar, 0.0) if weight is None else (weight * bar, (1 - weight) * bar)  # eq. (54)


def _before(
    states: Tensor, initial: Tensor, batch_sizes: Tensor, mask: Tensor | None
) -> Float[Tensor, "N H"]:
    """Return the masked state before each packed row's step."""
    before = previous_rows(states, initial, batch_sizes)
    if mask is None or not states.shape[0]:
        return before
    return before * torch.cat([mask[:size] for size in batch_sizes.tolist()])


class Trace(NamedTuple):
    """All states of a run of an LSTM, packed.

    Attributes:
        output: Hidden states after each step.
        cells: Cell states after each step.
        new_cells: Cell states before zoneout.
        gates: Gates after activation.
    """

    output: Tensor
    cells: Tensor
    new_cells: Tensor
    gates: Tensor


def regularized_lstm_forward(
    input: Float[Tensor, "N I"],
    h0: Float[Tensor, "B H"],
    c0: Float[Tensor, "B H"],
    w_ih: Float[Tensor, "4*H I"],
    w_hh: Float[Tensor, "4*H H"],
    bias: Float[Tensor, " 4*H"] | None,
    batch_sizes: Int[Tensor, " T"],
    options: Options,
) -> Trace:
    """Run an LSTM over packed sequences; see the module for the formulas."""
    x = layer_norm_forward(input @ w_ih.t(), options.gain_x)[0]
    h, c, start = h0, c0, 0
    columns: list[tuple[Tensor, ...]] = []
    for size in batch_sizes.tolist():
        rows = slice(start, start + size)
        start += size
        h, c = h[:size], c[:size]
        z = x[rows] + layer_norm_forward(_masked(h, options.mask) @ w_hh.t(), options.gain_h)[0]
        _, c_new, gates = lstm_cell_forward(z if bias is None else z + bias, c)
        exposed, _, _ = layer_norm_forward(c_new, options.gain_c)
        exposed = exposed if options.shift_c is None else exposed + options.shift_c
        h_new = gates.chunk(4, dim=1)[3] * exposed.tanh()
        h = _mixed(h, h_new, _rows(options.update_h, rows))
        c = _mixed(c, c_new, _rows(options.update_c, rows))
        columns.append((h, c, c_new, gates))
    if not columns:
        none, wide = input.new_zeros(0, h0.shape[1]), input.new_zeros(0, w_hh.shape[0])
        return Trace(none, none, none, wide)
    return Trace(*(torch.cat(column) for column in zip(*columns, strict=True)))


def regularized_lstm_backward(
    grad_output: Tensor | None,
    grad_h_n: Tensor | None,
    grad_c_n: Tensor | None,
    grad_cells: Tensor | None,
    trace: Trace,
    input: Float[Tensor, "N I"],
    h0: Float[Tensor, "B H"],
    c0: Float[Tensor, "B H"],
    w_ih: Float[Tensor, "4*H I"],
    w_hh: Float[Tensor, "4*H H"],
    batch_sizes: Int[Tensor, " T"],
    options: Options,
) -> tuple[Tensor, ...]:
    """Return the gradients of what `Trace` came from.

    In this order: ``input, w_ih, gain_x, h0, c0, w_hh, bias, gain_h, gain_c, shift_c``.

    All normalizations are recomputed for all steps at once: their rows are known by now.
    """
    c_before = previous_rows(trace.cells, c0, batch_sizes)
    h_before = _before(trace.output, h0, batch_sizes, options.mask)
    _, normal_h, deviation_h = layer_norm_forward(h_before @ w_hh.t(), options.gain_h)
    exposed, normal_c, deviation_c = layer_norm_forward(trace.new_cells, options.gain_c)
    exposed = exposed if options.shift_c is None else exposed + options.shift_c
    t = exposed.tanh()
    i, f, g, o = trace.gates.chunk(4, dim=1)
    carry_h = torch.zeros_like(h0) if grad_h_n is None else grad_h_n
    carry_c = torch.zeros_like(c0) if grad_c_n is None else grad_c_n
    columns: list[tuple[Tensor, ...]] = []
    stop = input.shape[0]
    for size in reversed(batch_sizes.tolist()):
        r = slice(stop - size, stop)
        stop -= size
        bar_h = carry_h[:size] if grad_output is None else carry_h[:size] + grad_output[r]
        bar_c = carry_c[:size] if grad_cells is None else carry_c[:size] + grad_cells[r]
        bar_h_new, bar_h_old = _parted(bar_h, _rows(options.update_h, r))
        bar_c_new, bar_c_old = _parted(bar_c, _rows(options.update_c, r))
        bar_exposed = bar_h_new * o[r] * (1 - t[r] ** 2)
        delta = bar_c_new + layer_norm_backward(  # eq. (55)
            bar_exposed, normal_c[r], deviation_c[r], options.gain_c
        )
        grad_z = torch.cat(
            (
                delta * g[r] * i[r] * (1 - i[r]),
                delta * c_before[r] * f[r] * (1 - f[r]),
                delta * i[r] * (1 - g[r] ** 2),
                bar_h_new * t[r] * o[r] * (1 - o[r]),
            ),
            dim=1,
        )
        grad_u = layer_norm_backward(grad_z, normal_h[r], deviation_h[r], options.gain_h)
        h_old = _masked(grad_u @ w_hh, options.mask) + bar_h_old
        carry_h = torch.cat((h_old, carry_h[size:]))
        carry_c = torch.cat((delta * f[r] + bar_c_old, carry_c[size:]))
        columns.append((grad_z, grad_u, bar_exposed))
    if not columns:
        columns = [(trace.gates, trace.gates, trace.cells)]
    grad_z, grad_u, bar_exposed = (torch.cat(column[::-1]) for column in zip(*columns, strict=True))
    return (
        *_of_input(grad_z, input, w_ih, options.gain_x),
        carry_h,
        carry_c,
        grad_u.t() @ h_before,
        grad_z.sum(0),
        (grad_z * normal_h).sum(0),  # eq. (56)
        (bar_exposed * normal_c).sum(0),
        bar_exposed.sum(0),
    )


def _of_input(
    grad_z: Tensor, input: Tensor, w_ih: Tensor, gain: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of the input, of its weights and of the scale of their product."""
    _, normal, deviation = layer_norm_forward(input @ w_ih.t(), gain)
    grad_u = layer_norm_backward(grad_z, normal, deviation, gain)
    return grad_u @ w_ih, grad_u.t() @ input, (grad_z * normal).sum(0)


def regularized_rnn_forward(
    input: Float[Tensor, "N I"],
    h0: Float[Tensor, "B H"],
    w_ih: Float[Tensor, "H I"],
    w_hh: Float[Tensor, "H H"],
    bias: Float[Tensor, " H"] | None,
    batch_sizes: Int[Tensor, " T"],
    options: Options,
    nonlinearity: Nonlinearity = "tanh",
) -> tuple[Float[Tensor, "N H"], Float[Tensor, "N H"]]:
    """Return the hidden states of an RNN after and before zoneout."""
    x = layer_norm_forward(input @ w_ih.t(), options.gain_x)[0]
    h, start = h0, 0
    columns: list[tuple[Tensor, ...]] = []
    for size in batch_sizes.tolist():
        rows = slice(start, start + size)
        start += size
        h = h[:size]
        z = x[rows] + layer_norm_forward(_masked(h, options.mask) @ w_hh.t(), options.gain_h)[0]
        fresh = rnn_cell_forward(z if bias is None else z + bias, nonlinearity)
        h = _mixed(h, fresh, _rows(options.update_h, rows))
        columns.append((h, fresh))
    if not columns:
        return input.new_zeros(0, h0.shape[1]), input.new_zeros(0, h0.shape[1])
    output, all_fresh = (torch.cat(column) for column in zip(*columns, strict=True))
    return output, all_fresh


def regularized_rnn_backward(
    grad_output: Tensor | None,
    grad_h_n: Tensor | None,
    output: Float[Tensor, "N H"],
    fresh: Float[Tensor, "N H"],
    input: Float[Tensor, "N I"],
    h0: Float[Tensor, "B H"],
    w_ih: Float[Tensor, "H I"],
    w_hh: Float[Tensor, "H H"],
    batch_sizes: Int[Tensor, " T"],
    options: Options,
    nonlinearity: Nonlinearity = "tanh",
) -> tuple[Tensor, ...]:
    """Return the gradients in the order of `regularized_lstm_backward`, without a cell's."""
    h_before = _before(output, h0, batch_sizes, options.mask)
    _, normal_h, deviation_h = layer_norm_forward(h_before @ w_hh.t(), options.gain_h)
    carry = torch.zeros_like(h0) if grad_h_n is None else grad_h_n
    columns: list[tuple[Tensor, ...]] = []
    stop = input.shape[0]
    for size in reversed(batch_sizes.tolist()):
        r = slice(stop - size, stop)
        stop -= size
        bar = carry[:size] if grad_output is None else carry[:size] + grad_output[r]
        bar_new, bar_old = _parted(bar, _rows(options.update_h, r))
        grad_z = rnn_cell_backward(bar_new, fresh[r], nonlinearity)
        grad_u = layer_norm_backward(grad_z, normal_h[r], deviation_h[r], options.gain_h)
        carry = torch.cat((_masked(grad_u @ w_hh, options.mask) + bar_old, carry[size:]))
        columns.append((grad_z, grad_u))
    if not columns:
        columns = [(output, output)]
    grad_z, grad_u = (torch.cat(column[::-1]) for column in zip(*columns, strict=True))
    return (
        *_of_input(grad_z, input, w_ih, options.gain_x),
        carry,
        grad_u.t() @ h_before,
        grad_z.sum(0),
        (grad_z * normal_h).sum(0),
    )
