"""What a classifier's logits mean: one of the labels, or any number of them.

Both kinds have the same methods, so that a task is written once: losses, metrics, what is right,
what a prediction is called.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import Metric

from lit_tasks.functional.calibration import class_weights
from lit_tasks.metrics.classification import ClassificationMetrics
from lit_tasks.metrics.label_metrics import LabelMetrics
from lit_tasks.metrics.multilabel import MultilabelMetrics
from lit_tasks.protocols import HasSeveralLabels, HasTrainClassCounts, HasTrainSize, required

ClassWeights = bool | dict[str, float]
"""Whether rare classes weigh more in the training loss, or how much each class weighs."""
Threshold = float | dict[str, float]
"""Probability from which a label is given: one for all labels, or one for each."""
SEPARATOR = ","
"""Between the labels of a sample, where the data say nothing else."""


class OneLabel:
    """Each sample has one of the labels: softmax and cross-entropy.

    Args:
        labels: Names of the classes.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = list(labels)

    def metrics(self, more: Mapping[str, Metric] | None, raw: bool = False) -> LabelMetrics:
        """Return what evaluations report; ``raw`` also without a temperature."""
        return ClassificationMetrics(self.labels, more, raw)

    def losses(
        self,
        logits: Float[Tensor, "B C"],
        target: Shaped[Tensor, "B ..."],
        smoothing: float = 0.0,
        weights: Float[Tensor, " C"] | None = None,
    ) -> Float[Tensor, " B"]:
        """Return the loss of each sample.

        Args:
            logits: Of each class.
            target: Index of the true class, or the fraction of each class in a mixed sample.
            smoothing: Probability that is spread over all labels.
            weights: What each class weighs.
        """
        losses = F.cross_entropy(logits, target, label_smoothing=smoothing, reduction="none")
        if weights is None:
            return losses
        return losses * (weights[target] if target.ndim == 1 else target @ weights)

    def loss(
        self,
        logits: Float[Tensor, "B C"],
        target: Shaped[Tensor, "B ..."],
        smoothing: float = 0.0,
        weights: Float[Tensor, " C"] | None = None,
    ) -> Float[Tensor, ""]:
        """Return the mean loss of a batch, see :meth:`losses`."""
        if weights is None:
            return F.cross_entropy(logits, target, label_smoothing=smoothing)
        return self.losses(logits, target, smoothing=smoothing, weights=weights).mean()

    def probability(self, logits: Float[Tensor, "B C"]) -> Float[Tensor, "B C"]:
        """Return the probability of each label."""
        return logits.softmax(dim=1)

    def predicted(self, logits: Float[Tensor, "B C"]) -> Int[Tensor, " B"]:
        """Return the most probable class of each sample."""
        return logits.argmax(dim=1)

    def right(self, logits: Float[Tensor, "B C"], target: Int[Tensor, " B"]) -> Bool[Tensor, " B"]:
        """Return whether each sample's label was found."""
        return self.predicted(logits) == target

    def by_sample(
        self, logits: Float[Tensor, "B C"], target: Int[Tensor, " B"]
    ) -> dict[str, Shaped[Tensor, " B"]]:
        """Return what was predicted of each sample, how probable that is, and how well it went."""
        return {
            "prediction": self.predicted(logits),
            "probability": self.probability(logits.double()).amax(dim=1),
            "accuracy": self.right(logits, target),
            "loss": self.losses(logits, target),
        }

    def weights(self, data: object, asker: object) -> Tensor:
        """Return what each class weighs, in inverse proportion to its training samples."""
        counts = required(data, HasTrainClassCounts, asker).train_class_counts
        return class_weights(torch.tensor(counts))

    def rows(
        self,
        probability: Float[Tensor, "B C"],
        *,
        top_k: int = 1,
        separator: str = SEPARATOR,
    ) -> list[dict[str, Any]]:
        """Return the columns of each sample's prediction.

        Args:
            probability: Of each label.
            top_k: How many labels are named, the most probable first.
            separator: Not needed here.
        """
        best = probability.topk(min(top_k, probability.shape[1]), dim=1)
        rows: list[dict[str, Any]] = []
        for numbers, values in zip(best.indices.tolist(), best.values.tolist(), strict=True):
            row: dict[str, Any] = {}
            for rank, (number, value) in enumerate(zip(numbers, values, strict=True), start=1):
                end = "" if rank == 1 else f"_{rank}"
                row |= {f"label{end}": self.labels[number], f"probability{end}": value}
            rows.append(row)
        return rows


