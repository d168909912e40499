"""Files of texts as people have them: what is read of each, and what is said about it."""

import bz2
import gzip
import json
import lzma
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lit_tasks.data.readers.tables import TableOptions, table_rows
from lit_tasks.data.readers.text_files import Columns, Row, format_of, notes_of, read_rows

# Texts that repeat less than labels; one has an accent, one a quote that nothing closes.
PAIRS = [(f"a café {n} in town", ("neg", "pos")[n % 2]) for n in range(20)]
VARIED = [(f"{'abcdefg'[n % 7]}{n % 5} film, {n}", label) for n, (_, label) in enumerate(PAIRS)]
QUOTED = [('"' + text if n in (3, 15) else text, label) for n, (text, label) in enumerate(PAIRS)]


def table(pairs: list[tuple[str, str]], between: str = ",", header: str = "text,label") -> str:
    rows = [header.replace(",", between)] if header else []
    return "\n".join([*rows, *(between.join(pair) for pair in pairs)]) + "\n"


def read(path: Path, **options: Any) -> list[tuple[str, str]]:
    columns = {key: options.pop(key) for key in ("text", "label", "id") if key in options}
    rows = all_rows(path, Columns(**columns, table=TableOptions(**options)))
    assert [row["problem"] for row in rows if row["problem"]] == []
    return [(row["text"], row["label"]) for row in rows]


def all_rows(path: Path, columns: Columns | None = None) -> list[Row]:
    return list(read_rows(path, format_of(path, None), columns or Columns()))


def notes(path: Path, columns: Columns | None = None) -> str:
    return "; ".join(notes_of(path, format_of(path, None), columns or Columns()))


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.txt", "a.tab"])
@pytest.mark.parametrize("between", [",", ";", "\t", "|"])
def test_the_names_in_the_first_row_tell_the_delimiter(
    tmp_path: Path, name: str, between: str
) -> None:
    path = tmp_path / name
    path.write_text(table(PAIRS, between))
    assert read(path) == PAIRS
    usual = {"a.csv": ",", "a.txt": between}.get(name, "\t")
    assert ("between its columns" in notes(path)) == (between != usual)


@pytest.mark.parametrize("between", ["\t", "~", "^"])
@pytest.mark.parametrize("header", [True, False])
def test_a_delimiter_that_is_given_is_used(tmp_path: Path, between: str, header: bool) -> None:
    path = tmp_path / "a.csv"
    path.write_text(table(PAIRS, between, "text,label" if header else ""))
    given = "\\t" if between == "\t" else between
    assert read(path, delimiter=given, header=header) == PAIRS


def test_what_excel_writes_above_the_header_is_no_row(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("sep=;\n" + table(PAIRS, ";"))
    assert read(tmp_path / "a.csv") == PAIRS


@pytest.mark.parametrize("wrong", ["", ",,", '"', "\n"])
def test_what_is_no_delimiter_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="delimiter must be one character"):
        TableOptions(delimiter=wrong)


def test_an_encoding_that_python_does_not_know_is_refused() -> None:
    with pytest.raises(ValueError, match=r"encoding must be one that Python knows, .*'latin-9000'"):
        TableOptions(encoding="latin-9000")


@pytest.mark.parametrize(
    ("name", "between"), [("a.tsv", "\t"), ("a.txt", "\t"), ("b.csv", "\t"), ("c.csv", ",")]
)
def test_quotes_are_letters_where_tabs_stand_between_cells_or_by_option(
    tmp_path: Path, name: str, between: str
) -> None:
    path = tmp_path / name
    path.write_text(table(QUOTED, between))
    assert read(path, **({"quoting": "none"} if between == "," else {})) == QUOTED


def test_names_in_quotes_tell_that_cells_between_tabs_have_them_as_r_writes(tmp_path: Path) -> None:
    pairs = [(f'"{text}"', f'"{label}"') for text, label in PAIRS]
    (tmp_path / "a.tsv").write_text(table(pairs, "\t", '"text","label"'))
    assert read(tmp_path / "a.tsv") == PAIRS


