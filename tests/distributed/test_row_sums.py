"""Gradients of tables are summed by the rows that are not zero, to the same means."""

from typing import Any

import numpy as np
import pytest
import torch
from processes import run
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

from lit_tasks.distributed.row_sums import ROWS, is_table, mean_by_rows, sum_by_rows


class Words(nn.Module):
    """Two tables among other layers, one of them with sparse gradients if asked."""

    def __init__(self, sparse: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Linear(3, 2)
        self.words = nn.Embedding(2 * ROWS, 5, sparse=sparse)
        self.between = nn.Conv2d(1, 1, 3)
        self.more = nn.Embedding(ROWS, 3)
        self.predicts = nn.Linear(3, ROWS)  # all rows of its gradient are touched
        self.last = nn.Linear(8, 1)
        self.frozen = nn.Parameter(torch.randn(2 * ROWS, 2), requires_grad=False)
        self.double()

    def forward(self, tokens: Tensor) -> Tensor:
        vectors = torch.cat((self.words(tokens), self.more(tokens)), dim=1)
        rest = self.first(vectors[:, :3]).sum() + self.between(vectors[None, None]).sum()
        rest = rest + self.predicts(vectors[:, 5:]).square().mean()
        return self.last(vectors).square().mean() + rest * self.frozen.mean()  # type: ignore[no-any-return]


def batch(rank: int) -> Tensor:
    return torch.tensor([1, 5, 5, ROWS - 1 - rank, 7 + rank])


def gradients(model: nn.Module) -> list[np.ndarray]:
    """Return arrays, which need no memory of a process that has ended, as tensors would."""
    return [p.grad.to_dense().numpy() for p in model.parameters() if p.grad is not None]


def trained(sparse: bool, bucket_cap_mb: float) -> tuple[list[np.ndarray], int]:
    """Return the gradients of two backward passes added up, and how many numbers were sent."""
    dist.init_process_group("gloo")
    sent, all_reduce = [], dist.all_reduce

    def counted(tensor: Tensor, *args: Any, **kwargs: Any) -> Any:
        sent.append(tensor.numel())
        return all_reduce(tensor, *args, **kwargs)

    dist.all_reduce = counted
    model = DistributedDataParallel(Words(sparse), bucket_cap_mb=bucket_cap_mb)
    assert sum_by_rows(model)
    for step in range(2):
        model(batch(dist.get_rank() + step)).backward()
    return gradients(model), max(sent)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("bucket_cap_mb", [25, 0.01])
def test_means_are_those_of_all_samples(sparse: bool, bucket_cap_mb: float) -> None:
    alone = Words(sparse)
    for rank in range(2):
        for step in range(2):
            (alone(batch(rank + step)) / 2).backward()
    for found, sent in run(2, trained, sparse, bucket_cap_mb):
        for one, other in zip(found, gradients(alone), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)
        if not sparse:
            assert sent < 5 * ROWS  # the layer that predicts and a few rows, never the tables


def test_what_has_no_table_is_left_as_it_is() -> None:
    model = nn.Linear(4, ROWS - 1)
    assert not sum_by_rows(model)
    assert not any(is_table(p) for p in model.parameters())
    assert is_table(nn.Linear(4, ROWS).weight)


def rows(value: float) -> np.ndarray:
    """Return what two buckets of one process come to where a gradient is not a number."""
    dist.init_process_group("gloo")

    class Bucket:
        table = torch.zeros(ROWS, 2)

        def buffer(self) -> Tensor:
            return self.table.view(-1)

        def gradients(self) -> list[Tensor]:
            return [self.table]

    bucket = Bucket()
    bucket.table[3, dist.get_rank()] = value
    return mean_by_rows(None, bucket).value().numpy().copy()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_is_not_lost(value: float) -> None:
    for found in run(2, rows, value):
        table = found.reshape(-1, 2)
        assert not np.isfinite(table[3]).any()
        assert not np.delete(table, 3, axis=0).any()
