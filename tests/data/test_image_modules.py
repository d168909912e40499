"""Folders, tables and synthetic scenes as batches; features of a frozen network from the cache."""

import csv
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from image_task import SMALL, Means, attached
from PIL import Image
from torch import Tensor, nn

from lit_tasks.batch import FeatureBatch, ImageBatch
from lit_tasks.data.base.feature_cache import FeatureCache, fingerprint
from lit_tasks.data.base.image_dataset import ImageDataset
from lit_tasks.data.hymenoptera import HymenopteraDataModule
from lit_tasks.data.image_folder import ImageFolderDataModule
from lit_tasks.data.scenes import SceneDataModule
from lit_tasks.nn.image.preprocessing import Preprocessing

pytest.importorskip("torchvision")

IMAGES = Path(__file__).parents[1] / "fixtures/images"


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    """Twenty drawings in folders of classes, without splits; one is there twice."""
    for name, value in (("dark", 20), ("light", 200)):
        (tmp_path / name).mkdir()
        for i in range(10):
            Image.new("RGB", (12, 10), (value, i, 0)).save(tmp_path / name / f"{i}.png")
    shutil.copy(tmp_path / "dark/0.png", tmp_path / "dark/copy.png")
    return tmp_path


def test_folders_of_splits_and_classes_are_read_in_order() -> None:
    module = attached(ImageFolderDataModule(IMAGES, batch_size=4))
    assert module.labels == ["ants", "bees"]
    assert module.train_class_counts == [6, 6]
    batches = list(module.val_dataloader())
    assert all(isinstance(batch, ImageBatch) for batch in batches)
    assert torch.cat([b.label for b in batches]).tolist() == [0] * 5 + [1] * 5
    assert torch.cat([b.index for b in batches]).tolist() == list(range(10))
    assert batches[0].image.shape == (4, 3, 8, 8)
    assert batches[0].image.dtype == torch.uint8


def test_without_test_images_those_for_validation_are_taken_and_it_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    module = attached(ImageFolderDataModule(IMAGES))
    with caplog.at_level("INFO", "lightning.pytorch.utilities.rank_zero"):
        assert module.images("test").paths == module.images("val").paths
    assert "no test images" in caplog.text


def test_a_folder_without_splits_is_split_by_seed_and_class(flat: Path) -> None:
    def names(part: Any, seed: int = 0) -> list[str]:
        module = ImageFolderDataModule(flat, val_fraction=0.3, test_fraction=0.2, seed=seed)
        return list(module.images(part).names)

    parts = [names(part) for part in ("train", "val", "test")]
    assert sorted(name for part in parts for name in part) == sorted(
        str(p) for p in flat.rglob("*.png")
    )
    assert [sum("light" in n for n in part) for part in parts] == [5, 3, 2]
    assert parts[1] == names("val") != names("val", seed=1)
    twins = {str(flat / "dark/0.png"), str(flat / "dark/copy.png")}
    assert any(twins <= set(part) for part in parts)


