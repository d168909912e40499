"""Caches and images: what was replaced is noticed, what others write is left alone."""

import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from image_task import SMALL, Means
from PIL import Image
from processes import outcomes
from torch import Tensor, nn

from lit_tasks.callbacks.predictions.fingerprint import _plain
from lit_tasks.data.base.feature_cache import FeatureCache
from lit_tasks.data.base.image_dataset import ImageDataset
from lit_tasks.data.base.style_dataset import Pair
from lit_tasks.data.readers.images import ImageFiles
from lit_tasks.data.readers.streams import versions
from lit_tasks.data.style_pairs import StylePairsDataModule


def image_file(path: Path, value: int, date: float = 1e9) -> Path:
    Image.new("RGB", (8, 8), (value,) * 3).save(path, format="BMP")  # of one size whatever it shows
    os.utime(path, (date, date))
    return path


def features(folder: Path, network: nn.Module | None = None, **options: object) -> np.ndarray:
    images = ImageFiles(sorted(folder.glob("*.bmp")))
    cache = FeatureCache(folder / "cache", **options)  # type: ignore[arg-type]
    return cache.features(network or Means(), ImageDataset(images, None, SMALL))


def replaced_in_place(folder: Path) -> None:
    image_file(folder / "a.bmp", 200)


def replaced_by_a_copy_with_its_date(folder: Path) -> None:
    other = image_file(folder / "other", 200)
    (folder / "a.bmp").unlink()
    shutil.copy2(other, folder / "a.bmp")


def replaced_by_moving(folder: Path) -> None:
    image_file(folder / "other", 200).replace(folder / "a.bmp")


@pytest.mark.parametrize(
    "replace", [replaced_in_place, replaced_by_a_copy_with_its_date, replaced_by_moving]
)
def test_a_file_of_the_same_size_and_date_is_noticed(replace: object, tmp_path: Path) -> None:
    path = image_file(tmp_path / "a.bmp", 100)
    assert features(tmp_path)[0, 0] == pytest.approx(100, abs=1)
    known = path.stat(), versions([str(path)]), _plain(path)
    time.sleep(0.05)  # a tick of the kernel's clock
    replace(tmp_path)  # type: ignore[operator]
    assert (path.stat().st_size, path.stat().st_mtime) == (known[0].st_size, known[0].st_mtime)
    assert features(tmp_path)[0, 0] == pytest.approx(200, abs=1)
    assert versions([str(path)]) != known[1]
    assert _plain(path) != known[2]


class Meanwhile(Means):
    """While this one computes, another run does and ends."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = [folder]

    def forward(self, image: Tensor) -> Tensor:
        if self.folder:
            features(self.folder.pop(), self)
        return super().forward(image)


def test_two_runs_that_build_one_cache_at_once_both_succeed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On one machine or on two with one home; a file that is mapped is not replaced."""
    monkeypatch.setenv("MASTER_PORT", "29500")  # as a template for SLURM sets it in every job
    monkeypatch.setattr(os, "getpid", lambda: 1)  # two containers
    image_file(tmp_path / "a.bmp", 100)
    assert features(tmp_path, Meanwhile(tmp_path))[0, 0] == pytest.approx(100, abs=1)
    [file] = (tmp_path / "cache").glob("*.npy")
    assert not list((tmp_path / "cache").glob(".*.npy"))
    before = file.stat().st_ino
    assert features(tmp_path)[0, 0] == pytest.approx(100, abs=1)
    assert file.stat().st_ino == before


def test_processes_agree_whether_to_compute(tmp_path: Path) -> None:
    """One machine may have the file and another not, or see it a moment later."""
    image_file(tmp_path / "a.bmp", 100)
    features(tmp_path)
    asked = []

    def agree(yes: bool) -> bool:
        asked.append(yes)
        return len(asked) > 1

    assert features(tmp_path, agree=agree)[0, 0] == pytest.approx(100, abs=1)
    assert asked == [True] * 4  # as many as where the file is missing


def of_run(folder: Path) -> tuple[str, list[str]]:
    from lightning.pytorch import Trainer

    trainer = Trainer(accelerator="cpu", devices=int(os.environ["WORLD_SIZE"]), logger=False)
    trainer.strategy.setup_environment()
    cache = FeatureCache.of_run(trainer, folder / "cache", 0)
    images = ImageFiles(sorted(folder.glob("*.bmp")))
    values = cache.features(Means(), ImageDataset(images, None, SMALL))
    return cache.run, [f"{value:.0f}" for value in values[:, 0]]


def test_the_processes_of_a_run_share_name_and_work(tmp_path: Path) -> None:
    for number in range(3):
        image_file(tmp_path / f"{number}.bmp", 100 + number)
    results, failures = outcomes(2, of_run, tmp_path, seconds=120)
    assert not failures
    assert results[0] == results[1]
    assert results[0][1] == ["100", "101", "102"]


def test_what_a_kill_left_is_removed_when_it_is_old(tmp_path: Path) -> None:
    image_file(tmp_path / "a.bmp", 100)
    features(tmp_path)
    [file] = (tmp_path / "cache").glob("*.npy")
    file.unlink()
    young, old = (file.with_name(f".{file.stem}.{name}.npy") for name in ("young", "old"))
    young.touch(), old.touch()
    os.utime(old, (1e9, 1e9))
    features(tmp_path)
    assert young.exists()
    assert not old.exists()


def names(root: Path, contents: list[str], styles: list[str], *more: Pair) -> list[str]:
    for name in (*contents, *styles):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(path)
    data = StylePairsDataModule(root, contents, styles, pairs=list(more))
    data.setup("fit")
    return data.names


def test_pairs_never_share_a_file(tmp_path: Path) -> None:
    found = names(tmp_path, ["a.jpg", "a.png"], ["s.jpg", "s-2.jpg"])
    assert found == ["a__s", "a__s-2", "a__s-3", "a__s-2-2"]
    assert names(tmp_path, ["x/a.jpg", "y/a.jpg"], ["s.jpg"]) == ["a__s", "a__s-2"]
    assert names(tmp_path, ["a__b.jpg", "a.jpg"], ["c.jpg", "b__c.jpg"])[3] == "a__b__c-2"
    assert names(tmp_path, ["a.jpg", "A.png"], ["s.jpg"]) == ["a__s", "A__s-2"]  # macOS, Windows
    chosen = [Pair("a.jpg", {"s.jpg": 1.0}, name) for name in ("it", "it_loss", "IT", "i/t", "i_t")]
    pairs = StylePairsDataModule(tmp_path, pairs=chosen)
    pairs.setup("fit")
    assert pairs.names == ["it", "it_loss-2", "IT-2", "i_t", "i_t-2"]
