"""Calls of the compiled time loop: allocate what it writes, and hand over where all numbers lie.

The loop reads plain memory, so every shape is checked here. What it computes, and by which
formulas, is said in `rnn`, `lstm` and `gru`.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from lit_tasks.functional.recurrent.fused import Batch, loop

# Enough rows that a product of matrices runs at full speed; fewer where they are not kept, so that
# they stay in the cache.
KEPT_ROWS, SCRATCH_ROWS, GRAD_ROWS = 2048, 512, 512


def transposed(weight: Tensor) -> Tensor:
    """Return a weight as the right factor of many products, laid out as they are fastest.

    For 16-bit numbers that is a view: a product with a copy takes four times as long on CPUs.
    """
    return weight.t() if weight.element_size() == 2 else weight.t().contiguous()


def writable(tensor: Tensor) -> Tensor:
    """Return a copy that the loop may overwrite, row by row in memory."""
    return tensor.clone(memory_format=torch.contiguous_format)


class Call:
    """One call of the loop over packed sequences.

    Args:
        batch_sizes: Sequences that have each step, ``(T,)``, on the CPU.
        rows: Rows of all sequences, ``N``.
        sequences: Sequences, those without a step included, ``B``.
        inputs: Features of the input, ``I``.
        hidden: Features of the state, ``H``.
        block: Rows that are computed together.

    Raises:
        ValueError: The batch sizes are of another type or on another device.
    """

    def __init__(
        self, batch_sizes: Tensor, rows: int, sequences: int, inputs: int, hidden: int, block: int
    ) -> None:
        sizes = batch_sizes.contiguous()
        if sizes.dtype is not torch.int64 or sizes.dim() != 1 or not sizes.is_cpu:
            raise ValueError(
                "batch_sizes must be one row of int64 on the CPU, got shape "
                f"{tuple(sizes.shape)} and {sizes.dtype} on {sizes.device}"
            )
        self.batch = Batch(sizes.data_ptr(), sizes.shape[0], rows, sequences, inputs, hidden, block)
        self.kept = [sizes]  # what was made for the loop has to live as long as it runs
        self.scratch_rows = min(rows, block + sequences)

    def read(self, tensor: Tensor | None, shape: Sequence[int]) -> int | None:
        """Return where a tensor's numbers lie, row by row.

        Raises:
            ValueError: It has another shape than the loop reads.
        """
        if tensor is None:
            return None
        if tensor.shape != shape:
            raise ValueError(f"expected a tensor of shape {shape}, got {tuple(tensor.shape)}")
        plain = tensor.contiguous().resolve_neg()
        if plain is not tensor:
            self.kept.append(plain)
        return plain.data_ptr()

    def run(self, function: Callable[..., int], *arguments: int | None) -> None:
        """Call a function of the library.

        Raises:
            ValueError: The batch sizes do not describe the rows.
        """
        if function(self.batch, *arguments):
            raise ValueError(
                f"batch_sizes must not grow, begin with at most the {self.batch.sequences} "
                f"sequences and add up to the {self.batch.rows} rows of the input"
            )


def lstm_forward(
    input: Tensor,
    h0: Tensor,
    c0: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    bias: Tensor | None,
    batch_sizes: Tensor,
    keep: bool,
    ends: bool = True,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Do `lstm.lstm_forward`: return ``output, h_n, c_n, cells, gates``.

    Without ``ends`` the final states are not filled in: those of a single step are its output.
    """
    (rows, inputs), (sequences, hidden) = input.shape, h0.shape
    wide, start = 4 * hidden, (sequences, hidden)
    call = Call(batch_sizes, rows, sequences, inputs, hidden, KEPT_ROWS if keep else SCRATCH_ROWS)
    output, cells = input.new_empty(rows, hidden), input.new_empty(rows, hidden)
    gates = input.new_empty(rows if keep else call.scratch_rows, wide)
    h_n, c_n = (input.new_empty(start), input.new_empty(start)) if ends else (output, cells)
    call.run(
        loop(input.dtype).lstm_forward,
        keep,
        call.read(input, (rows, inputs)),
        call.read(h0, start),
        call.read(c0, start),
        call.read(w_ih, (wide, inputs)),
        call.read(w_hh, (wide, hidden)),
        call.read(bias, (wide,)),
        output.data_ptr(),
        cells.data_ptr(),
        gates.data_ptr(),
        h_n.data_ptr() if ends else None,
        c_n.data_ptr() if ends else None,
    )
    return output, h_n, c_n, cells, gates if keep else gates[:0]


def lstm_backward(
    grad_output: Tensor | None,
    grad_h: Tensor,
    grad_c: Tensor,
    grad_cells: Tensor | None,
    input: Tensor,
    h0: Tensor,
    c0: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    output: Tensor,
    cells: Tensor,
    gates: Tensor,
    batch_sizes: Tensor,
    needs_input: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Do `lstm.lstm_backward`; ``grad_h`` and ``grad_c`` are overwritten."""
    (rows, inputs), (sequences, hidden) = input.shape, h0.shape
    wide, start, states = 4 * hidden, (sequences, hidden), (rows, hidden)
    call = Call(batch_sizes, rows, sequences, inputs, hidden, GRAD_ROWS)
    grad_x = input.new_empty(rows if needs_input else 0, inputs)
    grad_w_ih, grad_w_hh = w_ih.new_zeros(w_ih.shape), w_hh.new_zeros(w_hh.shape)
    grad_bias = input.new_zeros(wide)
    grad_z = input.new_empty(call.scratch_rows, wide)
    h_before = input.new_empty(call.scratch_rows, hidden)
    call.run(
        loop(input.dtype).lstm_backward,
        call.read(input, (rows, inputs)),
        call.read(h0, start),
        call.read(c0, start),
        call.read(w_ih, (wide, inputs)),
        call.read(w_hh, (wide, hidden)),
        call.read(output, states),
        call.read(cells, states),
        call.read(gates, (rows, wide)),
        call.read(grad_output, states),
        call.read(grad_cells, states),
        call.read(grad_h, start),
        call.read(grad_c, start),
        grad_x.data_ptr() if needs_input else None,
        grad_w_ih.data_ptr(),
        grad_w_hh.data_ptr(),
        grad_bias.data_ptr(),
        grad_z.data_ptr(),
        h_before.data_ptr(),
    )
    return grad_x, grad_h, grad_c, grad_w_ih, grad_w_hh, grad_bias


def rnn_forward(
    input: Tensor,
    h0: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    bias: Tensor | None,
    batch_sizes: Tensor,
    relu: bool,
    ends: bool = True,
) -> tuple[Tensor, Tensor]:
    """Do `rnn.rnn_forward`: return ``output, h_n``, the latter not filled in without ``ends``."""
    (rows, inputs), (sequences, hidden) = input.shape, h0.shape
    call = Call(batch_sizes, rows, sequences, inputs, hidden, KEPT_ROWS)
    output = input.new_empty(rows, hidden)
    h_n = input.new_empty(sequences, hidden) if ends else output
    call.run(
        loop(input.dtype).rnn_forward,
        relu,
        call.read(input, (rows, inputs)),
        call.read(h0, (sequences, hidden)),
        call.read(w_ih, (hidden, inputs)),
        call.read(w_hh, (hidden, hidden)),
        call.read(bias, (hidden,)),
        output.data_ptr(),
        h_n.data_ptr() if ends else None,
    )
    return output, h_n


def rnn_backward(
    grad_output: Tensor | None,
    grad_h: Tensor,
    input: Tensor,
    h0: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    output: Tensor,
    batch_sizes: Tensor,
    relu: bool,
    needs_input: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Do `rnn.rnn_backward`; ``grad_h`` is overwritten."""
    (rows, inputs), (sequences, hidden) = input.shape, h0.shape
    call = Call(batch_sizes, rows, sequences, inputs, hidden, GRAD_ROWS)
    grad_x = input.new_empty(rows if needs_input else 0, inputs)
    grad_w_ih, grad_w_hh = w_ih.new_zeros(w_ih.shape), w_hh.new_zeros(w_hh.shape)
    grad_bias = input.new_zeros(hidden)
    grad_z, h_before = (input.new_empty(call.scratch_rows, hidden) for _ in range(2))
    call.run(
        loop(input.dtype).rnn_backward,
        relu,
        call.read(input, (rows, inputs)),
        call.read(h0, (sequences, hidden)),
        call.read(w_ih, (hidden, inputs)),
        call.read(w_hh, (hidden, hidden)),
        call.read(output, (rows, hidden)),
        call.read(grad_output, (rows, hidden)),
        call.read(grad_h, (sequences, hidden)),
        grad_x.data_ptr() if needs_input else None,
        grad_w_ih.data_ptr(),
        grad_w_hh.data_ptr(),
        grad_bias.data_ptr(),
        grad_z.data_ptr(),
        h_before.data_ptr(),
    )
    return grad_x, grad_h, grad_w_ih, grad_w_hh, grad_bias


def gru_forward(
    input: Tensor,
    h0: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
    batch_sizes: Tensor,
    keep: bool,
    ends: bool = True,
) -> tuple[Tensor, Tensor, Tensor]:
    """Do `gru.gru_forward`: return ``output, h_n, gates``, ``h_n`` filled in if ``ends``."""
    (rows, inputs), (sequences, hidden) = input.shape, h0.shape
    wide = 3 * hidden
    call = Call(batch_sizes, rows, sequences, inputs, hidden, KEPT_ROWS if keep else SCRATCH_ROWS)
    output = input.new_empty(rows, hidden)
    h_n = input.new_empty(sequences, hidden) if ends else output
    gates = input.new_empty(rows if keep else call.scratch_rows, 4 * hidden)
    sums = input.new_empty(sequences, wide)
    call.run(
        loop(input.dtype).gru_forward,
        keep,
        call.read(input, (rows, inputs)),
        call.read(h0, (sequences, hidden)),
        call.read(w_ih, (wide, inputs)),
        call.read(w_hh, (wide, hidden)),
        call.read(b_ih, (wide,)),
        call.read(b_hh, (wide,)),
        output.data_ptr(),
        gates.data_ptr(),
        h_n.data_ptr() if ends else None,
        sums.data_ptr(),
    )
    return output, h_n, gates if keep else gates[:0]


def gru_backward(
    grad_output: Tensor | None,
    grad_h: Tensor,
    input: Tensor,
    h0: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    output: Tensor,
    gates: Tensor,
    batch_sizes: Tensor,
    needs_input: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Do `gru.gru_backward`; ``grad_h`` is overwritten."""
    (rows, inputs), (sequences, hidden) = input.shape, h0.shape
    wide = 3 * hidden
    call = Call(batch_sizes, rows, sequences, inputs, hidden, GRAD_ROWS)
    grad_x = input.new_empty(rows if needs_input else 0, inputs)
    grad_w_ih, grad_w_hh = w_ih.new_zeros(w_ih.shape), w_hh.new_zeros(w_hh.shape)
    grad_b_ih, grad_b_hh = input.new_zeros(wide), input.new_zeros(wide)
    grad_z = input.new_empty(call.scratch_rows, 4 * hidden)
    h_before = input.new_empty(call.scratch_rows, hidden)
    call.run(
        loop(input.dtype).gru_backward,
        call.read(input, (rows, inputs)),
        call.read(h0, (sequences, hidden)),
        call.read(w_ih, (wide, inputs)),
        call.read(w_hh, (wide, hidden)),
        call.read(output, (rows, hidden)),
        call.read(gates, (rows, 4 * hidden)),
        call.read(grad_output, (rows, hidden)),
        call.read(grad_h, (sequences, hidden)),
        grad_x.data_ptr() if needs_input else None,
        grad_w_ih.data_ptr(),
        grad_w_hh.data_ptr(),
        grad_b_ih.data_ptr(),
        grad_b_hh.data_ptr(),
        grad_z.data_ptr(),
        h_before.data_ptr(),
    )
    return grad_x, grad_h, grad_w_ih, grad_w_hh, grad_b_ih, grad_b_hh
