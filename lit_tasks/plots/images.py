"""Figures of images: under titles, beside sentences, and where a decoder looked."""

from collections.abc import Sequence
from math import isqrt
from typing import TYPE_CHECKING

import numpy as np

from lit_tasks.plots.names import RIGHT, WRONG, font_path, plain, shortened, wrapped
from lit_tasks.printable import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image

_LETTERS = 11.5  # of 8 points, in an inch
_SIDE, _GAP, _LINE = 160, 8, 18
_COLORS = {True: RIGHT, False: WRONG, None: "black"}
_MARKS = {True: "✓ ", False: "✗ ", None: ""}


def image_grid(
    images: Sequence["np.ndarray | Image"],
    titles: Sequence[str],
    right: Sequence[bool] | None = None,
    columns: int = 6,
    below: Sequence[str] | None = None,
    lines: int = 2,
) -> "Figure":
    """Return a figure of images with a title each.

    Args:
        images: ``(H, W, 3)`` each, whole numbers up to 255, or images of Pillow.
        titles: What stands above each image; a line break begins a new line, and what is too long
            for ``lines`` of them loses its middle.
        right: Whether what the title says is right: blue and a check mark, otherwise red and a
            cross; black when left out.
        columns: Images in a row.
        below: What stands below each image in small letters, such as the name of its file.
        lines: How many lines each line of a title may become.
    """
    from matplotlib.figure import Figure

    columns = max(1, min(columns, len(images)))
    rows = max(1, -(-len(images) // columns))
    across = 1.9 if columns > 4 else 2.4
    letters = int(across * _LETTERS)
    marks = [None] * len(images) if right is None else [bool(good) for good in right]
    titles = [
        "\n".join(wrapped(line, letters, lines) for line in f"{_MARKS[mark]}{title}".split("\n"))
        for title, mark in zip(titles, marks, strict=False)
    ]
    most = max((title.count("\n") + 1 for title in titles), default=1)
    arrays = [np.asarray(image) for image in images]
    shape = max((array.shape[0] / array.shape[1] for array in arrays), default=1.0)
    height = across * min(max(shape, 0.3), 2.0) + 0.16 * most + (0.2 if below else 0.05)
    figure = Figure(figsize=(across * columns, height * rows), layout="constrained")
    all_axes = figure.subplots(rows, columns, squeeze=False).flatten()
    for axes in all_axes:
        axes.axis("off")
    for i, (axes, image, title) in enumerate(zip(all_axes, arrays, titles, strict=False)):
        axes.imshow(image)
        axes.set_anchor("N")  # titles of a row at one height
        axes.set_title(plain(title), fontsize=8, color=_COLORS[marks[i]], va="bottom")
        if below is not None:
            name = plain(shortened(below[i], int(letters * 1.3)))
            axes.text(
                *(0.5, -0.03, name),
                transform=axes.transAxes,
                ha="center",
                va="top",
                fontsize=6,
                color="dimgray",
            )
    return figure


def attention_maps(
    images: Sequence[np.ndarray],
    words: Sequence[Sequence[str]],
    weights: Sequence[np.ndarray],
    columns: int = 13,
) -> "Figure":
    """Return a figure with a row an image: the image, then where the decoder looked at each word.

    All maps have one scale, from nothing to the largest weight of all.

    Args:
        images: ``(S, S, 3)`` each, whole numbers up to 255.
        words: The sentence about each image; those beyond the columns are left out.
        weights: Of each image, ``(words, P)``: the weight of each of ``P`` positions, which form
            a square, row by row.
        columns: Images in a row.
    """
    from matplotlib.figure import Figure

    columns = max(2, min(columns, 1 + max((len(w) for w in words), default=1)))
    rows = max(1, len(images))
    figure = Figure(figsize=(1.25 * columns + 0.8, 1.5 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flatten():
        axes.axis("off")
    shown = [seen[: columns - 1] for seen in weights]
    largest = max((float(seen.max()) for seen in shown if seen.size), default=0.0) or 1.0
    drawn = None
    for line, image, sentence, seen in zip(grid, images, words, shown, strict=False):
        line[0].imshow(image)
        gray = np.asarray(image).mean(axis=2)
        height, across = gray.shape
        side = isqrt(seen.shape[1])
        for axes, word, fraction in zip(line[1:], sentence, seen, strict=False):
            axes.imshow(gray, cmap="gray", vmin=0, vmax=255)
            drawn = axes.imshow(
                fraction.reshape(side, side),
                cmap="inferno",
                alpha=0.55,
                vmin=0,
                vmax=largest,
                extent=(-0.5, across - 0.5, height - 0.5, -0.5),
                interpolation="bilinear",
            )
            axes.set_title(plain(shortened(word, 15)), fontsize=8)
    if drawn is not None:
        bar = figure.colorbar(drawn, ax=grid, label="attention", fraction=0.02, pad=0.01)
        bar.ax.tick_params(labelsize=7)
    return figure


def example_sheet(
    images: Sequence[np.ndarray],
    titles: Sequence[str],
    right: Sequence[bool | None],
    columns: int = 4,
) -> "Image":
    """Return the images in rows.

    Args:
        images: ``(H, W, 3)`` each, whole numbers up to 255.
        titles: A line for each; what does not fit is cut.
        right: Whether it is right: blue and a bar above the image, otherwise red; ``None``: black.
        columns: Images in a row.
    """
    from PIL import Image, ImageDraw, ImageFont

    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    across, height = _SIDE + _GAP, _SIDE + _LINE + _GAP
    sheet = Image.new("RGB", (columns * across + _GAP, rows * height + _GAP), "white")
    draw = ImageDraw.Draw(sheet)
    for at, (image, title, good) in enumerate(zip(images, titles, right, strict=True)):
        x, y = _GAP + at % columns * across, _GAP + at // columns * height
        marked = ImageFont.truetype(font_path("✓"), 12)
        draw.text((x, y), _MARKS[good], fill=_COLORS[good], font=marked)
        begin = x + draw.textlength(_MARKS[good], marked)
        text, most = printable(title), 60
        font = ImageFont.truetype(font_path(text), 12)
        while most > 4 and draw.textlength(shortened(text, most), font) > x + _SIDE - begin:
            most -= 1
        draw.text((begin, y), shortened(text, most), fill=_COLORS[good], font=font)
        thumbnail = Image.fromarray(np.ascontiguousarray(image))
        scale = _SIDE / max(thumbnail.size)
        size = max(1, round(thumbnail.width * scale)), max(1, round(thumbnail.height * scale))
        how = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BILINEAR
        sheet.paste(thumbnail.resize(size, how), (x, y + _LINE))
    return sheet