class SeveralLabels:
    """Each sample has any number of the labels, also none: a sigmoid each, binary cross-entropy.

    Args:
        labels: Names of the labels.
        threshold: Probability from which a label is given.
    """

    def __init__(self, labels: Sequence[str], threshold: Threshold = 0.5) -> None:
        self.labels = list(labels)
        values = [threshold] if isinstance(threshold, float | int) else threshold.values()
        for value in values:
            if not 0 < value < 1:
                raise ValueError(f"threshold must be between 0 and 1, got {value}")
        if isinstance(threshold, float | int):
            threshold = dict.fromkeys(self.labels, float(threshold))
        self.thresholds = _told(threshold, self.labels, name="threshold", rest=0.5).tolist()

    def metrics(self, more: Mapping[str, Metric] | None, raw: bool = False) -> LabelMetrics:
        """Return what evaluations report."""
        return MultilabelMetrics(self.labels, self.thresholds, more)

    def losses(
        self,
        logits: Float[Tensor, "B C"],
        target: Shaped[Tensor, "B C"],
        smoothing: float = 0.0,
        weights: Float[Tensor, " C"] | None = None,
    ) -> Float[Tensor, " B"]:
        """Return the loss of each sample, the mean over all labels.

        Args:
            logits: Of each label.
            target: Which labels a sample has.
            smoothing: How far targets are drawn from 0 and 1 towards a half.
            weights: What it weighs that a label is there, beside its not being there.
        """
        wanted = target.to(logits.dtype) * (1 - smoothing) + smoothing / 2
        return F.binary_cross_entropy_with_logits(
            logits, wanted, pos_weight=weights, reduction="none"
        ).mean(dim=1)

    def loss(
        self,
        logits: Float[Tensor, "B C"],
        target: Shaped[Tensor, "B C"],
        smoothing: float = 0.0,
        weights: Float[Tensor, " C"] | None = None,
    ) -> Float[Tensor, ""]:
        """Return the mean loss of a batch, see :meth:`losses`."""
        return self.losses(logits, target, smoothing=smoothing, weights=weights).mean()

    def probability(self, logits: Float[Tensor, "B C"]) -> Float[Tensor, "B C"]:
        """Return the probability of each label; they do not add up to 1."""
        return logits.sigmoid()

    def predicted(self, logits: Float[Tensor, "B C"]) -> Bool[Tensor, "B C"]:
        """Return which labels each sample is given."""
        return self._given(self.probability(logits.double()))

    def right(
        self, logits: Float[Tensor, "B C"], target: Bool[Tensor, "B C"]
    ) -> Bool[Tensor, " B"]:
        """Return whether all labels of each sample are right."""
        return (self.predicted(logits) == target).all(dim=1)

    def by_sample(
        self, logits: Float[Tensor, "B C"], target: Bool[Tensor, "B C"]
    ) -> dict[str, Shaped[Tensor, "B ..."]]:
        """Return what was predicted of each sample, and how well it went."""
        return {
            "prediction": self.predicted(logits),
            "accuracy": self.right(logits, target),
            "loss": self.losses(logits, target),
        }

    def weights(self, data: object, asker: object) -> Tensor:
        """Return what the presence of each label weighs: samples without it for each one with."""
        counts = required(data, HasTrainClassCounts, asker).train_class_counts
        samples = required(data, HasTrainSize, asker).train_size
        there = torch.tensor(counts).double().clamp(min=1)
        return ((samples - there) / there).clamp(min=1e-3).float()

    def rows(
        self,
        probability: Float[Tensor, "B C"],
        *,
        top_k: int = 1,
        separator: str = SEPARATOR,
    ) -> list[dict[str, Any]]:
        """Return the columns of each sample's prediction: its labels, joined in one.

        Args:
            probability: Of each label.
            top_k: Not needed here.
            separator: Between two labels.
        """
        given = self._given(probability).tolist()
        return [{"label": joined(row, self.labels, separator)} for row in given]

    def _given(self, probability: Float[Tensor, "B C"]) -> Bool[Tensor, "B C"]:
        return probability >= probability.new_tensor(self.thresholds)


Decision = OneLabel | SeveralLabels


def decision_of(labels: Sequence[str], threshold: Threshold | None) -> Decision:
    """Return what logits mean: one of the labels, or several where there is a threshold."""
    return OneLabel(labels) if threshold is None else SeveralLabels(labels, threshold)


def threshold_of(data: object, chosen: Threshold | None) -> Threshold | None:
    """Return the threshold, ``None`` where the data have one label a sample.

    Raises:
        ValueError: One was chosen, and the data have one label a sample.
    """
    if isinstance(data, HasSeveralLabels) and data.multi_label:
        return 0.5 if chosen is None else chosen
    if chosen is not None:
        raise ValueError(
            "threshold is for samples that may have several labels: set data.multi_label to true,"
            " or leave threshold out"
        )
    return None


def chosen_weights(decision: Decision, chosen: ClassWeights, data: object, asker: object) -> Tensor:
    """Return what each label weighs in the training loss, ``(C,)``: as told, or by the data."""
    if isinstance(chosen, dict):
        return _told(chosen, decision.labels, name="class_weights", rest=1.0)
    return decision.weights(data, asker)


def joined(given: Sequence[bool], labels: Sequence[str], separator: str) -> str:
    """Return the names of the labels that a sample has, one after the other."""
    return separator.join(label for label, there in zip(labels, given, strict=True) if there)


def _told(chosen: Mapping[str, float], labels: Sequence[str], name: str, rest: float) -> Tensor:
    """Return a value for each label, ``rest`` where none was given."""
    unknown = [label for label in chosen if label not in labels]
    if unknown:
        known = ", ".join(labels)
        raise ValueError(f"{name} has the label {unknown[0]!r}, the data have only {known}")
    return torch.tensor([float(chosen.get(label, rest)) for label in labels])
