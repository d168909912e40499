r"""The gated recurrent unit: one step and a whole sequence, value and derivative.

.. math::
    r, z = \sigma(z_r), \sigma(z_z), \quad m = h_{t-1} W_h^{n T} + b_h^n, \quad
    n = \tanh(x_t W_x^{n T} + b_x^n + r m), \quad h_t = (1 - z) n + z h_{t-1}

Source: Cho et al. (2014), in torch's form, where the reset gate acts behind the product with the
state; so the two biases of the new state are not one. Numbers like ``eq. (50)`` are those of
``docs/derivations.md``. Gates lie side by side in torch's order: reset, update, new. Sequences are
packed (see `packing`).
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lit_tasks.functional.recurrent import loops
from lit_tasks.functional.recurrent.fused import loop_usable
from lit_tasks.functional.recurrent.loops import (
    GRAD_ROWS,
    KEPT_ROWS,
    SCRATCH_ROWS,
    carried,
    transposed,
)
from lit_tasks.functional.recurrent.packing import blocks, last_rows, previous_rows
from lit_tasks.functional.recurrent.sequences import GRUSaved, GRUSequence, RNNGrads, Six


def gru_cell_forward(
    sum_x: Float[Tensor, "B 3*H"], sum_h: Float[Tensor, "B 3*H"], h: Float[Tensor, "B H"]
) -> tuple[Float[Tensor, "B H"], Float[Tensor, "B 4*H"]]:
    """Return the next ``h``, and reset, update, new state and ``m``, from the sums of one step.

    Args:
        sum_x: What the input adds to the three sums, with its biases.
        sum_h: What the state adds, with its biases; the last third is ``m``.
        h: State before the step.
    """
    x_r, x_z, x_n = sum_x.chunk(3, dim=1)
    h_r, h_z, m = sum_h.chunk(3, dim=1)
    r, z = (x_r + h_r).sigmoid(), (x_z + h_z).sigmoid()
    n = (x_n + r * m).tanh()
    return n + z * (h - n), torch.cat((r, z, n, m), dim=1)


def gru_cell_backward(
    grad_h: Float[Tensor, "B H"], h: Float[Tensor, "B H"], gates: Float[Tensor, "B 4*H"]
) -> tuple[Float[Tensor, "B 3*H"], Float[Tensor, "B 3*H"], Float[Tensor, "B H"]]:
    """Return the gradients of both sums, and what reaches the previous ``h`` beside them.

    Args:
        grad_h: Whole gradient of this step's ``h``.
        h: State before the step.
        gates: Reset, update, new state and ``m`` of the step.
    """
    r, z, n, m = gates.chunk(4, dim=1)
    grad_n = grad_h * (1 - z) * (1 - n**2)  # eq. (50)
    grad_r = grad_n * m * r * (1 - r)  # eq. (51)
    grad_z = grad_h * (h - n) * z * (1 - z)  # eq. (52)
    grad_m = grad_n * r  # eq. (53)
    grad_x = torch.cat((grad_r, grad_z, grad_n), dim=1)
    return grad_x, torch.cat((grad_r, grad_z, grad_m), dim=1), grad_h * z


def gru_forward(
    input: Float[Tensor, "N I"],
    h0: Float[Tensor, "B H"],
    w_ih: Float[Tensor, "3*H I"],
    w_hh: Float[Tensor, "3*H H"],
    b_ih: Float[Tensor, " 3*H"] | None,
    b_hh: Float[Tensor, " 3*H"] | None,
    batch_sizes: Int[Tensor, " T"],
    keep: bool = True,
    fused: bool = False,
) -> GRUSequence:
    """Run over packed sequences from their initial states.

    The gates, which the derivative needs, are returned when ``keep`` is set; otherwise there are
    none. ``fused`` uses the compiled loop where it can run.
    """
    given = (input, h0, w_ih, w_hh, b_ih, b_hh)
    if fused and loop_usable(*given):
        return loops.gru_forward(*given, batch_sizes, keep)
    output = input.new_empty(input.shape[0], h0.shape[1])
    kept = []
    w_x, w_h, h = transposed(w_ih), transposed(w_hh), h0
    for block in blocks(batch_sizes.tolist(), KEPT_ROWS if keep else SCRATCH_ROWS):
        sums_x = _affine(input[block.rows], w_x, b_ih)
        own = output[block.rows].split(block.sizes)
        for sum_x, h_next in zip(sums_x.split(block.sizes), own, strict=True):
            h = h[: h_next.shape[0]]
            after, gates = gru_cell_forward(sum_x, _affine(h, w_h, b_hh), h)
            h = h_next.copy_(after)
            if keep:
                kept.append(gates)
    gates = torch.cat(kept) if kept else input.new_empty(0, 4 * h0.shape[1])
    return GRUSequence(output, last_rows(output, h0, batch_sizes), gates)


def _affine(rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return torch.mm(rows, weight) if bias is None else torch.addmm(bias, rows, weight)


def gru_forward_by_steps(
    input: Float[Tensor, "N I"],
    h0: Float[Tensor, "B H"],
    w_ih: Float[Tensor, "3*H I"],
    w_hh: Float[Tensor, "3*H H"],
    b_ih: Float[Tensor, " 3*H"] | None,
    b_hh: Float[Tensor, " 3*H"] | None,
    batch_sizes: Int[Tensor, " T"],
) -> GRUSequence:
    """Do `gru_forward` without changing a tensor, so that torch can derive it in any way."""
    sums_x = input @ w_ih.t() if b_ih is None else input @ w_ih.t() + b_ih
    h, outputs, kept = h0, [], []
    for sum_x in sums_x.split(batch_sizes.tolist()):
        h = h[: sum_x.shape[0]]
        sum_h = h @ w_hh.t() if b_hh is None else h @ w_hh.t() + b_hh
        h, gates = gru_cell_forward(sum_x, sum_h, h)
        outputs.append(h)
        kept.append(gates)
    output = torch.cat(outputs) if outputs else input.new_empty(0, h0.shape[1])
    gates = torch.cat(kept) if kept else input.new_empty(0, 4 * h0.shape[1])
    return GRUSequence(output, last_rows(output, h0, batch_sizes), gates)


def gru_backward(
    grads: RNNGrads,
    saved: GRUSaved,
    needs_input: bool = True,
    needs_state: bool = True,
    fused: bool = False,
) -> Six:
    """Return the gradients of ``input, h0, w_ih, w_hh, b_ih, b_hh``.

    The factors of the gates, the gradient of the input and the sums over time are computed for a
    block of many steps at once; that of the input is left empty unless ``needs_input``, and that of
    ``h0`` means nothing unless ``needs_state``.
    """
    if fused and loop_usable(*saved[:-1], *grads):
        return loops.gru_backward(grads, saved, needs_input, needs_state)
    x, h0, w_ih, w_hh, output, gates, batch_sizes = saved
    grad_h = carried(grads.h_n, h0)
    grad_input = torch.empty_like(x) if needs_input else x.new_empty(0, x.shape[1])
    found = [w_ih.new_zeros(w.shape) for w in (w_ih, w_hh, w_ih[:, 0], w_hh[:, 0])]
    for block in reversed(blocks(batch_sizes.tolist(), GRAD_ROWS)):
        h_before = block.before(output, h0)
        ones = torch.ones_like(h_before)
        factors_x, factors_h, through_z = gru_cell_backward(ones, h_before, gates[block.rows])
        stop = block.total
        for size in reversed(block.sizes):
            own = slice(stop - size, stop)
            rows = slice(block.start + stop - size, block.start + stop)
            stop -= size
            dh = grad_h[:size]
            if grads.output is not None:
                dh += grads.output[rows]
            for factors in (factors_x[own], factors_h[own]):
                factors.unflatten(1, (3, -1)).mul_(dh.unsqueeze(1))
            dh.mul_(through_z[own]).addmm_(factors_h[own], w_hh)
        if needs_input:
            torch.mm(factors_x, w_ih, out=grad_input[block.rows])
        found[0].addmm_(factors_x.t(), x[block.rows])
        found[1].addmm_(factors_h.t(), h_before)
        found[2] += factors_x.sum(0)
        found[3] += factors_h.sum(0)
    return grad_input, grad_h, found[0], found[1], found[2], found[3]


def gru_backward_by_steps(grads: RNNGrads, saved: GRUSaved) -> Six:
    """Do `gru_backward` step by step and without changing a tensor, so it can be derived again."""
    grad_output, grad_h_n = grads
    x, h0, w_ih, w_hh, output, gates, batch_sizes = saved
    carry = torch.zeros_like(h0) if grad_h_n is None else grad_h_n
    h_before = previous_rows(output, h0, batch_sizes)
    of_x, of_h = [], []
    stop = len(x)
    for size in reversed(batch_sizes.tolist()):
        rows = slice(stop - size, stop)
        stop -= size
        grad_h = carry[:size]
        if grad_output is not None:
            grad_h = grad_h + grad_output[rows]
        grad_x, grad_s, direct = gru_cell_backward(grad_h, h_before[rows], gates[rows])
        carry = torch.cat((direct + grad_s @ w_hh, carry[size:]))  # eq. (54)
        of_x.append(grad_x)
        of_h.append(grad_s)
    grad_x = torch.cat(of_x[::-1]) if of_x else gates[:, : w_ih.shape[0]]
    grad_s = torch.cat(of_h[::-1]) if of_h else gates[:, : w_ih.shape[0]]
    return (
        grad_x @ w_ih,  # eq. (55)
        carry,
        grad_x.t() @ x,  # eq. (56)
        grad_s.t() @ h_before,  # eq. (57)
        grad_x.sum(0),  # eq. (58)
        grad_s.sum(0),  # eq. (59)
    )
