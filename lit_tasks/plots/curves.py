"""Figures of numbers over steps: of one run, of several, and the losses of an optimization."""

import re
from collections.abc import Collection, Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any

from lit_tasks.plots.names import in_legend, plain, shortened

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Rows = Sequence[Mapping[str, float]]
_DECADES = 100.0  # that a curve spans, largest to smallest, before its axis is logarithmic
_DETAIL = re.compile(r"_raw$|^(precision|recall|f1)_")  # of one class, or before calibration
_LETTERS = 60  # of a run or a pair in a legend


def learning_curves(rows: Rows, max_panels: int = 6, apart: Collection[str] = ()) -> "Figure":
    """Return a figure of losses and metrics against step, with the epochs above.

    Metrics of the same name share axes (``train/loss`` and ``val/loss``); where ``..._low`` and
    ``..._high`` are there, what lies between them is shaded. An axis is logarithmic where its
    curves span two decades.

    Args:
        rows: ``step`` and ``epoch`` and numbers named ``train/...`` or ``val/...``, in their order.
        max_panels: Axes at most: the loss, metrics with an interval, others, those of one class.
        apart: Names without their stage (``loss``) that do not mean the same in training and
            validation: each gets axes of its own.
    """
    panels = _panels(rows, max_panels, apart)
    figure, all_axes = _axes(len(panels))
    for axes, names in zip(all_axes, panels, strict=False):
        for name in names:
            steps, values = _points(rows, name)
            marker = "." if len(steps) <= 60 else None
            (line,) = axes.plot(steps, values, marker=marker, linewidth=1.2, label=in_legend(name))
            low, high = _points(rows, f"{name}_low"), _points(rows, f"{name}_high")
            if low[0] == high[0] == steps:
                axes.fill_between(steps, low[1], high[1], color=line.get_color(), alpha=0.15)
        _scale(axes, names[0], [value for name in names for value in _points(rows, name)[1]])
        axes.set_xlabel("step")
        axes.set_ylabel(plain(shortened(names[0].partition("/")[2], 40)))
        if len(names) == 1:
            axes.set_ylabel(plain(shortened(names[0], 40)))
        else:
            axes.legend(fontsize=8)
        _show_epochs(axes, rows)
    return figure


def overlaid_curves(runs: Mapping[str, Rows], names: Sequence[str]) -> "Figure":
    """Return a figure of metrics against step, one axes a metric, one line a run.

    Args:
        runs: For the name of each run its rows, as :func:`learning_curves` takes them.
        names: Metrics to draw.
    """
    figure, all_axes = _axes(len(names), below=0.16 * len(runs) + 0.2)
    for axes, name in zip(all_axes, names, strict=False):
        for number, (run, rows) in enumerate(runs.items()):
            style = ("-", "--", ":", "-.")[number // 10 % 4]
            steps, values = _points(rows, name)
            mark = "." if len(steps) <= 60 else None
            label = in_legend(shortened(run, _LETTERS))
            axes.plot(
                *(steps, values, style), marker=mark, color=f"C{number % 10}", lw=1.2, label=label
            )
        _scale(axes, name, [value for rows in runs.values() for value in _points(rows, name)[1]])
        axes.set_xlabel("step")
        axes.set_ylabel(plain(name))
    handles, labels = all_axes[0].get_legend_handles_labels()
    columns = 1 if max(map(len, labels)) > 40 or len(runs) < 4 else 2
    figure.legend(
        handles, labels, loc="outside lower center", ncols=columns, fontsize=8, frameon=False
    )
    return figure


def loss_curves(traces: Mapping[str, Sequence[float]]) -> "Figure":
    """Return a figure of losses over steps, one line a name, on a logarithmic axis."""
    from matplotlib.figure import Figure

    below = 0.18 * len(traces) if len(traces) > 1 else 0.0
    figure = Figure(figsize=(6, 3.6 + below), layout="constrained")
    axes = figure.add_subplot()
    for number, (name, values) in enumerate(traces.items()):
        label = in_legend(shortened(name, _LETTERS))
        style = ("-", "--", ":", "-.")[number // 10 % 4]
        mark = "." if len(values) <= 60 else None
        color = f"C{number % 10}"
        axes.plot(range(len(values)), values, style, marker=mark, color=color, label=label)
    if any(value > 0 for values in traces.values() for value in values):
        axes.set_yscale("log")
    axes.set_xlabel("step")
    axes.set_ylabel("loss")
    if len(traces) > 1:
        figure.legend(loc="outside lower center", fontsize=8, frameon=False)
    return figure


def _panels(rows: Rows, max_panels: int, apart: Collection[str]) -> list[list[str]]:
    """Return the names of the curves of each axes, the most telling first."""
    names = [
        name
        for name in dict.fromkeys(key for row in rows for key in row)
        if name.startswith(("train/", "val/")) and not name.endswith(("_low", "_high", "/samples"))
    ]
    kinds: dict[str, list[str]] = {}
    for name in names:
        kinds.setdefault(name.partition("/")[2], []).append(name)
    bounded = {kind for kind in kinds if any(f"val/{kind}_low" in row for row in rows)}
    order = sorted(
        kinds, key=lambda kind: (kind != "loss", kind not in bounded, bool(_DETAIL.search(kind)))
    )
    panels: list[list[str]] = []
    for kind in order:
        panels += [[name] for name in kinds[kind]] if kind in apart else [kinds[kind]]
    return panels[:max_panels]


def _scale(axes: Any, name: str, values: Sequence[float]) -> None:
    """Make the axis logarithmic where its curves span decades and have no zero.

    What never exceeds 1 and is no loss is taken for a fraction, such as a recall.
    """
    finite = [value for value in values if isfinite(value)]
    fraction = "loss" not in name and max(finite, default=0) <= 1
    if finite and not fraction and min(finite) > 0 and max(finite) / min(finite) >= _DECADES:
        axes.set_yscale("log")


def _axes(count: int, below: float = 0.0) -> "tuple[Figure, list[Any]]":
    """Return a figure and its axes, at most three beside one another."""
    from matplotlib.figure import Figure

    columns = max(1, min(3, count))
    rows = max(1, -(-count // columns))
    figure = Figure(figsize=(4.2 * columns, 3.3 * rows + below), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flatten())
    for one in axes:
        one.xaxis.get_major_locator().set_params(integer=True)
    for unused in axes[count:]:
        unused.set_visible(False)
    return figure, axes


def _points(rows: Rows, name: str) -> tuple[list[float], list[float]]:
    pairs = [(row.get("step", at), row[name]) for at, row in enumerate(rows) if name in row]
    return [step for step, _ in pairs], [value for _, value in pairs]


def _show_epochs(axes: Any, rows: Rows) -> None:
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
