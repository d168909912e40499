import processes
import pytest
import torch
from torch import distributed as dist
from torch.nn import functional as F
from torchmetrics.classification import MultilabelAveragePrecision
from torchmetrics.functional.classification import (
    multilabel_average_precision,
    multilabel_exact_match,
    multilabel_f1_score,
    multilabel_precision,
    multilabel_recall,
)

from lit_tasks.metrics.gathered_values import GatheredValues
from lit_tasks.metrics.multilabel import MultilabelMetrics

LABELS = ["a", "b", "c"]


def scored(samples: int) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(samples)
    target = torch.rand(samples, 3, generator=draw) < 0.4
    return torch.randn(samples, 3, generator=draw) + 2 * target - 1, target


def test_every_number_is_that_of_torchmetrics() -> None:
    logits, target = scored(200)
    more = {"ap": MultilabelAveragePrecision(3, average="none")}
    metrics = MultilabelMetrics(LABELS, [0.5] * 3, more)
    for rows in (slice(0, 90), slice(90, 90), slice(90, 200)):
        metrics.update(logits[rows], target[rows])
    report = metrics.compute()
    how = {"num_labels": 3}
    for name, theirs in (
        ("precision", multilabel_precision),
        ("recall", multilabel_recall),
        ("f1", multilabel_f1_score),
    ):
        each = theirs(logits, target.long(), **how, average="none")
        for label, value in zip(LABELS, each, strict=True):
            assert report[f"{name}_{label}"] == pytest.approx(float(value))
    for average in ("micro", "macro"):
        value = multilabel_f1_score(logits, target.long(), **how, average=average)
        assert report[f"{average}_f1"] == pytest.approx(float(value))
    exact = float(multilabel_exact_match(logits, target.long(), 3))
    assert report["subset_accuracy"] == report["accuracy"] == pytest.approx(exact)
    assert report["accuracy_low"] < exact < report["accuracy_high"]
    assert report["samples"] == 200
    loss = F.binary_cross_entropy_with_logits(logits, target.float())
    assert report["loss"] == pytest.approx(float(loss))
    precision = multilabel_average_precision(logits, target.long(), **how, average="none")
    assert report["ap_b"] == pytest.approx(float(precision[1]))
    assert metrics.higher_is_better.keys() >= report.keys() - {
        *("accuracy_low", "accuracy_high", "samples"),
    }
    assert metrics.higher_is_better["loss"] is False


def test_each_label_has_its_threshold() -> None:
    logits = torch.tensor([[0.3, 0.6, 0.9]]).logit().repeat(2, 1)
    metrics = MultilabelMetrics(LABELS, [0.3 - 1e-6, 0.7, 0.5])
    metrics.update(logits, torch.tensor([[True, False, True], [True, True, True]]))
    report = metrics.compute()
    assert report["subset_accuracy"] == 0.5
    assert report["micro_f1"] == pytest.approx(2 * 4 / (4 + 5))
    assert (report["recall_b"], report["recall_a"]) == (0.0, 1.0)


def test_nothing_scored_is_no_division_by_zero() -> None:
    metrics = MultilabelMetrics(LABELS, [0.5] * 3)
    metrics.update(torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.bool))
    report = metrics.compute()
    assert (report["loss"], report["micro_f1"], report["macro_f1"]) == (0.0, 0.0, 0.0)


def test_values_are_kept_in_order_with_all_their_labels() -> None:
    logits, target = scored(5)
    metric = GatheredValues(3, several=True)
    assert metric.samples()[1].shape == (0, 3)
    for rows in ([4, 1], [0, 2], [3], [1]):
        metric.update(torch.tensor(rows), logits[rows], target[rows])
    assert torch.equal(metric.samples()[1], target)
    metric.reset()
    metric.update(torch.tensor([0]), logits[:1], target[:1])
    assert metric.samples()[1].shape == (1, 3)


def shares(world: int = 3) -> dict[str, float]:
    logits, target = scored(11)
    rank = dist.get_rank() if world > 1 else 0
    metrics = MultilabelMetrics(LABELS, [0.5] * 3)
    if rank < 2:  # the third process has no batch at all
        rows = slice(rank, None, min(world, 2))
        metrics.update(logits[rows], target[rows])
    return metrics.compute()


def in_group() -> dict[str, float]:
    dist.init_process_group("gloo")
    try:
        return shares()
    finally:
        dist.destroy_process_group()


def test_three_processes_report_what_one_does() -> None:
    for report in processes.run(3, in_group):
        assert report == pytest.approx(shares(world=1), abs=1e-12)
