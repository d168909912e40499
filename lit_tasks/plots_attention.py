"""Where a captioner looked at each word: numbers in, matplotlib figure out."""

from collections.abc import Sequence
from math import isqrt
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def attention_maps(
    images: Sequence[np.ndarray],
    words: Sequence[Sequence[str]],
    weights: Sequence[np.ndarray],
    columns: int = 13,
) -> "Figure":
    """Return a figure with a row an image: the image, then where the decoder looked at each word.

    Args:
        images: ``(S, S, 3)`` each, whole numbers up to 255.
        words: The sentence about each image; those beyond the columns are left out.
        weights: Of each image, ``(words, P)``: the weight of each of ``P`` positions, which form
            a square, row by row.
        columns: Pictures in a row.
    """
    from matplotlib.figure import Figure

    columns = max(2, min(columns, 1 + max((len(w) for w in words), default=1)))
    rows = max(1, len(images))
    figure = Figure(figsize=(1.25 * columns, 1.5 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flatten():
        axes.axis("off")
    for line, image, sentence, seen in zip(grid, images, words, weights, strict=False):
        line[0].imshow(image)
        grey = np.asarray(image).mean(axis=2)
        height, width = grey.shape
        side = isqrt(seen.shape[1])
        for axes, word, share in zip(line[1:], sentence, seen, strict=False):
            axes.imshow(grey, cmap="gray", vmin=0, vmax=255)
            axes.imshow(
                share.reshape(side, side),
                cmap="inferno",
                alpha=0.55,
                extent=(-0.5, width - 0.5, height - 0.5, -0.5),
                interpolation="bilinear",
            )
            axes.set_title(word, fontsize=8)
    return figure