def test_a_table_says_file_label_and_split(flat: Path) -> None:
    rows = [("dark/1.png", "night", "train"), ("light/1.png", "day", "train")]
    rows += [("dark/2.png", "night", "val"), ("light/2.png", "day", "test")]
    with (flat / "table.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("name", "what", "split"), *rows])
    columns = {"file_column": "name", "label_column": "what"}
    module = ImageFolderDataModule(table=flat / "table.csv", split_column="split", **columns)
    assert attached(module).labels == ["day", "night"]
    assert module.images("val").paths == [flat / "dark/2.png"]
    assert module.images("test").labels == ["day"]
    with pytest.raises(ValueError, match=r"table\.csv has no column 'file', only"):
        ImageFolderDataModule(table=flat / "table.csv").images("train")


def test_a_file_that_is_no_image_stops_the_run_or_is_left_out(flat: Path) -> None:
    (flat / "dark/text.png").write_text("hello")
    with pytest.raises(ValueError, match=r"text\.png is not a readable image"):
        ImageFolderDataModule(flat).images("train")
    module = ImageFolderDataModule(flat, bad_images="skip")
    found = [name for part in ("train", "val") for name in module.images(part).names]
    assert len(found) == 21


def test_images_of_one_label_alone_are_refused_with_the_remedy(flat: Path) -> None:
    shutil.rmtree(flat / "light")
    with pytest.raises(ValueError, match=r"only \['dark'\]: give each label a folder"):
        attached(ImageFolderDataModule(flat))


def test_a_checkpoint_brings_the_labels_and_foreign_ones_are_refused(flat: Path) -> None:
    first = attached(ImageFolderDataModule(IMAGES))
    restored = ImageFolderDataModule(predict=flat)
    restored.load_state_dict(first.state_dict())
    restored.setup("predict")
    assert restored.labels == ["ants", "bees"]
    assert restored.predict_ids[:2] == ["dark/0.png", "dark/1.png"]
    assert restored.predict_files[0] == str(flat / "dark/0.png")
    assert next(iter(restored.predict_dataloader())).label is None
    other = ImageFolderDataModule(flat)
    other.load_state_dict(first.state_dict())
    with pytest.raises(ValueError, match="has the label 'dark', training knew only ants, bees"):
        other.setup("fit")


def test_only_training_images_are_cropped_at_random() -> None:
    module = attached(ImageFolderDataModule(IMAGES, crop=0.3))
    first, again = (next(iter(module.val_dataloader())).image for _ in range(2))
    assert torch.equal(first, again)
    images = module.train_dataloader().dataset
    assert not torch.equal(images[0][0], images[0][0])


def test_features_are_computed_once_and_are_the_networks_own(tmp_path: Path) -> None:
    network = Means()
    for _ in range(2):
        module = ImageFolderDataModule(IMAGES, batch_size=4, cache_dir=tmp_path)
        batches = list(attached(module, network).val_dataloader())
        assert network.images == 10
    plain = list(attached(ImageFolderDataModule(IMAGES, batch_size=4)).val_dataloader())
    for ours, theirs in zip(batches, plain, strict=True):
        assert isinstance(ours, FeatureBatch)
        torch.testing.assert_close(ours.features, theirs.image.float().mean((2, 3)))
        assert torch.equal(ours.label, theirs.label)
        assert torch.equal(ours.index, theirs.index)


def test_features_of_other_images_weights_or_preprocessing_are_not_taken(tmp_path: Path) -> None:
    def key(folder: str, network: nn.Module, wanted: Preprocessing) -> str:
        images = ImageFolderDataModule(IMAGES).images(folder)  # type: ignore[arg-type]
        return fingerprint(network, ImageDataset(images, None, wanted))

    moved = Means()
    moved.weight.data += 1e-6
    keys = [key("val", Means(), SMALL), key("train", Means(), SMALL), key("val", moved, SMALL)]
    keys.append(key("val", Means(), Preprocessing(size=8, resize=10)))
    assert len(set(keys)) == 4
    assert key("val", Means(), SMALL) == keys[0]


def test_a_file_cut_short_by_a_kill_is_never_taken_for_features(tmp_path: Path) -> None:
    images = ImageDataset(ImageFolderDataModule(IMAGES).images("val"), None, SMALL)

    class Killed(Means):
        def forward(self, image: Tensor) -> Tensor:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        FeatureCache(tmp_path).features(Killed(), images)
    assert not [path for path in tmp_path.glob("*.npy") if not path.name.startswith(".")]
    assert FeatureCache(tmp_path).features(Means(), images).shape == (10, 3)


def test_computing_features_draws_no_random_number_of_the_run(tmp_path: Path) -> None:
    """Or one seed would give two runs: the one that computes them and the one that finds them."""
    images = ImageDataset(ImageFolderDataModule(IMAGES).images("val"), None, SMALL)
    before = torch.get_rng_state()
    FeatureCache(tmp_path).features(Means(), images)
    assert torch.equal(torch.get_rng_state(), before)


def test_features_that_are_not_augmented_only(tmp_path: Path) -> None:
    module = attached(ImageFolderDataModule(IMAGES, crop=0.5, cache_dir=tmp_path), Means())
    assert isinstance(next(iter(module.train_dataloader())), ImageBatch)
    assert isinstance(next(iter(module.val_dataloader())), FeatureBatch)


def test_hymenoptera_is_counted() -> None:
    with pytest.raises(ValueError, match=r"train should hold 244 images, it holds 12"):
        HymenopteraDataModule(IMAGES).setup("fit")
    HymenopteraDataModule(IMAGES, counts=None).setup("fit")


def test_drawn_scenes_share_nothing_between_parts_and_name_their_shape() -> None:
    module = attached(SceneDataModule(train=24, val=12, test=12, size=16))
    assert module.labels == sorted(["circle", "square", "triangle", "star", "cross", "ring"])
    parts = [module.images(part) for part in ("train", "val", "test", "predict")]
    scenes = [repr(scene) for part in parts for scene in part.scenes]
    assert len(set(scenes)) == len(scenes)
    for name, label in zip(parts[0].names, parts[0].labels, strict=True):
        assert name.endswith(f"_{label}")
    shown = module.shown("val", [0])[0]
    assert shown.shape == (8, 8, 3)
    assert shown.dtype == np.uint8


def test_a_missing_folder_is_named() -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no folder nothing; set data\.root"):
        ImageFolderDataModule(Path("nothing")).setup("fit")
    with pytest.raises(ValueError, match=r"set data\.root to a folder or data\.table to a CSV"):
        ImageFolderDataModule().setup("fit")
    with pytest.raises(ValueError, match=r"set data\.predict to an image, a folder or a CSV"):
        ImageFolderDataModule().setup("predict")


def test_a_tables_splits_have_their_usual_names_and_no_row_is_dropped(flat: Path) -> None:
    parts = ["Train", "valid ", "TESTING", "training"]
    rows = [f"dark/{i}.png,night,{part}\nlight/{i}.png,day,{part}" for i, part in enumerate(parts)]
    table = flat / "table.csv"
    table.write_text("\n".join(["file,label,split", *rows]))
    module = ImageFolderDataModule(table=table, split_column="split")
    assert [len(module.images(part).names) for part in ("train", "val", "test")] == [4, 2, 2]
    table.write_text("file,label,split\ndark/0.png,night,train\ndark/1.png,night,hold\n")
    with pytest.raises(ValueError, match=r"table\.csv, line 3: column split is 'hold', the name"):
        ImageFolderDataModule(table=table, split_column="split").images("train")
