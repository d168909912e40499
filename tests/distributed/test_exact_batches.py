"""Numbers, gradients and order do not depend on how many processes there are."""

from collections.abc import Callable
from typing import Any

import pytest
from cases import TextClassifier, TextData, trainer
from processes import outcomes, run


def fitted(data: dict[str, Any], model: dict[str, Any], options: dict[str, Any]) -> Any:
    module = TextClassifier(**model)
    runner = trainer(**options)
    runner.fit(module, datamodule=TextData(**data))
    metrics = {name: float(value) for name, value in runner.callback_metrics.items()}
    return module.weights(), metrics, module.seen, runner.global_step


def evaluated(kind: str, samples: int, options: dict[str, Any]) -> dict[str, float]:
    runner = trainer(**options)
    [metrics] = getattr(runner, kind)(
        TextClassifier(), datamodule=TextData(9, evaluated=samples), verbose=False
    )
    return metrics


def flat(weights: dict[str, list[float]]) -> list[float]:
    return [value for values in weights.values() for value in values]


def each(function: Callable[..., Any], cases: list[tuple[Any, ...]]) -> list[Any]:
    """Play all cases in the same processes: a start costs more than a case."""
    return [function(*case) for case in cases]


DATA = [
    {"samples": 37},
    {"samples": 33},  # the last batch has one sample: all but one process have none
    {"samples": 37, "drop_last": True},
    {"samples": 37, "buckets": True},
    {"samples": 37, "workers": 2},
    {"samples": 1},
]


ACCUMULATED = pytest.param(
    {"accumulate_grad_batches": 2}, marks=pytest.mark.slow
)  # the same once more


@pytest.mark.parametrize("options", [{}, ACCUMULATED], ids=str)
def test_two_and_three_processes_learn_what_one_learns(options: dict[str, Any]) -> None:
    cases = [(data, {}, options) for data in DATA]
    [alone] = run(1, each, fitted, cases)
    for world in (2, 3):
        for rank in run(world, each, fitted, cases):
            for mine, expected in zip(rank, alone, strict=True):
                assert flat(mine[0]) == pytest.approx(flat(expected[0]), abs=1e-12)
                assert mine[1] == pytest.approx(expected[1], abs=1e-6)
                assert mine[3] == expected[3]


def test_evaluation_sees_every_sample_once() -> None:
    samples = (1, 2, 5, 7, 153)
    cases = [(kind, n, {}) for kind in ("validate", "test") for n in samples]
    [alone] = run(1, each, evaluated, cases)
    assert [metrics["val/samples"] for metrics in alone] == [*samples, *samples]
    for world in (2, 3):
        for rank in run(world, each, evaluated, cases):
            for mine, expected in zip(rank, alone, strict=True):
                assert mine == pytest.approx(expected, abs=1e-6)


def test_a_process_without_validation_samples_waits_for_nobody() -> None:
    """BatchNorm's buffers are sent in DDP's first forward of an evaluation."""
    counts = (1, 2, 9)
    options = {"num_sanity_val_steps": 2}
    cases = [({"samples": 16, "evaluated": n}, {"norm": True}, options) for n in counts]
    for world in (2, 3):
        ranks = run(world, each, fitted, cases)
        for found in zip(*ranks, strict=True):
            assert all(metrics == found[0][1] for _, metrics, _, _ in found)
        assert [metrics["val/samples"] for _, metrics, _, _ in ranks[0]] == list(counts)


class LogsInSteps(TextClassifier):
    """Logs as most Lightning modules do."""

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self.metrics["accuracy"].update(self(batch), batch.label)
        self.log("test/accuracy", self.metrics["accuracy"])

    def on_test_epoch_end(self) -> None:
        pass


def logged_in_steps(samples: int) -> float:
    [metrics] = trainer().test(LogsInSteps(), datamodule=TextData(9, evaluated=samples))
    return metrics["test/accuracy"]


def test_a_metric_logged_in_steps_is_exact_or_refused() -> None:
    [expected] = run(1, logged_in_steps, 7)
    assert run(2, logged_in_steps, 7) == [expected, expected]
    _, failures = outcomes(2, logged_in_steps, 1, seconds=150)
    assert "test/accuracy is logged in a step that not all of 2 processes have" in failures[0]
    assert "no end in time" not in failures[1]
