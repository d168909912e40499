"""The values of every sample, for metrics that need more than sums."""

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.data import dim_zero_cat


class GatheredValues(Metric):
    """Values (logits, losses) and targets of all samples in the order of the dataset.

    What is computed from them is the same to the last bit on any number of processes. It keeps one
    row a sample, so it is for sets that fit in memory.

    Args:
        classes: Number of values a sample.
        several: Whether a target says of each class whether it is there, not which one is.
    """

    full_state_update = False
    index: list[Tensor]
    values: list[Tensor]
    target: list[Tensor]

    def __init__(self, classes: int, several: bool = False) -> None:
        super().__init__()
        self.classes, self.several = classes, several
        for name in ("index", "values", "target"):
            self.add_state(name, [], dist_reduce_fx="cat")

    def update(
        self,
        index: Int[Tensor, " B"],
        values: Float[Tensor, "B C"],
        target: Shaped[Tensor, "B ..."],
    ) -> None:
        """Keep a batch."""
        self.index.append(index)
        self.values.append(values.detach().float())
        self.target.append(target)

    def compute(self) -> tuple[Tensor, Tensor]:
        """Return values ``(N, C)`` and targets ``(N,)`` or ``(N, C)``, each sample once."""
        if not len(self.index):
            none = torch.zeros(0, self.classes)
            return none, none.bool() if self.several else torch.zeros(0, dtype=torch.long)
        index, order = dim_zero_cat(self.index).sort(stable=True)
        first = torch.ones_like(index, dtype=torch.bool)
        first[1:] = index[1:] != index[:-1]
        order = order[first]
        return dim_zero_cat(self.values)[order], dim_zero_cat(self.target)[order]

    def samples(self) -> tuple[Tensor, Tensor]:
        """Return what :meth:`compute` does, of one sample too, which torchmetrics squeezes."""
        values, target = self.compute()
        shape = (-1, self.classes) if self.several else (-1,)
        return values.reshape(-1, self.classes), target.reshape(shape)
