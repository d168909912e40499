import pytest
import torch
from torch.nn import functional as F
from torchmetrics.functional.classification import (
    multiclass_calibration_error,
    multiclass_confusion_matrix,
    multiclass_f1_score,
    multiclass_precision,
    multiclass_recall,
)

from lit_tasks.metrics.class_report import class_report, confusion
from lit_tasks.metrics.collected_scores import CollectedScores

LABELS = ["a", "b", "c"]


def scored(samples: int) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(samples)
    target = torch.randint(3, (samples,), generator=draw)
    return torch.randn(samples, 3, generator=draw) + 2 * F.one_hot(target, 3), target


def test_every_number_is_that_of_torchmetrics() -> None:
    scores, target = scored(200)
    report = class_report(scores, target, LABELS, temperature=2.0)
    how = {"num_classes": 3, "average": "none"}
    precision = multiclass_precision(scores, target, **how)
    recall = multiclass_recall(scores, target, **how)
    for i, label in enumerate(LABELS):
        assert report[f"precision_{label}"] == pytest.approx(float(precision[i]))
        assert report[f"recall_{label}"] == pytest.approx(float(recall[i]))
    f1 = multiclass_f1_score(scores, target, num_classes=3, average="macro")
    assert report["macro_f1"] == pytest.approx(float(f1))
    assert report["loss"] == pytest.approx(float(F.cross_entropy(scores / 2, target)))
    assert report["loss_raw"] == pytest.approx(float(F.cross_entropy(scores, target)))
    for name, t in (("calibration_error", 2.0), ("calibration_error_raw", 1.0)):
        theirs = multiclass_calibration_error((scores / t).softmax(1), target, 3, n_bins=15)
        assert report[name] == pytest.approx(float(theirs), abs=1e-6)
    counts = multiclass_confusion_matrix(scores, target, 3)
    assert torch.equal(confusion(scores.argmax(1), target, 3), counts)


def test_nothing_scored_is_no_division_by_zero() -> None:
    report = class_report(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long), LABELS, 1.0)
    assert report["samples"] == 0
    assert (report["accuracy_low"], report["accuracy_high"]) == (0.0, 1.0)


def test_many_classes_get_no_number_each() -> None:
    scores, target = torch.eye(30), torch.arange(30)
    report = class_report(scores, target, [str(i) for i in range(30)], 1.0)
    assert report["macro_f1"] == 1.0
    assert not any(name.startswith("recall") for name in report)


def test_scores_come_back_in_the_order_of_the_dataset_and_once_each() -> None:
    scores, target = scored(7)
    metric = CollectedScores(3)
    for rows in ([4, 1], [6, 0, 2], [5, 3], [1]):  # a padded sampler repeats a sample
        metric.update(torch.tensor(rows), scores[rows], target[rows])
    found = metric.compute()
    assert torch.equal(found[0], scores)
    assert torch.equal(found[1], target)


def test_a_single_sample_keeps_its_shape() -> None:
    metric = CollectedScores(3)
    metric.update(torch.tensor([0]), torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([2]))
    scores, target = metric.samples()
    assert scores.shape == (1, 3)
    assert target.tolist() == [2]
    assert class_report(scores, target, ["a", "b", "c"], 1.0)["accuracy"] == 1.0