def test_an_object_over_several_lines_says_how_to_write_it(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"data": [{"text": "a", "label": "b"}]}, indent=1))
    problem = all_rows(tmp_path / "a.json")[0]["problem"]
    assert problem.endswith("; write one object a line, or one array of objects")


@pytest.mark.parametrize("first", [0, 3])
@pytest.mark.parametrize("last", [4, 15])
@pytest.mark.parametrize("labeled", [True, False])
def test_a_quote_that_hides_rows_is_noted(
    tmp_path: Path, first: int, last: int, labeled: bool
) -> None:
    pairs = [('"' + t if n in (first, last) else t, label) for n, (t, label) in enumerate(PAIRS)]
    (tmp_path / "a.csv").write_text(table(pairs))
    rows = all_rows(tmp_path / "a.csv", Columns(label="label" if labeled else None))
    [row] = [row for row in rows if row["note"]]
    assert row["line"] == first + 2
    assert row["note"].startswith(f"{last - first:,} lines within its text look like rows")


def test_line_breaks_and_commas_of_a_text_are_not_noted(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('text,label\n"It is good,\nor so.\n\nWell, yes",pos\n')
    assert [row["note"] for row in all_rows(tmp_path / "a.csv")] == [""]


MARKS = {"utf-8-sig": "", "utf-16": "", "utf-32": "", "utf-16-le": "null bytes"}
MARKS |= {"utf-16-be": "null bytes", "cp1252": "read as cp1252", "latin-1": "read as cp1252"}


@pytest.mark.parametrize("encoding", MARKS)
@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.txt", "b.txt", "a.jsonl", "a.json"])
def test_an_encoding_is_recognized_by_its_bytes(tmp_path: Path, encoding: str, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(written(name).encode(encoding))
    assert read(path) == PAIRS
    assert MARKS[encoding] in notes(path)


def written(name: str) -> str:
    records = [{"text": text, "label": label} for text, label in PAIRS]
    return {
        "a.csv": table(PAIRS),
        "a.tsv": table(PAIRS, "\t"),
        "a.txt": table(PAIRS, "\t", ""),
        "b.txt": "".join(f"{label} {text}\n" for text, label in PAIRS),
        "a.jsonl": "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records),
        "a.json": json.dumps(records, ensure_ascii=False, indent=1),
    }[name]


@pytest.mark.parametrize("encoding", ["cp1251", "gbk", "shift_jis", "koi8-r", "utf-16-le"])
def test_any_encoding_can_be_given(tmp_path: Path, encoding: str) -> None:
    word = {"gbk": "电影很好看", "shift_jis": "とても良い映画"}.get(encoding, "очень хорошо")
    path, pairs = tmp_path / "a.csv", [(f"{word} {n}", "да" * (n % 2) + "но") for n in range(9)]
    path.write_bytes(table(pairs).encode(encoding))
    assert read(path, encoding=encoding) == pairs
    if encoding != "utf-16-le":  # which is told
        problems = {row["problem"] for row in all_rows(path)}
        assert all("not UTF-8" in p and "name their encoding" in p for p in problems)


def test_a_byte_that_is_not_utf_8_among_others_that_are_is_a_bad_row(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(table(PAIRS).encode() + b"caf\xe9,pos\ncaf\xe9,neg\n")
    bad = [(row["line"], row["problem"]) for row in all_rows(path) if row["problem"]]
    assert [line for line, _ in bad] == [22, 23]
    assert bad[0][1].startswith("the bytes are not UTF-8 (0xe9 at character 3); name")


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.txt", "b.txt", "a.jsonl"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16-le", "utf-16-be"])
def test_marks_within_files_that_were_put_together_are_no_letters(
    tmp_path: Path, name: str, encoding: str
) -> None:
    path, content = tmp_path / name, written(name)
    path.write_bytes(("\ufeff" + content).encode(encoding) * 2)
    rows = all_rows(path)
    assert [(r["text"], r["label"]) for r in rows if not r["problem"]] == PAIRS * 2
    again = [r["problem"] for r in rows if r["problem"]]
    assert again == (["this is the header once more"] if name in ("a.csv", "a.tsv") else [])


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.txt", "b.txt", "a.jsonl", "a.json"])
def test_every_line_end_is_one_and_blank_last_lines_are_none(
    tmp_path: Path, ends: str, name: str
) -> None:
    path = tmp_path / name
    path.write_bytes((written(name) + "\n\n").replace("\n", ends).encode())
    assert read(path) == PAIRS


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.txt", "b.txt", "a.jsonl", "a.json"])
def test_packed_files_are_read(tmp_path: Path, pack: Any, name: str) -> None:
    ending = {gzip: ".gz", bz2: ".bz2", lzma: ".xz"}[__import__(pack.__module__)]
    path = tmp_path / (name + ending)
    path.write_bytes(pack(written(name).encode("utf-16")))
    assert read(path) == PAIRS
    path.write_bytes(pack(written(name).encode())[:-9])
    with pytest.raises(ValueError, match="is not a whole packed file"):
        read(path)


def test_a_packed_file_of_far_more_than_its_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"text,label\n" + b"a,b\n" * 20_000_000))
    with pytest.raises(ValueError, match=r"a\.csv\.gz must unpack to at most 100 times its size"):
        sum(1 for _ in read_rows(path, "csv", Columns()))


