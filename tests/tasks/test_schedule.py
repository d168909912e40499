from typing import Any

import pytest
from torch.optim.lr_scheduler import ConstantLR

from lit_tasks.tasks.optimization import check_schedule, in_two_phases, learning_rate


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
        check_schedule(ConstantLR, lr_decay, warmup)
    check_schedule(None, lr_decay, warmup)
    check_schedule(ConstantLR, "constant")


@pytest.mark.parametrize("warmup", [-0.1, 1.5])
def test_a_rise_is_a_share_of_the_run(warmup: float) -> None:
    with pytest.raises(ValueError, match=f"warmup must be from 0 to 1, got {warmup}"):
        check_schedule(None, "linear", warmup)
