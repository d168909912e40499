"""``lit-tasks score`` on files of others: coco-caption's figures, matched images, refusals."""

import csv
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lit_tasks.__main__ import main
from lit_tasks.metrics.caption_scores import caption_scores
from lit_tasks.scoring import others

REFERENCES = {
    7: ["A dog runs on the grass.", "a brown dog running"],
    8: ["Two cats sit on a bed.", "cats on a bed", "two cats"],
    139: ["A man rides a horse in the sun.", "a man on a horse"],
}
CAPTIONS = {
    7: "a dog on the grass",
    8: "two cats on a table",
    139: "a man rides a horse in the sun",
}


def as_json(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content))
    return path


def coco(folder: Path) -> Path:
    images = [{"id": n, "file_name": f"{n:012}.jpg"} for n in REFERENCES]
    said = [(n, text) for n, several in REFERENCES.items() for text in several]
    annotations = [{"id": i, "image_id": n, "caption": t} for i, (n, t) in enumerate(said)]
    return as_json(folder / "refs.json", {"images": images, "annotations": annotations})


def karpathy(folder: Path) -> Path:
    images = [
        {"cocoid": n, "filename": f"{n:012}.jpg", "split": s, "sentences": [{"raw": t} for t in r]}
        for (n, r), s in zip(REFERENCES.items(), ("train", "restval", "test"), strict=True)
    ]
    return as_json(folder / "dataset_coco.json", {"images": images})


def table(folder: Path) -> Path:
    path = folder / "refs.csv"
    with path.open("w", newline="") as file:
        rows = [(f"val/{n:012}.jpg", text) for n, several in REFERENCES.items() for text in several]
        csv.writer(file).writerows([("image", "caption"), *rows])
    return path


def listed(folder: Path) -> Path:
    rows = [{"image_id": n, "captions": several} for n, several in REFERENCES.items()]
    return as_json(folder / "list.json", rows)


def results(folder: Path, captions: dict[int, str] = CAPTIONS) -> Path:
    rows = [{"image_id": n, "caption": text} for n, text in captions.items()]
    return as_json(folder / "captions.json", rows)


def predictions(folder: Path) -> Path:
    path = folder / "predictions.csv"
    rows = [(n, f"/x/COCO_val2014_{n:012}.jpg", text) for n, text in CAPTIONS.items()]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("image_id", "file", "caption"), *rows])
    return path


def files_only(folder: Path) -> Path:
    rows = [{"file": f"/x/COCO_val2014_{n:012}.jpg", "caption": t} for n, t in CAPTIONS.items()]
    return as_json(folder / "files.json", rows)


