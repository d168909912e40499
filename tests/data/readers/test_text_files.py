import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lit_tasks.data.readers.tables import TableOptions
from lit_tasks.data.readers.text_files import Columns, format_of, read_folders, read_rows

WANTED = [("fine , good", "1"), ("so\nso", "0")]


def texts(path: Path, columns: Columns | None = None) -> list[tuple[str, str]]:
    rows = list(read_rows(path, format_of(path, None), columns or Columns()))
    assert not any(row["problem"] for row in rows)
    return [(row["text"], row["label"]) for row in rows]


def test_csv_tsv_json_lines_and_parquet_hold_the_same_rows(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('label,text\n1,"fine , good"\n0,"so\nso"\n')
    (tmp_path / "a.tsv").write_text('text\tlabel\nfine , good\t1\n"so\nso"\t0\n')
    records = [{"text": text, "label": int(label)} for text, label in WANTED]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    pq.write_table(pa.Table.from_pylist(records), tmp_path / "a.parquet")
    quoted = Columns(table=TableOptions(quoting="double"))
    for name in ("a.csv", "a.tsv", "a.jsonl", "a.parquet"):
        assert texts(tmp_path / name, quoted) == WANTED


def test_labeled_lines_and_plain_lines(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("1 fine , good\nneg so so\n")
    assert texts(tmp_path / "a.txt") == [("fine , good", "1"), ("so so", "neg")]
    plain = texts(tmp_path / "a.txt", Columns(label=None))
    assert plain == [("1 fine , good", ""), ("neg so so", "")]


def test_class_numbers_get_the_names_that_datasets_wrote_beside_them(tmp_path: Path) -> None:
    import datasets

    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])}
    )
    data = datasets.Dataset.from_dict({"text": ["a", "b"], "label": [1, 0]}, features=features)
    data.to_parquet(str(tmp_path / "a.parquet"))
    assert texts(tmp_path / "a.parquet") == [("a", "pos"), ("b", "neg")]


@pytest.mark.parametrize(
    ("name", "content", "line", "problem"),
    [
        ("a.txt", b"1 fine\n0 \n", 2, "the text is empty"),
        ("a.txt", b"1 fine\n\n1 x\n", 2, "the text is empty"),
        ("a.txt", b"1 fine\n0 caf\xe9 x\n", 2, r"not UTF-8 \(0xe9 at character 3\)"),
        ("a.csv", b"text,label\nfine,1\nso,so,0\n", 3, "2 columns were announced, got 3"),
        ("a.csv", b'text,label\n"fi\nne",1\nso,\n', 4, "there is no label"),
        ("a.csv", b"text,label\nfin\xff,1\n", 2, "not UTF-8"),
        ("a.jsonl", b'{"text": "a", "label": 1}\n{"text"\n', 2, "this is not JSON"),
        ("a.jsonl", b'{"text": "a", "label": 1}\n[1]\n', 2, "not a JSON object"),
    ],
)
def test_a_bad_row_says_its_line_and_what_is_wrong(
    tmp_path: Path, name: str, content: bytes, line: int, problem: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    bad = [row for row in read_rows(path, format_of(path, None), Columns()) if row["problem"]]
    assert [row["line"] for row in bad] == [line]
    assert re.search(problem, bad[0]["problem"])
    (bad[0]["text"] + bad[0]["label"]).encode()  # it can be written into the cache


def test_without_labels_an_empty_text_is_a_text_like_others(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("good\n\nbad\n")
    assert texts(tmp_path / "a.txt", Columns(label=None)) == [("good", ""), ("", ""), ("bad", "")]


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
def test_a_missing_column_names_those_that_are_there(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "a.csv":
        path.write_text("texts,stars\nfine,1\n")
    elif name == "a.jsonl":
        path.write_text('{"texts": "fine", "stars": 1}\n')
    else:
        pq.write_table(pa.table({"texts": ["fine"], "stars": [1]}), path)
    message = r"no column 'text', only 'texts', 'stars' \(did you mean 'texts'\?\)"
    with pytest.raises(ValueError, match=message):
        list(read_rows(path, format_of(path, None), Columns()))


def test_an_unknown_ending_needs_a_format(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cannot infer the format of .* from '\.dat'"):
        format_of(Path("a.dat"), None)
    assert format_of(Path("a.dat"), "lines") == "lines"


def test_folders_are_read_label_after_label() -> None:
    rows = list(read_folders(Path("tests/fixtures/text/aclImdb/test"), ["neg", "pos"]))
    assert [row["label"] for row in rows] == ["neg"] * 10 + ["pos"] * 10
    assert rows[0]["id"] == "neg/0_2.txt"


def test_a_folder_is_no_file_of_texts(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is a folder; give a file of texts"):
        format_of(tmp_path, None)
