import pytest

from lit_tasks.statistics import wilson_interval


@pytest.mark.parametrize(
    ("correct", "total", "low", "high"),
    [(8, 10, 0.49016, 0.94332), (0, 20, 0.0, 0.16113), (9520, 10000, 0.94763, 0.95602)],
)
def test_the_interval_solves_the_equation_that_defines_it(
    correct: int, total: int, low: float, high: float
) -> None:
    z = 1.959964
    interval = wilson_interval(correct, total)
    assert interval == pytest.approx((low, high), abs=1e-4)
    for p in interval:  # |share - p| = z sqrt(p (1 - p) / n)
        assert (correct / total - p) ** 2 == pytest.approx(z**2 * p * (1 - p) / total, abs=1e-9)


def test_without_samples_nothing_is_known() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)
