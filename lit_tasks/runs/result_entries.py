"""``results.json`` of a run folder, and whether it holds what it should."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lit_tasks.files import read_json

Entries = dict[str, dict[str, Any]]

_POINTS = ("best", "last")
_DIRECTION = "higher_is_better"


def read_results(path: Path) -> Entries:
    """Return the entries of ``results.json``, none if there is no such file.

    Raises:
        ValueError: It holds something else; the sentence names the file, and the metric.
    """
    if not path.is_file():
        return {}
    content = read_json(path)
    if not isinstance(content, dict) or not all(isinstance(v, dict) for v in content.values()):
        raise ValueError(f"{path} must hold a mapping of metrics to values")
    for metric, entry in content.items():
        _check(f"{path}: {metric}", entry)
    return content


def _check(where: str, entry: Mapping[str, Any]) -> None:
    for key, value in entry.items():
        if key in _POINTS:
            if not isinstance(value, dict) or any(key in value for key in (*_POINTS, "interval")):
                raise _wrong(f"{where}: {key}", "a mapping of value, epoch and step", value)
            _check(f"{where}: {key}", value)
        elif key == "interval":
            if not isinstance(value, list) or len(value) != 2 or not all(map(is_number, value)):
                raise _wrong(f"{where}: {key}", "a list of two numbers", value)
        elif key == _DIRECTION:
            if not isinstance(value, bool):
                raise _wrong(f"{where}: {key}", "true or false", value)
        elif value is not None and not is_number(value):
            raise _wrong(f"{where}: {key}", "a number", value)


def is_number(value: object) -> bool:
    """Return whether a value of a JSON file is a number that a float can hold."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        float(value)
    except OverflowError:
        return False
    return True


def _wrong(where: str, what: str, value: object) -> ValueError:
    return ValueError(f"{where} must be {what}, got {value!r:.60}; correct it, or remove the file")
