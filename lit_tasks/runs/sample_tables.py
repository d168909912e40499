"""``samples_<stage>.csv`` of a run folder: how well each sample was done."""

from pathlib import Path

from lit_tasks.runs.curves import csv_records

_FOR_PEOPLE = ("text", "prediction", "probability")  # columns that two runs are not compared by


def read_samples(path: Path) -> dict[str, dict[str, str]]:
    """Return ``target`` and the numbers of each row by its ``id``.

    Raises:
        ValueError: A value is not a number; the sentence names file and line.
    """
    found = {}
    for place, record in csv_records(path):
        key = record.pop("id", "")
        kept = {name: value for name, value in record.items() if name not in _FOR_PEOPLE}
        for name, value in kept.items():
            if name != "target":
                _check_number(place, name, value)
        found[key] = kept
    return found


def _check_number(place: str, name: str, value: str) -> None:
    try:
        float(value)
    except ValueError:
        raise ValueError(f"{place}: {name} must be a number, got {value!r:.60}") from None
