"""Statistics against scipy, published tables and counting by hand."""

import math

import pytest

from lit_tasks.statistics import (
    mcnemar,
    newcombe_interval,
    paired_difference,
    spread,
    student_cdf,
    student_quantile,
)

scipy_stats = pytest.importorskip("scipy.stats", reason="scipy is the oracle")


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 10, 31, 200, 1999])
def test_student_is_scipys(freedom: int) -> None:
    for t in (-3.0, -0.5, 0.0, 0.7, 2.5, 12.0):
        assert student_cdf(t, freedom) == pytest.approx(scipy_stats.t.cdf(t, freedom), abs=1e-12)
    assert student_quantile(0.975, freedom) == pytest.approx(scipy_stats.t.ppf(0.975, freedom))


@pytest.mark.parametrize(
    ("counts", "interval"),
    [
        # Newcombe (1998), table II, method 10: (e, f, g, h) and the limits printed there.
        ((36, 12, 2, 0), (0.0569, 0.3404)),
        ((54, 0, 0, 0), (-0.0664, 0.0664)),
    ],
)
def test_the_interval_of_paired_shares_is_newcombes(
    counts: tuple[int, int, int, int], interval: tuple[float, float]
) -> None:
    assert newcombe_interval(*counts) == pytest.approx(interval, abs=2e-4)


def test_mcnemar_is_the_exact_binomial_test() -> None:
    for better, worse in ((0, 0), (1, 0), (5, 12), (40, 3), (7, 7)):
        total = better + worse
        expected = scipy_stats.binomtest(better, total, 0.5).pvalue if total else 1.0
        assert mcnemar(better, worse) == pytest.approx(expected)


def test_a_difference_of_shares_counts_the_samples_on_which_they_disagree() -> None:
    found = paired_difference([1, 1, 1, 0, 1, 0], [1, 0, 0, 0, 1, 1])
    assert (found.better, found.worse, found.samples) == (2, 1, 6)
    assert found.mean == pytest.approx(1 / 6)
    assert found.p == 1.0
    assert found.interval == newcombe_interval(2, 2, 1, 1)


def test_a_difference_of_other_values_is_students_paired_test() -> None:
    one, other = [0.3, 1.2, 0.7, 2.2, 0.1], [0.5, 1.6, 0.6, 3.0, 0.4]
    found = paired_difference(one, other)
    oracle = scipy_stats.ttest_rel(one, other)
    assert found.p == pytest.approx(oracle.pvalue)
    assert found.interval == pytest.approx(tuple(oracle.confidence_interval(0.95)))


def test_the_spread_over_seeds_is_that_of_the_textbook() -> None:
    of = spread([1.0, 2.0, 4.0])
    assert of.mean == pytest.approx(7 / 3)
    assert of.deviation == pytest.approx(math.sqrt(7 / 3))
    half = 4.302653 * math.sqrt(7 / 3) / math.sqrt(3)
    assert of.interval == pytest.approx((7 / 3 - half, 7 / 3 + half), rel=1e-6)
    assert spread([2.0]) == (2.0, None, None, 1)


def test_the_interval_of_paired_shares_covers_the_truth_as_often_as_it_says() -> None:
    """Pairs are drawn 2,000 times from known probabilities: 95 % of intervals must cover."""
    import random

    draw, covered, truth = random.Random(0), 0, 0.15 - 0.05
    for _ in range(2000):
        counts = [0, 0, 0, 0]
        for kind in draw.choices(range(4), weights=(0.6, 0.15, 0.05, 0.2), k=80):
            counts[kind] += 1
        low, high = newcombe_interval(*counts)
        covered += low <= truth <= high
    assert 0.935 < covered / 2000 < 0.985
