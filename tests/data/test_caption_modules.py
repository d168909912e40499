"""Captions in COCO's layout, Karpathy's split, tables and synthetic scenes, as batches."""

import csv
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from image_task import SMALL, Means, attached
from PIL import Image

from lit_tasks.batch import CaptionBatch
from lit_tasks.data.base.feature_cache import FeatureCache
from lit_tasks.data.base.image_dataset import ImageDataset
from lit_tasks.data.caption_files import CaptionFilesDataModule
from lit_tasks.data.caption_scenes import CaptionScenesDataModule
from lit_tasks.data.coco_captions import CocoCaptionsDataModule
from lit_tasks.data.readers.images import ImageFiles

pytest.importorskip("torchvision")

_digest = ImageFiles.digest

SENTENCES = {
    1: ["A dog runs .", "The dog is running"],
    2: ["A cat sits on a mat", "a cat"],
    3: ["Two dogs play", "Two dogs"],
}


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """Three images to train on and two to validate, in the official layout."""
    (tmp_path / "annotations").mkdir()
    for part, first in (("train", 0), ("val", 10)):
        (tmp_path / f"{part}2017").mkdir()
        images, annotations = [], []
        for number in (1, 2, 3)[: 3 if part == "train" else 2]:
            name = f"{first + number:012}.jpg"
            images.append({"id": first + number, "file_name": name})
            color = (60 * number, first * 10, 0)
            Image.new("RGB", (16, 12), color).save(tmp_path / f"{part}2017" / name)
            for text in SENTENCES[number]:
                entry = {"id": len(annotations), "image_id": first + number, "caption": text}
                annotations.append(entry)
        content = {"images": images, "annotations": annotations}
        (tmp_path / f"annotations/captions_{part}2017.json").write_text(json.dumps(content))
    return tmp_path


def spelled(module: Any, batch: CaptionBatch) -> list[str]:
    assert batch.tokens is not None
    assert batch.lengths is not None
    rows = batch.tokens.split(batch.lengths.tolist())
    return [" ".join(module.vocabulary[number] for number in row.tolist()) for row in rows]


