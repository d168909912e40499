"""Statistics in plain Python: intervals of proportions, means over seeds, paired differences."""

from collections.abc import Sequence
from functools import cache
from math import atan, comb, cos, fsum, pi, sin, sqrt
from typing import NamedTuple

_MAX_DEGREES = 2000  # degrees of freedom; more change the 95 % quantile by less than 0.0012


class Spread(NamedTuple):
    """Values over repetitions.

    Attributes:
        mean: Their mean.
        deviation: Their standard deviation (divided by n - 1); none for one value.
        interval: Of 95 % for the mean, after Student; none for one value.
        size: How many there are.
    """

    mean: float
    deviation: float | None
    interval: tuple[float, float] | None
    size: int


class Difference(NamedTuple):
    """How much more one run has than another on the same samples.

    Attributes:
        mean: Mean of the differences.
        interval: Of 95 %.
        samples: How many samples both have.
        p: Two-sided probability of a difference at least so large if there were none.
        better: Samples on which the one has more.
        worse: Samples on which the other has more.
    """

    mean: float
    interval: tuple[float, float]
    samples: int
    p: float
    better: int
    worse: int


def spread(values: Sequence[float]) -> Spread:
    """Return mean, deviation and interval of some values."""
    count, mean = len(values), fsum(values) / len(values)
    if count == 1:
        return Spread(mean, None, interval=None, size=1)
    deviation = sqrt(fsum((value - mean) ** 2 for value in values) / (count - 1))
    half = student_quantile(0.975, count - 1) * deviation / sqrt(count)
    return Spread(mean, deviation, interval=(mean - half, mean + half), size=count)


def paired_difference(one: Sequence[float], other: Sequence[float]) -> Difference:
    """Return the difference of two runs whose values belong to the same samples, in order.

    Values that are all 0 or 1 are proportions: their interval is Newcombe's score interval for
    paired proportions and the probability McNemar's, exact. Others get Student's paired interval.
    """
    differences = [a - b for a, b in zip(one, other, strict=True)]
    better, worse = sum(d > 0 for d in differences), sum(d < 0 for d in differences)
    if all(value in (0, 1) for value in (*one, *other)):
        both = sum(a == b == 1 for a, b in zip(one, other, strict=True))
        neither = len(one) - both - better - worse
        mean = (better - worse) / len(one)
        interval = newcombe_interval(both, better, other=worse, neither=neither)
        return Difference(
            mean, interval, samples=len(one), p=mcnemar(better, worse), better=better, worse=worse
        )
    of = spread(differences)
    interval = of.interval or (-float("inf"), float("inf"))
    p = _student_p(of)
    return Difference(of.mean, interval, samples=of.size, p=p, better=better, worse=worse)


def newcombe_interval(both: int, one: int, other: int, neither: int) -> tuple[float, float]:
    """Return the 95 % interval of the difference of two proportions measured on the same samples.

    Source: Newcombe (1998), Statistics in Medicine 17, 2635-2650, method 10: Wilson's intervals
    of the two proportions, put together with the correlation of the samples (continuity-corrected).

    Args:
        both: Samples that both have right.
        one: Samples that only the first has right.
        other: Samples that only the second has right.
        neither: Samples that none has right.
    """
    total = both + one + other + neither
    if total == 0:
        return -1.0, 1.0
    first, second = (both + one) / total, (both + other) / total
    (low1, high1), (low2, high2) = (
        wilson_interval(both + one, total),
        wilson_interval(both + other, total),
    )
    margins = (both + one) * (other + neither) * (both + other) * (one + neither)
    product = float(both * neither - one * other)
    if product > 0:
        product = max(product - total / 2, 0.0)
    phi = product / sqrt(margins) if margins else 0.0
    difference = first - second
    down, up = (first - low1, high2 - second), (high1 - first, second - low2)
    below, above = (sqrt(max(a * a - 2 * phi * a * b + b * b, 0.0)) for a, b in (down, up))
    return difference - below, difference + above


def mcnemar(better: int, worse: int) -> float:
    """Return McNemar's exact two-sided probability: a fair coin thrown on the disagreements.

    Source: McNemar (1947); exact binomial form.
    """
    total, fewer = better + worse, min(better, worse)
    if total == 0:
        return 1.0
    tail = sum(comb(total, k) for k in range(fewer + 1))
    return min(1.0, float(tail / 2 ** (total - 1)))


def student_cdf(t: float, freedom: int) -> float:
    """Return the probability of at most ``t`` under Student's distribution.

    Source: Abramowitz and Stegun, 26.7.3 and 26.7.4, finite sums for whole degrees of freedom.
    """
    angle = atan(t / sqrt(freedom))
    sine, cosine = sin(angle), cos(angle)
    even = freedom % 2 == 0
    term, total = (1.0, 1.0) if even else (cosine, cosine if freedom > 1 else 0.0)
    for k in range(2 if even else 3, freedom - 1, 2):
        term *= cosine**2 * (k - 1) / k
        total += term
    inner = sine * total if even else 2 / pi * (angle + sine * total)
    if freedom == 1:
        inner = 2 * angle / pi
    return 0.5 + inner / 2


@cache
def student_quantile(p: float, freedom: int) -> float:
    """Return the ``t`` that :func:`student_cdf` gives ``p`` for, by halving; ``p`` above 0.5."""
    low, high = 0.0, 1.0
    freedom = min(freedom, _MAX_DEGREES)
    while student_cdf(high, freedom) < p:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if student_cdf(middle, freedom) < p else (low, middle)
    return (low + high) / 2


def _student_p(of: Spread) -> float:
    if not of.deviation:
        return 1.0 if of.mean == 0 or of.deviation is None else 0.0
    t = abs(of.mean) / (of.deviation / sqrt(of.size))
    return 2 * (1 - student_cdf(t, min(of.size - 1, _MAX_DEGREES)))


def wilson_interval(correct: int, total: int, z: float = 1.959964) -> tuple[float, float]:
    """Return the Wilson score interval of ``correct / total``; ``z`` = 1.96 is 95 %.

    Unlike the normal approximation it stays between 0 and 1, and is right for few samples and
    proportions near 0 or 1. Source: Wilson (1927). Without samples nothing is known: (0, 1).
    """
    if total == 0:
        return 0.0, 1.0
    proportion = correct / total
    center = proportion + z**2 / (2 * total)
    half = z * sqrt(proportion * (1 - proportion) / total + z**2 / (4 * total**2))
    scale = 1 + z**2 / total
    return (center - half) / scale, (center + half) / scale
