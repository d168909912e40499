"""What scores and targets say about a classifier, in one dictionary of numbers."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from lit_tasks.metrics.calibration import CalibrationError
from lit_tasks.statistics import wilson_interval

_MOST = 20  # with more classes, numbers for each would drown the others


def confusion(
    predicted: Int[Tensor, " N"], target: Int[Tensor, " N"], classes: int
) -> Int[Tensor, "C C"]:
    """Return how often each class (row) was taken for each class (column)."""
    counts = torch.bincount(target * classes + predicted, minlength=classes**2)
    return counts.view(classes, classes)


def class_report(
    scores: Float[Tensor, "N C"],
    target: Int[Tensor, " N"],
    labels: Sequence[str],
    temperature: float,
) -> dict[str, float]:
    """Return loss, accuracy with interval, calibration, and precision and recall.

    ``loss`` and ``calibration_error`` are those of the probabilities as they are stated, that is
    after division by the temperature; ``..._raw`` is without. Precision without a prediction of
    its class, and recall without a sample, count as 0 and are left out of the means.
    """
    scores = scores.double()
    counts = confusion(scores.argmax(dim=1), target, len(labels))
    right, of_class, taken = counts.diag(), counts.sum(dim=1), counts.sum(dim=0)
    correct, total = int(right.sum()), len(target)
    low, high = wilson_interval(correct, total)
    precision = right / taken.clamp(min=1)
    recall = right / of_class.clamp(min=1)
    f1 = 2 * right / (of_class + taken).clamp(min=1)
    there = of_class > 0
    values = {
        "loss": _loss(scores / temperature, target),
        "loss_raw": _loss(scores, target),
        "accuracy": correct / max(total, 1),
        "accuracy_low": low,
        "accuracy_high": high,
        "samples": float(total),
        "calibration_error": _calibration_error(scores / temperature, target),
        "calibration_error_raw": _calibration_error(scores, target),
        "macro_f1": float(f1[there].mean()) if total else 0.0,
    }
    if len(labels) <= _MOST:
        for i, label in enumerate(labels):
            values[f"precision_{label}"] = float(precision[i])
            values[f"recall_{label}"] = float(recall[i])
    return values


def _loss(scores: Tensor, target: Tensor) -> float:
    return float(F.cross_entropy(scores, target)) if len(target) else 0.0


def _calibration_error(scores: Tensor, target: Tensor) -> float:
    if len(target) == 0:
        return 0.0
    metric = CalibrationError()
    metric.sync_on_compute = False  # every process has all samples already
    metric.update(scores.softmax(dim=1), target)
    return float(metric.compute())
