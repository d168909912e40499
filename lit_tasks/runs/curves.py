"""What ``metrics.csv`` tells: curves of metrics, their best and their last values."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from lit_tasks.metrics.names import without_stage

#: Names that belong to another metric or count something: no curves of their own.
_ASIDE = ("_low", "_high", "/samples")

_INTEGERS = ("epoch", "step")
_MAX_FIELD = 131_072  # characters: the limit of the csv module

Row = dict[str, float]


def read_rows(path: Path) -> list[Row]:
    """Return the rows of a ``metrics.csv``, each with the values it has.

    Raises:
        ValueError: A value is not a number; the sentence names file and line.
    """
    rows = []
    for place, record in csv_records(path):
        row = {}
        for name, value in record.items():
            if value == "":
                continue
            try:
                row[name] = float(value)
                whole = name not in _INTEGERS or row[name].is_integer()
            except ValueError:
                whole = False
            if not whole:
                kind = "whole number" if name in _INTEGERS else "number"
                raise ValueError(f"{place}: {name} must be a {kind}, got {value!r:.60}")
        rows.append(row)
    return rows


def csv_records(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the rows of a CSV file of a run folder, each behind its place as errors name it.

    What stands beyond the columns of the header is left out, and what is missing is empty.

    Raises:
        ValueError: The file is not CSV; the sentence names file and line.
    """
    csv.field_size_limit(_MAX_FIELD)  # texts of others have a larger one, in the same process
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        reader = csv.DictReader(file, restval="")
        try:
            for record in reader:
                named = {name: value for name, value in record.items() if name is not None}
                yield f"{path}, line {reader.line_num}", named
        except csv.Error as error:
            raise ValueError(f"{path}, line {reader.line_num}, is not CSV: {error}") from error


def of_training(rows: Iterable[Row]) -> list[Row]:
    """Return the rows that were written while training.

    What is evaluated afterwards is ``test/...``, or ``best/...``, the best checkpoint's.
    """
    return [row for row in rows if any(name.startswith(("train/", "val/")) for name in row)]


def curve(rows: Iterable[Row], name: str) -> list[Row]:
    """Return the rows that have a value for a metric."""
    return [row for row in rows if name in row]


def curve_names(rows: Iterable[Row]) -> list[str]:
    """Return the metrics that have a curve: those of training and validation."""
    names = dict.fromkeys(name for row in rows for name in row)
    return [n for n in names if n.startswith(("train/", "val/")) and not n.endswith(_ASIDE)]


def best_and_last(rows: Iterable[Row], directions: Mapping[str, bool]) -> dict[str, dict[str, Any]]:
    """Return ``{name: {"best": point, "last": point}}`` for every metric of training.

    A point has ``value``, ``epoch`` and ``step``. Of equally good values the first is the best;
    one that is not a number is never the best. A metric without a direction has no best; one with
    it says so in ``higher_is_better``.

    Args:
        rows: Those of ``metrics.csv``.
        directions: For the names of metrics, without their stage, whether more is better.
    """
    rows = of_training(rows)
    found: dict[str, dict[str, Any]] = {}
    for name in curve_names(rows):
        points = [_point(row, name) for row in curve(rows, name)]
        found[name] = {"last": points[-1]}
        higher_is_better = directions.get(without_stage(name))
        if higher_is_better is not None:
            numbers = [point for point in points if point["value"] == point["value"]]
            choose = max if higher_is_better else min
            best = choose(numbers or points, key=lambda point: point["value"])
            found[name] = {"higher_is_better": higher_is_better, "best": best, **found[name]}
    return found


def _point(row: Mapping[str, float], name: str) -> dict[str, Any]:
    whole = {key: int(row[key]) for key in ("epoch", "step") if key in row}
    return {"value": row[name], **whole}
