"""Lines and rows of text files, none longer than memory allows; what cannot be parsed is told.

A quote that is never closed makes one row of all that follows, and a file without line ends is one
line. Such a row is given up, and reading goes on behind the line in which the quote was opened.
"""

import csv
import re
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple, TextIO

from lit_tasks.data.readers.encodings import open_text

MAX_CHARACTERS = 1 << 23
"""Of a row, a line or a text: a million words. Short lines, or lists in JSON, take 30 times it."""
_TOO_LONG = f"a row must have at most {MAX_CHARACTERS:,} characters"
_QUOTES = re.compile('"+')
_BYTE_ORDER_MARK = "\ufeff"
_END = "the end of the file"  # comes as a line of its own, unless a quote is open there


class ParsedRow(NamedTuple):
    """A row of a CSV file.

    Attributes:
        line: The line that it begins in, counted from 1.
        fields: Its cells.
        problem: Empty, or why there are none.
    """

    line: int
    fields: list[str]
    problem: str = ""


def lines_of(file: TextIO) -> Iterator[tuple[int, str, str]]:
    """Yield number, content and problem of each line; one that is too long has a problem.

    A byte order mark at the start of a line, as files have that were put together of several, goes.
    """
    number = 0
    while line := file.readline(MAX_CHARACTERS + 1):
        number += 1
        if len(line) <= MAX_CHARACTERS:
            yield number, line.lstrip(_BYTE_ORDER_MARK), ""
        else:
            _skip_line(file, line)
            yield number, "", _TOO_LONG


def csv_rows(
    path: Path,
    delimiter: str = ",",
    quoted: bool = True,
    encoding: str = "utf-8-sig",
    empty: bool = False,
) -> Iterator[ParsedRow]:
    """Yield the rows of a CSV file, that of the header too; lines without anything are not rows.

    Args:
        path: The file.
        delimiter: The character between two cells.
        quoted: Whether double quotes around a cell hide delimiters and line breaks.
        encoding: That of the file.
        empty: Whether lines without anything are rows without cells.
    """
    csv.field_size_limit(MAX_CHARACTERS)
    with open_text(path, encoding, newline="") as file:
        lines = _RowLines(file)
        while not lines.ended:
            for row in _rows(lines, delimiter, csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE):
                if row.fields or row.problem or empty:
                    yield row


def _rows(lines: "_RowLines", delimiter: str, quoting: Literal[0, 3]) -> Iterator[ParsedRow]:
    """Yield rows up to the end, or up to one that cannot be parsed."""
    begins = lines.begin_row()
    try:
        for fields in csv.reader(lines, delimiter=delimiter, quoting=quoting):
            if lines.ended and len(lines.row) == 1:
                return
            if lines.ended:
                problem = "a quote is opened and never closed"
                break
            if fields and quoting == csv.QUOTE_MINIMAL and any('"' in line for line in lines.row):
                yield _with_quotes(ParsedRow(begins, fields), lines.row, delimiter)
            else:
                yield ParsedRow(begins, fields)
            begins = lines.begin_row()
    except (csv.Error, _TooLongError) as error:
        problem = _TOO_LONG if "field larger" in str(error) else str(error)
    yield ParsedRow(begins, [], problem)
    lines.give_up()


def _with_quotes(row: ParsedRow, lines: list[str], delimiter: str) -> ParsedRow:
    r"""Return a row in which no quote got lost: one that more text follows is a letter of a cell.

    ``"fine" film`` has two such quotes, and ``"a \"fine\" film"`` four.
    """
    try:
        next(csv.reader(lines, delimiter=delimiter, strict=True))
    except csv.Error:
        if len(lines) > 1:  # a quote may stand open, and what it hides is looked at later
            cells = _cells("".join(lines).rstrip("\r\n"), delimiter)
            return row._replace(fields=cells) if len(cells) == len(row.fields) else row
        as_letters = next(csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE))
        if len(as_letters) != len(row.fields):
            return ParsedRow(row.line, [], "text stands behind the closing quote of a cell")
        both = zip(row.fields, as_letters, strict=True)
        return row._replace(fields=[a if f'"{_doubled(a)}"' == b else b for a, b in both])
    return row


def _cells(row: str, delimiter: str) -> list[str]:
    """Return the cells of a row, nothing where a quote stays open.

    A quote closes a cell where a delimiter or the end of the row follows; others are letters.
    """
    cells, start = [], 0
    while start <= len(row):
        if row.startswith('"', start):
            end = _closing_quote(row, start + 1, delimiter)
            if end < 0:
                return []
            cells.append(row[start + 1 : end].replace('""', '"'))
            end += 1
        else:
            end = row.find(delimiter, start)
            end = len(row) if end < 0 else end
            cells.append(row[start:end])
        start = end + 1
    return cells


def _closing_quote(row: str, start: int, delimiter: str) -> int:
    """Return where the quote stands that closes a cell, or -1; two together are first a letter."""
    otherwise = -1
    for quotes in _QUOTES.finditer(row, start):
        if row[quotes.end() : quotes.end() + 1] in ("", delimiter):
            if len(quotes[0]) % 2:
                return quotes.end() - 1
            otherwise = quotes.end() - 1 if otherwise < 0 else otherwise
    return otherwise


def _doubled(cell: str) -> str:
    return cell.replace('"', '""')


class _TooLongError(ValueError):
    pass


class _RowLines:
    """Lines of a file; those of the row that is being read are kept, to go back to them.

    Args:
        file: The file.
    """

    def __init__(self, file: TextIO) -> None:
        self.file, self.again, self.row = file, deque[str](), list[str]()
        self.taken, self.size, self.ended = 0, 0, False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self.ended:
            raise StopIteration
        line = self.again.popleft() if self.again else self.file.readline(MAX_CHARACTERS + 1)
        self.ended = not line
        if not self.row:
            line = line.lstrip(_BYTE_ORDER_MARK)
        self.row.append(line or _END)
        self.size += len(line)
        if self.size > MAX_CHARACTERS:
            _skip_line(self.file, line) if len(line) > MAX_CHARACTERS else None
            raise _TooLongError(_TOO_LONG)
        return self.row[-1]

    def begin_row(self) -> int:
        """Forget the lines of the last row; return the number of the next line."""
        self.taken += len(self.row)
        self.row, self.size = [], 0
        return self.taken + 1

    def give_up(self) -> None:
        """Go back behind the last quote of this row: no line that follows can begin another one."""
        lines = self.row[:-1] if self.ended else self.row
        quotes = (n for n in reversed(range(len(lines))) if '"' in lines[n].replace('""', ""))
        kept = 1 + next(quotes, 0)
        self.again.extendleft(reversed(lines[kept:]))
        self.row, self.ended = lines[:kept], False


def _skip_line(file: TextIO, line: str) -> None:
    while line and not line.endswith(("\n", "\r")):
        line = file.readline(MAX_CHARACTERS)
