"""Expected calibration error."""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torchmetrics import Metric

BINS = 15  #: As many as Guo et al. (2017) have.


class CalibrationError(Metric):
    """Expected calibration error: the mean gap between confidence and accuracy, over bins.

    The confidence of a sample is the probability of its most probable class. Bins are equally wide,
    and each weighs as much as it has samples (Guo et al., 2017). torchmetrics has the same number
    but keeps every sample; here sums per bin are kept, which no number of processes can upset.

    Args:
        bins: Number of bins between 0 and 1.
    """

    full_state_update = False
    higher_is_better = False
    count: Tensor
    correct: Tensor
    confidence: Tensor

    def __init__(self, bins: int = BINS) -> None:
        super().__init__()
        self.bins = bins
        for name in ("count", "correct", "confidence"):
            zeros = torch.zeros(bins, dtype=torch.float64)
            self.add_state(name, zeros, dist_reduce_fx="sum")

    def update(self, probability: Float[Tensor, "B C"], target: Int[Tensor, " B"]) -> None:
        """Count a batch of class probabilities."""
        for name in ("count", "correct", "confidence"):  # precision=bf16-true casts metrics as well
            setattr(self, name, getattr(self, name).double())
        confidence, predicted = probability.double().max(dim=1)
        # A bin holds its upper edge, as in the paper: (0, 1/15], (1/15, 2/15], ...
        bin_of = ((confidence * self.bins).ceil().long() - 1).clamp(0, self.bins - 1)
        self.count.index_add_(0, bin_of, torch.ones_like(confidence))
        self.correct.index_add_(0, bin_of, (predicted == target).double())
        self.confidence.index_add_(0, bin_of, confidence)

    def compute(self) -> Tensor:
        """Return the error, between 0 and 1."""
        return (self.correct - self.confidence).abs().sum() / self.count.sum().clamp(min=1)
