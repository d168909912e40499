"""Accuracy together with what its number of samples allows to conclude."""

import torch
from jaxtyping import Int
from torch import Tensor
from torchmetrics import Metric

from lit_tasks.statistics import wilson_interval


class AccuracyInterval(Metric):
    """Fraction of samples whose class was found, with its Wilson 95 % interval.

    Two counts are all it keeps, so it is exact on any number of processes, also on one that had
    no batch.
    """

    full_state_update = False
    higher_is_better = True
    correct: Tensor
    total: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("correct", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("total", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, predicted: Int[Tensor, " B"], target: Int[Tensor, " B"]) -> None:
        """Count a batch of class numbers."""
        self.correct += (predicted == target).sum()
        self.total += len(target)

    def compute(self) -> dict[str, float]:
        """Return ``accuracy``, ``accuracy_low``, ``accuracy_high`` and ``samples``."""
        correct, total = int(self.correct), int(self.total)
        low, high = wilson_interval(correct, total)
        accuracy = correct / total if total else 0.0
        return {
            "accuracy": accuracy,
            "accuracy_low": low,
            "accuracy_high": high,
            "samples": float(total),
        }
