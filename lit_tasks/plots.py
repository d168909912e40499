"""Numbers in, matplotlib figure out: nothing here knows a logger, a task or a screen."""

from collections.abc import Mapping, Sequence
from math import isqrt
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def confusion_matrix(counts: np.ndarray, labels: Sequence[str]) -> "Figure":
    """Return a figure of how often each class (row) was taken for each class (column).

    The shade is the fraction of the row, so that a rare class reads like a frequent one; the
    numbers are written into the cells while there are at most 20 classes.
    """
    from matplotlib.figure import Figure

    size = max(3.2, min(0.6 * len(labels) + 2.0, 16.0))
    figure = Figure(figsize=(size + 0.6, size), layout="constrained")
    axes = figure.add_subplot()
    fraction = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(fraction, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, label="fraction of the true class", shrink=0.8)
    places = range(len(labels))
    axes.set_xticks(places, labels, rotation=0 if len(labels) <= 5 else 90)
    axes.set_yticks(places, labels)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    if len(labels) <= 20:
        for row in places:
            for column in places:
                color = "white" if fraction[row, column] > 0.5 else "black"
                text = f"{int(counts[row, column]):,}"
                axes.text(column, row, text, ha="center", va="center", color=color)
    return figure


def image_grid(
    images: Sequence[np.ndarray],
    titles: Sequence[str],
    right: Sequence[bool] | None = None,
    columns: int = 6,
) -> "Figure":
    """Return a figure of images with a title each.

    Args:
        images: ``(H, W, 3)`` each, whole numbers up to 255.
        titles: What stands above each image; a line break begins a new line.
        right: Whether what the title says is right: green, otherwise red; black when left out.
        columns: Images in a row.
    """
    from matplotlib.figure import Figure

    columns = max(1, min(columns, len(images)))
    rows = max(1, -(-len(images) // columns))
    lines = max((title.count("\n") + 1 for title in titles), default=1)
    figure = Figure(figsize=(1.9 * columns, (1.85 + 0.18 * lines) * rows), layout="constrained")
    all_axes = figure.subplots(rows, columns, squeeze=False).flatten()
    for axes in all_axes:
        axes.axis("off")
    for i, (axes, image, title) in enumerate(zip(all_axes, images, titles, strict=False)):
        axes.imshow(image)
        color = "black" if right is None else ("darkgreen" if right[i] else "firebrick")
        axes.set_title(title, fontsize=8, color=color)
    return figure


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
        columns: Images in a row.
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
        gray = np.asarray(image).mean(axis=2)
        height, width = gray.shape
        side = isqrt(seen.shape[1])
        for axes, word, fraction in zip(line[1:], sentence, seen, strict=False):
            axes.imshow(gray, cmap="gray", vmin=0, vmax=255)
            axes.imshow(
                fraction.reshape(side, side),
                cmap="inferno",
                alpha=0.55,
                extent=(-0.5, width - 0.5, height - 0.5, -0.5),
                interpolation="bilinear",
            )
            axes.set_title(word, fontsize=8)
    return figure


def reliability(
    confidence: np.ndarray, correct: np.ndarray, bins: int = 10, name: str = "measured"
) -> "Figure":
    """Return a figure of how often predictions of each confidence are right.

    The bars below say how many predictions fall into each bin.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2, 4.6), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    of_bin = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    count = np.bincount(of_bin, minlength=bins)
    there = count > 0
    fractions = [
        np.bincount(of_bin, values, bins)[there] / count[there] for values in (confidence, correct)
    ]
    upper.plot((0, 1), (0, 1), color="gray", linewidth=1, label="as stated")
    upper.plot(*fractions, marker="o", label=name)
    upper.set_ylabel("fraction that is right")
    upper.set_ylim(0, 1.03)
    upper.legend()
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

    With more than ``most`` classes those with the lowest recall are shown.
    """
    from matplotlib.figure import Figure

    order = sorted(range(len(labels)), key=lambda i: recall[i])[:most][::-1]
    figure = Figure(figsize=(6, 0.32 * len(order) + 1.4), layout="constrained")
    axes = figure.add_subplot()
    places = np.arange(len(order))
    for shift, values, name in ((0.19, recall, "recall"), (-0.19, precision, "precision")):
        bars = axes.barh(places + shift, [values[i] for i in order], height=0.36, label=name)
        axes.bar_label(bars, fmt="{:.3f}", padding=3, fontsize=7)
    axes.set_yticks(places, [f"{labels[i]} ({samples[i]:,})" for i in order])
    axes.set_xlim(0, 1.12)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=2, frameon=False)
    return figure


def learning_curves(rows: Sequence[Mapping[str, float]], max_panels: int = 6) -> "Figure":
    """Return a figure of losses and metrics against step, with the epochs above.

    Metrics of the same name share axes (``train/loss`` and ``val/loss``); where ``..._low`` and
    ``..._high`` are there, what lies between them is shaded.

    Args:
        rows: ``step`` and ``epoch`` and numbers named ``train/...`` or ``val/...``, in their order.
        max_panels: Axes at most: the loss, then metrics with an interval, then others.
    """
    kinds = _kinds(rows, max_panels)
    figure, all_axes = _axes(len(kinds))
    for axes, (kind, names) in zip(all_axes, kinds.items(), strict=False):
        for name in names:
            steps, values = _points(rows, name)
            marker = "." if len(steps) <= 60 else None
            (line,) = axes.plot(steps, values, marker=marker, linewidth=1.2, label=name)
            low, high = _points(rows, f"{name}_low"), _points(rows, f"{name}_high")
            if low[0] == high[0] == steps:
                axes.fill_between(steps, low[1], high[1], color=line.get_color(), alpha=0.15)
        axes.set_xlabel("step")
        axes.set_ylabel(kind if len(names) > 1 else names[0])
        if len(names) > 1:
            axes.legend(fontsize=8)
        _show_epochs(axes, rows)
    return figure


def overlaid_curves(
    runs: Mapping[str, Sequence[Mapping[str, float]]], names: Sequence[str]
) -> "Figure":
    """Return a figure of metrics against step, one axes a metric, one line a run.

    Args:
        runs: For the name of each run its rows, as :func:`learning_curves` takes them.
        names: Metrics to draw.
    """
    figure, all_axes = _axes(len(names), below=0.16 * len(runs) + 0.2)
    shown = min(len(runs), 20)
    for axes, name in zip(all_axes, names, strict=False):
        for number, (run, rows) in enumerate(runs.items()):
            style = ("-", "--", ":", "-.")[number // 10 % 4]
            steps, values = _points(rows, name)
            mark = "." if len(steps) <= 60 else None
            axes.plot(
                *(steps, values, style), marker=mark, color=f"C{number % 10}", lw=1.2, label=run
            )
        axes.set_xlabel("step")
        axes.set_ylabel(name)
    handles, labels = all_axes[0].get_legend_handles_labels()
    columns = 1 if max(map(len, labels)) > 40 or shown < 4 else 2
    figure.legend(
        handles, labels, loc="outside lower center", ncols=columns, fontsize=8, frameon=False
    )
    return figure


def loss_curves(traces: Mapping[str, Sequence[float]]) -> "Figure":
    """Return a figure of losses over steps, one line a name, on a logarithmic axis."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.add_subplot()
    for name, values in traces.items():
        axes.plot(range(len(values)), values, label=name)
    axes.set_yscale("log")
    axes.set_xlabel("step")
    axes.set_ylabel("loss")
    if len(traces) > 1:
        axes.legend(loc="upper right", fontsize=8)
    return figure


def _kinds(rows: Sequence[Mapping[str, float]], max_panels: int) -> dict[str, list[str]]:
    """Return names of curves by what follows the stage, the most telling first."""
    names = [
        name
        for name in dict.fromkeys(key for row in rows for key in row)
        if name.startswith(("train/", "val/")) and not name.endswith(("_low", "_high", "/samples"))
    ]
    kinds: dict[str, list[str]] = {}
    for name in names:
        kinds.setdefault(name.partition("/")[2], []).append(name)
    bounded = {kind for kind in kinds if any(f"val/{kind}_low" in row for row in rows)}
    order = sorted(kinds, key=lambda kind: (kind != "loss", kind not in bounded))
    return {kind: kinds[kind] for kind in order[:max_panels]}


def _axes(count: int, below: float = 0.0) -> "tuple[Figure, list[Any]]":
    """Return a figure and its axes, at most three beside one another."""
    from matplotlib.figure import Figure

    columns = max(1, min(3, count))
    rows = max(1, -(-count // columns))
    figure = Figure(figsize=(4.2 * columns, 3.3 * rows + below), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flatten())
    for unused in axes[count:]:
        unused.set_visible(False)
    return figure, axes


def _points(rows: Sequence[Mapping[str, float]], name: str) -> tuple[list[float], list[float]]:
    pairs = [(row.get("step", at), row[name]) for at, row in enumerate(rows) if name in row]
    return [step for step, _ in pairs], [value for _, value in pairs]


def _show_epochs(axes: Any, rows: Sequence[Mapping[str, float]]) -> None:
    """Write above the axes at which step an epoch began."""
    last = {int(row["epoch"]): row["step"] for row in rows if "epoch" in row and "step" in row}
    if len(last) < 2:
        return
    # An epoch ends with its last row.
    starts = {epoch + 1: step + 1 for epoch, step in last.items()}
    chosen = sorted(starts)[:: -(-len(starts) // 6)]
    top = axes.secondary_xaxis("top")
    top.set_xticks(
        [starts[epoch] for epoch in chosen], [str(epoch) for epoch in chosen], fontsize=8
    )
    top.set_xlabel("epochs done", fontsize=8)


if TYPE_CHECKING:
    from PIL.Image import Image

_SIDE, _GAP, _LINE = 160, 8, 18
_COLORS = {True: "darkgreen", False: "firebrick", None: "black"}


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
        right: Whether it is right: green, otherwise red; black for ``None``.
        columns: Images in a row.
    """
    from PIL import Image, ImageDraw, ImageFont

    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    width, height = _SIDE + _GAP, _SIDE + _LINE + _GAP
    sheet = Image.new("RGB", (columns * width + _GAP, rows * height + _GAP), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for at, (image, title, good) in enumerate(zip(images, titles, right, strict=True)):
        x, y = _GAP + at % columns * width, _GAP + at // columns * height
        while len(title) > 1 and draw.textlength(title, font) > _SIDE:
            title = title[:-2] + "…"
        draw.text((x, y), title, fill=_COLORS[good], font=font)
        thumbnail = Image.fromarray(np.ascontiguousarray(image))
        scale = _SIDE / max(thumbnail.size)
        size = max(1, round(thumbnail.width * scale)), max(1, round(thumbnail.height * scale))
        how = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BILINEAR
        sheet.paste(thumbnail.resize(size, how), (x, y + _LINE))
    return sheet