def test_training_has_a_sample_for_every_caption_with_its_own_image(coco: Path) -> None:
    module = attached(CocoCaptionsDataModule(coco, batch_size=100))
    batch = next(iter(module.train_dataloader()))
    assert batch.image.shape == (6, 3, 8, 8)
    found = dict(zip(batch.index.tolist(), spelled(module, batch), strict=True))
    assert found[2] == "<START> a cat sits on a mat <END>"
    assert len(set(found.values())) == 6
    colors = batch.image[:, 0].float().mean((1, 2)).tolist()
    for index, color in zip(batch.index.tolist(), colors, strict=True):
        assert color == pytest.approx(60 * (1 + index // 2), abs=3)
    assert batch.references is None


def test_evaluation_has_a_sample_for_every_image_with_all_references(coco: Path) -> None:
    module = attached(CocoCaptionsDataModule(coco))
    batch = next(iter(module.val_dataloader()))
    assert batch.index.tolist() == [0, 1]
    assert batch.references == [SENTENCES[1], SENTENCES[2]]
    assert spelled(module, batch)[1] == "<START> a cat sits on a mat <END>"
    assert module.image_ids("val") == [11, 12]


def test_words_are_numbered_by_count_and_rare_ones_are_unknown(coco: Path) -> None:
    module = attached(CocoCaptionsDataModule(coco, min_count=2))
    assert module.vocabulary == ["<START>", "<END>", "<UNK>", "a", "cat", "dog", "dogs", "two"]
    batch = next(iter(module.val_dataloader()))
    assert spelled(module, batch)[0] == "<START> a dog <UNK> <END>"


def test_long_training_captions_are_cut_and_references_are_not(coco: Path) -> None:
    module = attached(CocoCaptionsDataModule(coco, max_tokens=4, batch_size=9))
    batch = next(iter(module.train_dataloader()))
    assert int(batch.lengths.max()) == 4
    assert all(row.endswith("<END>") for row in spelled(module, batch))
    evaluated = next(iter(module.val_dataloader()))
    assert evaluated.references[1][0] == "A cat sits on a mat"
    assert evaluated.lengths.tolist() == [5, 8]


def test_a_limit_takes_captions_of_as_many_images_as_possible(coco: Path) -> None:
    def chosen(captions: int, seed: int = 0) -> dict[int, list[str]]:
        module = CocoCaptionsDataModule(coco, captions=captions, seed=seed)
        module.setup("fit")
        return dict(zip(module.image_ids("train"), module.references("train"), strict=True))

    assert chosen(3) == {i: texts[:1] for i, texts in SENTENCES.items()}
    assert chosen(6) == SENTENCES
    assert len(chosen(1)) == 1
    for smaller, larger in ((1, 2), (2, 4), (4, 5)):
        for image, texts in chosen(smaller).items():
            assert set(texts) <= set(chosen(larger)[image])
    assert len({tuple(chosen(1, seed)) for seed in range(9)}) > 1
    with pytest.raises(ValueError, match=r"captions must be at most 6, .* got 7"):
        chosen(7)


@pytest.mark.parametrize("positions", [0, 4])
def test_features_are_computed_and_stored_once_an_image(
    coco: Path, tmp_path: Path, positions: int
) -> None:
    network = Means(positions)
    options = {"root": coco, "batch_size": 6, "cache_dir": tmp_path / "cache"}
    module = attached(CocoCaptionsDataModule(**options), network)
    batch = next(iter(module.train_dataloader()))
    assert network.images == 3
    assert batch.image.shape == ((6, 4, 3) if positions else (6, 3))
    images = next(iter(attached(CocoCaptionsDataModule(**options)).train_dataloader()))
    theirs = dict(zip(images.index.tolist(), images.image, strict=True))
    for index, features in zip(batch.index.tolist(), batch.image, strict=True):
        expected = theirs[index].float().mean((1, 2))
        torch.testing.assert_close(features, expected.expand_as(features))
    list(attached(CocoCaptionsDataModule(**options), network).train_dataloader())
    assert network.images == 3


def test_what_is_drawn_at_random_is_not_cached(coco: Path, tmp_path: Path) -> None:
    module = CocoCaptionsDataModule(coco, crop=0.5, cache_dir=tmp_path / "cache")
    attached(module, Means())
    assert next(iter(module.train_dataloader())).image.ndim == 4
    assert next(iter(module.val_dataloader())).image.ndim == 2


def test_a_test_is_the_validation_where_there_is_none_and_it_is_said(
    coco: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "lightning.pytorch.utilities.rank_zero"):
        module = attached(CocoCaptionsDataModule(coco), stage="test")
        assert module.image_ids("test") == module.image_ids("val")
    assert "no test captions" in caplog.text


def test_training_images_can_be_validated_on(coco: Path) -> None:
    module = attached(CocoCaptionsDataModule(coco, captions=4, validate_on="train"))
    batch = next(iter(module.val_dataloader()))
    assert batch.references == module.references("train")
    assert sum(map(len, batch.references)) == 4
    described = [row["reference"] for row in module.describe("val", batch.index.tolist())]
    assert described == [several[0] for several in batch.references]
    assert np.array_equal(module.shown("val", [0])[0], module.shown("train", [0])[0])


def test_training_batches_bring_references_when_asked(coco: Path) -> None:
    module = attached(CocoCaptionsDataModule(coco, train_references=True))
    batch = next(iter(module.train_dataloader()))
    for index, several in zip(batch.index.tolist(), batch.references, strict=True):
        assert several == SENTENCES[1 + index // 2]


def test_a_checkpoint_brings_the_words_and_predicting_needs_no_captions(coco: Path) -> None:
    first = attached(CocoCaptionsDataModule(coco))
    restored = CocoCaptionsDataModule(predict=coco / "val2017")
    restored.load_state_dict(json.loads(json.dumps(first.state_dict())))
    attached(restored, stage="predict")
    assert restored.vocabulary == first.vocabulary
    assert restored.predict_ids == [11, 12]  # COCO's own names are its numbers
    assert restored.predict_files[0] == str(coco / "val2017/000000000011.jpg")
    batch = next(iter(restored.predict_dataloader()))
    assert (batch.tokens, batch.lengths, batch.references) == (None, None, None)
    part = attached(CocoCaptionsDataModule(coco, predict="val"), stage="predict")
    assert part.predict_ids == [11, 12]


def test_other_names_are_paths(tmp_path: Path) -> None:
    for name in ("b/one.png", "000000000011.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (9, 9)).save(tmp_path / name)
    module = attached(CocoCaptionsDataModule(predict=tmp_path), stage="predict")
    assert module.predict_ids == ["000000000011.png", "b/one.png"]


def test_karpathys_file_says_what_is_for_what(coco: Path) -> None:
    images = []
    parts = ("train", "restval", "val", "test", "test")
    for part, number in zip(parts, (1, 2, 3, 11, 12), strict=True):
        texts = [{"raw": text, "tokens": text.split()} for text in SENTENCES[1 + number % 3]]
        folder, name = "val2014", f"COCO_val2014_{number:012}.jpg"
        image = {"filepath": folder, "filename": name, "cocoid": number, "split": part}
        images.append({**image, "sentences": texts})
    (coco / "dataset_coco.json").write_text(json.dumps({"images": images}))
    module = attached(CocoCaptionsDataModule(coco, split=Path("dataset_coco.json")))
    assert module.image_ids("train") == [1, 2]
    assert module.image_ids("val") == [3]
    assert module.image_ids("test") == [11, 12]
    assert module.references("val") == [SENTENCES[1]]
    assert module.captioned("test").images.names[0] == str(coco / "val2017/000000000011.jpg")


def test_a_table_names_files_captions_and_splits(coco: Path) -> None:
    rows = [
        (f"train2017/{number:012}.jpg", text, "val" if number == 3 else "train")
        for number, texts in SENTENCES.items()
        for text in texts
    ]
    with (coco / "captions.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("image", "caption", "split"), *rows])
    options = {"table": coco / "captions.csv", "file_column": "image"}
    module = attached(CaptionFilesDataModule(**options, split_column="split"))
    assert module.references("train") == [SENTENCES[1], SENTENCES[2]]
    assert module.image_ids("val") == ["train2017/000000000003.jpg"]
    parts = [
        set(attached(CaptionFilesDataModule(**options, val_fraction=0.34)).image_ids(part))
        for part in ("train", "val")
    ]
    assert [len(part) for part in parts] == [2, 1]
    assert not parts[0] & parts[1]


def test_scenes_hold_colors_and_shapes_back_from_training() -> None:
    module = attached(CaptionScenesDataModule(train=200, val=40, test=40, size=16, held_out=4))
    shown = {
        part: [
            {(thing.color, thing.shape) for thing in scene.things}
            for scene in module.captioned(part).images.scenes
        ]
        for part in ("train", "val", "test")
    }
    known = set.union(*shown["train"])
    for part in ("val", "test"):
        unseen = [bool(kinds - known) for kinds in shown[part]]
        assert unseen == [False, True] * 20
    texts = [tuple(several) for part in shown for several in module.references(part)]
    assert {len(several) for several in texts} == {5}
    words = {word for several in module.references("val") for s in several for word in s.split()}
    assert words - {","} <= set(module.vocabulary)
    again = CaptionScenesDataModule(train=200, val=40, test=40, size=16, held_out=4)
    assert again.captioned("val").images.digest() == module.captioned("val").images.digest()


def test_sentences_of_a_scene_tell_what_is_in_it() -> None:
    module = CaptionScenesDataModule(train=90, val=1, test=1, size=16)
    captioned = module.captioned("train")
    for scene, several in zip(captioned.images.scenes, captioned.sentences, strict=True):
        for text in several:
            for thing in scene.things:
                assert {thing.size, thing.color} <= set(text.split())
                assert thing.shape in text
            count = {1: "", 2: "two", 3: "three", 4: "four"}[len(scene.things)]
            if len({(t.color, t.shape) for t in scene.things}) == 1:
                assert count in text
            elif " one above " in text:
                assert abs(scene.things[0].x - scene.things[1].x) < 0.1
            elif " above " in text or " to the left of " in text:
                first, second = scene.things
                swapped = text.find(first.color) > text.find(second.color)
                if first.color != second.color:
                    a, b = (second, first) if swapped else (first, second)
                    assert (a.y < b.y) if " above " in text else (a.x < b.x)


def test_features_from_files_take_the_place_of_images(coco: Path) -> None:
    rng = np.random.default_rng(0)
    for part, ids in (("train", [3, 1, 2]), ("val", [11, 12])):
        np.save(coco / f"fc7_{part}.npy", rng.random((len(ids), 5), dtype=np.float32))
        (coco / f"fc7_{part}.ids.txt").write_text("".join(f"{i}\n" for i in ids))
    module = attached(CocoCaptionsDataModule(coco, features=str(coco / "fc7_{split}.npy")))
    assert module.feature_shape == (5,)
    batch = next(iter(module.train_dataloader()))
    values = np.load(coco / "fc7_train.npy")
    for index, features in zip(batch.index.tolist(), batch.image, strict=True):
        assert features.tolist() == values[[1, 2, 0][index // 2]].tolist()


def test_features_from_hdf5_are_in_the_order_of_the_captions(coco: Path) -> None:
    h5py = pytest.importorskip("h5py")
    values = np.arange(24, dtype=np.float32).reshape(3, 2, 4)
    with h5py.File(coco / "all.h5", "w") as file:
        file["features"] = values
    module = CocoCaptionsDataModule(coco, features=str(coco / "all.h5"))
    module.setup("fit")
    batch = next(iter(module.train_dataloader()))
    order = (batch.index // 2).tolist()
    assert batch.image.tolist() == values[order].tolist()


def test_images_that_look_unchanged_are_not_read_again(
    coco: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = []
    monkeypatch.setattr(ImageFiles, "digest", lambda self: reads.append(1) or _digest(self))
    network, cache = Means(), tmp_path / "cache"

    def read(date: float | None = None) -> np.ndarray:
        images = ImageFiles(sorted((coco / "train2017").iterdir()))
        for path in images.paths if date else ():
            os.utime(path, (date, date))
        return FeatureCache(cache).features(network, ImageDataset(images, None, SMALL))

    read(), read()
    assert (len(reads), network.images) == (2, 3)  # too young to be trusted
    read(1e9), read(), read()
    assert (len(reads), network.images) == (3, 3)
    path = coco / "train2017/000000000001.jpg"
    Image.new("RGB", (16, 12), (200, 0, 0)).save(path)
    assert read()[0, 0] == pytest.approx(200, abs=3)
    assert (len(reads), network.images) == (4, 6)


def test_ids_may_be_texts_and_images_lie_in_another_folder(coco: Path) -> None:
    for part in ("train", "val"):
        path = coco / f"annotations/captions_{part}2017.json"
        content = json.loads(path.read_text())
        for image in content["images"]:
            image["id"] = f"image {image['id']}"
        for annotation in content["annotations"]:
            annotation["image_id"] = f"image {annotation['image_id']}"
        path.write_text(json.dumps(content))
        (coco / "images").mkdir(exist_ok=True)
        (coco / f"{part}2017").rename(coco / f"images/{part}")
    module = attached(CocoCaptionsDataModule(coco, images="images/{split}"))
    assert module.image_ids("train") == ["image 1", "image 2", "image 3"]
    assert module.captioned("val").images.names[0].startswith(str(coco / "images/val"))
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*pictures; set data\.images"):
        CocoCaptionsDataModule(coco, images="pictures").setup("fit")


def test_a_file_name_with_its_folder_is_found(coco: Path) -> None:
    path = coco / "annotations/captions_train2017.json"
    content = json.loads(path.read_text())
    for image in content["images"]:
        image["file_name"] = f"train2017/{image['file_name']}"
    for annotation in content["annotations"]:
        annotation["image_id"] = str(annotation["image_id"])
    path.write_text(json.dumps(content))
    assert len(attached(CocoCaptionsDataModule(coco)).image_ids("train")) == 3


def test_karpathys_images_may_lie_side_by_side(coco: Path) -> None:
    images = [
        {
            "filepath": "val2014",
            "filename": f"{n:012}.jpg",
            "split": part,
            "sentences": [{"raw": "a"}],
        }
        for n, part in ((1, "train"), (2, "val"))
    ]
    (coco / "k.json").write_text(json.dumps({"images": images}))
    module = attached(CocoCaptionsDataModule(coco, split=Path("k.json"), images="train2017"))
    assert module.captioned("val").images.names == [str(coco / "train2017/000000000002.jpg")]
    with pytest.raises(ValueError, match=r"data\.images must be one folder where Karpathy's file"):
        CocoCaptionsDataModule(coco, split=Path("k.json"), images="{split}2017").setup("fit")


def test_captions_that_are_cut_are_counted(coco: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "lightning.pytorch.utilities.rank_zero")
    module = attached(CocoCaptionsDataModule(coco, batch_size=100, max_tokens=5))
    batch = next(iter(module.train_dataloader()))
    assert batch.lengths is not None
    assert batch.lengths.max() == 5
    whole = attached(CocoCaptionsDataModule(coco, batch_size=100, max_tokens=100))
    lengths = next(iter(whole.train_dataloader())).lengths
    assert lengths is not None
    expected = f"{int((lengths > 5).sum())} of 6 training captions have more than 5 tokens"
    assert caplog.text.count("training captions have more than") == 1
    assert expected in caplog.text


def test_images_to_describe_that_cannot_be_read_stop_the_run_or_are_counted(
    coco: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "lightning.pytorch.utilities.rank_zero")
    folder = coco / "new"
    folder.mkdir()
    for name in ("x.png", "z.png"):
        Image.new("RGB", (9, 8)).save(folder / name)
    (folder / "y.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"y\.png is not a readable image; remove it, or leave it"):
        CocoCaptionsDataModule(coco, predict=str(folder)).captioned("predict")
    module = CocoCaptionsDataModule(coco, predict=str(folder), bad_images="skip")
    assert module.predict_ids == ["x.png", "z.png"]
    assert [Path(name).name for name in module.predict_files] == ["x.png", "z.png"]
    assert "1 of 3 files left out, first" in caplog.text
    (folder / "x.png").unlink()
    (folder / "z.png").unlink()
    with pytest.raises(ValueError, match=r"no image is left: correct data\.predict"):
        CocoCaptionsDataModule(coco, predict=str(folder), bad_images="skip").captioned("predict")


def test_ids_to_describe_are_never_one_for_two_images(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (9, 8)).save(tmp_path / folder / "COCO_val2014_000000000042.jpg")
    module = CocoCaptionsDataModule(predict=[str(tmp_path / "a"), str(tmp_path / "b")])
    assert len(set(module.predict_ids)) == 2
