"""A key that stands twice in an object is refused or counted: one of its values would be lost."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lit_tasks.data.readers.caption_tables import CaptionColumns, caption_rows
from lit_tasks.data.readers.coco import read_coco, read_karpathy
from lit_tasks.data.readers.json_records import json_records
from lit_tasks.data.readers.text_files import Columns, read_rows
from lit_tasks.files import read_json, read_yaml

TWICE = '{"text": "good", "label": "pos", "label": "neg"}'
WITHIN = '{"text": "good", "label": "pos", "more": {"a": 1, "b": 2, "a": 3}}'
GOOD = '{"text": "so", "label": "neg", "more": {"label": 1, "text": 2}}'


@pytest.mark.parametrize(("record", "key"), [(TWICE, "label"), (WITHIN, "a")])
@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
@pytest.mark.parametrize("size", [3, 100_000])
def test_the_record_alone_cannot_be_used(
    tmp_path: Path, name: str, record: str, key: str, size: int
) -> None:
    record = record.replace("good", "x" * size)  # an array is read piece by piece
    lines = [GOOD, record, GOOD]
    whole = "[\n" + ",\n".join(lines) + "\n]" if name == "a.json" else "\n".join(lines)
    (tmp_path / name).write_text(whole)
    problem = f"the key '{key}' stands twice in one object"
    found = [record.problem for record in json_records(tmp_path / name)]
    assert found == ["", problem, ""]
    rows = list(read_rows(tmp_path / name, "jsonl", Columns()))
    assert [row["problem"] for row in rows] == ["", problem, ""]
    assert [row["line"] for row in rows] == ([2, 3, 4] if name == "a.json" else [1, 2, 3])


def test_captions_are_refused_with_file_line_and_key(tmp_path: Path) -> None:
    record = '{"file": "a.jpg", "caption": "one", "caption": "two"}'
    for name, content in (("c.jsonl", record), ("c.json", f"[{record}]")):
        (tmp_path / name).write_text(content)
        with pytest.raises(ValueError, match=rf"{name}, line 1: the key 'caption' stands twice"):
            list(caption_rows(tmp_path / name, CaptionColumns()))


COCO = '{"images": [], "annotations": [], "images": [{"id": 1, "file_name": "a.jpg"}]}'
KARPATHY = '{"images": [{"filename": "a", "split": "val", "split": "test", "sentences": []}]}'


@pytest.mark.parametrize(
    ("read", "content", "key"),
    [
        (read_coco, COCO, "images"),
        (read_karpathy, KARPATHY, "split"),
        (lambda path, _: read_json(path), '{"accuracy": 0.5, "accuracy": 0.9}', "accuracy"),
    ],
)
def test_files_that_are_one_object_are_refused_with_file_and_key(
    tmp_path: Path, read: Callable[[Path, Path], object], content: str, key: str
) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(ValueError, match=rf"a\.json .*: the key '{key}' stands twice in one obj"):
        read(tmp_path / "a.json", tmp_path)
    (tmp_path / "a.json").write_text(json.dumps({"images": [], "annotations": []}))
    read(tmp_path / "a.json", tmp_path)


@pytest.mark.parametrize(
    ("text", "key", "line"),
    [
        ("data:\n  train: a.csv\nmodel: x\ndata:\n  val: b.csv\n", "data", 4),
        ("data:\n  train: a.csv\n  'train': b.csv\n", "train", 3),
        ("a: [{b: 1, b: 2}]\n", "b", 1),
        ("a: &x {b: 1}\nc: *x\nd: {<<: *x, <<: *x}\n", "<<", 3),
        ("? [a, b]\n: 1\nc: {d: 1}\nc: 2\n", "c", 4),
    ],
)
def test_settings_are_refused_with_file_line_and_key(
    tmp_path: Path, text: str, key: str, line: int, refusal: Callable[..., str]
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"config\.yaml, line {line}, .*: the key '{key}' stands"):
        read_yaml(path)
    assert f"the key '{key}' stands twice" in refusal("fit", "--config", str(path))


def test_one_key_in_several_mappings_and_over_an_inherited_one_is_none(tmp_path: Path) -> None:
    text = "a: &x {b: 1, c: b}\nd: {<<: *x, b: 2}\ne: [{b: b}, {b: 1}, *x, b, b]\nb: {b: {b: 1}}\n"
    (tmp_path / "config.yaml").write_text(text)
    assert read_yaml(tmp_path / "config.yaml")["d"] == {"b": 2, "c": "b"}


def test_a_key_that_stands_twice_within_a_flag_or_a_named_file_is_refused(
    tmp_path: Path, refusal: Callable[..., str]
) -> None:
    model = tmp_path / "model.yaml"
    model.write_text("class_path: X\nclass_path: Y\n")
    words = ["fit", f"--run_dir={tmp_path}/run"]
    told = refusal(*words, f"--model={model}")
    assert told.startswith(f"{model}, line 2, is not YAML: the key 'class_path' stands twice")
    for value in ("{class_path: X, class_path: Y}", "[{a: 1, a: 2}]"):
        refusal(*words, f"--model={value}")
