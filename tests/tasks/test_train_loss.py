"""The training loss of an epoch is the mean over its samples, and a resumed run logs the same."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from lit_tasks.tasks.train_loss import TrainMean


class Task:
    """What a task is to the loss: a step, a trainer, and a log."""

    def __init__(self, every: int, step: int = 0) -> None:
        self.trainer: Any = SimpleNamespace(log_every_n_steps=every)
        self.global_step = step
        self.logged: list[tuple[int, float]] = []

    def log(self, name: str, value: torch.Tensor, batch_size: int) -> None:
        assert name == "train/loss"
        self.logged.append((self.global_step, float(value)))


BATCHES = [(2.0, 64), (1.0, 64), (9.0, 1), (0.5, 64), (0.25, 64), (0.0, 1)]


def run(task: Any, loss: TrainMean, batches: list[tuple[float, int]]) -> list[tuple[int, float]]:
    for value, samples in batches:
        loss.update(task, torch.tensor(value, requires_grad=True), samples)
        task.global_step += 1
    logged: list[tuple[int, float]] = task.logged
    return logged


def test_an_epoch_whose_last_batch_is_one_sample_has_its_mean() -> None:
    first = (2 * 64 + 64 + 9) / 129
    second = (0.5 * 64 + 0.25 * 64) / 129
    logged = run(Task(3), TrainMean("train/loss"), BATCHES)
    assert logged == [(2, pytest.approx(first)), (5, pytest.approx(second))]


@pytest.mark.parametrize("stop", range(6))
def test_a_run_that_stops_anywhere_goes_on_with_the_same_numbers(stop: int) -> None:
    whole = run(Task(3), TrainMean("train/loss"), BATCHES)
    first, begun = (
        TrainMean("train/loss"),
        run(task := Task(3), loss := TrainMean("train/loss"), BATCHES[:stop]),
    )
    first.load_state_dict(loss.state_dict())
    assert run(Task(3, task.global_step), first, BATCHES[stop:]) == whole[len(begun) :]


def test_all_parts_of_an_accumulated_step_count() -> None:
    task: Any = Task(1)
    loss = TrainMean("train/loss")
    for value in (1.0, 3.0):
        loss.update(task, torch.tensor(value), 2)
    assert task.logged[-1] == (0, 2.0)
    task.global_step = 1
    loss.update(task, torch.tensor(7.0), 2)
    assert task.logged[-1] == (1, 7.0)


def test_low_precision_is_added_up_in_single() -> None:
    task: Any = Task(1000)
    loss = TrainMean("train/loss")
    for step in range(1000):
        task.global_step = step
        loss.update(task, torch.tensor(1.0, dtype=torch.bfloat16), 1)
    assert task.logged == [(999, 1.0)]
