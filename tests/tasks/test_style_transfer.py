"""Style transfer through the command line: its files, its processes, and what it goes on from."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from csv_table import table
from lightning.pytorch import Callback, LightningModule, Trainer
from PIL import Image, ImageCms
from processes import run

from lit_tasks.__main__ import main

pytest.importorskip("torchvision")


class Stop(Callback):
    """Ends the run after a step, as Ctrl-C would; the checkpoint before it stays."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step == self.step:
            raise RuntimeError("stopped")


def prepare(folder: Path) -> None:
    draw = np.random.default_rng(0)
    for number, size in enumerate(((20, 26), (24, 22), (22, 22))):
        pixels = draw.integers(256, size=(*size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    (folder / "style.yaml").write_text(yaml.safe_dump(CONFIG))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    prepare(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def painted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, made once for all tests that only look at one."""
    place = tmp_path_factory.mktemp("painted")
    prepare(place)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        assert fit() == 0
    return place / "run"


@pytest.fixture
def finished(painted: Path, folder: Path) -> Path:
    """That run, in this test's own folder."""
    shutil.copytree(painted, folder / "run")
    return folder / "run"


WRITER = "lit_tasks.callbacks.images.ImageWriter"
ADAM = {"class_path": "torch.optim.Adam", "init_args": {"lr": 0.1}}
CONFIG = {
    "model": {
        "class_path": "lit_tasks.tasks.style_transfer.StyleTransferTask",
        "init_args": {
            "network": "squeezenet1_1",
            "weights": "random",
            "content": {"3": 0.01},
            "style": {"1": 10.0, "4": 1.0},
            "phases": [{"steps": 3, "scale": 0.7, "optimizer": ADAM}, {"steps": 3}],
        },
    },
    "data": {
        "class_path": "lit_tasks.data.style_pairs.StylePairsDataModule",
        "init_args": {
            "contents": ["0.png", "1.png"],
            "styles": ["1.png", "2.png"],
            "image_size": 20,
            "batch_size": 2,
        },
    },
    "trainer": {
        "accelerator": "cpu",
        "max_epochs": -1,
        "log_every_n_steps": 2,
        "callbacks": [{"class_path": WRITER, "init_args": {"every_n_steps": 2}}],
    },
    "checkpoint": {"init_args": {"monitor": None}},
}
NAMES = ["0__1", "0__2", "1__1", "1__2"]


def fit(*words: str) -> int:
    return main(["fit", "--config", "style.yaml", "--run_dir=run", *words])


def in_folder(folder: str, *words: str) -> int:
    os.chdir(folder)
    devices = f"--trainer.devices={os.environ.get('WORLD_SIZE', 1)}"
    return main(["fit", "--config", "style.yaml", devices, *words])


def test_a_grid_of_pairs_becomes_images_with_all_that_belongs_to_them(finished: Path) -> None:
    for name in NAMES:
        with Image.open(f"run/images/{name}.png") as image:
            assert min(image.size) == 20
        trace = json.loads(Path(f"run/images/{name}.json").read_text())
        assert len(trace["loss"]) == len(trace["style_4"]) == 6
        parts = (trace[part] for part in ("content_3", "style_1", "style_4", "variation"))
        assert trace["loss"] == pytest.approx([sum(row) for row in zip(*parts, strict=True)])
        with Image.open(f"run/images/{name}.gif") as animation:
            assert animation.n_frames >= 2
        assert Path(f"run/images/{name}_loss.png").is_file()
        steps = sorted(path.stem for path in Path(f"run/images/{name}").iterdir())
        assert steps == ["000002", "000004", "000006"]
    rows = [row for row in table(Path("run/metrics.csv")) if row["train/loss"]]
    first, second = (json.loads(Path(f"run/images/{n}.json").read_text()) for n in NAMES[:2])
    expected = (first["loss"][1] + second["loss"][1]) / 2
    assert float(rows[0]["train/loss"]) == pytest.approx(expected, rel=1e-5)
    results = json.loads(Path("run/results.json").read_text())
    assert results["val/loss"]["samples"] == 4
    assert Path("run/figures/val_images.png").is_file()


def test_a_checkpoint_has_images_and_no_network_and_needs_no_files(finished: Path) -> None:
    content = torch.load("run/checkpoints/best.ckpt", weights_only=True)
    assert sorted(content["state_dict"]) == ["anchor", *(f"images.{n}" for n in range(4))]
    for path in Path().glob("*.png"):
        path.unlink()
    words = ["--ckpt_path=run/checkpoints/best.ckpt", "--run_dir=again"]
    assert main(["predict", *words]) == 0
    for name in NAMES:
        files = [Path(f"{run}/images/{name}.png").read_bytes() for run in ("run", "again")]
        assert files[0] == files[1]
    rows = table(Path("again/predictions/predictions.csv"))
    assert [row["file"] for row in rows] == [f"images/{name}.png" for name in NAMES]


@pytest.mark.slow  # three processes; tests/distributed/test_every_task.py has two
def test_images_do_not_depend_on_the_number_of_processes(folder: Path, finished: Path) -> None:
    words = "--run_dir=run-3", "--trainer.logger=lit_tasks.loggers.csv.RunCSVLogger"
    assert run(3, in_folder, str(folder), *words) == [0] * 3  # the third has nothing to do
    for name in [*(f"{name}.png" for name in NAMES), *(f"{name}.json" for name in NAMES)]:
        files = [Path(f"{run}/images/{name}").read_bytes() for run in ("run", "run-3")]
        assert files[0] == files[1]
    assert Path("run/metrics.csv").read_text() == Path("run-3/metrics.csv").read_text()


def test_finished_images_are_skipped_and_the_interrupted_one_goes_on(finished: Path) -> None:
    stop = ["--trainer.callbacks+=test_style_transfer.Stop", "--trainer.callbacks.step=10"]
    words = ["fit", "--config", "style.yaml", "--run_dir=again"]
    every = "--last_checkpoint.every_n_train_steps=4"
    assert main([*words, every, *stop]) == 1
    finished = {name: Path(f"again/images/{name}.png").stat().st_mtime_ns for name in NAMES[:2]}
    assert not Path("again/images/1__2.png").exists()
    assert main([*words, every, "--resume=true"]) == 0
    for name in NAMES:
        for file in (f"{name}.png", f"{name}.json"):
            both = [Path(f"{run}/images/{file}").read_bytes() for run in ("run", "again")]
            assert both[0] == both[1]
    for name, time in finished.items():
        assert Path(f"again/images/{name}.png").stat().st_mtime_ns == time


def test_a_fit_that_a_limit_ends_says_what_is_missing_and_can_go_on(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    words = ["--figures=null", "--data.contents=[*.png]", "--data.init_image=0.png"]
    words += ["--data.styles=1.png", "--data.batch_size=1", "--data.image_size=12"]
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for name in ("0.png", "1.png", "2.png"):  # one shape, as the image to start from has
        with Image.open(name) as image:
            image.resize((24, 22)).save(name, icc_profile=profile)
    steps = "--model.phases=[{steps: 1, optimizer: torch.optim.SGD}]"
    assert fit(*words, steps, "--trainer.max_epochs=1") == 0
    assert "2 of 3 pairs have no image in the checkpoint yet" in caplog.text
    assert json.loads(Path("run/results.json").read_text())["val/loss"]["samples"] == 1
    ask = ["--ckpt_path=run/checkpoints/best.ckpt", "--run_dir=asked"]
    assert main(["predict", *ask]) == 0
    rows = table(Path("asked/predictions/predictions.csv"))
    assert [row["file"] for row in rows] == ["images/0__1.png", "", ""]
    [predicted] = Path("asked/images").iterdir()
    for path in (predicted, Path("run/images/0__1.png")):
        with Image.open(path) as image:
            assert image.info["icc_profile"] == profile


def test_another_network_cannot_go_on(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--ckpt_path=run/checkpoints/best.ckpt", "--run_dir=other"]
    assert main(["validate", *words, "--model.network=vgg16"]) == 1
    assert "made with the network squeezenet1_1" in capsys.readouterr().err
    assert main(["validate", *words, "--data.image_size=24"]) == 1
    assert "set image_size as it was" in capsys.readouterr().err


def test_features_on_another_scale_than_the_weights_expect_are_told_in_a_sentence(
    folder: Path,
) -> None:
    words = ["--model.expected_rms={'3': 1000}", "--data.contents=[0.png]", "--figures=null"]
    with pytest.warns(UserWarning, match="features of layer 3 have a root mean square of") as said:
        assert fit(*words, "--model.phases=[{steps: 1, optimizer: torch.optim.SGD}]") == 0
    assert sum("root mean square" in str(warning.message) for warning in said) == 1


def test_an_image_in_parts_is_the_same_image(folder: Path) -> None:
    """By gradient descent: Adam's first steps would follow signs that rounding may turn."""
    descent = {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.01}}
    schedule = json.dumps([{"steps": 2, "scale": 0.7, "optimizer": descent}, {"steps": 2}])
    same = ["--model.init=noise", f"--model.phases={schedule}", "--data.styles=[1.png]"]
    assert fit(*same) == 0
    assert main(["fit", "--config", "style.yaml", "--run_dir=tiled", "--model.tile=8", *same]) == 0
    for name in NAMES[::2]:
        losses = [
            json.loads(Path(f"{run}/images/{name}.json").read_text())["loss"]
            for run in ("run", "tiled")
        ]
        assert losses[0] == pytest.approx(losses[1], rel=1e-3)
        assert losses[0][-1] != pytest.approx(losses[0][0], rel=1e-3)  # the steps do change it


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model.ema_decay=1.5"], "ema_decay must be at least 0 and below 1, got 1.5"),
        (["--model.style={}"], "style needs at least one layer"),
        (["--model.phases=[]"], "phases needs at least one phase"),
        (["--model.weights=nothing.pth"], "there is no file of weights nothing.pth"),
        (["--model.style={'77': 1.0}"], "squeezenet1_1 has no layer 77"),
        (["--data.contents=[x.png]"], "there is no image x.png"),
        (["--data.image_size=2"], "needs images of at least"),
        (["--model.expected_rms={'5': 1.0}"], "expected_rms names layer 5, which no loss looks at"),
    ],
    ids=str,
)
def test_what_cannot_be_painted_is_told_in_a_sentence(
    folder: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit(*words) == 1
    assert message in capsys.readouterr().err
