"""Files of lines: a label and a text, apart by a tab or a space, or the text alone."""

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple

from lit_tasks.data.readers.encodings import encoding_of, open_text
from lit_tasks.data.readers.label_lists import joined_labels
from lit_tasks.data.readers.lines import lines_of
from lit_tasks.data.readers.tables import (
    Layout,
    TableOptions,
    has_columns,
    layout_of,
    text_and_label,
)

_LOOKED_AT = 1000  # lines
_FASTTEXT = "__label__"
_DELIMITERS = ("\t", ",", ";", "|")
_NAMES = {",": "comma", ";": "semicolon", "|": "vertical bar", " ": "space"}
_SHOWN = {"label": "label, {}, text", "text": "text, {}, label"}
Order = Literal["label", "text"]


class Lines(NamedTuple):
    """How the lines of a file are to be cut.

    Attributes:
        encoding: Python's name of it.
        between: What stands between label and text; empty where the line is the text.
        first: Which of them comes first.
        notes: Sentences about what had to be guessed.
        separator: What stands between the labels of a text that may have several, or none.
        prefix: With what each word that is a label begins, empty where their place tells them.
    """

    encoding: str
    between: str
    first: Order = "label"
    notes: tuple[str, ...] = ()
    separator: str | None = None
    prefix: str = ""

    def rows(self, path: Path) -> Iterator[tuple[int, str, str, str]]:
        """Yield number, text, label and problem of each line; blank ones at the end are none."""
        blank: list[int] = []
        with open_text(path, self.encoding) as file:
            for number, line, problem in lines_of(file):
                if self.between and not line.strip() and not problem:
                    blank.append(number)
                    continue
                yield from ((empty, "", "", "") for empty in blank)
                blank = []
                yield (number, "", "", problem) if problem else (number, *self._cut(line))

    def _cut(self, line: str) -> tuple[str, str, str]:
        line = line.strip("\r\n") if self.between == "\t" else line.strip()
        if not self.between:
            return line, "", ""
        if self.prefix:
            text, labels = _marked(line, self.prefix)
        elif self.between.strip(" ") and self.between not in line:
            what = "tab" if self.between == "\t" else f"'{self.between}'"
            return "", "", f"there is no {what} between label and text"
        elif self.first == "text":
            text, _, label = line.rpartition(self.between)
            labels = [label]
        else:
            label, _, text = line.partition(self.between)
            labels = [label]
        if self.separator is not None:
            joined = labels[0] if len(labels) == 1 else labels
            found, problem = joined_labels(joined, self.separator)
            return text.strip(), found, problem
        if labels[1:]:
            several = f"there are several labels ({labels[0]}, {labels[1]})"
            return "", "", f"{several}; one label a text, or set data.multi_label to true"
        return text.strip(), "".join(labels).strip(), ""


def _marked(line: str, prefix: str) -> tuple[str, list[str]]:
    """Return the text of a line, and the words at its beginning and end that are labels."""
    labels = []
    while line.startswith(prefix):
        label, *rest = line.split(None, 1)
        labels.append(label)
        line = "".join(rest)
    last: list[str] = []
    while line and line.split()[-1].startswith(prefix):
        rest, last = line.rsplit(None, 1)[:-1], [line.split()[-1], *last]
        line = "".join(rest)
    return line, labels + last


def look_at_lines(
    path: Path, options: TableOptions, wanted: Sequence[str], labeled: bool
) -> Lines | Layout:
    """Return how the lines of a file are to be cut, or the layout of the table that it holds.

    A first line with the names of the columns makes it a table, as what Excel calls Unicode text.
    Otherwise tabs in nearly all lines tell that one stands between label and text; the side where
    less differs holds the labels.

    Args:
        path: The file.
        options: What is known already.
        wanted: Names that columns of a table would have.
        labeled: Whether each line has a label.

    Raises:
        ValueError: Every line has more than two columns.
    """
    encoding, note = encoding_of(path, options.encoding)
    notes = (note,) if note else ()
    with open_text(path, encoding) as file:
        head = [line.strip("\r\n") for _, line, _ in islice(lines_of(file), _LOOKED_AT)]
    first = head[0] if head else ""
    for delimiter in _DELIMITERS if labeled else ("\t",):
        cells = first.split(delimiter)
        # One name of two is a header as well: that there is no other column is said then.
        names = [[name] for name in wanted] if labeled and delimiter == "\t" else [wanted]
        if options.header and any(has_columns(cells, some) for some in names):
            return layout_of(path, options, wanted=wanted, delimiter=delimiter)
    if options.delimiter or not options.header:
        return layout_of(path, options, wanted=wanted, delimiter=options.delimiter or "\t")
    if not labeled:
        return Lines(encoding, "", notes=notes)
    lines = [line for line in head if line.strip()]
    if 2 * sum(bool(_marked(line.strip(), _FASTTEXT)[1]) for line in lines) > len(lines):
        return Lines(encoding, " ", notes=notes, prefix=_FASTTEXT)
    rows = [line.split("\t") for line in lines]
    tabbed = [row for row in rows if len(row) > 1]
    if not rows or len(tabbed) < 0.9 * len(rows):
        between, order = _between([line.strip() for line in lines])
        if (between, order) == (" ", "label"):
            return Lines(encoding, " ", notes=notes)
        note = f"{path} is read as lines of {_SHOWN[order].format(_NAMES[between])}"
        return Lines(encoding, between, first=order, notes=(*notes, note))
    widths = {len(row) for row in tabbed}
    if len(widths) == 1 and widths != {2}:
        raise ValueError(
            f"{path} has {widths.pop()} columns with tabs between them and no line of names: set "
            "data.format to tsv, data.header to false, and data.text_column and data.label_column "
            "to the places of text and label, counted from 0"
        )
    text_place, _ = text_and_label([(row[0], row[-1]) for row in tabbed])
    order = "label" if text_place else "text"
    note = f"{path} is read as lines of {_SHOWN[order].format('tab')}"
    return Lines(encoding, "\t", first=order, notes=(*notes, note))


def _between(lines: Sequence[str]) -> tuple[str, Order]:
    """Return what stands between label and text, and which comes first: a space and the label.

    Unless something else gives fewer labels than the first words are, each of a word and twice at
    least: what stands before or behind a comma, say, or the last word.
    """
    words = {line.split(None, 1)[0] for line in lines}
    for between in (",", ";", "|", " "):
        if not all(between in line for line in lines):
            continue
        before = {line.partition(between)[0].strip() for line in lines}
        behind = {line.rpartition(between)[2].strip() for line in lines}
        alone = all(line.split()[1:2] == [between] for line in lines)
        punctuated = bool(lines) and (alone or all(word.endswith(between) for word in words))
        if punctuated or (
            between != " " and _are_labels(before, len(lines), fewer_than=len(words))
        ):
            return between, "label"
        if _are_labels(behind, len(lines), fewer_than=len(words)):
            return between, "text"
    return " ", "label"


def _are_labels(found: set[str], lines: int, fewer_than: int) -> bool:
    several = 2 <= len(found) < fewer_than and 2 * len(found) <= lines
    return several and all(re.search(r"\w", label) for label in found)
