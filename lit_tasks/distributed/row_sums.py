"""Gradients of tables of vectors, summed over processes by the rows that a batch touched."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.futures import Future
from torch.nn.parallel import DistributedDataParallel

ROWS = 1024
"""Rows from which a matrix is taken for a table, of which a batch touches few rows."""


def sum_by_rows(model: nn.Module) -> bool:
    """Let DDP send no rows of zeros; return whether that is done, which other models do not need.

    Of a table of vectors, the gradient of a batch is zero but for the rows of its words, and DDP
    sums all of it in every step. The means are the same numbers.

    Args:
        model: What a strategy trains; only DDP on CPUs is changed, before its first step.
    """
    if not isinstance(model, DistributedDataParallel) or model.device_type != "cpu":
        return False
    if not any(is_table(p) for p in model.parameters() if p.requires_grad):
        return False
    model.register_comm_hook(None, mean_by_rows)
    return True


def is_table(matrix: Tensor) -> bool:
    """Return whether a parameter or its gradient may be mostly rows of zeros."""
    return matrix.ndim == 2 and len(matrix) >= ROWS and matrix.is_contiguous()


def mean_by_rows(
    state: object,
    bucket: dist.GradBucket,  # type: ignore[name-defined]
) -> Future[Tensor]:
    """Return the mean over all processes of a bucket of gradients, as DDP asks for it.

    Which rows are not zero on some process is agreed on first; they and what is not in tables are
    then summed as one tensor.
    """
    buffer, processes = bucket.buffer(), dist.get_world_size()
    if buffer.is_sparse:
        dist.all_reduce(buffer.div_(processes))
        return _known(buffer)
    tables = [g for g in bucket.gradients() if is_table(g)]
    if not tables:
        summing = dist.all_reduce(buffer.div_(processes), async_op=True)
        assert summing is not None
        mean: Future[Tensor] = summing.get_future().then(lambda done: done.value()[0])
        return mean
    touched = torch.cat([_touched(table) for table in tables])
    dist.all_reduce(touched, dist.ReduceOp.MAX)
    parts = touched.split([len(table) for table in tables])
    # Of a layer that predicts words all rows are touched: it is sent as it is.
    few = [(t, part) for t, part in zip(tables, parts, strict=True) if 2 * part.sum() < len(t)]
    tables, rows = [table for table, _ in few], [part.nonzero()[:, 0] for _, part in few]
    rest = _between(buffer, tables)
    chosen = [table[index].flatten() for table, index in zip(tables, rows, strict=True)]
    total = torch.cat([*rest, *chosen])
    dist.all_reduce(total.div_(processes))
    means = total.split([len(part) for part in (*rest, *chosen)])
    for part, numbers in zip(rest, means, strict=False):
        part.copy_(numbers)
    for table, index, numbers in zip(tables, rows, means[len(rest) :], strict=True):
        table[index] = numbers.view(-1, table.shape[1])
    return _known(buffer)


def _touched(table: Tensor) -> Tensor:
    """Return 1 for each row with a number that is not zero, 0 for the others.

    A product with ones is six times as fast as ``any``, and no sum of magnitudes is zero by chance.
    """
    magnitudes = table.abs().mv(table.new_ones(table.shape[1]))
    return (magnitudes != 0).to(torch.uint8)


def _between(buffer: Tensor, tables: list[Tensor]) -> list[Tensor]:
    """Return the parts of a flat tensor that are not in these views of it."""
    first = buffer.storage_offset()
    begins = [table.storage_offset() - first for table in tables]
    ends = [begin + table.numel() for begin, table in zip(begins, tables, strict=True)]
    bounds = sorted([0, *begins, *ends, len(buffer)])
    return [buffer[a:b] for a, b in list(pairwise(bounds))[::2] if b > a]


def _known(value: Tensor) -> Future[Tensor]:
    future: Future[Tensor] = Future()
    future.set_result(value)
    return future