@pytest.mark.parametrize("order", ["label first", "text first"])
@pytest.mark.parametrize(
    "pairs", [PAIRS, QUOTED, [(t.replace(" in ", "\tin\t"), x) for t, x in PAIRS]]
)
def test_lines_with_a_tab_have_the_label_on_the_side_that_repeats(
    tmp_path: Path, order: str, pairs: list[tuple[str, str]]
) -> None:
    pairs = [(t if n % 3 else t.replace("\t", " "), label) for n, (t, label) in enumerate(pairs)]
    path, turned = tmp_path / "a.txt", [(label, text) for text, label in pairs]
    path.write_text(table(pairs if order == "text first" else turned, "\t", ""))
    assert read(path) == pairs
    shown = "text, tab, label" if order == "text first" else "label, tab, text"
    assert f"read as lines of {shown}" in notes(path)


def test_a_line_without_its_tab_is_a_bad_row(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(table(PAIRS, "\t", "") + "pos good\n")
    [bad] = [row for row in all_rows(tmp_path / "a.txt") if row["problem"]]
    assert (bad["line"], bad["problem"]) == (21, "there is no tab between label and text")


def test_three_columns_without_names_ask_for_their_places(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("".join(f"{n}\t{label}\t{text}\n" for n, (text, label) in enumerate(PAIRS)))
    with pytest.raises(ValueError, match=r"has 3 columns with tabs .*data.header to false"):
        read(path)
    columns = Columns("2", "1", "0", TableOptions(header=False))
    rows = list(read_rows(path, "tsv", columns))
    assert [(row["text"], row["label"]) for row in rows] == PAIRS
    assert [row["id"] for row in rows] == [str(n) for n in range(20)]


@pytest.mark.parametrize("header", ["sentence\tlabel", "Label\tsentence", "text\tscore"])
def test_a_header_with_another_name_is_no_row(tmp_path: Path, header: str) -> None:
    turned = [(label, text) for text, label in PAIRS]
    pairs = turned if header.startswith("Label") else PAIRS
    (tmp_path / "a.txt").write_text(table(pairs, "\t", header.replace("\t", ",")))
    with pytest.raises(ValueError, match=r"has no column '(text|label)', only .*set data.header"):
        read(tmp_path / "a.txt")


def test_several_labels_of_fasttext_are_no_words(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("__label__a good\n__label__a __label__b fine\n")
    good, bad = all_rows(tmp_path / "a.txt")
    assert (good["label"], good["text"]) == ("__label__a", "good")
    assert bad["problem"].startswith("there are several labels (__label__a, __label__b)")


@pytest.mark.parametrize("between", [",", ";", "\t"])
@pytest.mark.parametrize("turned", [False, True])
def test_two_columns_without_header_tell_by_what_they_hold(
    tmp_path: Path, between: str, turned: bool
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(table([p[::-1] for p in PAIRS] if turned else PAIRS, between, ""))
    assert read(path, header=False) == PAIRS
    assert read(path, header=False, label=None) == [(text, "") for text, _ in PAIRS]


@pytest.mark.parametrize("header", ["Text,LABEL", " text , label ", "\ufefftext,label"])
@pytest.mark.parametrize("format", ["csv", "jsonl", "parquet"])
def test_names_of_columns_count_in_any_case(tmp_path: Path, header: str, format: str) -> None:
    path, (text, label) = tmp_path / f"a.{format}", header.removeprefix("\ufeff").split(",")
    if format == "csv":
        path.write_text(table(PAIRS, header=header))
    elif format == "jsonl":
        path.write_text("".join(json.dumps({text: t, label: x}) + "\n" for t, x in PAIRS))
    else:
        texts, labels = zip(*PAIRS, strict=True)
        pq.write_table(pa.table({text: texts, label: labels}), path)
    assert read(path) == PAIRS


def test_a_name_in_two_cases_is_not_guessed(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("Text,TEXT,label\na,b,c\n")
    with pytest.raises(ValueError, match="has no column 'text', only 'Text', 'TEXT', 'label'"):
        read(tmp_path / "a.csv")


def test_two_columns_of_one_name_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,label,text,,\n" + "good,pos,no,,\n")
    assert read(path) == [("good", "pos")]
    assert "has 2 columns called 'text'; the first one is read" in notes(path)
    [(_, row)] = table_rows(path, ["text"])
    assert row["text"] == "good"


def test_empty_cells_behind_the_last_column_are_none_and_full_ones_a_bad_row(
    tmp_path: Path,
) -> None:
    (tmp_path / "a.csv").write_text("text,label\ngood,pos,,\nbad,neg,,x\n")
    good, bad = all_rows(tmp_path / "a.csv")
    assert (good["text"], good["label"], good["problem"]) == ("good", "pos", "")
    assert bad["problem"] == "2 columns were announced, got 4"


NO_LABELS = {
    "list": (["pos"], "the label is a list, and a text has one label"),
    "struct": ({"a": "pos"}, "the label is an object"),
    "nan": (float("nan"), "there is no label"),
    "infinite": (float("inf"), "the label is inf, which is not a name of a class"),
    "null": (None, "there is no label"),
    "blank": (" \t", "there is no label"),
}


@pytest.mark.parametrize("format", ["jsonl", "json", "parquet"])
@pytest.mark.parametrize("kind", NO_LABELS)
def test_what_is_no_label_becomes_none(tmp_path: Path, format: str, kind: str) -> None:
    value, problem = NO_LABELS[kind]
    path = tmp_path / f"a.{format}"
    write_records(path, [{"text": "good", "label": value}])
    [row] = all_rows(path)
    assert row["problem"].startswith(problem)
    [row] = all_rows(path, Columns(label=None))
    assert (row["text"], row["problem"]) == ("good", "")


def write_records(path: Path, records: list[dict[str, Any]]) -> None:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(records), path)
    elif path.suffix == ".json":
        path.write_text(json.dumps(records))
    else:
        path.write_text("".join(json.dumps(record) + "\n" for record in records))


@pytest.mark.parametrize("format", ["jsonl", "json", "parquet"])
@pytest.mark.parametrize(
    ("value", "text", "problem"),
    [
        (["a", "good", "film"], "a good film", ""),
        ([1, 2], "", "the text is a list of other things than words"),
        ({"en": "good"}, "", "the text is an object"),
        (3, "3", ""),
        (float("nan"), "", "the text is empty"),
    ],
)
def test_a_text_is_words_or_a_list_of_words(
    tmp_path: Path, format: str, value: object, text: str, problem: str
) -> None:
    path = tmp_path / f"a.{format}"
    write_records(path, [{"text": value, "label": " pos "}])
    [row] = all_rows(path)
    assert (row["text"], row["label"]) == (text, "pos")
    assert row["problem"].startswith(problem)
    assert bool(row["problem"]) == bool(problem)


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        (pa.array([True, False]), ["True", "False"]),
        (pa.array([1, -1], pa.int8()), ["1", "-1"]),
        (pa.array(["x", "y"]).dictionary_encode(), ["x", "y"]),
        (pa.array(["x", "y"], pa.large_string()), ["x", "y"]),
        (pa.array([b"x", b"y"]), ["x", "y"]),
        (pa.array([0.0, 2.5]), ["0.0", "2.5"]),
    ],
)
def test_parquet_labels_of_plain_types_are_labels(
    tmp_path: Path, values: pa.Array, labels: list[str]
) -> None:
    pq.write_table(pa.table({"text": ["a", "b"], "label": values}), tmp_path / "a.parquet")
    assert [row["label"] for row in all_rows(tmp_path / "a.parquet")] == labels


@pytest.mark.parametrize("chunk", [1, 7, 1 << 16])
def test_an_array_of_objects_is_read_piece_by_piece(
    tmp_path: Path, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lit_tasks.data.readers import json_records

    records = [
        {"text": f'a "good" [film] {{{n}}},\n', "label": n % 2, "meta": {"tags": [n, {"x": []}]}}
        for n in range(30)
    ]
    (tmp_path / "a.json").write_text(" \n" + json.dumps(records, indent=2))
    monkeypatch.setattr(json_records, "_CHUNK", chunk)
    if chunk == 1 << 16:
        rows = all_rows(tmp_path / "a.json")
        assert [(r["text"], r["label"]) for r in rows] == [
            (r["text"], str(r["label"])) for r in records
        ]
        assert [row["line"] for row in rows[:2]] == [3, 15]
    with (tmp_path / "a.json").open() as file:
        found = list(json_records._array(tmp_path / "a.json", file))
    assert [record.fields for record in found] == records


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('[{"text": "a"},\n {"text": oops}]', "line 2: the JSON array cannot be read from here on"),
        ('[{"text": "a"}\n {"text": "b"}]', "line 2: .*',' must stand here, not '{'"),
        ('[{"text": "a"}]\n[]', "line 2: .*something stands behind the array"),
        ('[{"text": "a"}', "line 1: .*',' must stand here, not 'the end of the file'"),
        ('[{"text": ' + "[" * 100_000, "nested too deeply"),
    ],
)
def test_an_array_that_breaks_off_is_named(tmp_path: Path, content: str, sentence: str) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(ValueError, match=rf"a\.json, .*{sentence}"):
        all_rows(tmp_path / "a.json", Columns(label=None))


def test_an_element_that_is_no_object_and_a_missing_name_are_bad_rows(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(
        '[{"text": "a", "label": "b"}, 3, {"text": "c"}, {"label": 1}]'
    )
    problems = [row["problem"] for row in all_rows(tmp_path / "a.json")]
    assert problems == [
        "",
        "this element of the array is no object",
        "there is no 'label' in this object",
        "there is no 'text' in this object",
    ]


def test_folders_hold_texts_of_labels(tmp_path: Path) -> None:
    for name in ("pos/2_9.txt", "pos/10_7.txt", "neg/a", "neg/deep/b.md", "README", ".x/y"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"text of {name}\n")
    (tmp_path / "neg/c.txt").write_bytes("café à\n".encode("cp1252"))
    rows = all_rows(tmp_path)
    assert [(r["id"], r["label"], r["text"]) for r in rows] == [
        ("neg/a", "neg", "text of neg/a\n"),
        ("neg/c.txt", "neg", "café à\n"),
        ("neg/deep/b.md", "neg", "text of neg/deep/b.md\n"),
        ("pos/2_9.txt", "pos", "text of pos/2_9.txt\n"),
        ("pos/10_7.txt", "pos", "text of pos/10_7.txt\n"),
    ]
    assert "1 files beside its folders are not read (README)" in notes(tmp_path)
    ids = {row["id"] for row in all_rows(tmp_path, Columns(label=None))}
    assert ids == {row["id"] for row in rows} | {"README"}


def test_what_a_folder_of_labels_holds_besides_texts_is_told(tmp_path: Path) -> None:
    for name in ("pos/1.txt", "neg/1.txt", "neg/table.csv", "__MACOSX/pos/1.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("fine")
    (tmp_path / "empty").mkdir()
    (tmp_path / "pos/lost.txt").symlink_to(tmp_path / "nowhere")
    (tmp_path / "pos/a.pdf").write_bytes(b"%PDF-1.4")
    (tmp_path / "pos/b.txt.gz").write_bytes(gzip.compress(b"fine film" * 100)[:-9])
    said = notes(tmp_path)
    assert "1 files are tables or lists, and each is read as one text (neg/table.csv)" in said
    assert "1 folders hold no texts, so they are no labels (empty)" in said
    assert "1 links point to files that are not there, and are not read (pos/lost.txt)" in said
    rows = all_rows(tmp_path)
    assert {row["label"] for row in rows} == {"neg", "pos"}
    problems = {row["id"]: row["problem"] for row in rows if row["problem"]}
    assert list(problems) == ["pos/a.pdf", "pos/b.txt.gz"]
    assert problems["pos/a.pdf"].startswith("the file is a PDF file")
    assert problems["pos/b.txt.gz"].startswith("the file is not a whole packed file")


def test_parts_of_a_data_set_are_no_labels(tmp_path: Path) -> None:
    for name in ("train/pos/1.txt", "test/pos/1.txt"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("fine")
    with pytest.raises(ValueError, match="test, train, which are parts of a data set and no label"):
        all_rows(tmp_path)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("a.xlsx", "is a spreadsheet: save it as CSV there"),
        ("a.XLS", "is a spreadsheet"),
        ("a.csv.zip", "is an archive: unpack it"),
        ("a.parquet.gz", "Parquet is packed within; unpack it"),
        ("a.gz", "cannot infer the format of .*a.gz from ''"),
        ("a.docx", "cannot infer the format .* set format to lines, csv"),
    ],
)
def test_a_refusal_says_what_to_do(tmp_path: Path, name: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        format_of(tmp_path / name, None)


@pytest.mark.parametrize("between", [";", "\t", ","])
def test_tables_of_files_have_any_layout_too(tmp_path: Path, between: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(
        table([("é.png", "ants"), ("è.png", "bees")], between, "File,Label").encode("utf-16")
    )
    rows = [row for _, row in table_rows(path, ("file", "label", None))]
    assert [(row["file"], row["label"]) for row in rows] == [("é.png", "ants"), ("è.png", "bees")]
    path.write_text("file,label\na.png,ants,3\n")
    with pytest.raises(ValueError, match=r"a\.csv, line 2: 2 columns were announced, got 3"):
        list(table_rows(path, ("file", "label")))


@pytest.mark.parametrize("between", [",", ", ", ";", "|", " | "])
@pytest.mark.parametrize("label_first", [True, False])
def test_what_stands_between_label_and_text_is_no_part_of_either(
    tmp_path: Path, between: str, label_first: bool
) -> None:
    pairs = [pair[::-1] if label_first else pair for pair in VARIED]
    path = tmp_path / "a.txt"
    path.write_text(table(pairs, between, header=""))
    assert read(path) == VARIED
    assert "is read as lines of " in notes(path)


def test_labels_may_be_the_last_words_of_lines(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(table(VARIED, " ", header=""))
    assert read(tmp_path / "a.txt") == VARIED
    assert notes(tmp_path / "a.txt").endswith("is read as lines of text, space, label")


@pytest.mark.parametrize("end", ["", " .", ", so so", " , or !"])
def test_commas_and_ends_of_sentences_make_no_labels(tmp_path: Path, end: str) -> None:
    pairs = [(text + end, f"label{number % 5}") for number, (text, _) in enumerate(VARIED)]
    (tmp_path / "a.txt").write_text(table([pair[::-1] for pair in pairs], " ", header=""))
    assert read(tmp_path / "a.txt") == pairs
    assert notes(tmp_path / "a.txt") == ""


@pytest.mark.parametrize("form", ["{1} {0}", "{0} {1}", "{1}\t{0}"])
def test_words_that_say_that_they_are_labels_stand_at_either_end(tmp_path: Path, form: str) -> None:
    pairs = [(text, f"__label__{label}") for text, label in VARIED]
    (tmp_path / "a.txt").write_text("".join(form.format(*pair) + "\n" for pair in pairs))
    assert read(tmp_path / "a.txt") == pairs


def test_a_line_without_a_marked_label_has_none(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("__label__a __label__b good film\n__label__a fine\nso so\n")
    several = all_rows(path, Columns(separator=","))
    assert [row["label"] for row in several] == ["__label__a,__label__b", "__label__a", ""]
    assert several[2]["text"] == "so so"
    assert [row["problem"][:26] for row in all_rows(path)][1:] == ["", "there is no label"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
@pytest.mark.parametrize("order", ["", "-le", "-be"])
def test_wide_characters_that_are_announced_need_no_mark(
    tmp_path: Path, encoding: str, order: str
) -> None:
    (tmp_path / "a.csv").write_bytes(table(PAIRS).encode(encoding + order))
    assert read(tmp_path / "a.csv", encoding=encoding) == PAIRS


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_wide_characters_that_are_announced_and_not_there_are_refused(
    tmp_path: Path, encoding: str
) -> None:
    (tmp_path / "a.csv").write_text(table(PAIRS))
    with pytest.raises(ValueError, match=rf"a\.csv is not {encoding}: .*leave out data.encoding"):
        read(tmp_path / "a.csv", encoding=encoding)


@pytest.mark.parametrize("encoding", ["undefined", "idna", "base64", "no-such"])
def test_what_is_no_encoding_of_files_is_refused(encoding: str) -> None:
    with pytest.raises(ValueError, match=rf"encoding must be one .*'{encoding}'"):
        TableOptions(encoding=encoding)


@pytest.mark.parametrize("start", [b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf\x27\x1c", b"{\\rtf1 fine"])
def test_what_is_no_text_is_no_line_either(tmp_path: Path, start: bytes) -> None:
    (tmp_path / "a.txt").write_bytes(start + b"\n")
    with pytest.raises(ValueError, match=r"a\.txt is .* and no text, whatever its name"):
        all_rows(tmp_path / "a.txt", Columns(label=None))


def test_half_a_character_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "fine \\ud83d", "label": "a"}\n')
    [row] = all_rows(tmp_path / "a.jsonl")
    assert "half of a character, \\ud83d, at character 5" in row["problem"]


def test_objects_before_the_first_that_has_all_names_are_bad_rows(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "x"}\n{}\n{"Text": "fine", "Label": "a"}\n')
    rows = all_rows(tmp_path / "a.jsonl")
    assert [(row["text"], row["problem"]) for row in rows] == [
        ("", "there is no 'label' in this object"),
        ("", "there is no 'text' in this object"),
        ("fine", ""),
    ]
    (tmp_path / "b.jsonl").write_text('{"texts": "x", "label": "a"}\n{}\n')
    with pytest.raises(ValueError, match=r"no column 'text', only 'texts', 'label' \(did you mean"):
        all_rows(tmp_path / "b.jsonl")


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ('"fine" film', '"fine" film'),
        (r'"a \"fine\" film"', r'"a \"fine\" film"'),
        ('"a fine" film', '"a fine" film'),
        ('"a ""fine"" film"', 'a "fine" film'),
        ('a 5" disk', 'a 5" disk'),
    ],
)
def test_quotes_within_a_cell_are_not_lost(tmp_path: Path, cell: str, text: str) -> None:
    (tmp_path / "a.csv").write_text(f'text,label\n{cell},"pos"\nso,"neg"\n')
    assert read(tmp_path / "a.csv") == [(text, "pos"), ("so", "neg")]


def test_a_cell_that_its_quotes_do_not_hide_is_a_bad_row(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('text,label\n"fine, so" so,pos\n"so, so",neg\n')
    rows = all_rows(tmp_path / "a.csv")
    assert rows[0]["problem"] == "text stands behind the closing quote of a cell"
    assert (rows[1]["text"], rows[1]["label"]) == ("so, so", "neg")


def test_names_of_columns_are_no_row(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(table(PAIRS))
    with pytest.raises(ValueError, match=r"a\.csv, line 1: this row holds the names of the col"):
        read(tmp_path / "a.csv", header=False)
