"""Tables: which file has which layout, where a column stands, what becomes of unusable rows."""

import difflib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple

from lit_tasks.data.readers.encodings import check_encoding, encoding_of, open_text
from lit_tasks.data.readers.lines import ParsedRow, csv_rows, lines_of
from lit_tasks.files import not_there
from lit_tasks.zip_files import PACKED

BadRows = Literal["stop", "skip"]
"""``stop`` ends the run at the first row that cannot be used and names it; ``skip`` counts them."""
Quoting = Literal["double", "none"]
"""``double`` quotes around a cell hide delimiters and line breaks; ``none``: quotes are letters."""

JSON = (".json", ".jsonl", ".ndjson")
PARQUET = (".parquet", ".pq")
_DELIMITERS = (",", ";", "\t", "|")
_NAMES = {"\t": "a tab", " ": "a space"}


@dataclass(frozen=True)
class TableOptions:
    r"""How files of columns are to be read; what is left out is taken from the file.

    Args:
        delimiter: The character between two cells; ``\t`` stands for the tab.
        quoting: Whether double quotes around a cell hide delimiters and line breaks.
        encoding: Any that Python knows.
        header: Whether the first row holds the names of the columns.
    """

    delimiter: str | None = None
    quoting: Quoting | None = None
    encoding: str | None = None
    header: bool = True

    def __post_init__(self) -> None:
        delimiter = {"\\t": "\t", "tab": "\t"}.get(self.delimiter or "", self.delimiter)
        object.__setattr__(self, "delimiter", delimiter)
        if delimiter is not None and (len(delimiter) != 1 or delimiter in '\r\n"'):
            raise ValueError(
                f"delimiter must be one character, neither quote nor line break, got {delimiter!r}"
            )
        check_encoding(self.encoding)


class Layout(NamedTuple):
    """What a file of columns looks like.

    Attributes:
        encoding: Python's name of it.
        delimiter: The character between two cells.
        quoted: Whether quotes around a cell hide delimiters and line breaks.
        names: Those of the columns, and their numbers from 0 where there is no header.
        above: Rows above the first one of data.
        notes: Sentences about what had to be guessed.
    """

    encoding: str
    delimiter: str
    quoted: bool
    names: list[str]
    above: int
    notes: tuple[str, ...] = ()

    def rows(self, path: Path, empty: bool = False) -> Iterator[ParsedRow]:
        """Yield the rows of data; empty cells behind the last column are none.

        Args:
            path: The file.
            empty: Whether lines without anything are rows of empty cells where more rows follow.
        """
        rows = csv_rows(
            path, self.delimiter, quoted=self.quoted, encoding=self.encoding, empty=empty
        )
        above, blank = self.above, list[ParsedRow]()
        for row in rows:
            if not row.fields and not row.problem:
                blank += [] if above else [row._replace(fields=[""] * len(self.names))]
                continue
            if above:
                above -= 1
                continue
            yield from blank
            blank = []
            while len(row.fields) > len(self.names) and not row.fields[-1].strip():
                row.fields.pop()
            if row.fields == self.names and self.above and len(self.names) > 1:
                yield ParsedRow(row.line, [], "this is the header once more")
            elif not row.problem and len(row.fields) != len(self.names):
                yield row._replace(problem=self._ragged(len(row.fields)))
            else:
                yield row

    def _ragged(self, fields: int) -> str:
        hint = "" if self.quoted else "; set data.quoting to double if quotes hold line breaks"
        return f"{len(self.names)} columns were announced, got {fields}{hint}"


