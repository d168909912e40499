"""Files of lines: a label and a text, apart by a tab or a space, or the text alone."""

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


class Lines(NamedTuple):
    """How the lines of a file are to be cut.

    Attributes:
        encoding: Python's name of it.
        between: What stands between label and text; empty where the line is the text.
        first: Which of them comes first.
        notes: Sentences about what had to be guessed.
        separator: What stands between the labels of a text that may have several, or none.
    """

    encoding: str
    between: Literal["", " ", "\t"]
    first: Literal["label", "text"] = "label"
    notes: tuple[str, ...] = ()
    separator: str | None = None

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
        if self.between not in line and self.between == "\t":
            return "", "", "there is no tab between label and text"
        if self.first == "text":
            text, _, label = line.rpartition(self.between)
        else:
            label, _, text = line.partition(self.between)
        labels = [label]
        while label.startswith(_FASTTEXT) and text.lstrip().startswith(_FASTTEXT):
            another, _, text = text.lstrip().partition(" ")
            labels.append(another)
        if self.separator is not None:
            found, problem = joined_labels(labels if labels[1:] else label, self.separator)
            return text.strip(), found, problem
        if labels[1:]:
            return (
                "",
                "",
                (
                    f"there are several labels ({labels[0]}, {labels[1]}); one label a text, or set"
                    " data.multi_label to true"
                ),
            )
        return text.strip(), label.strip(), ""


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
    rows = [line.split("\t") for line in head if line.strip()]
    tabbed = [row for row in rows if len(row) > 1]
    if not rows or len(tabbed) < 0.9 * len(rows):
        return Lines(encoding, " ", notes=notes)
    widths = {len(row) for row in tabbed}
    if len(widths) == 1 and widths != {2}:
        raise ValueError(
            f"{path} has {widths.pop()} columns with tabs between them and no line of names: set "
            "data.format to tsv, data.header to false, and data.text_column and data.label_column "
            "to the places of text and label, counted from 0"
        )
    text_place, _ = text_and_label([(row[0], row[-1]) for row in tabbed])
    order: Literal["label", "text"] = "label" if text_place else "text"
    shown = "label, tab, text" if text_place else "text, tab, label"
    return Lines(encoding, "\t", first=order, notes=(*notes, f"{path} is read as lines of {shown}"))
