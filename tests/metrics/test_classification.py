import processes
import pytest
import torch
from torch import distributed as dist
from torch.nn import functional as F
from torchmetrics import ClasswiseWrapper
from torchmetrics.classification import (
    MulticlassAveragePrecision,
    MulticlassCohenKappa,
    MulticlassConfusionMatrix,
    MulticlassHingeLoss,
    MulticlassJaccardIndex,
)
from torchmetrics.functional.classification import (
    multiclass_calibration_error,
    multiclass_cohen_kappa,
    multiclass_confusion_matrix,
    multiclass_f1_score,
    multiclass_precision,
    multiclass_recall,
)

from lit_tasks.metrics.classification import ClassificationMetrics, confusion
from lit_tasks.metrics.gathered_values import GatheredValues

LABELS = ["a", "b", "c"]


def scored(samples: int) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(samples)
    target = torch.randint(3, (samples,), generator=draw)
    return torch.randn(samples, 3, generator=draw) + 2 * F.one_hot(target, 3), target


def test_every_number_is_that_of_torchmetrics() -> None:
    scores, target = scored(200)
    metrics = ClassificationMetrics(LABELS, raw=True)
    for rows in (slice(0, 90), slice(90, 90), slice(90, 200)):
        metrics.update(scores[rows], target[rows], temperature=2.0)
    report = metrics.compute()
    how = {"num_classes": 3, "average": "none"}
    precision = multiclass_precision(scores, target, **how)
    recall = multiclass_recall(scores, target, **how)
    f1_each = multiclass_f1_score(scores, target, **how)
    for i, label in enumerate(LABELS):
        assert report[f"precision_{label}"] == pytest.approx(float(precision[i]))
        assert report[f"recall_{label}"] == pytest.approx(float(recall[i]))
        assert report[f"f1_{label}"] == pytest.approx(float(f1_each[i]))
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
    metrics = ClassificationMetrics(LABELS)
    metrics.update(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long))
    report = metrics.compute()
    assert (report["loss"], report["macro_f1"]) == (0.0, 0.0)
    assert report["samples"] == 0
    assert (report["accuracy_low"], report["accuracy_high"]) == (0.0, 1.0)


def test_many_classes_get_no_number_each() -> None:
    scores, target = torch.eye(30), torch.arange(30)
    metrics = ClassificationMetrics([str(i) for i in range(30)])
    metrics.update(scores, target)
    report = metrics.compute()
    assert report["macro_f1"] == 1.0
    assert not any(name.startswith("recall") for name in report)


def test_scores_come_back_in_the_order_of_the_dataset_and_once_each() -> None:
    scores, target = scored(7)
    metric = GatheredValues(3)
    for rows in ([4, 1], [6, 0, 2], [5, 3], [1]):  # a padded sampler repeats a sample
        metric.update(torch.tensor(rows), scores[rows], target[rows])
    found = metric.compute()
    assert torch.equal(found[0], scores)
    assert torch.equal(found[1], target)


def test_a_single_sample_keeps_its_shape() -> None:
    metric = GatheredValues(3)
    metric.update(torch.tensor([0]), torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([2]))
    scores, target = metric.samples()
    assert scores.shape == (1, 3)
    assert target.tolist() == [2]


def test_metrics_of_others_are_named_and_say_which_way_they_are_better() -> None:
    scores, target = scored(50)
    more = {
        "kappa": MulticlassCohenKappa(3),
        "iou": MulticlassJaccardIndex(3, average="none"),
        "hinge": MulticlassHingeLoss(3),
        "ap": ClasswiseWrapper(MulticlassAveragePrecision(3, average="none", thresholds=5), LABELS),
    }
    metrics = ClassificationMetrics(LABELS, more)
    for part in (slice(0, 30), slice(30, 30), slice(30, 50)):
        metrics.update(scores[part], target[part])
    values = metrics.compute()
    kappa = multiclass_cohen_kappa(scores, target, 3)
    assert values["kappa"] == pytest.approx(float(kappa))
    assert {"iou_a", "iou_b", "iou_c"} < set(values)
    assert sum(name.startswith("ap_") for name in values) == 3
    better = metrics.higher_is_better
    assert (better["kappa"], better["iou_b"], better["hinge"]) == (True, True, False)
    assert (better["loss"], better["calibration_error"], better["macro_f1"]) == (False, False, True)
    metrics.reset()
    assert metrics.compute()["samples"] == 0


def test_a_metric_without_a_number_is_refused() -> None:
    metrics = ClassificationMetrics(LABELS, {"counts": MulticlassConfusionMatrix(3)})
    metrics.update(*scored(5))
    with pytest.raises(ValueError, match="metrics: counts must return one value, one a class"):
        metrics.compute()


def reported(samples: int, rows: list[list[int]] | None = None) -> dict[str, float]:
    """Return what a process says that counts some batches, all in one if none are given."""
    scores, target = scored(samples)
    metrics = ClassificationMetrics(LABELS, {"kappa": MulticlassCohenKappa(3)})
    rank = dist.get_rank() if dist.is_initialized() else 0
    if rows is None:
        metrics.update(scores, target)
    elif not rows:
        metrics.has_all_samples()
        metrics.update(scores, target)
    elif rows[rank]:
        metrics.update(scores[rows[rank]], target[rows[rank]])
    return metrics.compute()


def in_group(samples: int, rows: list[list[int]]) -> dict[str, float]:
    dist.init_process_group("gloo")
    try:
        return reported(samples, rows)
    finally:
        dist.destroy_process_group()


def test_processes_that_have_all_samples_count_each_once() -> None:
    for values in processes.run(2, in_group, 9, []):
        assert values == reported(9)


def test_processes_say_what_one_says_also_one_without_a_sample() -> None:
    expected = reported(9)
    for values in processes.run(3, in_group, 9, [[0, 2, 4, 6], [], [1, 3, 5, 7, 8]]):
        assert values == pytest.approx(expected, abs=1e-12)
