"""The values of every sample, for metrics that need more than sums."""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.data import dim_zero_cat


class GatheredValues(Metric):
    """Values (logits, losses) and targets of all samples in the order of the dataset.

    What is computed from them is the same to the last bit on any number of processes. It keeps one
    row a sample, so it is for sets that fit in memory.

    Args:
        classes: Number of values a sample.
    """

    full_state_update = False
    index: list[Tensor]
    values: list[Tensor]
    target: list[Tensor]

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes
        for name in ("index", "values", "target"):
            self.add_state(name, [], dist_reduce_fx="cat")

    def update(
        self,
        index: Int[Tensor, " B"],
        values: Float[Tensor, "B C"],
        target: Int[Tensor, " B"],
    ) -> None:
        """Keep a batch."""
        self.index.append(index)
        self.values.append(values.detach().float())
        self.target.append(target)

    def compute(self) -> tuple[Tensor, Tensor]:
        """Return values ``(N, C)`` and targets ``(N,)``, each sample once."""
        if not len(self.index):
            return torch.zeros(0, self.classes), torch.zeros(0, dtype=torch.long)
        index, order = dim_zero_cat(self.index).sort(stable=True)
        first = torch.ones_like(index, dtype=torch.bool)
        first[1:] = index[1:] != index[:-1]
        order = order[first]
        return dim_zero_cat(self.values)[order], dim_zero_cat(self.target)[order]

    def samples(self) -> tuple[Tensor, Tensor]:
        """Return what :meth:`compute` does, of one sample too, which torchmetrics squeezes."""
        values, target = self.compute()
        return values.reshape(-1, self.classes), target.reshape(-1)