def scored(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert main(["score", *words, "--format", "json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.parametrize("captions", [results, predictions, files_only])
@pytest.mark.parametrize("references", [coco, karpathy, table, listed])
def test_the_figures_are_those_of_validate_whatever_the_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], captions: Any, references: Any
) -> None:
    found = scored(capsys, str(captions(tmp_path)), str(references(tmp_path)))
    ours = caption_scores(list(CAPTIONS.values()), list(REFERENCES.values()), intervals=True)
    assert found.pop("samples") == 3
    assert "cider_d" in found
    for name, row in found.items():
        assert row["value"] == ours[name]
        assert row["interval"] == [ours[f"{name}_low"], ours[f"{name}_high"]]


def test_images_without_a_caption_are_counted_and_an_empty_caption_is_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    captions = results(tmp_path, {7: "a dog", 8: ""})
    assert main(["score", str(captions), str(coco(tmp_path))]) == 0
    shown = capsys.readouterr()
    assert "1 of 3 images with references have no caption and do not count" in shown.err
    assert shown.out.startswith("2 images; intervals")
    assert [line.split()[0] for line in shown.out.splitlines()[1:3]] == ["bleu1", "bleu2"]


def test_each_image_is_written_with_its_scores(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    each = tmp_path / "new/each.csv"
    words = [str(results(tmp_path)), str(coco(tmp_path)), "--per_image", str(each)]
    found = scored(capsys, *words)
    rows = list(csv.DictReader(each.open()))
    assert [row["image_id"] for row in rows] == ["7", "8", "139"]
    assert json.loads(rows[1]["references"]) == REFERENCES[8]
    for name in ("cider_d", "rouge_l", "assignment_bleu"):
        mean = sum(float(row[name]) for row in rows) / 3
        assert mean == pytest.approx(found[name]["value"], rel=1e-5)
    alone = caption_scores([CAPTIONS[8]], [REFERENCES[8]])
    assert float(rows[1]["bleu2"]) == pytest.approx(alone["bleu2"], rel=1e-5)


@pytest.mark.parametrize(
    ("captions", "sentence"),
    [
        ([{"image_id": 1, "caption": "a"}], r"line 1: image 1 has no reference in .*refs\.json"),
        ([{"image_id": 7, "caption": "a"}] * 2, r"image 7 has a caption already \(.*line 1\)"),
        ([{"image_id": 7, "caption": ["a", "b"]}], "image 7 has 2 captions; give one an image"),
        ([{"image_id": 7, "words": "a"}], "has no column 'caption', only 'image_id', 'words'"),
        ([{"caption": "a"}], "has no column 'image_id', only 'caption'; rename one"),
        ([], "has no captions; give a file with some"),
        ({"image_id": True, "caption": "a"}, "should be a text"),
    ],
)
def test_what_cannot_be_matched_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], captions: Any, sentence: str
) -> None:
    path = as_json(tmp_path / "captions.json", captions)
    assert main(["score", str(path), str(coco(tmp_path))]) == 2
    error = capsys.readouterr().err
    assert re.search(sentence, error)
    assert error.count("\n") == 1


def test_nothing_heavy_is_imported(tmp_path: Path) -> None:
    code = (
        "import sys; from lit_tasks.__main__ import main;"
        f"main(['score', {str(results(tmp_path))!r}, {str(coco(tmp_path))!r}]);"
        "print([m for m in ('torch', 'lightning', 'pandas', 'transformers') if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines()[-1] == "[]"


def test_metrics_of_others_are_left_out_with_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setitem(sys.modules, "transformers", None)
    for n in CAPTIONS:
        (tmp_path / f"{n:012}.jpg").write_bytes(b"")
    also = ["--also", "meteor", "spice", "clip_score", "--images", str(tmp_path)]
    assert main(["score", str(results(tmp_path)), str(coco(tmp_path)), *also]) == 0
    shown = capsys.readouterr()
    assert "meteor" not in shown.out
    sentences = shown.err.splitlines()
    for name, line in zip(("METEOR", "SPICE", "CLIPScore"), sentences, strict=True):
        assert line.startswith(f"lit-tasks: {name} was left out")


def test_clip_score_needs_a_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", "a.json", "b.json", "--also", "clip_score"]) == 2
    assert "clip_score needs --images, the folder of the images" in capsys.readouterr().err


@pytest.mark.slow  # starts Java
def test_meteor_is_that_of_coco_caption() -> None:
    pytest.importorskip("pycocoevalcap")
    if not shutil.which("java"):
        pytest.skip("needs java")
    references = [["a dog runs on grass", "a dog"], ["two cats on a bed"]]
    same, apart = others.meteor(["a dog runs on grass", "a red car"], references)
    assert same == pytest.approx(1)
    assert 0 <= apart < 0.5


def test_a_name_that_two_images_have_is_not_guessed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"file": f"{folder}/1.jpg", "caption": f"{folder} dog"} for folder in ("a", "b")]
    references = as_json(tmp_path / "references.json", rows)
    assert main(["score", str(as_json(tmp_path / "whole.json", rows)), str(references)]) == 0
    assert "2 images" in capsys.readouterr().out
    bare = as_json(tmp_path / "bare.json", [{"file": "1.jpg", "caption": "b dog"}])
    assert main(["score", str(bare), str(references)]) != 0
    assert "line 1: image 1.jpg has no reference in" in capsys.readouterr().err
    one = as_json(tmp_path / "one.json", rows[:1])
    assert main(["score", str(bare), str(one)]) == 0
