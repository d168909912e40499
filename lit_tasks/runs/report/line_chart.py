"""Curves as SVG: drawn in no time, sharp at any size, colored by the page's style."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_WIDTH, _HEIGHT = 480.0, 260.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 56.0, 12.0, 12.0, 36.0
_MOST = 400  # points of a curve; more would be closer than a pixel

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Chart:
    """What a template draws.

    Attributes:
        title: What is shown.
        lines: For each curve its name, its color's number, and its pieces as SVG ``points``.
        x_ticks: Position and text of each mark below.
        y_ticks: Position and text of each mark at the left.
        x_label: What is counted from left to right.
        summary: What the curves say, for who does not see them.
    """

    title: str
    lines: list[tuple[str, int, list[str]]]
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    x_label: str
    summary: str

    width, height = _WIDTH, _HEIGHT
    left, right = _LEFT, _WIDTH - _RIGHT
    top, bottom = _TOP, _HEIGHT - _BOTTOM


def line_chart(
    title: str, curves: Mapping[str, Points], x_label: str, colors: Mapping[str, int]
) -> Chart | None:
    """Return a chart of curves, or ``None`` where no point of theirs is a number.

    Args:
        title: What is shown.
        curves: The points of each curve, from left to right, by its name.
        x_label: What is counted from left to right.
        colors: The number of each curve's color.
    """
    numbers = {
        name: [p for p in points if math.isfinite(p[0]) and math.isfinite(p[1])]
        for name, points in curves.items()
    }
    shown = [point for points in numbers.values() for point in points]
    if not shown:
        return None
    low_x, high_x = _range([x for x, _ in shown])
    low_y, high_y = _range([y for _, y in shown])

    def place(x: float, y: float) -> str:
        across = _LEFT + (x - low_x) / (high_x - low_x) * (_WIDTH - _LEFT - _RIGHT)
        down = _HEIGHT - _BOTTOM - (y - low_y) / (high_y - low_y) * (_HEIGHT - _TOP - _BOTTOM)
        return f"{across:.1f},{down:.1f}"

    lines = []
    for name, points in curves.items():
        pieces = [" ".join(place(x, y) for x, y in piece) for piece in _pieces(_thinned(points))]
        lines.append((name, colors[name], pieces))
    marks = _ticks(low_x, high_x, least=1.0 if high_x - low_x >= 1 else 0.0)
    x_ticks = [(float(place(x, low_y).split(",")[0]), _text(x)) for x in marks]
    y_ticks = [(float(place(low_x, y).split(",")[1]), _text(y)) for y in _ticks(low_y, high_y)]
    ends = [f"{n} ends at {_text(points[-1][1])}" for n, points in numbers.items() if points]
    return Chart(
        title,
        lines,
        x_ticks=x_ticks,
        y_ticks=y_ticks,
        x_label=x_label,
        summary=f"{title}: {'; '.join(ends)}",
    )


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    if high - low > 1e-12 * max(abs(low), abs(high), 1e-300):
        return low, high
    half = abs(low) / 10 or 0.5
    return low - half, high + half


def _thinned(points: Points) -> Points:
    step = -(-len(points) // _MOST)
    return [*points[::step], points[-1]] if step > 1 else points


def _pieces(points: Points) -> list[list[tuple[float, float]]]:
    """Return the curve in pieces, broken where it is not a number."""
    pieces: list[list[tuple[float, float]]] = [[]]
    for x, y in points:
        if math.isfinite(x) and math.isfinite(y):
            pieces[-1].append((x, y))
        elif pieces[-1]:
            pieces.append([])
    return [piece for piece in pieces if piece]


def _ticks(low: float, high: float, least: float = 0.0) -> list[float]:
    """Return about five round numbers within a range, at least ``least`` apart."""
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = max(least, next(f * power for f in (1, 2, 5, 10) if f * power >= rough))
    first = math.ceil(low / step)
    return [step * n for n in range(first, math.floor(high / step + 1e-9) + 1)]


def _text(value: float) -> str:
    return f"{round(value, 12):.4g}"
