"""Classification report, of texts and of images: loss, accuracy, calibration, each class."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import Metric

from lit_tasks.metrics.accuracy_interval import AccuracyInterval
from lit_tasks.metrics.calibration import CalibrationError
from lit_tasks.metrics.label_metrics import LabelMetrics, class_scores, listed


class CrossEntropy(Metric):
    """Mean cross-entropy of logits in double precision; 0 where nothing was counted."""

    full_state_update = False
    higher_is_better = False
    sum: Tensor
    total: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("sum", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("total", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, logits: Float[Tensor, "B C"], target: Int[Tensor, " B"]) -> None:
        """Count a batch."""
        loss = F.cross_entropy(logits.double(), target, reduction="sum")
        self.sum = self.sum.double() + loss  # precision=bf16-true casts metrics as well
        self.total += len(target)

    def compute(self) -> Tensor:
        """Return the mean."""
        return self.sum / self.total.clamp(min=1)


class ConfusionCounts(Metric):
    """How often each class was taken for each, and precision, recall and F1 of each class.

    Precision without a prediction of its class, and recall without a sample, count as 0; a class
    without a sample is left out of ``macro_f1``. Nothing is said of each class where there are
    more than 20.

    Args:
        labels: Names of the classes.
    """

    full_state_update = False
    higher_is_better = True
    counts: Tensor

    def __init__(self, labels: Sequence[str]) -> None:
        super().__init__()
        self.labels = list(labels)
        zeros = torch.zeros(len(labels), len(labels), dtype=torch.long)
        self.add_state("counts", zeros, dist_reduce_fx="sum")

    def update(self, predicted: Int[Tensor, " B"], target: Int[Tensor, " B"]) -> None:
        """Count a batch of class indices."""
        self.counts += confusion(predicted, target, len(self.labels))

    def compute(self) -> Int[Tensor, "C C"]:
        """Return how often each class (row) was taken for each class (column)."""
        return self.counts

    def scores(self) -> dict[str, float]:
        """Return ``macro_f1``, and ``precision_...``, ``recall_...`` and ``f1_...`` by class."""
        right, taken, of_class = self.by_class()
        return listed(class_scores(right, taken, of_class), self.labels, of_class)

    def by_class(self) -> Int[Tensor, "3 C"]:
        """Return how often each class was found, predicted and there."""
        counts = self.compute()
        return torch.stack((counts.diag(), counts.sum(dim=0), counts.sum(dim=1)))


class ClassificationMetrics(LabelMetrics):
    """Loss, accuracy with its interval, calibration, and precision, recall and F1 by class.

    A metric is added in three lines, one each in the constructor, :meth:`update`
    and :meth:`compute`; or from outside, as one of ``metrics``.

    Args:
        labels: Names of the classes.
        metrics: More metrics by name, each updated with the probabilities ``(B, C)`` and the
            targets ``(B,)``. One that returns a value for each class gives ``name_label``, one
            that returns a mapping gives ``name_key``.
        raw: Whether to report loss and calibration also as they are without a temperature.
    """

    def __init__(
        self,
        labels: Sequence[str],
        metrics: Mapping[str, Metric] | None = None,
        raw: bool = False,
    ) -> None:
        super().__init__(labels, metrics)
        self.loss, self.accuracy = CrossEntropy(), AccuracyInterval()
        self.calibration, self.confusion = CalibrationError(), ConfusionCounts(labels)
        self.raw_loss = CrossEntropy() if raw else None
        self.raw_calibration = CalibrationError() if raw else None

    def update(
        self, logits: Float[Tensor, "B C"], target: Int[Tensor, " B"], temperature: float = 1.0
    ) -> None:
        """Count a batch.

        Args:
            logits: Of each class.
            target: Index of the true class.
            temperature: What the logits are divided by, to state probabilities.
        """
        logits = logits.detach().double()
        stated = logits / temperature
        predicted, probability = logits.argmax(dim=1), stated.softmax(dim=1)
        self.loss.update(stated, target)
        self.accuracy.update(predicted, target)
        self.calibration.update(probability, target)
        self.confusion.update(predicted, target)
        if self.raw_loss is not None and self.raw_calibration is not None:
            self.raw_loss.update(logits, target)
            self.raw_calibration.update(logits.softmax(dim=1), target)
        self.update_more(probability, target)

    def compute(self) -> dict[str, float]:
        """Return the values by name, over all processes."""
        values = {"loss": float(self.loss.compute()), **self.accuracy.compute()}
        values["calibration_error"] = float(self.calibration.compute())
        if self.raw_loss is not None and self.raw_calibration is not None:
            values["loss_raw"] = float(self.raw_loss.compute())
            values["calibration_error_raw"] = float(self.raw_calibration.compute())
        return values | self.confusion.scores() | self.computed_more()

    def label_counts(self) -> Int[Tensor, "3 C"]:
        """Return how often each class was found, predicted and there."""
        return self.confusion.by_class()

    @property
    def higher_is_better(self) -> dict[str, bool]:
        """Which way each value is better, by name; those of ``metrics`` as they declare it."""
        found = dict.fromkeys(("accuracy", "macro_f1"), True)
        for name in ("loss", "calibration_error"):
            found |= {name: False, f"{name}_raw": False}
        return found | super().higher_is_better


def confusion(
    predicted: Int[Tensor, " N"], target: Int[Tensor, " N"], classes: int
) -> Int[Tensor, "C C"]:
    """Return how often each class (row) was taken for each class (column)."""
    counts = torch.bincount(target * classes + predicted, minlength=classes**2)
    return counts.view(classes, classes)
