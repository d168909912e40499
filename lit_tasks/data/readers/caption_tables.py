"""Captions in files that name images: CSV, TSV, Flickr's own formats, and JSON of three forms."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from lit_tasks.data.readers.caption_mappings import caption_mapping, mapped_captions
from lit_tasks.data.readers.caption_records import EmptyCaptions
from lit_tasks.data.readers.cells import list_in
from lit_tasks.data.readers.encodings import encoding_of, open_text, undecoded
from lit_tasks.data.readers.json_records import json_records
from lit_tasks.data.readers.lines import lines_of
from lit_tasks.data.readers.split_names import split_columns
from lit_tasks.data.readers.tables import (
    JSON,
    PARQUET,
    TableOptions,
    format_suffix,
    layout_of,
    table_rows,
)
from lit_tasks.files import not_there

FILES = ("file", "image", "file_name", "filename", "image_name", "image_path", "path", "img")
_CAPTIONS = ("caption", "captions", "text", "comment", "sentence", "sentences", "description")
_LOOKED_AT = 1000  # rows, for a column of splits that was not named
_FLICKR = re.compile(r"([^\t]+)#\d+\t(.*)")  # name#number, a tab, the caption


@dataclass(frozen=True)
class CaptionColumns:
    """Where file, caption and split stand; usual names are looked for where ``None``."""

    file: str | None = None
    caption: str | None = None
    split: str | None = None
    usual_files: tuple[str, ...] = FILES


class CaptionRow(NamedTuple):
    """What one row says about an image.

    Attributes:
        where: File and line, as errors name them.
        file: Name of the image.
        captions: Sentences about it, each on one line.
        split: The cell of the split column; empty without one.
        columns: What file and caption are called there.
    """

    where: str
    file: str
    captions: list[str]
    split: str
    columns: tuple[str, str] = ("file", "caption")


def caption_rows(
    table: Path,
    columns: CaptionColumns,
    encoding: str | None = None,
    empty: bool = False,
    tell: Callable[[str], None] | None = None,
    left_out: EmptyCaptions | None = None,
) -> Iterator[CaptionRow]:
    """Yield what the rows of a file say, in its order.

    Args:
        table: ``.json`` (records, or an object of files and captions), ``.jsonl`` or ``.ndjson``;
            else a table with a header, whose delimiter is found, or lines like those of
            ``Flickr8k.token.txt``.
        columns: Their names.
        encoding: Any that Python knows; a file of another than UTF-8 and UTF-16 must give it.
        empty: Whether a caption may be empty, as a model's may.
        tell: Is given a sentence about each thing that had to be guessed.
        left_out: Counts what is empty; it is refused if left out.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A column is missing, or a row cannot be used; names the line and the remedy.
    """
    left_out = left_out or EmptyCaptions()
    if not table.is_file():
        raise not_there(
            table, f"there is no file {table}; give the path of a CSV, TSV or JSON file"
        )
    suffix = format_suffix(table)
    if suffix in PARQUET:
        raise ValueError(
            f"{table} is Parquet, and a file of captions is CSV, TSV, JSON or JSON Lines: export it"
            " as one of these; shards of Parquet that hold the images as well are read by"
            " lit_tasks.data.streamed_captions.StreamedCaptionsDataModule"
        )
    found = encoding_of(table, encoding)[0]
    if encoding is None and found == "cp1252":  # a guess: no word is learned from one
        found = "utf-8-sig"
    if suffix in JSON:
        rows = _json(table, columns, found)
    elif _is_flickr(table, found):
        rows = _flickr(table, columns, found)
    else:
        rows = _table(table, columns, encoding=found, tell=tell)
    for row in rows:
        wrong = undecoded("".join((row.file, row.split, *row.captions)))
        if wrong:
            raise ValueError(
                f"{row.where}: the bytes are not UTF-8 {wrong}; save the file as UTF-8, or give"
                " its encoding, for example --data.encoding=cp1252"
            )
        name = row.columns[bool(row.file)]
        if not row.file or not row.captions or not (empty or all(row.captions)):
            left_out.add(f"{row.where}: column {name} is empty", "fill it, or remove the row")
            row = row._replace(captions=list(filter(None, row.captions)))
        if row.file:
            yield row


def _table(
    table: Path,
    columns: CaptionColumns,
    encoding: str,
    tell: Callable[[str], None] | None,
) -> Iterator[CaptionRow]:
    options = TableOptions(encoding=encoding)
    usual = "\t" if format_suffix(table) == ".tsv" else ","
    given = [name for name in (columns.file, columns.caption, columns.split) if name]
    header = layout_of(table, options, wanted=given, delimiter=usual).names
    file = _named(
        table, "file_column", given=columns.file, header=header, usual=columns.usual_files
    )
    captions = _caption_names(table, columns, header)
    first: list[dict[str, str]] = []
    # Of several captions of a row some may be missing: images have unlike numbers of them.
    needed = [file, columns.split, *(captions if len(captions) == 1 else [])]
    optional = (file, *captions)  # they are looked at later
    for where, row in table_rows(table, needed, options, may_be_empty=optional, tell=tell):
        first += [row] if len(first) < _LOOKED_AT else []
        texts = [one_line(text) for name in captions for text in _in_cell(row[name])]
        said = texts if len(texts) == 1 else list(filter(None, texts))
        split = row[columns.split] if columns.split else ""
        called = file, captions[0]
        yield CaptionRow(where, row[file].strip(), captions=said, split=split, columns=called)
    if columns.split is None and tell is not None:
        for name in split_columns(first, (file, *captions)):
            tell(
                f"{table}: column {name} names splits and is not used; to use it, set"
                f" data.split_column={name}"
            )


def _in_cell(cell: str) -> list[str]:
    """Return the captions in a cell: itself, or those of a list as JSON or Python write it."""
    found = list_in(cell.strip()) if cell.lstrip().startswith("[") else None
    return [str(text) for text in found] if found else [cell]


def _caption_names(where: Path | str, columns: CaptionColumns, header: Sequence[str]) -> list[str]:
    """Return the columns of captions: one, or several such as ``caption_0`` to ``caption_4``."""
    numbered = _numbered(header) if columns.caption is None else []
    try:
        name = _named(
            where, "caption_column", given=columns.caption, header=header, usual=_CAPTIONS
        )
    except ValueError:
        if not numbered:
            raise
        return numbered
    alike = [other for other in numbered if other.casefold().startswith(name.strip().casefold())]
    return [name, *alike]


def _json(table: Path, columns: CaptionColumns, encoding: str) -> Iterator[CaptionRow]:
    if format_suffix(table) == ".json" and (columns.file, columns.caption) == (None, None):
        content = caption_mapping(table, encoding, frozenset(columns.usual_files))
        if content is not None:
            yield from _mapped(table, columns, content)
            return
    for line, record, problem in json_records(table, encoding):
        where = f"{table}, line {line}"
        if problem:
            raise ValueError(
                f"{where}: {problem}; correct it: a file of captions has an object a line, or one"
                " list of them, and a list of the captions of an image"
            )
        header = list(record)
        file = _named(
            where, "file_column", given=columns.file, header=header, usual=columns.usual_files
        )
        names = _caption_names(where, columns, header)
        if columns.split and columns.split not in record:
            _named(where, "split_column", given=columns.split, header=header, usual=())
        values = [record[name] for name in names]
        if len(values) > 1:  # images have unlike numbers of captions
            values = [value for value in values if value not in (None, "")]
        several = [value if isinstance(value, list) else [value] for value in values]
        texts = [_raw(text) for value in several for text in value]
        number = record[file]  # COCO's ids are numbers
        name = str(number) if isinstance(number, int) and not isinstance(number, bool) else number
        cells = [name, record[columns.split] if columns.split else "", *texts]
        if not all(isinstance(cell, str) for cell in cells):
            raise ValueError(
                f"{where}: {file} should be a text and {names[0]} a text or a list of texts, got"
                f" {record[file]!r:.60} and {record[names[0]]!r:.60}"
            )
        said, called = [one_line(text) for text in texts], (file, names[0])
        yield CaptionRow(where, cells[0].strip(), captions=said, split=cells[1], columns=called)


def _mapped(table: Path, columns: CaptionColumns, content: dict[str, Any]) -> Iterator[CaptionRow]:
    if columns.split is not None:
        raise ValueError(
            f"{table} holds captions by image and no column {columns.split}: leave"
            " data.split_column out"
        )
    for where, name, values in mapped_captions(table, content):
        texts = [_raw(value) for value in values]
        if not all(isinstance(text, str) for text in texts):
            raise ValueError(
                f"{where}: this should be a caption or a list of captions, got"
                f" {content[name]!r:.60}; records stand in a list, or on lines of their own"
            )
        said = [one_line(text) for text in texts]
        yield CaptionRow(where, name.strip(), captions=said, split="")


def _raw(sentence: Any) -> Any:
    """Return the text of a sentence of Karpathy's, ``{"raw": ...}``, and others as they are."""
    return sentence.get("raw") if isinstance(sentence, dict) else sentence


