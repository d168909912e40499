"""Numbers in, matplotlib figure out: nothing here knows a logger, a task or a screen."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def confusion_matrix(counts: np.ndarray, labels: Sequence[str]) -> "Figure":
    """Return a figure of how often each class (row) was taken for each class (column).

    Shade is the share of the row, so that a rare class reads like a frequent one; the numbers are
    written into the cells while there are at most 20 classes.
    """
    from matplotlib.figure import Figure

    size = max(3.2, min(0.6 * len(labels) + 2.0, 16.0))
    figure = Figure(figsize=(size + 0.6, size), layout="constrained")
    axes = figure.add_subplot()
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, label="share of the true class", shrink=0.8)
    places = range(len(labels))
    axes.set_xticks(places, labels, rotation=0 if len(labels) <= 5 else 90)
    axes.set_yticks(places, labels)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    if len(labels) <= 20:
        for row in places:
            for column in places:
                colour = "white" if share[row, column] > 0.5 else "black"
                text = f"{int(counts[row, column]):,}"
                axes.text(column, row, text, ha="center", va="center", color=colour)
    return figure
