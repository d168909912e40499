"""One call of the compiled time loop: every shape is checked, since the loop reads plain memory."""

from collections.abc import Callable

import torch
from torch import Tensor

from lit_tasks.functional.recurrent.fused import BATCH


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

    __slots__ = ("batch", "kept", "rows", "sequences")

    def __init__(
        self, batch_sizes: Tensor, rows: int, sequences: int, inputs: int, hidden: int, block: int
    ) -> None:
        sizes = batch_sizes.contiguous()
        if sizes.dtype is not torch.int64 or sizes.dim() != 1 or not sizes.is_cpu:
            raise ValueError(
                "batch_sizes must be one row of int64 on the CPU, got shape "
                f"{tuple(sizes.shape)} and {sizes.dtype} on {sizes.device}"
            )
        self.rows, self.sequences = rows, sequences
        shape = (sizes.shape[0], rows, sequences, inputs, hidden, block, torch.get_num_threads())
        self.batch = BATCH.pack(sizes.data_ptr(), *shape)
        self.kept = [sizes]  # what was made for the loop has to live as long as it runs

    def read(self, *given: tuple[Tensor | None, tuple[int, ...]]) -> list[int | None]:
        """Return where the numbers of tensors lie, row by row, each given with its shape.

        Raises:
            ValueError: One has another shape than the loop reads.
        """
        found: list[int | None] = []
        for tensor, shape in given:
            if tensor is None:
                found.append(None)
                continue
            if tensor.shape != shape:
                raise ValueError(f"expected a tensor of shape {shape}, got {tuple(tensor.shape)}")
            if not tensor.is_contiguous() or tensor.is_neg():
                tensor = tensor.contiguous().resolve_neg()
                self.kept.append(tensor)
            found.append(tensor.data_ptr())
        return found

    def run(self, function: Callable[..., int], *arguments: int | None) -> None:
        """Call a function of the library.

        Raises:
            ValueError: The batch sizes do not describe the rows.
            MemoryError: There is no memory for a block of rows.
        """
        failed = function(self.batch, *arguments)
        if failed == 1:
            raise ValueError(
                f"batch_sizes must not grow, begin with at most the {self.sequences} "
                f"sequences and add up to the {self.rows} rows of the input"
            )
        if failed:
            raise MemoryError(f"no memory for a block of the {self.rows} rows of the input")