def _is_flickr(table: Path, encoding: str) -> bool:
    with open_text(table, encoding) as file:
        head = next((line for _, line, _ in lines_of(file) if line.strip()), "")
    return _FLICKR.match(head) is not None


def _flickr(table: Path, columns: CaptionColumns, encoding: str) -> Iterator[CaptionRow]:
    if columns.split is not None:
        raise ValueError(
            f"{table} has lines of name#number and caption and no column {columns.split}: leave"
            " data.split_column out"
        )
    with open_text(table, encoding) as file:
        for number, line, problem in lines_of(file):
            match = _FLICKR.match(line.rstrip("\r\n"))
            if match:
                yield CaptionRow(
                    f"{table}, line {number}", match[1], captions=[one_line(match[2])], split=""
                )
            elif problem or line.strip():
                reason = problem or "name#number, a tab and a caption must stand here"
                raise ValueError(
                    f"{table}, line {number}: {reason}; correct it, or remove the line"
                )


def _named(
    where: Path | str, option: str, given: str | None, header: Sequence[str], usual: Sequence[str]
) -> str:
    """Return the name of a column: the given one, or the first usual one that is there."""
    plain = {name.strip().casefold(): name for name in reversed(header)}
    wanted = [given] if given is not None else list(usual)
    for name in wanted:
        if name in header:
            return name
        if name.strip().casefold() in plain:
            return plain[name.strip().casefold()]
    shown = ", ".join(f"'{name}'" for name in header[:20]) or "none"
    raise ValueError(
        f"{where} has no column '{wanted[0]}', only {shown}; rename one, or name the right one with"
        f" --data.{option}"
    )


def _numbered(header: Sequence[str]) -> list[str]:
    """Return columns such as ``caption_0`` to ``caption_4``."""
    pattern = re.compile(rf"(?:{'|'.join(_CAPTIONS)})[ _-]?\d+", re.IGNORECASE)
    return [name for name in header if pattern.fullmatch(name.strip())]


def one_line(text: str) -> str:
    """Return a text with single blanks between its words."""
    return " ".join(text.split())
