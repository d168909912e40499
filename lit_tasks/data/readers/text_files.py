"""Rows of text from files: labeled lines, CSV, TSV, JSON Lines, parquet and folders.

Every row carries its line and, where something is wrong with it, the reason; whether that stops
the run or skips the row is decided later, so both choices share one cache.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypedDict

from lit_tasks.data.readers.lines import MAX_CHARACTERS, ParsedRow, csv_rows, lines_of, opened
from lit_tasks.data.readers.parquet import parquet_records
from lit_tasks.data.readers.tables import column_place
from lit_tasks.files import parse_json

Format = Literal["lines", "csv", "tsv", "jsonl", "parquet"]

_SUFFIXES: dict[str, Format] = {
    ".txt": "lines",
    ".text": "lines",
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
}


class Row(TypedDict):
    """One text; ``problem`` is empty or says why the row cannot be used."""

    text: str
    label: str
    id: str
    line: int
    problem: str


@dataclass(frozen=True)
class Columns:
    """Where text, label and id stand in a table; ``label`` is ``None`` where none is wanted."""

    text: str = "text"
    label: str | None = "label"
    id: str | None = None


def format_of(path: Path, given: Format | None) -> Format:
    """Return the format that was given or that the name of the file ends with."""
    if given is not None:
        return given
    if path.is_dir():
        raise ValueError(f"{path} is a folder; give a file of texts")
    if path.suffix.lower() not in _SUFFIXES:
        raise ValueError(
            f"cannot infer the format of {path} from '{path.suffix}': rename the file to one of "
            f"{', '.join(_SUFFIXES)} or set format to lines, csv, tsv, jsonl or parquet"
        )
    return _SUFFIXES[path.suffix.lower()]


def read_rows(path: Path | str, format: Format, columns: Columns) -> Iterator[Row]:
    """Yield the rows of a file in their order.

    Raises:
        ValueError: A column is missing; the sentence names the ones that are there.
    """
    reader: Callable[[Any, Columns], Iterator[Row]] = {
        "lines": _lines,
        "csv": _csv,
        "tsv": _tsv,
        "jsonl": _json_lines,
        "parquet": _parquet,
    }[format]
    for row in reader(path, columns):
        if not row["problem"]:
            row["problem"] = _problem(row, columns.label is not None)
        if row["problem"]:  # what cannot be written as UTF-8 does not go into the cache
            for cell in ("text", "label", "id"):
                row[cell] = row[cell].encode(errors="replace").decode()
        yield row


def read_folders(folder: Path, labels: Sequence[str]) -> Iterator[Row]:
    """Yield the text files of ``folder/<label>/``, label after label, each in order of number.

    ``10_7.txt`` comes after ``9_8.txt``; names without numbers stand in alphabetical order.
    """
    for label in labels:
        files = sorted((folder / label).glob("*.txt"), key=_number_in_name)
        for line, file in enumerate(files, start=1):
            with file.open(encoding="utf-8", errors="surrogateescape") as read:
                text = read.read(MAX_CHARACTERS + 1)
            row = labeled_row(text[:MAX_CHARACTERS], label, id=f"{label}/{file.name}", line=line)
            if len(text) > MAX_CHARACTERS:
                row["problem"] = f"a text must have at most {MAX_CHARACTERS:,} characters"
            yield row


def labeled_row(text: str, label: str, id: str, line: int) -> Row:
    """Return a row, with what is wrong with it."""
    row = _row(text, label, id, line)
    return {**row, "problem": _problem(row, labeled=True)}


def _number_in_name(file: Path) -> tuple[int, str]:
    number = file.stem.split("_")[0]
    return int(number) if number.isdecimal() else -1, file.name


def _row(text: str, label: str, id: str, line: int, problem: str = "") -> Row:
    return {"text": text, "label": label, "id": id, "line": line, "problem": problem}


def _problem(row: Row, labeled: bool) -> str:
    """Return what is wrong with a row, or nothing."""
    try:
        (row["text"] + row["label"] + row["id"]).encode()
    except UnicodeEncodeError as error:
        byte = ord(error.object[error.start]) - 0xDC00
        return f"the bytes are not UTF-8 (0x{byte & 0xFF:02x} at character {error.start})"
    if labeled and not row["text"].strip():
        return "the text is empty"
    if labeled and not row["label"]:
        return "there is no label"
    return ""


def _lines(path: Path, columns: Columns) -> Iterator[Row]:
    with opened(path) as file:
        for number, line, problem in lines_of(file):
            if columns.label is None:
                yield _row(line.strip(), "", "", number, problem)
                continue
            label, _, text = line.strip().partition(" ")
            yield _row(text, label, "", number, problem)


def _tsv(path: Path, columns: Columns) -> Iterator[Row]:
    return _csv(path, columns, delimiter="\t")


def _csv(path: Path, columns: Columns, delimiter: str = ",") -> Iterator[Row]:
    rows = csv_rows(path, delimiter)
    first, header, problem = next(rows, ParsedRow(1, []))
    if any("\udc80" <= letter <= "\udcff" for name in header for letter in name):
        problem = "the bytes are not UTF-8; convert the file"
    if problem:
        raise ValueError(f"{path}, line {first}: {problem}")
    places = [None if n is None else column_place(path, n, header) for n in _names(columns)]
    for line, fields, problem in rows:
        if not problem and len(fields) != len(header):
            problem = f"{len(header)} columns were announced, got {len(fields)}"
        if problem:
            yield _row("", "", "", line, problem)
        else:
            text, label, name = ("" if p is None else fields[p] for p in places)
            yield _row(text, label.strip(), name, line)


def _json_lines(path: Path, columns: Columns) -> Iterator[Row]:
    known: list[str] = []
    with opened(path) as file:
        for number, line, problem in lines_of(file):
            record: Any = {}
            try:
                record = {} if problem else parse_json(line)
                cells = [_string(record.get(n)) if n else "" for n in _names(columns)]
            except (ValueError, RecursionError) as error:  # a number of 5,000 digits is one
                problem = f"this is not JSON ({error})"
            except AttributeError:
                problem = "this is not a JSON object on a line of its own"
            if problem:
                yield _row("", "", "", number, problem)
                continue
            if not known:
                known = list(record)
                for name in filter(None, _names(columns)):
                    column_place(path, name, known)
            text, label, name = cells
            yield _row(text, label, name, number)


def _parquet(path: Path, columns: Columns) -> Iterator[Row]:
    names = _names(columns)
    for line, (record, classes) in enumerate(parquet_records(str(path), names, columns.label), 1):
        text, label, name = (_string(record[n]) if n else "" for n in names)
        if classes and label:
            label = classes[int(label)] if 0 <= int(label) < len(classes) else ""
        yield _row(text, label, name, line)


def _names(columns: Columns) -> tuple[str, str | None, str | None]:
    return columns.text, columns.label, columns.id


def _string(value: object) -> str:
    return "" if value is None else str(value)
