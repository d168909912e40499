import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchmetrics.functional.classification import multiclass_calibration_error

from lit_tasks.metrics.accuracy_interval import AccuracyInterval
from lit_tasks.metrics.calibration import CalibrationError


@given(seed=st.integers(0, 1000), classes=st.integers(2, 5), size=st.integers(1, 60))
def test_the_error_is_that_of_torchmetrics_in_any_batches(
    seed: int, classes: int, size: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    probability = torch.randn(size, classes, generator=generator).double().mul(2).softmax(1)
    target = torch.randint(classes, (size,), generator=generator)
    metric = CalibrationError()
    for p, t in zip(probability.split(7), target.split(7), strict=True):
        metric.update(p, t)
    expected = multiclass_calibration_error(probability, target, classes, n_bins=15)
    assert float(metric.compute()) == pytest.approx(float(expected), abs=1e-6)


def test_a_bin_holds_its_upper_edge_and_not_its_lower_one() -> None:
    metric = CalibrationError()  # 0.6 is 9/15: alone in the bin below 0.61
    probability = torch.tensor([[0.6, 0.4], [0.61, 0.39]], dtype=torch.float64)
    metric.update(probability, torch.tensor([0, 1]))
    assert float(metric.compute()) == pytest.approx((abs(1 - 0.6) + abs(0 - 0.61)) / 2)


def test_accuracy_counts_over_batches_and_knows_its_interval() -> None:
    metric = AccuracyInterval()
    metric.update(torch.tensor([0, 1, 1]), torch.tensor([0, 1, 0]))
    metric.update(torch.tensor([2]), torch.tensor([2]))
    values = metric.compute()
    assert (values["accuracy"], values["samples"]) == (0.75, 4)
    assert values["accuracy_low"] < 0.75 < values["accuracy_high"]
    metric.reset()
    assert metric.compute()["samples"] == 0
