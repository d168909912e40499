"""``samples_<stage>.csv`` of a run folder: how well each sample was done."""

from pathlib import Path

from lit_tasks.runs.curves import csv_records

_WORDS = ("id", "target")  # columns that hold no numbers


def read_samples(path: Path) -> dict[str, dict[str, str]]:
    """Return the other columns of each row by its ``id``; all but ``target`` hold numbers.

    Raises:
        ValueError: A value is not a number; the sentence names file and line.
    """
    found = {}
    for place, record in csv_records(path):
        for name, value in record.items():
            if name not in _WORDS:
                _check_number(place, name, value)
        found[record.pop("id", "")] = record
    return found


def _check_number(place: str, name: str, value: str) -> None:
    try:
        float(value)
    except ValueError:
        raise ValueError(f"{place}: {name} must be a number, got {value!r:.60}") from None
