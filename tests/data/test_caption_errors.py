"""What is wrong with captions is said in one sentence: where, what, and what to do."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lit_tasks.data.caption_files import CaptionFilesDataModule
from lit_tasks.data.caption_scenes import CaptionScenesDataModule
from lit_tasks.data.coco_captions import CocoCaptionsDataModule
from lit_tasks.data.readers.images import read_image

Content = dict[str, Any]


def content() -> Content:
    images = [{"id": number, "file_name": f"{number}.jpg"} for number in (7, 8)]
    annotations = [{"id": 70 + n, "image_id": n, "caption": f"a thing {n}"} for n in (7, 8)]
    return {"images": images, "annotations": annotations}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "annotations").mkdir()
    for part in ("train", "val"):
        (tmp_path / f"{part}2017").mkdir()
        text = json.dumps(content())
        (tmp_path / f"annotations/captions_{part}2017.json").write_text(text)
        for number in (7, 8):
            Image.new("RGB", (40, 30), (number, 0, 0)).save(tmp_path / f"{part}2017/{number}.jpg")
    return tmp_path


def change(root: Path, do: Callable[[Content], object]) -> None:
    path = root / "annotations/captions_train2017.json"
    found = json.loads(path.read_text())
    do(found)
    path.write_text(json.dumps(found))


WRONG: list[tuple[Callable[[Content], object], str]] = [
    (lambda c: c.pop("images"), r"train2017\.json has no list 'images', it has annotations"),
    (lambda c: c.pop("annotations"), r"has no list 'annotations', it has images"),
    (
        lambda c: c["images"][1].pop("id"),
        r"images\[1\] should have 'id', a whole number or a text, got None",
    ),
    (lambda c: c["images"][0].pop("file_name"), r"images\[0\] should have 'file_name', a text"),
    (
        lambda c: c["annotations"][1].pop("caption"),
        r"annotations\[1\] should have 'caption', a text, got None",
    ),
    (
        lambda c: c["annotations"][0].update(caption=3),
        r"annotations\[0\] should have 'caption', a text, got 3",
    ),
    (
        lambda c: c["annotations"][0].update(caption=" \n"),
        r"annotations\[0\] \(id 77\) has an empty caption; remove it",
    ),
    (
        lambda c: c["annotations"][1].update(image_id=99),
        r"annotations\[1\] \(id 78\) is about image 99, which is not in images; remove it",
    ),
    (lambda c: c["images"].append(c["images"][0]), "image 7 is there twice; remove one"),
    (lambda c: c["images"].append({"id": 9, "file_name": "8.jpg"}), r"image 9 \(8\.jpg\) has no"),
    (lambda c: c["images"][0].update(file_name="x.jpg"), r"image 7 is not there, no file .*x\.jpg"),
]


@pytest.mark.parametrize(("do", "sentence"), WRONG, ids=[sentence for _, sentence in WRONG])
def test_what_is_wrong_in_cocos_file_is_named(
    root: Path, do: Callable[[Content], object], sentence: str
) -> None:
    change(root, do)
    with pytest.raises(ValueError, match=sentence) as caught:
        CocoCaptionsDataModule(root).setup("fit")
    assert "\n" not in str(caught.value)


def test_broken_json_is_named_with_its_place(root: Path) -> None:
    path = root / "annotations/captions_train2017.json"
    path.write_text(path.read_text()[:40])
    with pytest.raises(ValueError, match=r"train2017\.json, line 1, column \d+: invalid JSON"):
        CocoCaptionsDataModule(root).setup("fit")
    path.write_text("[]")
    with pytest.raises(ValueError, match="should be a JSON object, it is a list"):
        CocoCaptionsDataModule(root).setup("fit")
    path.write_bytes(b'{"images": "\xff"}')
    with pytest.raises(ValueError, match="is not JSON, byte 12 is not UTF-8"):
        CocoCaptionsDataModule(root).setup("fit")


def test_missing_folders_and_files_are_named(root: Path) -> None:
    with pytest.raises(ValueError, match=r"set data\.root to a folder with annotations/"):
        CocoCaptionsDataModule().setup("fit")
    with pytest.raises(FileNotFoundError, match=r"there is no folder nothing; set data\.root"):
        CocoCaptionsDataModule(Path("nothing")).setup("fit")
    with pytest.raises(ValueError, match=r"set data\.predict to an image, a folder, or train"):
        CocoCaptionsDataModule(root).setup("predict")
    with pytest.raises(FileNotFoundError, match=r"no file .*x\.json; give the path of a caption"):
        CocoCaptionsDataModule(root, split=Path("x.json")).setup("fit")
    (root / "annotations/captions_train2014.json").write_text(json.dumps(content()))
    with pytest.raises(ValueError, match=r"captions_train2014\.json, .* set data\.year to choose"):
        CocoCaptionsDataModule(root).setup("fit")
    CocoCaptionsDataModule(root, year="2017").setup("fit")
    (root / "annotations/captions_val2017.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"no .*captions_val2017\.json; data\.root should"):
        CocoCaptionsDataModule(root, year="2017").setup("fit")


def test_bad_images_stop_the_run_or_are_left_out(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = root / "train2017/7.jpg"
    path.write_text("hello")
    with pytest.raises(ValueError, match=r"image 7 is not a readable image, .*7\.jpg: add"):
        CocoCaptionsDataModule(root).setup("fit")
    module = CocoCaptionsDataModule(root, bad_images="skip")
    with caplog.at_level("INFO", "lightning.pytorch.utilities.rank_zero"):
        assert module.image_ids("train") == [8]
    assert "1 of 2 images left out, first image 7" in caplog.text
    (root / "train2017/8.jpg").unlink()
    with pytest.raises(ValueError, match="there is no usable image among 2"):
        CocoCaptionsDataModule(root, bad_images="skip").setup("fit")


def test_a_truncated_image_is_named_when_it_is_read_and_can_be_left_out(root: Path) -> None:
    path = root / "train2017/7.jpg"
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:9000])
    module = CocoCaptionsDataModule(root)
    module.setup("fit")  # its header is fine
    with pytest.raises(ValueError, match=r"7\.jpg is not a readable image"):
        read_image(module.captioned("train").images.paths[0])
    assert CocoCaptionsDataModule(root, bad_images="skip").image_ids("train") == [8]


@pytest.mark.parametrize(
    ("image", "sentence"),
    [
        ({"split": "all"}, r"images\[0\] \(7\.jpg\) belongs to 'all'; it should be train"),
        ({"split": "dev"}, r"split\.json has no images for train; give another split"),
        ({"sentences": [{"raw": "a \ud83d"}]}, r"\[0\] .* no text \(half of a character, .ud83d"),
        ({"sentences": [{"tokens": ["a"]}]}, r"\(7\.jpg\) has a sentence without 'raw'"),
        ({"sentences": None}, r"images\[0\] should have 'sentences', a list, got None"),
        ({"filename": 3}, r"images\[0\] should have 'filename', a text, got 3"),
        ({"split": "val"}, r"split\.json has no images for train; give another split"),
    ],
)
def test_what_is_wrong_in_karpathys_file_is_named(
    root: Path, image: dict[str, Any], sentence: str
) -> None:
    whole = {"filepath": "train2017", "filename": "7.jpg", "split": "train"}
    whole |= {"sentences": [{"raw": "a thing"}], "imgid": 0}
    (root / "split.json").write_text(json.dumps({"images": [whole | image]}))
    with pytest.raises(ValueError, match=sentence):
        CocoCaptionsDataModule(root, split=Path("split.json")).setup("fit")


def test_an_image_that_karpathys_file_has_twice_is_named(root: Path) -> None:
    image = {"filepath": "train2017", "filename": "7.jpg", "sentences": [{"raw": "a thing"}]}
    images = [image | {"split": "train"}, image | {"split": "Validation"}]
    (root / "split.json").write_text(json.dumps({"images": images}))
    with pytest.raises(ValueError, match=r"images\[1\] \(7\.jpg\) is there twice, before as im"):
        CocoCaptionsDataModule(root, split=Path("split.json")).setup("fit")
    images[1] |= {"filename": "8.jpg"}
    (root / "split.json").write_text(json.dumps({"images": images}))
    module = CocoCaptionsDataModule(root, split=Path("split.json"))
    assert (module.image_ids("train"), module.image_ids("val")) == (["7.jpg"], ["8.jpg"])


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ("file,words\n7.jpg,a\n", r"captions\.csv has no column 'caption', only 'file', 'words'"),
        ("file,caption\n7.jpg,\n", r"captions\.csv, line 2: column caption is empty; fill it"),
        ("file,caption\n7.jpg\n", r"captions\.csv, line 2: column caption is empty"),
        ("file,caption\n", r"captions\.csv has no rows"),
        (
            "file,caption,split\n7.jpg,a,later\n",
            r"line 2: column split is 'later', the name of no split",
        ),
        (
            "file,caption,split\n7.jpg,a,val\n7.jpg,b,train\n",
            r"line 3: 7\.jpg is for train here and val before",
        ),
        ("file,caption,split\n7.jpg,a,train\n", r"captions\.csv: column split has no 'val' rows"),
        ("file,caption\n7.jpg,a\n", r"captions\.csv names 1 image, too few to hold out val"),
        ("file,caption\n9.jpg,a\n7.jpg,b\n8.jpg,b\n", r"image 9\.jpg is not there, no file"),
    ],
)
def test_what_is_wrong_in_a_table_is_named(root: Path, table: str, sentence: str) -> None:
    (root / "captions.csv").write_text(table)
    split = "split" if "split" in table else None
    module = CaptionFilesDataModule(
        root / "captions.csv", root / "train2017", split_column=split, val_fraction=0.34
    )
    with pytest.raises(ValueError, match=sentence):
        module.setup("fit")


def test_a_table_that_is_not_given_or_not_there_is_asked_for() -> None:
    with pytest.raises(ValueError, match=r"set data\.table to a CSV file with the columns file"):
        CaptionFilesDataModule().setup("fit")
    with pytest.raises(FileNotFoundError, match=r"there is no file x\.csv; give the path of a CSV"):
        CaptionFilesDataModule(Path("x.csv")).setup("fit")


def features(root: Path, values: np.ndarray, ids: str | None = None) -> None:
    np.save(root / "fc7.npy", values)
    if ids is not None:
        (root / "fc7.ids.txt").write_text(ids)
    module = CocoCaptionsDataModule(root, features=str(root / "fc7.npy"))
    module.setup("fit")
    module.train_dataloader()


def test_features_that_do_not_fit_the_captions_are_refused(root: Path) -> None:
    good = np.ones((2, 4), np.float32)
    features(root, good)
    with pytest.raises(ValueError, match=r"fc7\.npy has no features of image 8; compute them"):
        features(root, good, "7\n9\n")
    with pytest.raises(ValueError, match=r"has no features of image 7 and 1 others"):
        features(root, good, "1\n9\n")
    with pytest.raises(ValueError, match="has 2 rows of features but 3 ids"):
        features(root, good, "7\n8\n9\n")
    (root / "fc7.ids.txt").unlink()
    with pytest.raises(ValueError, match=r"has 3 rows without ids for 2 images: name the image"):
        features(root, np.ones((3, 4), np.float32))
    for wrong in (np.ones(4, np.float32), np.ones((2, 4), np.int64), np.ones((2, 1, 1, 4))):
        with pytest.raises(ValueError, match=r"should hold floating-point features of shape"):
            features(root, wrong)


def test_files_of_features_that_cannot_be_read_are_named(root: Path) -> None:
    def setup(name: str) -> None:
        module = CocoCaptionsDataModule(root, features=str(root / name))
        module.setup("fit")
        module.train_dataloader()

    with pytest.raises(FileNotFoundError, match=r"no file of features .*fc7\.npy; set data\.feat"):
        setup("fc7.npy")
    (root / "fc7.npy").write_text("hello")
    with pytest.raises(ValueError, match=r"fc7\.npy cannot be read as an array of numpy"):
        setup("fc7.npy")
    h5py = pytest.importorskip("h5py")
    (root / "fc7.h5").write_text("hello")
    with pytest.raises(ValueError, match=r"fc7\.h5 cannot be read as HDF5"):
        setup("fc7.h5")
    with h5py.File(root / "fc6.h5", "w") as file:
        file["data"] = np.ones((2, 4))
    with pytest.raises(ValueError, match=r"fc6\.h5 has no dataset 'features', it has data"):
        setup("fc6.h5")
    with h5py.File(root / "fc6.h5", "w") as file:
        file["features"], file["ids"] = np.ones((2, 4), np.float32), ["7", "9"]
    with pytest.raises(ValueError, match=r"fc6\.h5 has no features of image 8"):
        setup("fc6.h5")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"captions": 0}, "captions must be at least 1, got 0"),
        ({"min_count": 0}, "min_count must be at least 1, got 0"),
        ({"max_tokens": 2}, "max_tokens must be at least 3, got 2"),
        ({"held_out": 7}, "held_out must be from 0 to 6, got 7"),
        ({"val": 0}, "train, val and test must be at least 1"),
    ],
)
def test_numbers_out_of_range_are_refused(options: dict[str, int], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        CaptionScenesDataModule(**options)