def format_suffix(path: Path) -> str:
    """Return the ending that tells a format, small; ``.csv`` of ``A.CSV.gz``."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    while suffixes and suffixes[-1] in PACKED:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def layout_of(path: Path, options: TableOptions, wanted: Sequence[str], delimiter: str) -> Layout:
    """Return the layout of a file of columns.

    Where no delimiter is given it is the one with which the first row has all wanted names: that
    of the format, comma, semicolon, tab or a vertical bar.

    Args:
        path: The file.
        options: What is known already.
        wanted: Names of columns that it should have.
        delimiter: That of the format, which goes first.

    Raises:
        ValueError: The file is none of text.
    """
    encoding, note = encoding_of(path, options.encoding)
    with open_text(path, encoding) as file:
        first = next(lines_of(file), (1, "", ""))[1].strip()
    above, given = 0, options.delimiter
    if len(first) == 5 and first.lower().startswith("sep="):  # Excel's own line
        above, given = 1, given or first[4]
    candidates = dict.fromkeys([given] if given else [delimiter, *_DELIMITERS])
    found: list[tuple[bool, bool, int, ParsedRow, Layout]] = []
    for candidate, quoted in _quotings(candidates, options.quoting):
        rows = islice(csv_rows(path, candidate, quoted=quoted, encoding=encoding), above, None)
        row = next(rows, ParsedRow(1, []))
        names = [name.strip() for name in row.fields]
        if not options.header:
            if all(_places(name, names) for name in ("text", "label")):
                raise ValueError(
                    f"{path}, line {row.line}: this row holds the names of the columns, and "
                    "data.header is false; leave that option out"
                )
            widths = {len(other.fields) for other in islice(rows, 20)} | {len(names)}
            suits = len(widths) == 1 and len(names) > 1
            names = [str(place) for place in range(len(names))]
        else:
            suits = all(_places(name, names) for name in wanted)
        layout = Layout(
            encoding,
            candidate,
            quoted=quoted,
            names=names,
            above=above + options.header,
            notes=(note,),
        )
        found.append((suits, len(names) > 1, -len(found), row, layout))
    suits, _, _, row, layout = max(found, key=lambda entry: entry[:3])
    if row.problem:
        raise ValueError(f"{path}, line {row.line}: {row.problem}")
    notes = [note, *_doubled(path, layout.names, wanted)]
    if suits and layout.delimiter not in (given, delimiter):
        shown = _NAMES.get(layout.delimiter, f"'{layout.delimiter}'")
        notes.append(f"{path} is read with {shown} between its columns")
    return layout._replace(notes=tuple(filter(None, notes)))


def _quotings(delimiters: Iterable[str], quoting: Quoting | None) -> Iterator[tuple[str, bool]]:
    """Yield how cells may be read: between tabs, quotes are letters unless the names have some."""
    for delimiter in delimiters:
        if quoting is not None:
            yield delimiter, quoting == "double"
            continue
        yield delimiter, delimiter != "\t"
        if delimiter == "\t":
            yield delimiter, True


def _doubled(path: Path, names: Sequence[str], wanted: Sequence[str]) -> list[str]:
    counts = Counter(name for name in names if name)
    return [
        f"{path} has {count} columns called '{name}'; the first one is read"
        for name, count in counts.items()
        if count > 1 and any(_places(wish, [name]) for wish in wanted)
    ]


def _places(name: str, header: Sequence[str]) -> list[int]:
    """Return where a name stands as it is, or else in other case or with blanks around it."""
    exact = [place for place, there in enumerate(header) if there == name]
    plain = [there.strip().casefold() for there in header]
    near = [place for place, there in enumerate(plain) if there == name.strip().casefold()]
    return exact or (near if len({header[place] for place in near}) == 1 else [])


def has_columns(header: Sequence[str], wanted: Sequence[str]) -> bool:
    """Tell whether several columns are there and the wanted ones are among them."""
    return len(header) > 1 and all(_places(name, header) for name in wanted)


def column_place(path: Path | str, name: str, header: Sequence[str]) -> int:
    """Return where a column stands: its name as it is, or else in other case.

    Raises:
        ValueError: It is not there; says which are.
    """
    places = _places(name, header)
    if places:
        return places[0]
    quoted = ", ".join(f"'{there}'" for there in header[:20]) or "none"
    more = f" and {len(header) - 20:,} more" if len(header) > 20 else ""
    near = difflib.get_close_matches(name, header, n=1)
    meant = f" (did you mean '{near[0]}'?)" if near else ""
    raise ValueError(
        f"{path} has no column '{name}', only {quoted}{more}{meant}; "
        f"give the right name to the option --data.*_column that is '{name}' now"
    )


def table_rows(
    table: Path,
    columns: Sequence[str | None],
    options: TableOptions | None = None,
    *,
    may_be_empty: Sequence[str] = (),
    tell: Callable[[str], None] | None = None,
) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the rows of a CSV or TSV file, each behind its place as errors name it.

    Args:
        table: The file.
        columns: Those that must be there and must not be empty, leaving ``None`` out; a row has
            them under these names, and all others under their own.
        options: How the file is to be read; its header and bytes tell where left out.
        may_be_empty: Those of ``columns`` that may be empty.
        tell: Is given a sentence about each thing that had to be guessed.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A column is missing, or empty in a row, or a row cannot be parsed.
    """
    if not table.is_file():
        raise not_there(table, f"there is no file {table}; give the path of a CSV file")
    if format_suffix(table) in (*JSON, *PARQUET):
        raise ValueError(
            f"{table} is {'Parquet' if format_suffix(table) in PARQUET else 'JSON'}, and this table"
            " is read as CSV or TSV with a header line: save it as CSV, for example with"
            " pandas.DataFrame.to_csv"
        )
    wanted = [name for name in columns if name is not None]
    usual = "\t" if format_suffix(table) == ".tsv" else ","
    layout = layout_of(table, options or TableOptions(), wanted=wanted, delimiter=usual)
    if not layout.names:
        raise ValueError(f"{table} is empty; give a file with a header line and rows")
    places = {name: column_place(table, name, layout.names) for name in wanted}
    if tell is not None:
        for note in layout.notes:
            tell(note)
    for line, fields, problem in layout.rows(table):
        where = f"{table}, line {line}"
        blank = [name for name in wanted if not "".join(fields[places[name] :][:1]).strip()]
        absent = [name for name in wanted if places[name] >= len(fields)]  # the row breaks off
        empty = [name for name in blank if name in absent or name not in may_be_empty]
        if empty and fields:
            raise ValueError(f"{where}: column {empty[0]} is empty; fill it, or remove the row")
        if problem:
            raise ValueError(f"{where}: {problem}; correct it, or remove the row")
        row = dict(zip(reversed(layout.names), reversed(fields), strict=True))  # the first one wins
        row |= {name: fields[place] for name, place in places.items()}
        yield where, row


def text_and_label(rows: Sequence[Sequence[str]]) -> tuple[int, int]:
    """Return which of two columns holds texts and which labels: texts repeat less, or are longer.

    Args:
        rows: Rows of two cells each.
    """
    columns = list(zip(*rows, strict=True))
    first, second = ((len(set(c)), sum(map(len, c)) / len(c)) for c in columns)
    return (0, 1) if first > second else (1, 0)


def text_beside_other(rows: Sequence[Sequence[str]]) -> int:
    """Return which of two columns holds texts and not ids or labels: the one of more words.

    Args:
        rows: Rows of two cells each.
    """
    columns = [" ".join(column) for column in zip(*rows, strict=True)]
    sizes = [(len(column.split()), len(column)) for column in columns]
    return sizes.index(max(sizes))
