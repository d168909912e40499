"""Tables with blank lines, stray quotes and no names: rows stay where they stand, cells whole."""

from pathlib import Path
from typing import Any

import pytest

from lit_tasks.data.readers.tables import TableOptions, table_rows
from lit_tasks.data.readers.text_files import Columns, Row, format_of, notes_of, read_rows


def rows_of(path: Path, label: str | None = None, **options: Any) -> list[Row]:
    columns = Columns(label=label, table=TableOptions(**options))
    return list(read_rows(path, format_of(path, None), columns))


def notes(path: Path, label: str | None = None, **options: Any) -> str:
    columns = Columns(label=label, table=TableOptions(**options))
    return "; ".join(notes_of(path, format_of(path, None), columns))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("header", [True, False])
def test_a_blank_line_of_the_only_column_is_a_text_without_words(
    tmp_path: Path, header: bool, end: str
) -> None:
    above = ["", "text"] if header else []
    lines = [*above, "a film", "", "", '"a good', 'one"', "so", "", ""]
    (tmp_path / "a.csv").write_bytes(end.join(lines).encode() + end.encode())
    rows = rows_of(tmp_path / "a.csv", header=header)
    assert [row["text"] for row in rows] == ["a film", "", "", f"a good{end}one", "so"]
    first = len(above) + 1
    assert [row["line"] for row in rows] == [first + n for n in (0, 1, 2, 3, 5)]
    assert not any(row["problem"] or row["note"] for row in rows)


def test_blank_lines_are_no_rows_of_several_columns_and_of_lists_of_files(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\n\na film,pos\n\nso,neg\n\n")
    assert [row["line"] for row in rows_of(tmp_path / "a.csv", label="label")] == [3, 5]
    (tmp_path / "b.csv").write_text("file\na.jpg\n\nb.jpg\n")
    files = [row["file"] for _, row in table_rows(tmp_path / "b.csv", ["file"])]
    assert files == ["a.jpg", "b.jpg"]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ('"good\nhe said "fine" there"', 'good\nhe said "fine" there'),
        ('"good\nhe said "fine""', 'good\nhe said "fine"'),
        ('"a ""good""\nhe said "fine" there"', 'a "good"\nhe said "fine" there'),
        ('"good\nhe said ""fine"" there"', 'good\nhe said "fine" there'),
    ],
)
@pytest.mark.parametrize("turned", [True, False])
def test_quotes_within_a_cell_of_several_lines_are_not_lost(
    tmp_path: Path, cell: str, text: str, end: str, turned: bool
) -> None:
    header, *pair = ("label,text", "pos", cell) if turned else ("text,label", cell, "pos")
    lines = f"{header}\n{','.join(pair)}\n{'neg,so' if turned else 'so,neg'}\n"
    (tmp_path / "a.csv").write_bytes(lines.replace("\n", end).encode())
    rows = rows_of(tmp_path / "a.csv", label="label")
    assert [row["problem"] for row in rows if row["problem"]] == []
    found = [(row["text"].replace("\r\n", "\n"), row["label"]) for row in rows]
    assert found == [(text, "pos"), ("so", "neg")]


def test_a_row_that_ends_where_a_quote_closed_too_early_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('text,label\n"a "good"\none",pos\nso,neg\n')
    rows = rows_of(tmp_path / "a.csv", label="label")
    assert [row["line"] for row in rows if row["problem"]] == [2]
    assert [row["text"] for row in rows if not row["problem"]] == ['one"', "so"]


TEXTS = ["a film", "a film", "a good one", "so so"]


@pytest.mark.parametrize("turned", [True, False])
@pytest.mark.parametrize("identifier", ["{}", "the-longest-identifier-of-them-all-{}"])
def test_of_two_columns_without_names_the_one_of_words_is_predicted(
    tmp_path: Path, turned: bool, identifier: str
) -> None:
    pairs = [(identifier.format(number), text) for number, text in enumerate(TEXTS)]
    lines = [",".join(pair[::-1] if turned else pair) for pair in pairs]
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    assert [row["text"] for row in rows_of(tmp_path / "a.csv", header=False)] == TEXTS
    told = notes(tmp_path / "a.csv", header=False)
    place = 0 if turned else 1
    assert f"is read with texts in column {place}, counted from 0; set data.text_column" in told
    assert "labels" not in told


def test_which_of_two_columns_without_names_holds_the_labels_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("pos,a film\nneg,so so\npos,a good one\nneg,a bad one\n")
    told = notes(tmp_path / "a.csv", label="label", header=False)
    assert "is read with texts in column 1 and labels in 0, counted from 0" in told
    assert "set data.text_column and data.label_column if that is wrong" in told
    (tmp_path / "a.csv").write_text("text,label\na film,pos\nso so,neg\n")
    assert notes(tmp_path / "a.csv", label="label") == ""


def test_a_table_of_blank_lines_is_empty(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("\n\n\n")
    with pytest.raises(
        ValueError, match=r"a\.csv has no column 'text', .*: it is empty; give a file"
    ):
        rows_of(tmp_path / "a.csv")
