"""What the metrics of all classifiers share: one object that is updated, computed and reset."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torchmetrics import Metric

MAX_CLASSES_LISTED = 20  # with more classes, numbers for each would drown the others


class LabelMetrics(nn.Module):
    """Metrics of predictions among named labels; sums are all that is kept.

    So the values are exact on any number of processes, also on one that had no batch.

    Args:
        labels: Names of the classes.
        metrics: More metrics by name, each updated with the probabilities ``(B, C)`` and the
            targets. One that returns a value for each class gives ``name_label``, one that returns
            a mapping gives ``name_key``.
    """

    def __init__(self, labels: Sequence[str], metrics: Mapping[str, Metric] | None = None) -> None:
        super().__init__()
        self.labels = list(labels)
        self.more = nn.ModuleDict(metrics or {})

    @abstractmethod
    def update(self, logits: Tensor, target: Tensor, temperature: float = 1.0) -> None:
        """Count a batch of logits ``(B, C)``."""

    @abstractmethod
    def compute(self) -> dict[str, float]:
        """Return the values by name, over all processes."""

    @abstractmethod
    def label_counts(self) -> Tensor:
        """Return how often each class was found, predicted and there, ``(3, C)``."""

    def scores_by_class(self) -> list[dict[str, Any]]:
        """Return ``class``, ``precision``, ``recall``, ``f1`` and ``samples`` of each class.

        They are over all processes; a list without rows where there are more than 20 classes.
        """
        if len(self.labels) > MAX_CLASSES_LISTED:
            return []
        right, taken, of_class = self.label_counts().cpu()
        scores = class_scores(right, taken, of_class)
        return [
            {"class": label, **{name: float(score[i]) for name, score in scores.items()}}
            | {"samples": int(of_class[i])}
            for i, label in enumerate(self.labels)
        ]

    def update_more(self, probability: Tensor, target: Tensor) -> None:
        """Count a batch in the metrics of the user."""
        for metric in self.more.values():
            if len(target):  # most metrics of others refuse an empty batch
                metric.update(probability.float(), target)  # type: ignore[operator]

    def computed_more(self) -> dict[str, float]:
        """Return their values by name."""
        values: dict[str, float] = {}
        for name, metric in self.more.items():
            values |= self._named(name, metric.compute())  # type: ignore[operator]
        return values

    def reset(self) -> None:
        """Forget what was counted."""
        for metric in self._all():
            metric.reset()

    def has_all_samples(self) -> None:
        """Add nothing up over processes from now on: each is going to count all samples."""
        for metric in self.modules():
            if isinstance(metric, Metric):
                metric.distributed_available_fn = _alone

    @property
    def higher_is_better(self) -> dict[str, bool]:
        """Which way each value is better, by name; those of ``metrics`` as they declare it."""
        found: dict[str, bool] = {}
        for kind in ("precision", "recall", "f1"):
            found |= {f"{kind}_{label}": True for label in self.labels}
        for name, metric in self.more.items():
            if (more := getattr(metric, "higher_is_better", None)) is not None:
                found |= {name: bool(more)}
                found |= {f"{name}_{label}": bool(more) for label in self.labels}
        return found

    def _all(self) -> Iterator[Metric]:
        for metric in (*self.children(), *self.more.values()):
            if isinstance(metric, Metric):
                yield metric

    def _named(self, name: str, value: Tensor | Mapping[str, Tensor]) -> dict[str, float]:
        if isinstance(value, Mapping):
            return {f"{name}_{key}": float(one) for key, one in value.items()}
        if value.numel() == 1:
            return {name: float(value)}
        if value.shape == (len(self.labels),):
            named = zip(self.labels, value.tolist(), strict=True)
            return {f"{name}_{label}": one for label, one in named}
        raise ValueError(
            f"metrics: {name} must return one value, one a class or a mapping of values, got a"
            f" tensor of shape {tuple(value.shape)}"
        )


def _alone() -> bool:
    return False


def class_scores(right: Tensor, taken: Tensor, of_class: Tensor) -> dict[str, Tensor]:
    """Return precision, recall and F1 of each class.

    Precision without a prediction of its class, and recall without a sample, count as 0.

    Args:
        right: How often each class was found, ``(C,)``.
        taken: How often each was predicted.
        of_class: How many samples each has.
    """
    return {
        "precision": right / taken.clamp(min=1),
        "recall": right / of_class.clamp(min=1),
        "f1": 2 * right / (of_class + taken).clamp(min=1),
    }


def listed(
    scores: Mapping[str, Tensor], labels: Sequence[str], of_class: Tensor
) -> dict[str, float]:
    """Return ``macro_f1`` over the classes with samples, and the scores of each class.

    Nothing is said of each class where there are more than 20.
    """
    there = of_class > 0
    values = {"macro_f1": float(scores["f1"][there].mean()) if there.any() else 0.0}
    for i, label in enumerate(labels if len(labels) <= MAX_CLASSES_LISTED else ()):
        values |= {f"{name}_{label}": float(score[i]) for name, score in scores.items()}
    return values
