"""What a page says of a run: results, curves, examples, mistakes, settings, environment."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from lit_tasks.files import read_json
from lit_tasks.metrics.names import without_stage
from lit_tasks.printable import printable
from lit_tasks.runs.curves import Row, csv_records, curve, curve_names, of_training
from lit_tasks.runs.folder import Run
from lit_tasks.runs.report.embedded import EmbeddedImage, embedded_images
from lit_tasks.runs.report.line_chart import Chart, line_chart
from lit_tasks.runs.settings import short_value

_STAGES = ("test", "val", "train")
_CHARTS = 6
_ACROSS = " across"  # no name of a metric
_ASIDE = re.compile(r"/(f1|precision|recall)_|_raw$")  # of one class, or before calibration
_ROWS = 20  # examples, and mistakes
_WORDS = 300  # characters of a cell
_SETTINGS = 2000
_IMAGES = 24  # that a task made
_RIGHT = "accuracy"  # of a sample: 1 or 0
_SCORES, _CAPTIONS = ("cider_d", "rouge_l"), 10  # what captions are sorted by; of each kind
_CERTAIN = ("probability", "loss")  # what mistakes are sorted by: the first that is there


@dataclass(frozen=True)
class Table:
    """Words in rows and columns.

    Attributes:
        columns: Heads.
        rows: One list of cells a row.
        numeric: Which columns hold numbers.
    """

    columns: list[str]
    rows: list[list[str]]
    numeric: list[bool] = field(default_factory=list)

    @classmethod
    def of(cls, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> "Table":
        """Return a table whose cells are shown as they are, control characters escaped."""
        shown = [[_cell(value) for value in row] for row in rows]
        numeric = [
            all(not row[at] or _is_number(row[at]) for row in shown) for at in range(len(columns))
        ]
        return cls([printable(column) for column in columns], shown, numeric)


def results(run: Run) -> Table:
    """Return the metrics with intervals: of the test first, then of validation and training."""
    names = sorted(run.results, key=lambda name: _STAGES.index(s) if (s := _stage(name)) else 9)
    rows = []
    for name in names:
        entry = run.results[name]
        last, best = entry.get("last", {}), entry.get("best", {})
        interval = "{:.4f} – {:.4f}".format(*entry["interval"]) if "interval" in entry else ""
        rows.append(
            [
                name,
                _number(entry.get("value")),
                interval,
                entry.get("samples", ""),
                _number(best.get("value")),
                best["epoch"] + 1 if "epoch" in best else "",
                _number(last.get("value")),
            ]
        )
    columns = ["metric", "value", "95 % interval", "samples", "best", "at epoch", "last"]
    kept = [at for at in range(len(columns)) if at < 2 or any(str(row[at]) for row in rows)]
    return Table.of([columns[at] for at in kept], [[row[at] for at in kept] for row in rows])


def headline(run: Run) -> list[tuple[str, str, str]]:
    """Return the few numbers that stand above everything: name, value and interval."""
    bounded = [name for name, entry in run.results.items() if "interval" in entry]
    bounded.sort(key=lambda name: _STAGES.index(_stage(name) or "train"))
    stage = _stage(bounded[0]) if bounded else None
    found = []
    for name in bounded:
        if _stage(name) == stage and "value" in run.results[name]:
            entry = run.results[name]
            low, high = entry["interval"]
            found.append((printable(name), f"{entry['value']:.4f}", f"{low:.4f} – {high:.4f}"))
    return found[:3]


def charts(rows_of: Mapping[str, list[Row]]) -> list[Chart]:
    """Return the curves of a run, or of several overlaid, a chart for each kind of metric.

    Args:
        rows_of: The rows of each run's ``metrics.csv``, by the run's name; one run has training
            and validation in one chart.
    """
    training = {name: _placed(of_training(rows)) for name, rows in rows_of.items()}
    several = len(training) > 1
    names = dict.fromkeys(n for rows in training.values() for n in curve_names(rows))
    groups: dict[str, list[str]] = {}
    for name in names:
        if _ASIDE.search(name):
            continue
        groups.setdefault(name if several else without_stage(name), []).append(name)
    found = []
    for title, members in groups.items():
        curves, colors = {}, {}
        for at, (run, rows) in enumerate(training.items()):
            for number, member in enumerate(members):
                points = [(row[_ACROSS], row[member]) for row in curve(rows, member)]
                if points:
                    key = printable(run if several else member)
                    curves[key], colors[key] = points, (at if several else number) % 8
        chart = line_chart(printable(title), curves, x_label="epoch", colors=colors)
        if chart is not None:
            found.append(chart)
    return sorted(found, key=lambda chart: "loss" not in chart.title)[:_CHARTS]


def _placed(rows: list[Row]) -> list[Row]:
    """Return the rows with their place from left to right: epochs that are done by then."""
    epochs = max((row.get("epoch", 0.0) for row in rows), default=0.0) + 1
    steps = max((row.get("step", 0.0) for row in rows), default=0.0) + 1
    return [
        {**row, _ACROSS: (row["step"] + 1) * epochs / steps if "step" in row else row["epoch"] + 1}
        for row in rows
        if "step" in row or "epoch" in row
    ]


def examples(run: Run) -> Table | None:
    """Return what the task said of the same few samples after the last epoch."""
    rows = _records(run.path / "examples.csv", None)
    if not rows:
        return None
    last = rows[-1].get("epoch")
    shown = [row for row in rows if row.get("epoch") == last][:_ROWS]
    columns = [name for name in shown[0] if name not in ("epoch", "step")]
    return Table.of(columns, [[row[name] for name in columns] for row in shown])


def mistakes(run: Run) -> tuple[str, Table, int, str] | None:
    """Return the most certain mistakes of the test, else of validation.

    Returns:
        The stage, the wrong samples with the most probable prediction (with the largest loss where
        nothing says how probable it is), how many are wrong, and by what the samples are sorted.
    """
    for stage in ("test", "val"):
        rows = _records(run.path / f"samples_{stage}.csv", None)
        wrong = [row for row in rows if row.get(_RIGHT) == "0"]
        if wrong:
            by = next((name for name in _CERTAIN if name in wrong[0]), _CERTAIN[-1])
            wrong.sort(key=lambda row: -_value(row.get(by, "")))
            columns = [name for name in wrong[0] if name != _RIGHT]
            cells = [[row[name] for name in columns] for row in wrong[:_ROWS]]
            return stage, Table.of(columns, cells), len(wrong), by
    return None


def captions(run: Run) -> tuple[str, str, list[tuple[str, Table]]] | None:
    """Return the images with the best and with the worst captions of the test, else of validation.

    Returns:
        The stage, the score that they are sorted by, and a table of each kind, no image in both.
    """
    for stage in ("test", "val"):
        rows = _records(run.path / f"captions_{stage}.csv", None)
        scores = [name for name in _SCORES if rows and name in rows[0]]
        if not scores:
            continue
        rows.sort(key=lambda row: tuple(-_value(row[name]) for name in scores))
        best = rows[: min(_CAPTIONS, (len(rows) + 1) // 2)]
        worst = rows[len(best) :][::-1][:_CAPTIONS]
        columns = ["image", "caption", "written by a person", *scores]
        return (
            stage,
            scores[0],
            [
                (name, Table.of(columns, [_captioned(row, scores) for row in some]))
                for name, some in (("best", best), ("worst", worst))
                if some
            ],
        )
    return None


def _captioned(row: Mapping[str, str], scores: Sequence[str]) -> list[str]:
    try:
        references = json.loads(row.get("references", ""))
    except (ValueError, RecursionError):
        references = None
    first = str(references[0]) if isinstance(references, list) and references else ""
    return [row.get("image_id", ""), row.get("caption", ""), first, *(row[n] for n in scores)]


def confusion(run: Run) -> Table | None:
    """Return how often each class was taken for each, where samples say what was predicted."""
    for stage in ("test", "val"):
        rows = _records(run.path / f"samples_{stage}.csv", None)
        said = next((name for name in ("prediction", "label") if rows and name in rows[0]), None)
        if said is None or "target" not in rows[0]:
            continue
        classes = sorted({row["target"] for row in rows} | {row[said] for row in rows})
        if len(classes) > _ROWS:
            continue
        counts = {(a, b): 0 for a in classes for b in classes}
        for row in rows:
            counts[row["target"], row[said]] += 1
        cells = [[a, *(f"{counts[a, b]:,}" for b in classes)] for a in classes]
        return Table.of([f"{stage}: true \\ predicted", *classes], cells)
    return None


def figures(run: Run) -> tuple[list[EmbeddedImage], int]:
    """Return the figures of a run, its last sheet of examples, and images that a task made."""
    drawn = sorted((run.path / "figures").glob("*.png"))
    sheets = sorted((run.path / "examples").glob("epoch_*.png"))[-1:]
    made = sorted((run.path / "images").glob("*.png"))[:_IMAGES]
    files = [file for file in drawn if file.stem != "learning_curves"]
    return embedded_images([*files, *sheets, *made])


def settings(run: Run) -> Table:
    """Return every setting that has a value, and every class by its whole name."""
    kept = [(key, value) for key, value in run.settings.items() if value is not None]
    rows = [
        [key, value if key.endswith("class_path") else short_value(value)]
        for key, value in islice(kept, _SETTINGS)
    ]
    return Table.of(["setting", "value"], rows)


def environment(run: Run) -> Table | None:
    """Return what the run was made with, as ``environment.json`` has it."""
    path = run.path / "environment.json"
    if not path.is_file():
        return None
    content = read_json(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold a mapping of names to values")
    return Table.of(["", ""], [[str(key), value] for key, value in content.items()])


def _records(path: Path, most: int | None) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    return [record for _, record in islice(csv_records(path), most)]


def _stage(name: str) -> str | None:
    stage = name.partition("/")[0]
    return stage if stage in _STAGES else None


def _number(value: Any) -> str:
    return "" if value is None else f"{float(value):.4f}"


def _value(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[-+]?[\d,]*\.?\d+(e[-+]?\d+)?|nan|inf|-inf", text) is not None


def _cell(value: Any) -> str:
    text = printable(str(value))
    return text if len(text) <= _WORDS else f"{text[: _WORDS - 1]}…"
