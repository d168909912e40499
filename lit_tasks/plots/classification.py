"""Figures of a classifier: what was taken for what, how sure it was, and each class."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lit_tasks.plots.names import distinct, natural_order, plain, width

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LETTERS = 32  # of a class
_INCHES = 0.085  # a letter
_NUMBERS, _TICKS = 20, 120  # classes whose cells have numbers, and that all have names


def confusion_matrix(counts: np.ndarray, labels: Sequence[str]) -> "Figure":
    """Return a figure of how often each class (row) was taken for each class (column).

    The shade is the fraction of the row, so that a rare class reads like a frequent one; the
    numbers are written into the cells while there are at most 20 classes. Classes are in
    alphabetical order, numbers in their names by value.
    """
    from matplotlib.figure import Figure

    order = natural_order(labels)
    counts = np.asarray(counts)[np.ix_(order, order)]
    names = distinct([labels[place] for place in order], _LETTERS)
    longest = max(map(width, names), default=0)
    upright = longest * _INCHES > 0.55 or len(names) > 12
    size = min(max(2.2, 0.6 * len(names)), 16.0)
    margin = min(longest * _INCHES, 3.0)
    figure = Figure(
        figsize=(size + margin + 1.4, size + (margin if upright else 0) + 0.6), layout="constrained"
    )
    axes = figure.add_subplot()
    fraction = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(fraction, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, label="fraction of the true class", shrink=0.8, fraction=0.05)
    step = -(-len(names) // _TICKS)
    places, named = range(0, len(names), step), [plain(name) for name in names[::step]]
    letters = 10.0 if len(names) <= 50 else max(5.0, 700 / len(named))
    axes.set_xticks(places, named, rotation=90 if upright else 0, fontsize=letters)
    axes.set_yticks(places, named, fontsize=letters)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    if len(names) <= _NUMBERS:
        for row, column in np.ndindex(counts.shape):
            color = "white" if fraction[row, column] > 0.5 else "black"
            text = f"{int(counts[row, column]):,}"
            small = 10 if len(text) <= 5 else 50 / len(text)
            axes.text(column, row, text, ha="center", va="center", color=color, fontsize=small)
    return figure


def reliability(
    confidence: np.ndarray, correct: np.ndarray, bins: int = 15, name: str = "measured"
) -> "Figure":
    """Return a figure of how often predictions of each confidence are right.

    A larger point stands for more predictions; the bars below say how many fall into each bin.

    Args:
        confidence: Of each prediction, from 0 to 1.
        correct: Whether it was right, 0 or 1.
        bins: As many as the calibration error has that is reported beside it.
        name: What the legend calls the points.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.4, 4.6), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    of_bin = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    count = np.bincount(of_bin, minlength=bins)
    there = count > 0
    fractions = [
        np.bincount(of_bin, values, bins)[there] / count[there] for values in (confidence, correct)
    ]
    upper.plot((0, 1), (0, 1), color="gray", linewidth=1, linestyle="--", label="as stated")
    upper.plot(*fractions, linewidth=1, color="C0")
    area = 12 + 108 * count[there] / max(1, count.max())
    upper.scatter(*fractions, s=area, color="C0", label=plain(name), zorder=3)
    upper.set_ylabel("fraction that is right")
    upper.set_ylim(-0.03, 1.06)
    upper.set_xlim(-0.02, 1.02)
    upper.legend(loc="upper left")
    lower.bar((np.arange(bins) + 0.5) / bins, count, width=0.9 / bins, color="gray")
    lower.set_xlabel("confidence")
    lower.set_ylabel("predictions")
    return figure


def class_bars(
    labels: Sequence[str],
    precision: Sequence[float],
    recall: Sequence[float],
    samples: Sequence[int],
    most: int = 40,
) -> "Figure":
    """Return a figure of precision and recall of each class, the lowest recall on top.

    With more than ``most`` classes those with the lowest recall are shown, and the title says so.
    """
    from matplotlib.figure import Figure

    order = sorted(range(len(labels)), key=lambda i: recall[i])[:most][::-1]
    names = distinct([labels[i] for i in order], _LETTERS)
    margin = max(map(width, names), default=0) * _INCHES
    figure = Figure(figsize=(5 + margin, 0.32 * len(order) + 1.5), layout="constrained")
    axes = figure.add_subplot()
    places = np.arange(len(order))
    for shift, values, name in ((0.19, recall, "recall"), (-0.19, precision, "precision")):
        bars = axes.barh(places + shift, [values[i] for i in order], height=0.36, label=name)
        axes.bar_label(bars, fmt="{:.3f}", padding=3, fontsize=7)
    named = [f"{plain(name)} ({samples[i]:,})" for name, i in zip(names, order, strict=True)]
    axes.set_yticks(places, named)
    axes.set_ylim(-0.6, len(order) - 0.4)
    axes.set_xlim(0, 1.12)
    if len(labels) > most:
        axes.set_title(f"the {most} of {len(labels):,} classes with the lowest recall", fontsize=9)
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure
