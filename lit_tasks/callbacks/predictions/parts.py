"""Files of rows that several processes write, and the one file made of them.

A part is JSON lines ``[position, row]``. Its last line may be cut short by a kill: it is ignored,
and cut off before anything is appended.
"""

import csv
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy

from lit_tasks.files import atomic_write


class PartFile:
    """Rows of one process, appended to what an interrupted run left.

    Args:
        path: The file; its folder is made.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            content = path.read_bytes()
            os.truncate(path, content.rfind(b"\n") + 1)
        self._file = path.open("a", encoding="utf-8")

    def append(self, indices: Sequence[int], rows: Sequence[dict[str, Any]]) -> None:
        """Write one row a position, and hand them to the system, where a kill leaves them."""
        pairs = zip(indices, rows, strict=True)
        self._file.writelines(json.dumps([index, row]) + "\n" for index, row in pairs)
        self._file.flush()

    def close(self) -> None:
        """End the file."""
        self._file.close()


def finished(folder: Path) -> set[int]:
    """Return the positions of all rows in the folder's parts."""
    return {index for _, _, index, _ in _lines(folder)}


def write_merged(
    folder: Path,
    path: Path,
    ids: Sequence[int | str] | None,
    column: str | None,
    digits: int | None,
) -> None:
    """Write the rows of all parts in order of position, each once; ``path`` appears when done.

    Args:
        folder: Holds the parts.
        path: ``.csv``, ``.jsonl``, or ``.txt`` for the values of ``column`` alone.
        ids: What the row at a position is called; the position itself if none.
        column: See ``path``.
        digits: Significant digits of floats; none keeps all.
    """
    with atomic_write(path) as beside, beside.open("w", encoding="utf-8", newline="") as file:
        if path.suffix == ".csv":
            writer = csv.DictWriter(file, _columns(folder), lineterminator="\n")
            writer.writeheader()
            for row in _ordered(folder, ids, digits):
                writer.writerow({name: _cell(value) for name, value in row.items()})
        else:
            for number, row in enumerate(_ordered(folder, ids, digits)):
                if column is not None and column not in row:
                    raise ValueError(f"row {number} has no {column!r}; it has {sorted(row)}")
                line = json.dumps(row, ensure_ascii=False) if column is None else str(row[column])
                file.write(line + "\n")


def write_json(folder: Path, path: Path, columns: Sequence[str]) -> None:
    """Write some columns of all rows as one JSON array, in order of position, each row once."""
    with atomic_write(path) as beside, beside.open("w", encoding="utf-8") as file:
        start = "["
        for row in _ordered(folder, None, None):
            file.write(start + json.dumps({name: row[name] for name in columns}))
            start = ",\n"
        file.write("[]\n" if start == "[" else "]\n")


def _lines(folder: Path) -> Iterator[tuple[Path, int, int, dict[str, Any]]]:
    """Yield file, offset, position and row of every whole line."""
    for path in sorted(folder.glob("*.jsonl")):
        offset = 0
        with path.open("rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    index, row = json.loads(line)
                    yield path, offset, index, row
                offset += len(line)


def _ordered(
    folder: Path, ids: Sequence[int | str] | None, digits: int | None
) -> Iterator[dict[str, Any]]:
    """Yield the rows by position; only positions and offsets are held in memory."""
    paths = sorted(folder.glob("*.jsonl"))
    file_indices = {path: file_index for file_index, path in enumerate(paths)}
    entries = numpy.fromiter(
        ((index, file_indices[path], offset) for path, offset, index, _ in _lines(folder)),
        dtype=[("index", "i8"), ("file", "i4"), ("offset", "i8")],
    )
    _, first = numpy.unique(entries["index"], return_index=True)
    files = [path.open("rb") for path in paths]
    try:
        for index, file_index, offset in entries[first].tolist():
            files[file_index].seek(offset)
            _, row = json.loads(files[file_index].readline())
            yield {"id": index if ids is None else ids[index]} | _rounded(row, digits)
    finally:
        for file in files:
            file.close()


def _columns(folder: Path) -> list[str]:
    """Return the rows' keys, in the order in which the input meets them first."""
    seen: dict[str, tuple[int, int]] = {}
    for _, _, index, row in _lines(folder):
        for column, name in enumerate(row):
            seen[name] = min(seen.get(name, (index, column)), (index, column))
    seen.pop("id", None)
    return ["id", *sorted(seen, key=lambda name: seen[name])]


def _rounded(value: Any, digits: int | None) -> Any:
    if isinstance(value, float) and digits is not None:
        return float(f"{value:.{digits}g}")
    if isinstance(value, list):
        return [_rounded(item, digits) for item in value]
    if isinstance(value, dict):
        return {name: _rounded(item, digits) for name, item in value.items()}
    return value


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value
