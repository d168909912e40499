"""Captions by image in one JSON object, empty captions, and tables of kinds that are not read."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lit_tasks.data.caption_files import CaptionFilesDataModule, read_captions
from lit_tasks.data.coco_captions import CocoCaptionsDataModule
from lit_tasks.data.image_folder import ImageFolderDataModule
from lit_tasks.data.readers.caption_records import EmptyCaptions
from lit_tasks.data.readers.caption_tables import CaptionColumns, caption_rows
from lit_tasks.data.readers.coco import read_coco, read_karpathy
from lit_tasks.scoring.inputs import matched

MAPPING = {"a.jpg": ["one dog", " two  dogs "], "b.jpg": "a cat", "c.jpg": [{"raw": "a cow"}]}
SAID = [("a.jpg", ["one dog", "two dogs"]), ("b.jpg", ["a cat"]), ("c.jpg", ["a cow"])]


def said(path: Path, **columns: Any) -> list[tuple[str, list[str]]]:
    return [(row.file, row.captions) for row in caption_rows(path, CaptionColumns(**columns))]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_an_object_of_files_and_captions_is_read(
    tmp_path: Path, indent: int | None, encoding: str
) -> None:
    path = tmp_path / "captions.json"
    path.write_bytes(json.dumps(MAPPING, indent=indent).encode(encoding))
    assert said(path) == SAID


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"a.jpg": ["one"], "a.jpg": ["two"]}', r"c\.json: the key 'a\.jpg' stands twice"),
        (
            '{"a.jpg": 3}',
            r"c\.json, image 'a\.jpg': this should be a caption or a list of captions",
        ),
        ('{"a.jpg": ["one", null]}', r"image 'a\.jpg': this should be a caption or a list"),
        ('{"a.jpg": []}', r"c\.json, image 'a\.jpg': column caption is empty; fill it"),
        ('{"a.jpg": ["", "one"]}', r"c\.json, image 'a\.jpg': column caption is empty; fill it"),
        ('{"images": [{"id": 1}]}', r"is a file of COCO's .*CocoCaptionsDataModule reads"),
        ('{\n"a.jpg": ["one"],\n"b.jpg": ["two]\n}', r"c\.json, line 1: this is not JSON"),
    ],
)
def test_what_is_wrong_in_it_is_named(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(ValueError, match=sentence):
        said(tmp_path / "c.json")


def test_it_has_no_splits_and_records_stay_records(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text(json.dumps(MAPPING))
    with pytest.raises(ValueError, match=r"no column part: leave data\.split_column out"):
        said(path, split="part")
    path.write_text('{"file": "a.jpg", "caption": "one"}')
    assert said(path) == [("a.jpg", ["one"])]
    path.write_text('{"url": "a.jpg", "said": "one"}\n{"url": "b.jpg", "said": "two"}\n')
    assert said(path, file="url", caption="said") == [("a.jpg", ["one"]), ("b.jpg", ["two"])]


def test_captions_and_references_to_score_may_be_such_objects(tmp_path: Path) -> None:
    (tmp_path / "captions.json").write_text('{"a.jpg": "a dog", "b.jpg": "a cat"}')
    (tmp_path / "references.json").write_text(json.dumps(MAPPING))
    found = matched(tmp_path / "captions.json", tmp_path / "references.json")
    assert (found.captions, found.references) == (["a dog", "a cat"], [SAID[0][1], SAID[1][1]])
    assert found.left_out == 1


EMPTY: dict[str, tuple[str, str]] = {
    "c.csv": ("file,caption\na.jpg,one\nb.jpg, \n,three\na.jpg,two\n", "line 3: column caption"),
    "w.csv": ("file,caption_0,caption_1\na.jpg,one,two\nb.jpg,,\n,three,\n", "line 3: column cap"),
    "c.jsonl": (
        '{"file": "a.jpg", "caption": ["one", "", "two"]}\n{"file": "b.jpg", "caption": []}\n',
        "line 1: column caption",
    ),
    "c.json": ('{"a.jpg": ["one", " ", "two"], "b.jpg": []}', "image 'a.jpg': column caption"),
    "f.token": ("a.jpg#0\tone\na.jpg#1\ttwo\nb.jpg#0\t \n", "line 3"),
}


@pytest.mark.parametrize("name", EMPTY)
def test_empty_captions_stop_the_run_or_are_counted(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / name
    text, first = EMPTY[name]
    path.write_text(text)
    with pytest.raises(ValueError, match=r"is empty; fill it, or remove the row, or leave out"):
        list(caption_rows(path, CaptionColumns(), left_out=EmptyCaptions(skip=False)))
    with pytest.raises(ValueError, match=r"is empty; fill it, or remove the row$"):
        said(path)
    caplog.set_level("INFO", "lightning.pytorch.utilities.rank_zero")
    left_out = EmptyCaptions(skip=True)
    [image], _ = read_captions(path, None, CaptionColumns(), left_out=left_out)
    assert (image.id, image.sentences) == ("a.jpg", ["one", "two"])
    assert f"empty and left out, first {path}, {first}" in left_out.told()
    assert "1 of 2 images have no other caption and are left out, first b.jpg" in caplog.text


def test_a_data_module_counts_empty_captions(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for image in "abc":
        Image.new("RGB", (8, 8)).save(tmp_path / f"{image}.jpg")
    (tmp_path / "c.csv").write_text("file,caption\na.jpg,one\nb.jpg,two\nc.jpg,\n")
    caplog.set_level("INFO", "lightning.pytorch.utilities.rank_zero")
    data = CaptionFilesDataModule(tmp_path / "c.csv", bad_images="skip", val_fraction=0.5)
    found = [*data.read("train").sentences, *data.read("val").sentences]
    assert sorted(found) == [["one"], ["two"]]
    assert "1 caption is empty and left out, first" in caplog.text
    with pytest.raises(ValueError, match="or leave out what is empty with bad_images: skip"):
        CaptionFilesDataModule(tmp_path / "c.csv").read("train")


def test_empty_captions_of_coco_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    said = [(1, "one"), (1, " "), (2, "\n"), (3, "three")]
    content = {
        "images": [{"id": n, "file_name": f"{n}.jpg"} for n in (1, 2, 3)],
        "annotations": [{"id": 7, "image_id": n, "caption": text} for n, text in said],
    }
    (tmp_path / "annotations").mkdir()
    path = tmp_path / "annotations/captions_train2017.json"
    path.write_text(json.dumps(content))
    (tmp_path / "train2017").mkdir()
    for number in (1, 2, 3):
        Image.new("RGB", (8, 8)).save(tmp_path / f"train2017/{number}.jpg")
    with pytest.raises(ValueError, match=r"has an empty caption; remove it, or leave out what is"):
        CocoCaptionsDataModule(tmp_path).read("train")
    with pytest.raises(ValueError, match=r"has an empty caption; remove it$"):
        read_coco(path, tmp_path)
    caplog.set_level("INFO", "lightning.pytorch.utilities.rank_zero")
    found = CocoCaptionsDataModule(tmp_path, bad_images="skip").read("train")
    assert list(found.sentences) == [["one"], ["three"]]
    assert "2 captions are empty and left out, first" in caplog.text
    assert "1 of 3 images left out, first image 2 (2.jpg) has no caption" in caplog.text


def test_empty_captions_of_karpathy_are_counted(tmp_path: Path) -> None:
    image = {"filename": "a.jpg", "split": "val", "sentences": [{"raw": "one"}, {"raw": ""}]}
    (tmp_path / "d.json").write_text(json.dumps({"images": [image]}))
    left_out = EmptyCaptions(skip=True)
    [found] = read_karpathy(tmp_path / "d.json", tmp_path, left_out)["val"]
    assert (found.sentences, left_out.count) == (["one"], 1)
    assert left_out.told().startswith("1 caption is empty and left out, first")
    with pytest.raises(ValueError, match="has an empty caption; remove it"):
        read_karpathy(tmp_path / "d.json", tmp_path)


def of_table(path: Path) -> object:
    return ImageFolderDataModule(table=path).images("train")


def of_predict(path: Path) -> object:
    return ImageFolderDataModule(predict=str(path)).images("predict")


@pytest.mark.parametrize("name", ["t.json", "t.jsonl", "t.ndjson", "t.parquet", "t.JSONL.gz"])
@pytest.mark.parametrize(
    ("read", "accepted"),
    [(of_table, "is read as CSV or TSV"), (of_predict, "give an image, a folder, a pattern")],
)
def test_a_table_of_images_that_is_not_csv_says_what_is_read(
    tmp_path: Path, read: Callable[[Path], object], name: str, accepted: str
) -> None:
    (tmp_path / name).write_text('{"file": "a.jpg", "label": "a"}\n')
    with pytest.raises(ValueError, match=accepted):
        read(tmp_path / name)


def test_captions_in_parquet_say_what_is_read(tmp_path: Path) -> None:
    (tmp_path / "c.parquet").write_bytes(b"PAR1")
    with pytest.raises(ValueError, match=r"is Parquet, and a file of captions is CSV, TSV, JSON"):
        CaptionFilesDataModule(tmp_path / "c.parquet").read("train")
