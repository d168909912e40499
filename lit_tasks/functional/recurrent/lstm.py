r"""The LSTM: one step and a whole sequence, value and derivative, then the seams to autograd.

.. math::
    i, f, o = \sigma(z_i), \sigma(z_f), \sigma(z_o), \quad g = \tanh z_g, \quad
    c_t = f c_{t-1} + i g, \quad h_t = o \tanh c_t, \quad
    z = x_t W_x^T + h_{t-1} W_h^T + b

Numbers like ``eq. (29)`` are those of ``docs/derivations.md``. Gates lie side by side in torch's
order: input, forget, cell, output. Sequences are packed (see `packing`): the rows of step ``t`` are
``batch_sizes[t]`` many, and the rows of one step carry on from the first rows of the step before.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lit_tasks.functional.recurrent import fused as fused_step
from lit_tasks.functional.recurrent import loops
from lit_tasks.functional.recurrent.loops import (
    GRAD_ROWS,
    KEPT_ROWS,
    SCRATCH_ROWS,
    carried,
    transposed,
)
from lit_tasks.functional.recurrent.packing import blocks, last_rows, previous_rows
from lit_tasks.functional.recurrent.sequences import LSTMGrads, LSTMSaved, LSTMSequence, Six


def lstm_cell_forward(
    z: Float[Tensor, "B 4*H"], c: Float[Tensor, "B H"]
) -> tuple[Float[Tensor, "B H"], Float[Tensor, "B H"], Float[Tensor, "B 4*H"]]:
    """Return ``h``, ``c`` and the four gates of one step from the gates before activation."""
    z_i, z_f, z_g, z_o = z.chunk(4, dim=1)
    i, f, g, o = z_i.sigmoid(), z_f.sigmoid(), z_g.tanh(), z_o.sigmoid()
    c_next = f * c + i * g
    return o * c_next.tanh(), c_next, torch.cat((i, f, g, o), dim=1)


def lstm_cell_backward(
    grad_h: Float[Tensor, "B H"],
    grad_c: Float[Tensor, "B H"],
    c: Float[Tensor, "B H"],
    c_next: Float[Tensor, "B H"],
    gates: Float[Tensor, "B 4*H"],
    grad_gates: Float[Tensor, "B 4*H"] | None = None,
) -> tuple[Float[Tensor, "B 4*H"], Float[Tensor, "B H"]]:
    r"""Return the gradients of the gates before activation and of the previous ``c``.

    Write :math:`t = \tanh c'`. From :math:`h' = o t` and :math:`c' = f c + i g`, the whole
    gradient that reaches :math:`c'` is :math:`\delta = \bar c' + \bar h' o (1 - t^2)`.

    Args:
        grad_h: Whole gradient of this step's ``h``, from its own output and from the next step.
        grad_c: Gradient of this step's ``c`` that does not come through ``h``.
        c: State before the step.
        c_next: State after it.
        gates: After activation.
        grad_gates: Gradient that reaches the gates directly; only second derivatives have one.
    """
    i, f, g, o = gates.chunk(4, dim=1)
    t = c_next.tanh()
    delta = grad_c + grad_h * o * (1 - t**2)
    # eq. (14), eq. (13), eq. (15), eq. (16): torch's order of gates is input, forget, cell, output
    bar = torch.cat((delta * g, delta * c, delta * i, grad_h * t), dim=1)
    if grad_gates is not None:
        bar = bar + grad_gates
    bar_i, bar_f, bar_g, bar_o = bar.chunk(4, dim=1)
    grad_z = (bar_i * i * (1 - i), bar_f * f * (1 - f), bar_g * (1 - g**2), bar_o * o * (1 - o))
    return torch.cat(grad_z, dim=1), delta * f  # eq. (29)


def lstm_forward(
    input: Float[Tensor, "N I"],
    h0: Float[Tensor, "B H"],
    c0: Float[Tensor, "B H"],
    w_ih: Float[Tensor, "4*H I"],
    w_hh: Float[Tensor, "4*H H"],
    bias: Float[Tensor, " 4*H"] | None,
    batch_sizes: Int[Tensor, " T"],
    keep: bool = True,
    fused: bool = False,
) -> LSTMSequence:
    """Run over packed sequences from their initial states.

    What the input adds to the gates is one product for many steps, since no state is in it; the
    states' own product is added to it step by step, in place.

    The gates, which the derivative needs, are returned when ``keep`` is set; otherwise there are
    none. ``fused`` uses the compiled loop where it can run.
    """
    if fused and fused_step.loop_usable(input, h0, c0, w_ih, w_hh, bias):
        return loops.lstm_forward(input, h0, c0, w_ih, w_hh, bias, batch_sizes, keep)
    hidden = h0.shape[1]
    states = input.shape[0], hidden
    output, cells = input.new_empty(states), input.new_empty(states)
    all_blocks = blocks(batch_sizes.tolist(), KEPT_ROWS if keep else SCRATCH_ROWS)
    max_rows = max((block.total for block in all_blocks), default=0)
    gates = input.new_empty(input.shape[0] if keep else 0, 4 * hidden)
    scratch = input.new_empty(0 if keep else max_rows, 4 * hidden)
    w_x, w_h = transposed(w_ih), transposed(w_hh)
    h, c = h0.contiguous(), c0.contiguous()
    fused = fused and fused_step.usable(output, h, c, bias)
    for block in all_blocks:
        z_block = gates[block.rows] if keep else scratch[: block.total]
        if bias is None or fused:
            torch.mm(input[block.rows], w_x, out=z_block)
        else:
            torch.addmm(bias, input[block.rows], w_x, out=z_block)
        rows = z_block, output[block.rows], cells[block.rows]
        for z, h_next, c_next in zip(*(part.split(block.sizes) for part in rows), strict=True):
            z.addmm_(h[: z.shape[0]], w_h)
            if fused:
                fused_step.lstm_forward_step(z, bias, c[: z.shape[0]], c_next, h_next)
            else:
                _forward_step_(z, c[: z.shape[0]], c_next, h_next)
            h, c = h_next, c_next
    ends = last_rows(output, h0, batch_sizes), last_rows(cells, c0, batch_sizes)
    return LSTMSequence(output, *ends, cells, gates)


def _forward_step_(
    z: Float[Tensor, "B 4*H"],
    c: Float[Tensor, "B H"],
    c_next: Float[Tensor, "B H"],
    h: Float[Tensor, "B H"],
) -> None:
    """Do `lstm_cell_forward` without new tensors: ``z`` becomes the gates."""
    i, f, g, o = z.chunk(4, dim=1)
    z[:, : 2 * h.shape[1]].sigmoid_()
    g.tanh_()
    o.sigmoid_()
    torch.mul(f, c, out=c_next).addcmul_(i, g)
    torch.tanh(c_next, out=h).mul_(o)


def lstm_backward(
    grads: LSTMGrads,
    saved: LSTMSaved,
    needs_input: bool = True,
    needs_state: bool = True,
    fused: bool = False,
) -> Six:
    """Return the gradients of ``input, h0, c0, w_ih, w_hh, bias``; that of gates is not looked at.

    The recursion is left with a product of matrices and what depends on the next step. All else
    is computed for a block of many steps at once: the factors of the gates, the gradient of the
    input, and the sums over time that are the gradients of the weights. The gradient of the input
    is left empty unless ``needs_input``, and that of ``h0`` means nothing unless ``needs_state``.
    """
    if fused and fused_step.loop_usable(*saved[:-1], *grads):
        return loops.lstm_backward(grads, saved, needs_input, needs_state)
    x, h0, c0, w_ih, w_hh, output, cells, gates, batch_sizes = saved
    grad_h, grad_c = carried(grads.h_n, h0), carried(grads.c_n, c0)
    grad_output = None if grads.output is None else grads.output.contiguous()
    grad_cells = None if grads.cells is None else grads.cells.contiguous()
    grad_input = torch.empty_like(x) if needs_input else x.new_empty(0, x.shape[1])
    grad_w_ih, grad_w_hh = torch.zeros_like(w_ih), torch.zeros_like(w_hh)
    grad_bias = w_ih.new_zeros(w_ih.shape[0])
    fused = fused and fused_step.usable(gates, cells, grad_h, grad_c, grad_output, grad_cells)
    all_blocks = blocks(batch_sizes.tolist(), GRAD_ROWS)
    scratch = gates.new_empty(
        max((block.total for block in all_blocks), default=0), 4 * h0.shape[1]
    )
    for block in reversed(all_blocks):
        before = block.before(cells, c0), block.before(output, h0)
        grad_z = scratch[: block.total]
        through_h = (
            None if fused else _factors(cells[block.rows], before[0], gates[block.rows], out=grad_z)
        )
        stop = block.total
        for size in reversed(block.sizes):
            own = slice(stop - size, stop)
            rows = slice(block.start + stop - size, block.start + stop)
            stop -= size
            dh, dc, dz = grad_h[:size], grad_c[:size], grad_z[own]
            of_h = None if grad_output is None else grad_output[rows]
            of_c = None if grad_cells is None else grad_cells[rows]
            if through_h is None:
                step = gates[rows], before[0][own], cells[rows]
                fused_step.lstm_backward_step(*step, dh, of_h, of_c, dc, dz)
            else:
                _backward_step_(gates[rows], through_h[own], dh, of_h, of_c, dc, dz)
            torch.mm(dz, w_hh, out=dh)
        if needs_input:
            torch.mm(grad_z, w_ih, out=grad_input[block.rows])
        grad_w_ih.addmm_(grad_z.t(), x[block.rows])
        grad_w_hh.addmm_(grad_z.t(), before[1])
        grad_bias += grad_z.sum(0)
    return grad_input, grad_h, grad_c, grad_w_ih, grad_w_hh, grad_bias


def lstm_forward_by_steps(
    input: Float[Tensor, "N I"],
    h0: Float[Tensor, "B H"],
    c0: Float[Tensor, "B H"],
    w_ih: Float[Tensor, "4*H I"],
    w_hh: Float[Tensor, "4*H H"],
    bias: Float[Tensor, " 4*H"] | None,
    batch_sizes: Int[Tensor, " T"],
) -> LSTMSequence:
    """Do `lstm_forward` without changing a tensor, so that torch can derive it in any way."""
    sums_x = input @ w_ih.t() if bias is None else input @ w_ih.t() + bias
    h, c, steps = h0, c0, []
    for sum_x in sums_x.split(batch_sizes.tolist()):
        size = sum_x.shape[0]
        h, c, gates = lstm_cell_forward(sum_x + h[:size] @ w_hh.t(), c[:size])
        steps.append((h, c, gates))
    if not steps:
        return LSTMSequence(sums_x[:, : h0.shape[1]], h0, c0, sums_x[:, : h0.shape[1]], sums_x)
    output, cells, gates = (torch.cat(column) for column in zip(*steps, strict=True))
    ends = last_rows(output, h0, batch_sizes), last_rows(cells, c0, batch_sizes)
    return LSTMSequence(output, *ends, cells, gates)


def _factors(
    cells: Float[Tensor, "N H"],
    before: Float[Tensor, "N H"],
    gates: Float[Tensor, "N 4*H"],
    out: Float[Tensor, "N 4*H"],
) -> Float[Tensor, "N H"]:
    """Write the factors of the gates' gradients; return that of ``h``'s own on its way to ``c``.

    The first three are multiplied with the gradient of ``c``, the last with that of ``h``.
    """
    i, f, g, o = gates.chunk(4, dim=1)
    t = cells.tanh()
    factors = (g * i * (1 - i), before * f * (1 - f), i * (1 - g**2), t * o * (1 - o))
    torch.cat(factors, dim=1, out=out)
    return o * (1 - t**2)


def _backward_step_(
    gates: Float[Tensor, "B 4*H"],
    through_h: Float[Tensor, "B H"],
    carry_h: Float[Tensor, "B H"],
    grad_output: Tensor | None,
    grad_cells: Tensor | None,
    carry_c: Float[Tensor, "B H"],
    grad_z: Float[Tensor, "B 4*H"],
) -> None:
    """Do `lstm_cell_backward` in place on ready factors: ``carry_c`` goes back by one step."""
    hidden = carry_c.shape[1]
    if grad_output is not None:
        carry_h += grad_output
    if grad_cells is not None:
        carry_c += grad_cells
    carry_c.addcmul_(carry_h, through_h)
    grad_z[:, : 3 * hidden].unflatten(1, (3, hidden)).mul_(carry_c.unsqueeze(1))
    grad_z[:, 3 * hidden :].mul_(carry_h)
    carry_c.mul_(gates[:, hidden : 2 * hidden])


def lstm_backward_by_steps(grads: LSTMGrads, saved: LSTMSaved) -> Six:
    """Return the gradients of ``input, h0, c0, w_ih, w_hh, bias``.

    Written with `lstm_cell_backward` and without changing a tensor, so it can be derived again.
    """
    grad_output, grad_h_n, grad_c_n, grad_cells, grad_gates = grads
    x, h0, c0, w_ih, w_hh, output, cells, gates, batch_sizes = saved
    sizes = batch_sizes.tolist()
    carry_h = torch.zeros_like(h0) if grad_h_n is None else grad_h_n  # eq. (34)
    carry_c = torch.zeros_like(c0) if grad_c_n is None else grad_c_n  # eq. (35)
    c_before = previous_rows(cells, c0, batch_sizes)
    grads_z = []
    stop = len(x)
    for size in reversed(sizes):
        rows = slice(stop - size, stop)
        stop -= size
        grad_h, grad_c = carry_h[:size], carry_c[:size]
        if grad_output is not None:
            grad_h = grad_h + grad_output[rows]
        if grad_cells is not None:
            grad_c = grad_c + grad_cells[rows]
        grad_z, grad_c = lstm_cell_backward(
            grad_h,
            grad_c,
            c_before[rows],
            cells[rows],
            gates[rows],
            None if grad_gates is None else grad_gates[rows],
        )
        carry_h = torch.cat((grad_z @ w_hh, carry_h[size:]))  # eq. (32)
        carry_c = torch.cat((grad_c, carry_c[size:]))  # eq. (33)
        grads_z.append(grad_z)
    grad_z = torch.cat(grads_z[::-1]) if grads_z else gates
    h_before = previous_rows(output, h0, batch_sizes)
    return (
        grad_z @ w_ih,  # eq. (48)
        carry_h,  # eq. (49)
        carry_c,
        grad_z.t() @ x,  # eq. (36), eq. (38), eq. (40), eq. (42)
        grad_z.t() @ h_before,  # eq. (37), eq. (39), eq. (41), eq. (43)
        grad_z.sum(0),  # eq. (44), eq. (45), eq. (46), eq. (47)
    )
