"""A comparison as tables of words."""

from collections.abc import Sequence
from typing import Any

from lit_tasks.printable import printable
from lit_tasks.runs.analysis import Comparison, Pair, final, higher_is_better
from lit_tasks.statistics import Spread

_NAME = 16  # characters of a run's name that stay beside one another when it is folded
_SIGN = {True: -1, False: 1, None: 0}
_KIND = {True: " (more is better)", False: " (less is better)", None: ""}

Cells = tuple[str, list[str], list[list[str]]]  # title, columns, rows


def tables(comparison: Comparison, width: int | None = None) -> list[Cells]:
    """Return everything that is to be shown, as tables of words.

    Args:
        comparison: What to show.
        width: Columns of the terminal: settings that would not fit beside one another are put
            into one column; none puts each into its own.
    """
    found = [_settings(comparison, width)]
    found += [_leaders(comparison, metric) for metric in comparison.metrics]
    if comparison.groups:
        found += [_groups(comparison, metric, width) for metric in comparison.metrics]
    if comparison.pairs:
        found += [
            _pairs(comparison, metric)
            for metric in dict.fromkeys(p.metric for p in comparison.pairs)
        ]
    return [_printable(cells) for cells in found]


def _printable(cells: Cells) -> Cells:
    title, columns, rows = cells
    shown = [[printable(cell) for cell in row] for row in rows]
    return printable(title), [printable(column) for column in columns], shown


def _settings(comparison: Comparison, width: int | None) -> Cells:
    names, settings = comparison.names, comparison.settings
    numbers = [str(n) for n in range(1, len(names) + 1)]
    if not settings:
        rows = [[n, name] for n, name in zip(numbers, names, strict=True)]
        return (
            "runs" if len(names) == 1 else "runs, all with the same settings",
            ["", "run"],
            rows,
        )
    title = "settings that differ"
    widths = [max(len(name), *map(len, values)) + 3 for name, values in settings.items()]
    beside = min(_NAME, max(map(len, names))) + len(str(len(names))) + 8
    if width is not None and sum(widths) + beside > width:
        rows = []
        for index, (number, name) in enumerate(zip(numbers, names, strict=True)):
            said = [f"{key}={values[index]}" for key, values in settings.items() if values[index]]
            rows.append([number, name, ", ".join(said)])
        return title, ["", "run", "settings"], rows
    rows = [
        [number, name, *(values[index] for values in settings.values())]
        for index, (number, name) in enumerate(zip(numbers, names, strict=True))
    ]
    return title, ["", "run", *settings], rows


def _leaders(comparison: Comparison, metric: str) -> Cells:
    """Return the runs by a metric, the best first; those without it at the end.

    They keep their order where the metric has no direction.
    """
    more = higher_is_better(comparison.runs, metric)
    sign = _SIGN[more]
    values = [final(run, metric) for run in comparison.runs]
    order = sorted(range(len(values)), key=lambda n: (values[n] is None, sign * (values[n] or 0.0)))
    entries = [run.results.get(metric, {}) for run in comparison.runs]
    curves = any("best" in entry for entry in entries)
    columns = ["", "run", "value", "95 % interval"]
    columns += ["best", "epoch", "last"] if curves else ["samples"]
    rows = []
    for n in order:
        entry = entries[n]
        row = [str(n + 1), comparison.names[n], _number(entry.get("value")), _interval(entry)]
        if curves:
            best = entry.get("best", {})
            epoch = str(best["epoch"] + 1) if "epoch" in best else ""  # as the progress counts
            row += [_number(best.get("value")), epoch]
            row.append(_number(entry.get("last", {}).get("value")))
        else:
            row.append(str(entry.get("samples", "")))
        rows.append(row)
    title = f"{metric}{_KIND[more]}"
    return _without_empty(title, columns, rows)


def _groups(comparison: Comparison, metric: str, width: int | None) -> Cells:
    """Return the groups by the mean of a metric, the best first where it has a direction."""
    groups = [group for group in comparison.groups if metric in group.metrics]
    sign = _SIGN[higher_is_better(comparison.runs, metric)]
    groups.sort(key=lambda group: sign * group.metrics[metric].mean)
    names = list(dict.fromkeys(name for group in groups for name in group.settings))
    names = [name for name in names if len({group.settings[name] for group in groups}) > 1]
    widths = [max(len(name), *(len(g.settings[name]) for g in groups)) + 3 for name in names]
    title = f"{metric}: mean of runs with equal settings"
    columns = ["runs", *names, "mean", "deviation", "95 % interval", "of"]
    folded = width is not None and sum(widths) + 62 > width and bool(names)
    if folded:
        columns[1 : 1 + len(names)] = ["settings"]
    rows = []
    for group in groups:
        said = [group.settings[name] for name in names]
        if folded:
            pairs = zip(names, said, strict=True)
            said = [", ".join(f"{name}={value}" for name, value in pairs if value)]
        rows.append([_ranges(group.runs), *said, *_spread(group.metrics[metric])])
    return title, columns, rows


def _pairs(comparison: Comparison, metric: str) -> Cells:
    pairs = [pair for pair in comparison.pairs if pair.metric == metric]
    against, samples = pairs[0].against, pairs[0].difference.samples
    title = (
        f"{pairs[0].stage}/{metric} minus that of run {against}, on the same {samples:,} samples"
    )
    columns = ["", "run", "difference", "95 % interval", "p", "more", "less"]
    return title, columns, [_pair(comparison, pair) for pair in pairs]


def _pair(comparison: Comparison, pair: Pair) -> list[str]:
    found = pair.difference
    low, high = found.interval
    return [
        str(pair.run),
        comparison.names[pair.run - 1],
        f"{found.mean:+.4f}",
        f"{low:+.4f} to {high:+.4f}",
        "<0.0001" if found.p < 0.0001 else f"{found.p:.4f}",
        str(found.better),
        str(found.worse),
    ]


def _without_empty(title: str, columns: list[str], rows: list[list[str]]) -> Cells:
    kept = [i for i in range(len(columns)) if i < 2 or any(row[i] for row in rows)]
    return title, [columns[i] for i in kept], [[row[i] for i in kept] for row in rows]


def _number(value: Any) -> str:
    return "" if value is None else f"{float(value):.4f}"


def _interval(entry: dict[str, Any]) -> str:
    return "{:.4f}-{:.4f}".format(*entry["interval"]) if "interval" in entry else ""


def _spread(of: Spread) -> list[str]:
    interval = "" if of.interval is None else "{:.4f}-{:.4f}".format(*of.interval)
    return [f"{of.mean:.4f}", _number(of.deviation), interval, str(of.size)]


def _ranges(numbers: Sequence[int]) -> str:
    """Return ``1-3, 7`` for 1, 2, 3 and 7."""
    pieces: list[list[int]] = []
    for number in numbers:
        if pieces and number == pieces[-1][-1] + 1:
            pieces[-1].append(number)
        else:
            pieces.append([number])
    return ", ".join(f"{p[0]}-{p[-1]}" if len(p) > 2 else ", ".join(map(str, p)) for p in pieces)
