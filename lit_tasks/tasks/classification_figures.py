"""Figures of a classifier of images: what it gets right, what wrong, and how sure it is."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from lit_tasks.metrics.calibration import BINS
from lit_tasks.metrics.classification import ClassificationMetrics, confusion
from lit_tasks.metrics.label_metrics import LabelMetrics, class_scores
from lit_tasks.metrics.multilabel import MultilabelMetrics
from lit_tasks.plots import class_bars, confusion_matrix, image_grid, reliability
from lit_tasks.plots.names import shortened
from lit_tasks.printable import printable
from lit_tasks.sampling import evenly_spread

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Show = Callable[[Sequence[int]], list[np.ndarray]]
_IMAGES_SHOWN = 24


def drawn(
    probability: Float[Tensor, "N C"],
    target: Int[Tensor, " N"],
    labels: Sequence[str],
    show: Show | None,
    files: Callable[[Sequence[int]], list[str]] | None = None,
) -> "dict[str, Figure]":
    """Return figures by name.

    Args:
        probability: Of each class, for every image.
        target: Class of every image.
        labels: Names of the classes.
        show: Returns the images at some positions; without it no images are drawn.
        files: Returns what the images at some positions are called.
    """
    sure, predicted = probability.max(dim=1)
    counts = confusion(predicted, target, len(labels))
    right, taken, of_class = (n.double() for n in (counts.diag(), counts.sum(0), counts.sum(1)))
    figures = {
        "confusion_matrix": confusion_matrix(counts.numpy(), labels),
        "reliability": reliability(sure.numpy(), (predicted == target).double().numpy(), bins=BINS),
        "classes": class_bars(
            labels,
            (right / taken.clamp(min=1)).tolist(),
            (right / of_class.clamp(min=1)).tolist(),
            samples=[int(n) for n in of_class],
        ),
    }
    if show is None:
        return figures
    some = evenly_spread(len(target), _IMAGES_SHOWN)
    figures["predictions"] = _grid(
        some, probability, target=target, labels=labels, show=show, files=files
    )
    wrong = torch.nonzero(predicted != target).flatten()
    of_truth = probability[wrong, target[wrong]]
    worst = wrong[of_truth.argsort(stable=True)][:_IMAGES_SHOWN].tolist()
    if worst:
        figures["worst_mistakes"] = _grid(
            worst, probability, target=target, labels=labels, show=show, files=files
        )
    return figures


def metric_figures(metrics: LabelMetrics) -> "dict[str, Figure]":
    """Return what can be drawn from the counts of metrics alone, by name."""
    if isinstance(metrics, ClassificationMetrics):
        counts = metrics.confusion.compute().cpu()
        if not counts.any():
            return {}
        return {"confusion_matrix": confusion_matrix(counts.numpy(), metrics.labels)}
    if isinstance(metrics, MultilabelMetrics):
        right, given, there = metrics.counts.compute().cpu()
        scores = class_scores(right, given, there)
        values = (scores["precision"].tolist(), scores["recall"].tolist(), there.tolist())
        return {"classes": class_bars(metrics.labels, *values)} if there.any() else {}
    return {}


def _grid(
    indices: list[int],
    probability: Tensor,
    target: Tensor,
    labels: Sequence[str],
    show: Show,
    files: Callable[[Sequence[int]], list[str]] | None,
) -> "Figure":
    """Return images under the predicted label and its probability, and under the true one."""
    titles, right = [], []
    for index in indices:
        predicted, true = int(probability[index].argmax()), int(target[index])
        name = shortened(printable(labels[predicted]), 32)
        title = f"{name} {float(probability[index, predicted]):.2f}"
        right.append(predicted == true)
        is_true = f"\nis {shortened(printable(labels[true]), 32)}"
        titles.append(title if predicted == true else title + is_true)
    below = None if files is None else files(indices)
    return image_grid(show(indices), titles, right, below=below)
