from functools import partial
from math import inf
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch.cli import ReduceLROnPlateau as MonitoringPlateau
from torch.optim.lr_scheduler import ConstantLR, CyclicLR, OneCycleLR, ReduceLROnPlateau

from lit_tasks.tasks.optimization import OptimizedModule, in_two_phases, learning_rate


@pytest.mark.parametrize("lr_decay", ["linear", "cosine", "constant"])
def test_the_learning_rate_rises_then_falls_to_zero(lr_decay: Any) -> None:
    rates = [learning_rate(step, 10, 100, lr_decay) for step in range(101)]
    assert rates[:11] == sorted(rates[:11])
    assert rates[10] == 1.0
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[100] == pytest.approx(1.0 if lr_decay == "constant" else 0.0)


def test_each_of_two_phases_falls_to_zero_the_second_from_a_smaller_rate() -> None:
    course = in_two_phases(0.6, 0.1)
    rates = [course(step, 0, 100, "linear") for step in range(101)]
    assert rates[:60] == [learning_rate(step, 0, 60, "linear") for step in range(60)]
    assert rates[60:] == [0.1 * learning_rate(step, 0, 40, "linear") for step in range(41)]
    assert rates[100] == 0


@pytest.mark.parametrize(
    ("lr_decay", "warmup", "sentence"),
    [
        ("linear", 0.0, "lr_scheduler and lr_decay 'linear' set the same .*, or lr_decay$"),
        ("constant", 0.1, r"lr_scheduler and warmup 0\.1 set the same .*, or warmup$"),
        (
            "cosine",
            0.1,
            "lr_scheduler and lr_decay 'cosine' and warmup .*, or lr_decay and warmup$",
        ),
    ],
)
def test_two_rulers_of_the_learning_rate_are_refused(
    lr_decay: Any, warmup: float, sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        OptimizedModule(lr_scheduler=ConstantLR, lr_decay=lr_decay, warmup=warmup)
    OptimizedModule(lr_decay=lr_decay, warmup=warmup)
    OptimizedModule(lr_scheduler=ConstantLR)


@pytest.mark.parametrize("warmup", [-0.1, 1.5])
def test_a_rise_is_a_share_of_the_run(warmup: float) -> None:
    with pytest.raises(ValueError, match=f"warmup must be from 0 to 1, got {warmup}"):
        OptimizedModule(lr_decay="linear", warmup=warmup)


def schedule(make: Any, steps: float = 30) -> Any:
    trainer: Any = SimpleNamespace(callbacks=[], estimated_stepping_batches=steps)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    task = OptimizedModule(lr_scheduler=make)
    task.trainer = trainer
    found: Any = task.scheduled(optimizer)
    return found["lr_scheduler"]


@pytest.mark.parametrize(
    ("make", "monitor"),
    [
        (partial(MonitoringPlateau, monitor="val/accuracy"), "val/accuracy"),
        (ReduceLROnPlateau, "val/loss"),
    ],
)
def test_a_plateau_is_seen_by_its_monitor(make: Any, monitor: str) -> None:
    assert schedule(make)["monitor"] == monitor


def test_a_cycle_is_stepped_after_every_step_and_takes_the_whole_run() -> None:
    found = schedule(partial(OneCycleLR, max_lr=0.1))
    assert (found["interval"], found["scheduler"].total_steps) == ("step", 30)
    by_hand = partial(OneCycleLR, max_lr=0.1, epochs=4, steps_per_epoch=10)
    assert schedule(by_hand)["scheduler"].total_steps == 40
    assert schedule(partial(CyclicLR, base_lr=0.1, max_lr=0.2))["interval"] == "step"
    assert schedule(ConstantLR)["interval"] == "epoch"


def test_a_cycle_that_ends_before_the_run_is_refused() -> None:
    with pytest.raises(ValueError, match="OneCycleLR has 29 steps and the run 30: leave total_st"):
        schedule(partial(OneCycleLR, max_lr=0.1, total_steps=29))
    assert schedule(partial(OneCycleLR, max_lr=0.1, total_steps=9), inf)["interval"] == "step"
    with pytest.raises(ValueError, match=r"set trainer\.max_steps"):
        schedule(partial(OneCycleLR, max_lr=0.1), inf)
    with pytest.raises(ValueError, match="pct_start"):
        schedule(partial(OneCycleLR, max_lr=0.1, pct_start=2.0))
