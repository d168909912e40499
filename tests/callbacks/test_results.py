"""What stands in the terminal at the end of an evaluation."""

import json

import pytest
import torch
from csv_table import table
from small_runs import TEXTS, fit

from lit_tasks.callbacks.results import print_results
from lit_tasks.metrics.classification import ClassificationMetrics
from lit_tasks.metrics.label_metrics import LabelMetrics
from lit_tasks.metrics.multilabel import MultilabelMetrics


def test_each_class_has_a_row_below_the_metrics(capsys: pytest.CaptureFixture[str]) -> None:
    run = fit(*TEXTS, "--trainer.logger=false")
    results = json.loads((run / "results.json").read_text())
    out = capsys.readouterr().out
    metrics, classes = out[: out.index("test: class")], out[out.index("test: class") :]
    assert "test/accuracy" in metrics
    assert not any(f"{kind}_" in out for kind in ("precision", "recall"))
    samples = [row["target"] for row in table(run / "samples_test.csv")]
    for label in set(samples):
        [row] = [line for line in classes.splitlines() if line.startswith(f"│ {label} ")]
        cells = [cell.strip() for cell in row.strip("│").split("│")]
        kinds = ("precision", "recall", "f1")
        values = [results[f"test/{kind}_{label}"]["value"] for kind in kinds]
        count = f"{samples.count(label):,}"
        assert cells == [label, *(f"{value:.4f}" for value in values), count]


def counted(metrics: LabelMetrics, target: torch.Tensor) -> LabelMetrics:
    logits = torch.randn(len(target), len(metrics.labels), generator=torch.manual_seed(0))
    metrics.update(logits, target)
    return metrics


@pytest.mark.parametrize(
    ("metrics", "target"),
    [
        (ClassificationMetrics(["a", "b", "c"]), torch.tensor([0, 0, 0, 2, 2, 0])),
        (MultilabelMetrics(["a", "b"], [0.5, 0.4]), torch.eye(2).bool()[[0, 1, 0, 0]]),
    ],
)
def test_the_numbers_of_a_class_are_those_of_the_results(
    metrics: LabelMetrics, target: torch.Tensor
) -> None:
    report = counted(metrics, target).compute()
    rows = metrics.scores_by_class()
    for i, row in enumerate(rows):
        there = target == i if target.ndim == 1 else target[:, i]
        assert row["samples"] == int(there.sum())
        for name in ("precision", "recall", "f1"):
            assert row[name] == report[f"{name}_{metrics.labels[i]}"]
    assert [row["class"] for row in rows] == metrics.labels


def test_a_hundred_classes_have_no_table() -> None:
    metrics = ClassificationMetrics([str(n) for n in range(100)])
    assert counted(metrics, torch.arange(100)).scores_by_class() == []


def test_no_number_is_cut_by_a_long_name(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    names = ["\x1b[2J" + "long " * 60 + end for end in ("a", "b")]
    rows = [{"class": n, "precision": 0.1234, "f1": 0.5678, "samples": 1234567} for n in names]
    results = {f"val/f1_{n}": {"value": 0.5678} for n in names} | {"val/loss": {"value": 0.25}}
    print_results(results, "val", rows)
    out = capsys.readouterr().out
    assert [out.count(said) for said in ("0.1234", "0.5678", "1,234,567")] == [2, 2, 2]
    assert "\x1b" not in out
    assert "0.2500" in out
