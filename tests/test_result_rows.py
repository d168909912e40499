"""The page of results and its data: what is absent is named, and a part is made from a whole."""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")


def test_rows_without_data_are_named_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    results: Any = importlib.import_module("results")
    for name in ("PAGE", "README"):
        path = tmp_path / getattr(results, name).name
        path.write_text(getattr(results, name).read_text())
        monkeypatch.setattr(results, name, path)
    monkeypatch.setattr(results, "ROOT", tmp_path)
    monkeypatch.setattr(results, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(results, "KEPT", tmp_path / "results.json")
    results.KEPT.write_text((ROOT / "docs" / "results.json").read_text())
    monkeypatch.setattr(results, "run", lambda *_: pytest.fail("it was run"))
    monkeypatch.setattr(sys, "argv", ["results.py", f"--data={tmp_path}/no", "--only=image"])
    results.main()
    said = capsys.readouterr().out
    for config in ("image_hymenoptera_frozen", "image_hymenoptera_finetune"):
        assert f"{config} is not run: there is no {tmp_path}/no/hymenoptera_data" in said
    assert json.loads(results.KEPT.read_text()) == json.loads(
        (ROOT / "docs" / "results.json").read_text()
    )
    assert results.README.read_text() == (ROOT / "README.md").read_text()


def test_every_folder_that_a_row_reads_has_a_source() -> None:
    results: Any = importlib.import_module("results")
    sources: Any = importlib.import_module("result_sources")
    names = {source.name for source in sources.SOURCES}
    words = [w for part in results.PARTS for e in part.experiments for w in e.words]
    read = {w.partition("{data}/")[2] for w in words if "{data}" in w}
    assert {name if name in names else name.partition("/")[0] for name in read} == names


def test_a_part_of_a_published_set_has_its_records_and_smaller_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts: Any = importlib.import_module("caption_parts")
    chosen = {"train2017": ["val2017/2.jpg"], "val2017": ["train2017/1.jpg"]}
    monkeypatch.setitem(parts.PARTS, "coco", chosen)
    for number, split in enumerate(("train2017", "val2017"), start=1):
        for folder in (tmp_path / "all" / split, tmp_path / "all" / "annotations"):
            folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (600, 300 * number)).save(tmp_path / "all" / split / f"{number}.jpg")
        images = [{"id": i, "file_name": f"{i}.jpg"} for i in (number, 7 + number)]
        rows = [
            {"image_id": i, "id": k, "caption": f"{i} {k}"} for i in (number, 9) for k in (5, 3)
        ]
        path = tmp_path / "all" / "annotations" / f"captions_{split}.json"
        path.write_text(json.dumps({"images": images, "annotations": rows}))
    words = ["coco", f"--source={tmp_path}/all", f"--out={tmp_path}/part"]
    monkeypatch.setattr(sys, "argv", ["caption_parts.py", *words])
    parts.main()
    for number, split, size in ((2, "train2017", (256, 256)), (1, "val2017", (512, 256))):
        path = tmp_path / "part" / "annotations" / f"captions_{split}.json"
        found = json.loads(path.read_text())
        assert [image["id"] for image in found["images"]] == [number]
        assert [row["caption"] for row in found["annotations"]] == [f"{number} 3", f"{number} 5"]
        with Image.open(tmp_path / "part" / split / f"{number}.jpg") as image:
            assert image.size == size == tuple(found["images"][0][k] for k in ("width", "height"))


def test_flickr8k_keeps_the_five_captions_of_each_image_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts: Any = importlib.import_module("caption_parts")
    monkeypatch.setitem(parts.PARTS, "flickr8k", {"train2017": ["b.jpg"], "val2017": ["a.jpg"]})
    lines = [f"{name}.jpg#{i}\tof {name}, {i}\n" for name in "cba" for i in range(5)]
    (tmp_path / "Flickr8k.token.txt").write_text("".join(lines))
    found = parts.flickr8k(tmp_path)
    assert [r["caption"] for r in found["val2017"]["annotations"]] == [
        f"of a, {i}" for i in range(5)
    ]
    assert [image["id"] for split in found.values() for image in split["images"]] == [2, 1]
