"""Rows of text from files: labeled lines, CSV, TSV, JSON Lines, Parquet and folders.

Every row carries its line and, where something is wrong with it, the reason; whether that stops
the run or skips the row is decided later, so both choices share one cache.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Literal

from lit_tasks.data.readers.cells import id_cell, label_cell, stripped, text_cell
from lit_tasks.data.readers.encodings import encoding_of, undecoded
from lit_tasks.data.readers.json_records import json_records
from lit_tasks.data.readers.label_lists import joined_labels
from lit_tasks.data.readers.lines import MAX_CHARACTERS
from lit_tasks.data.readers.parquet import parquet_records
from lit_tasks.data.readers.tables import (
    Layout,
    TableOptions,
    column_place,
    format_suffix,
    layout_of,
    text_and_label,
    text_beside_other,
)
from lit_tasks.data.readers.text_folders import (
    files_of,
    labels_of,
    notes_of_folder,
    read_folders,
    unlabeled_files,
)
from lit_tasks.data.readers.text_lines import Lines, look_at_lines
from lit_tasks.data.readers.text_rows import Row, problem_of, text_row

Format = Literal["lines", "csv", "tsv", "jsonl", "parquet", "folders"]

_SUFFIXES: dict[str, Format] = {
    ".txt": "lines",
    ".text": "lines",
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}
_SPREADSHEETS = (".xlsx", ".xls", ".xlsm", ".xlsb", ".ods", ".numbers")
_LOOKED_AT = 1000  # rows that tell columns apart, objects that may lack what all others have
_ARCHIVES = (".zip", ".tar", ".tgz", ".7z", ".rar", ".zst")


@dataclass(frozen=True)
class Columns:
    """Where text, label and id stand in a table; ``label`` is ``None`` where none is wanted.

    ``separator`` stands between the labels of a text where it may have several, or none.
    """

    text: str = "text"
    label: str | None = "label"
    id: str | None = None
    table: TableOptions = field(default_factory=TableOptions)
    separator: str | None = None

    @property
    def wanted(self) -> list[str]:
        """The names that a table must have."""
        return [name for name in (self.text, self.label, self.id) if name is not None]


def format_of(path: Path, given: Format | None) -> Format:
    """Return the format that was given or that the name of the file ends with.

    Raises:
        ValueError: It cannot be inferred; says what to do.
    """
    if given is not None:
        return given
    if path.is_dir():
        if any(files_of(path)):
            return "folders"
        raise ValueError(
            f"{path} is a folder; give a file of texts, or a folder with a folder of text files "
            "for each label"
        )
    suffix = format_suffix(path)
    if suffix in _SPREADSHEETS:
        raise ValueError(
            f"{path} is a spreadsheet: save it as CSV there (in Excel: File, Save As, CSV UTF-8), "
            "and give that file"
        )
    if _SUFFIXES.get(suffix) == "parquet" and path.suffix.lower() != suffix:
        raise ValueError(f"{path}: Parquet is packed within; unpack it, and give that file")
    if suffix in _ARCHIVES:
        raise ValueError(f"{path} is an archive: unpack it, and give the file of texts in it")
    if suffix not in _SUFFIXES:
        raise ValueError(
            f"cannot infer the format of {path} from '{suffix}': set format to lines, csv, tsv, "
            f"jsonl or parquet, or give a file that ends in {', '.join(_SUFFIXES)}"
        )
    return _SUFFIXES[suffix]


def check_regular(path: Path) -> None:
    """Refuse what is neither file nor folder: a pipe would be waited for, and be empty then.

    Raises:
        ValueError: It is a pipe or a device.
    """
    if not path.is_file() and not path.is_dir():
        raise ValueError(
            f"{path} is a pipe or a device, and texts are read more than once: write them to a"
            " file, and give that"
        )


def notes_of(path: Path, format: Format, columns: Columns) -> tuple[str, ...]:
    """Return sentences about what reading a file has to guess, without reading it all."""
    if format == "folders":
        return notes_of_folder(path, labeled=columns.label is not None)
    if format == "parquet":
        return ()
    if format == "jsonl":
        note = encoding_of(path, columns.table.encoding)[1]
        return (note,) if note else ()
    layout = _look(path, format, columns)
    if isinstance(layout, Layout) and (found := _guessed_places(path, columns, layout)):
        text, label, _ = found
        what = f"column {text}" if label is None else f"column {text} and labels in {label}"
        option = "data.text_column" + (" and data.label_column" if label is not None else "")
        told = f"{path} is read with texts in {what}, counted from 0; set {option} if that is wrong"
        return (*layout.notes, told)
    return layout.notes


def read_rows(path: Path | str, format: Format, columns: Columns) -> Iterator[Row]:
    """Yield the rows of a file in their order.

    Raises:
        ValueError: A column is missing; the sentence names the ones that are there.
    """
    if format == "parquet":
        rows = _parquet_rows(str(path), columns)
    elif format == "jsonl":
        rows = _json_rows(Path(path), columns)
    elif format == "folders":
        folder, encoding = Path(path), columns.table.encoding
        if columns.label is None:
            rows = unlabeled_files(folder, encoding)
        else:
            rows = read_folders(folder, labels_of(folder), encoding)
    else:
        rows = _text_rows(Path(path), columns, format)
    for row in rows:
        if not row["problem"]:
            labeled = columns.label is not None
            row["problem"] = problem_of(row, labeled, may_have_none=columns.separator is not None)
        if row["problem"]:  # what cannot be written as UTF-8 does not go into the cache
            for cell in ("text", "label", "id"):
                row[cell] = row[cell].encode(errors="replace").decode()
        yield row


def _look(path: Path, format: Format, columns: Columns) -> Lines | Layout:
    if format == "lines":
        wanted = columns.wanted
        return look_at_lines(path, columns.table, wanted, labeled=columns.label is not None)
    delimiter = "\t" if format == "tsv" else ","
    wanted = columns.wanted if columns.table.header else []
    return layout_of(path, columns.table, wanted=wanted, delimiter=delimiter)


def _text_rows(path: Path, columns: Columns, format: Format) -> Iterator[Row]:
    layout = _look(path, format, columns)
    if isinstance(layout, Layout):
        yield from _table_rows(path, columns, layout)
        return
    separator = None if columns.label is None else columns.separator
    for number, text, label, problem in layout._replace(separator=separator).rows(path):
        yield text_row(text, stripped(label), id="", line=number, problem=problem)


def _table_rows(path: Path, columns: Columns, layout: Layout) -> Iterator[Row]:
    if not layout.names:
        raise ValueError(
            f"{path} has no column '{columns.text}', only none: it is empty; give a file with a"
            " header line and rows"
        )
    if any(undecoded(name) for name in layout.names):
        raise ValueError(
            f"{path}, line {max(1, layout.above)}: the bytes are not UTF-8; name their encoding "
            "with data.encoding, for example cp1252"
        )
    places = _places(path, columns, layout)
    known: set[str] = set()
    alone = len(layout.names) == 1  # as in a file of lines, each is a text
    for line, fields, problem in layout.rows(path, empty=alone):
        if problem:
            yield text_row("", "", id="", line=line, problem=problem)
            continue
        text, label, name = ("" if p is None else fields[p] for p in places)
        label = stripped(label)
        if columns.separator is not None:
            label, problem = joined_labels(label, columns.separator)
        row = text_row(text, label, id=name, line=line, problem=problem)
        if label and len(known) < MAX_CHARACTERS:
            known.add(label)
        if layout.quoted and "\n" in text:
            row["note"] = _open_quote(text, layout, label=places[1], known=known)
        yield row


def _guessed_places(path: Path, columns: Columns, layout: Layout) -> list[int | None]:
    """Return where text, label and id stand in two columns without names, by what they hold.

    Nothing where they have names, or the places were given.
    """
    usual = Columns()
    asked = columns.table.header or (columns.text, columns.id) != (usual.text, None)
    if asked or len(layout.names) != 2 or columns.label not in (usual.label, None):
        return []
    found = (row.fields for row in islice(layout.rows(path), _LOOKED_AT))
    rows = [fields for fields in found if len(fields) == 2]
    if not rows:
        return []
    if columns.label is None:  # the other column may hold ids, which never repeat
        return [text_beside_other(rows), None, None]
    return [*text_and_label(rows), None]


def _places(path: Path, columns: Columns, layout: Layout) -> list[int | None]:
    """Return where text, label and id stand."""
    if guessed := _guessed_places(path, columns, layout):
        return guessed
    names = (columns.text, columns.label, columns.id)
    alone = len(layout.names) == 1 and not columns.table.header
    if alone and names == (Columns().text, None, None):
        return [0, None, None]
    try:
        return [None if n is None else column_place(path, n, layout.names) for n in names]
    except ValueError as error:
        if not columns.table.header:
            raise
        raise ValueError(
            f"{error}; if its first row is no header, set data.header to false"
        ) from None


def _open_quote(text: str, layout: Layout, label: int | None, known: set[str]) -> str:
    """Return a note where lines of a text look like rows of the table."""
    lines = [line.split(layout.delimiter) for line in text.splitlines()[:-1]]
    rows = [cells for cells in lines if len(cells) == len(layout.names) > 1]
    if not any(label is None or stripped(cells[label].strip('"')) in known for cells in rows):
        return ""
    return (
        f"{len(rows):,} lines within its text look like rows, so a quote may stand open there; if"
        " quotes are letters in the file, set quoting to none"
    )


def _json_rows(path: Path, columns: Columns) -> Iterator[Row]:
    names: list[str | None] = []
    unnamed: ValueError | None = None
    for number, record, problem in json_records(path, encoding_of(path, columns.table.encoding)[0]):
        if problem:
            yield text_row("", "", id="", line=number, problem=problem)
            continue
        if not names:
            there = list(record)
            asked = (columns.text, columns.label, columns.id)
            try:
                names = [None if n is None else there[column_place(path, n, there)] for n in asked]
            except ValueError as error:  # unless another object has them
                unnamed = unnamed or error
                if number > _LOOKED_AT:
                    raise unnamed from None
        wanted = names or columns.wanted
        missing = [name for name in wanted if name is not None and name not in record]
        if missing or not names:
            what = f"there is no '{missing[0]}' in this object" if missing else str(unnamed)
            yield text_row("", "", id="", line=number, problem=what)
            continue
        cells = [None if n is None else record[n] for n in names]
        yield _typed_row(cells, number, columns)
    if unnamed and not names:
        raise unnamed


def _parquet_rows(address: str, columns: Columns) -> Iterator[Row]:
    names = (columns.text, columns.label, columns.id)
    for line, (record, classes) in enumerate(parquet_records(address, names, columns.label), 1):
        cells = [record[n] if n else None for n in names]
        if classes and isinstance(cells[1], int):
            cells[1] = _class_of(cells[1], classes)
        if classes and isinstance(cells[1], list):
            cells[1] = [_class_of(each, classes) for each in cells[1]]
        yield _typed_row(cells, line, columns)


def _class_of(index: object, classes: Sequence[str]) -> str | None:
    return classes[index] if isinstance(index, int) and 0 <= index < len(classes) else None


def _typed_row(cells: Sequence[object], line: int, columns: Columns) -> Row:
    text, bad_text = text_cell(cells[0])
    if columns.label is not None and columns.separator is not None:
        label, bad_label = joined_labels(cells[1], columns.separator)
    else:
        label, bad_label = label_cell(cells[1])
    name, bad_id = id_cell(cells[2])
    return text_row(text, label, id=name, line=line, problem=bad_text or bad_label or bad_id)
