"""Report on samples that may have several labels each: loss, F1, subset accuracy, each label."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import Metric

from lit_tasks.metrics.accuracy_interval import AccuracyInterval
from lit_tasks.metrics.label_metrics import LabelMetrics, class_scores, listed


class BinaryCrossEntropy(Metric):
    """Mean binary cross-entropy of logits over samples and labels, in double precision."""

    full_state_update = False
    higher_is_better = False
    sum: Tensor
    total: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("sum", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("total", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, logits: Float[Tensor, "B C"], target: Bool[Tensor, "B C"]) -> None:
        """Count a batch."""
        loss = F.binary_cross_entropy_with_logits(logits.double(), target.double(), reduction="sum")
        self.sum = self.sum.double() + loss  # precision=bf16-true casts metrics as well
        self.total += target.numel()

    def compute(self) -> Tensor:
        """Return the mean; 0 where nothing was counted."""
        return self.sum / self.total.clamp(min=1)


class LabelCounts(Metric):
    """How often each label was found, given and there; precision, recall and F1 from them.

    Args:
        labels: Names of the labels.
    """

    full_state_update = False
    higher_is_better = True
    counts: Tensor

    def __init__(self, labels: Sequence[str]) -> None:
        super().__init__()
        self.labels = list(labels)
        zeros = torch.zeros(3, len(labels), dtype=torch.long)
        self.add_state("counts", zeros, dist_reduce_fx="sum")

    def update(self, predicted: Bool[Tensor, "B C"], target: Bool[Tensor, "B C"]) -> None:
        """Count a batch."""
        found = (predicted & target, predicted, target)
        self.counts += torch.stack([each.sum(dim=0) for each in found])

    def compute(self) -> Tensor:
        """Return how often each label was found, given and there, ``(3, C)``."""
        return self.counts

    def scores(self) -> dict[str, float]:
        """Return ``micro_f1``, ``macro_f1``, and the scores of each label.

        ``micro_f1`` counts all decisions together; ``macro_f1`` is the mean over the labels that
        have samples.
        """
        right, given, there = self.compute()
        micro = 2 * right.sum() / (given.sum() + there.sum()).clamp(min=1)
        values = listed(class_scores(right, given, there), self.labels, there)
        return {"micro_f1": float(micro), **values}


class MultilabelMetrics(LabelMetrics):
    """Loss, subset accuracy with its interval, micro and macro F1, and the scores of each label.

    ``accuracy`` is the subset accuracy, the fraction of samples whose labels are all right and
    none too many; it has both names, so that a config that monitors ``val/accuracy`` goes on to.

    Args:
        labels: Names of the labels.
        thresholds: Probability from which each label is given.
        metrics: More metrics by name, each updated with the probabilities ``(B, C)`` and the
            targets ``(B, C)``, zeros and ones, such as
            ``torchmetrics.classification.MultilabelAveragePrecision``.
    """

    def __init__(
        self,
        labels: Sequence[str],
        thresholds: Sequence[float],
        metrics: Mapping[str, Metric] | None = None,
    ) -> None:
        super().__init__(labels, metrics)
        self.thresholds = list(thresholds)  # no buffer: precision=bf16-true would round them
        self.loss, self.accuracy = BinaryCrossEntropy(), AccuracyInterval()
        self.counts = LabelCounts(labels)

    def update(
        self, logits: Float[Tensor, "B C"], target: Bool[Tensor, "B C"], temperature: float = 1.0
    ) -> None:
        """Count a batch.

        Args:
            logits: Of each label.
            target: Which labels each sample has.
            temperature: What the logits are divided by, to state probabilities.
        """
        stated = logits.detach().double() / temperature
        probability = stated.sigmoid()
        predicted = probability >= probability.new_tensor(self.thresholds)
        self.loss.update(stated, target)
        # A sample is right, or it is not: its class is 1 where all of its labels are.
        exact = (predicted == target).all(dim=1).long()
        self.accuracy.update(exact, torch.ones_like(exact))
        self.counts.update(predicted, target)
        self.update_more(probability, target.long())

    def compute(self) -> dict[str, float]:
        """Return the values by name, over all processes."""
        values = {"loss": float(self.loss.compute()), **self.accuracy.compute()}
        values["subset_accuracy"] = values["accuracy"]
        return values | self.counts.scores() | self.computed_more()

    def label_counts(self) -> Int[Tensor, "3 C"]:
        """Return how often each label was found, given and there."""
        counts: Tensor = self.counts.compute()
        return counts

    @property
    def higher_is_better(self) -> dict[str, bool]:
        """Which way each value is better, by name."""
        better = ("accuracy", "subset_accuracy", "micro_f1", "macro_f1")
        return {"loss": False, **dict.fromkeys(better, True), **super().higher_is_better}
