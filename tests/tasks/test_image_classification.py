"""The image task under Lightning's trainer, with networks of a few thousand weights."""

import copy
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, Trainer, seed_everything
from PIL import Image
from torch.optim.lr_scheduler import OneCycleLR, ReduceLROnPlateau

from lit_tasks.batch import ImageBatch
from lit_tasks.data.image_folder import ImageFolderDataModule
from lit_tasks.distributed.exact_batches import ExactBatches
from lit_tasks.nn.image.backbone import Backbone
from lit_tasks.nn.image.finetuning import Finetuning
from lit_tasks.nn.image.mixing import Mixing
from lit_tasks.nn.image.onnx import StatedProbabilities
from lit_tasks.tasks.image_classification import ImageClassificationTask

pytest.importorskip("timm")
pytest.importorskip("torchvision")

IMAGES = Path(__file__).parents[1] / "fixtures/images"
ARCHITECTURE = {"name": "test_resnet", "weights": "random", "size": 32}


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def task_of(**options: Any) -> ImageClassificationTask:
    seed_everything(1, verbose=False)
    options = {"optimizer": partial(torch.optim.AdamW, lr=0.01), **options}
    return ImageClassificationTask(partial(Backbone, **ARCHITECTURE), **options)


def fitted(task: Any, folder: Path, epochs: int, ckpt: Path | None = None, **data: Any) -> Trainer:
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        callbacks=[ExactBatches(seed=3), KeepEpochs(folder)],
        default_root_dir=folder,
    )
    module = ImageFolderDataModule(IMAGES, batch_size=5, **data)
    trainer.fit(task, datamodule=module, ckpt_path=ckpt, weights_only=False)
    return trainer


class KeepEpochs(Callback):
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        trainer.save_checkpoint(self.folder / f"{trainer.current_epoch}.ckpt", weights_only=False)


def test_a_frozen_backbone_is_bit_for_bit_the_same_and_the_head_learns(tmp_path: Path) -> None:
    before: dict[str, torch.Tensor] = {}

    class Remember(Callback):
        def on_fit_start(self, trainer: Trainer, pl_module: Any) -> None:
            before.update(copy.deepcopy(pl_module.backbone.state_dict()))

    for cached in (True, False):
        task = task_of()
        trainer = Trainer(
            accelerator="cpu", max_epochs=2, logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False, callbacks=[Remember()],
        )  # fmt: skip
        trainer.fit(task, datamodule=ImageFolderDataModule(IMAGES, cache_features=cached))
        after = task.backbone.state_dict()
        assert all(torch.equal(after[key], before[key]) for key in before)
        assert task.head.linear.weight.abs().sum() > 0


def test_cached_features_train_the_same_head(tmp_path: Path) -> None:
    heads = []
    for cached in (True, False):
        task = task_of()
        fitted(task, tmp_path, 2, cache_features=cached)
        heads.append(task.head.linear.weight)
    torch.testing.assert_close(*heads, atol=1e-5, rtol=1e-4)


SCHEDULES: dict[str, dict[str, Any]] = {
    "cosine": {"lr_decay": "cosine", "warmup": 0.2},
    "one cycle": {"lr_scheduler": partial(OneCycleLR, max_lr=0.01)},
    # Lightning steps this one after the checkpoint of an epoch's end, so it must have time.
    "plateau": {"lr_scheduler": partial(ReduceLROnPlateau, patience=9)},
}


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("stop", [0, 2], ids=["before unfreezing", "after unfreezing"])
def test_a_continued_run_unfreezes_like_one_that_never_stopped(
    schedule: str, stop: int, tmp_path: Path
) -> None:
    # The CLI keeps classes as words; here, built in Python, partial objects are pickled.
    def fresh() -> ImageClassificationTask:
        options = dict(SCHEDULES[schedule])
        if schedule == "plateau":
            make = options["lr_scheduler"]
            options["lr_scheduler"] = lambda optimizer: make(optimizer)
        return ImageClassificationTask(
            partial(Backbone, **ARCHITECTURE),
            finetuning=Finetuning(from_epoch=1, every=1, layer_decay=0.7),
            optimizer=partial(torch.optim.AdamW, lr=0.01),
            **options,
        )

    seed_everything(1, verbose=False)
    whole = fresh()
    fitted(whole, tmp_path, 4)
    seed_everything(99, verbose=False)
    continued = fresh()
    fitted(continued, tmp_path / "again", 4, ckpt=tmp_path / f"{stop}.ckpt")
    theirs = continued.state_dict()
    for name, value in whole.state_dict().items():
        assert torch.equal(value, theirs[name]), name
    trained = {n for n, p in continued.backbone.named_parameters() if p.requires_grad}
    assert trained == {n for n, p in whole.backbone.named_parameters() if p.requires_grad} != set()


def test_a_stage_begins_to_move_in_its_epoch(tmp_path: Path) -> None:
    task = task_of(finetuning=Finetuning(from_epoch=1, every=1))
    fitted(task, tmp_path, 3)
    states = [
        torch.load(tmp_path / f"{i}.ckpt", weights_only=False)["state_dict"] for i in range(3)
    ]
    stages = [[f"backbone.{n}" for n, _ in s] for s in _stage_names(task.backbone)]

    def moved(first: int, names: list[str]) -> bool:
        return any(not torch.equal(states[first][n], states[first + 1][n]) for n in names)

    assert [moved(0, stages[-1]), moved(0, stages[-2])] == [True, False]
    assert [moved(1, stages[-1]), moved(1, stages[-2]), moved(1, stages[-3])] == [True, True, False]


def _stage_names(backbone: Backbone) -> list[list[tuple[str, Any]]]:
    return [[(f"network.{n}", p) for n, p in s if p.ndim > 1] for s in backbone.stage_parameters()]


def test_a_checkpoint_alone_gives_the_same_scores(tmp_path: Path) -> None:
    task = task_of()
    fitted(task, tmp_path, 1)
    content = torch.load(tmp_path / "0.ckpt", weights_only=False, map_location="cpu")
    assert content["hyper_parameters"]["labels"] == ["ants", "bees"]
    restored = ImageClassificationTask(
        partial(Backbone, **ARCHITECTURE),
        labels=content["hyper_parameters"]["labels"],
        preprocessing=content["hyper_parameters"]["preprocessing"],
    )
    restored.load_state_dict(content["state_dict"])
    image = torch.randint(256, (3, 3, 32, 32), dtype=torch.uint8)
    batch = ImageBatch(image, None, torch.arange(3))
    assert torch.equal(restored.eval()(batch), task.eval()(batch))
    assert restored.temperature == task.temperature != 1


def test_mirror_images_are_asked_for_in_evaluation_and_make_no_difference_to_mirrors(
    tmp_path: Path,
) -> None:
    task = task_of(flip_tta=True)
    trainer = fitted(task, tmp_path, 1)
    trainer.validate(task, datamodule=trainer.datamodule, verbose=False)  # type: ignore[attr-defined]
    image = torch.rand(4, 3, 32, 32)
    both = [task.eval()(ImageBatch(i, None, torch.arange(4))) for i in (image, image.flip(-1))]
    torch.testing.assert_close(*both)


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_mixed_images_have_mixed_labels(kind: str, tmp_path: Path) -> None:
    task = task_of(mixing=Mixing(**{kind: 0.5}), finetuning=Finetuning(), class_weights=True)
    fitted(task, tmp_path, 1, crop=0.5)
    label = torch.tensor([0, 1, 1, 0])
    image = (255 * label).view(4, 1, 1, 1).expand(4, 3, 32, 32).to(torch.uint8)
    mixed, shares = task.mixing(image, label, num_classes=2)
    torch.testing.assert_close(mixed.mean((1, 2, 3)), shares[:, 1], atol=1e-4, rtol=0)
    torch.testing.assert_close(shares.sum(1), torch.ones(4))


def test_a_negative_strength_of_mixing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"cutmix must be at least 0, got -1: 0 is off"):
        Mixing(mixup=0.2, cutmix=-1)


def test_two_ways_to_set_the_learning_rate_are_one_too_many() -> None:
    with pytest.raises(ValueError, match=r"lr_scheduler and lr_decay 'cosine' and warmup 0\.1 set"):
        task_of(lr_scheduler=OneCycleLR, lr_decay="cosine", warmup=0.1)


# Several labels an image


def squares(folder: Path) -> Path:
    """Return a table of images with a red, a green, both or no half."""
    lines = ["file,label"]
    for number in range(24):
        image = Image.new("RGB", (32, 32), (number, 0, 0))
        labels = [name for bit, name in enumerate(("red", "green")) if number >> bit & 1]
        for name, left in (("red", 0), ("green", 16)):
            if name in labels:
                image.paste((255, 0, 0) if name == "red" else (0, 255, 0), (left, 2, left + 16, 32))
        image.save(folder / f"{number}.png")
        lines.append(f"{number}.png,{'|'.join(labels)}")
    table = folder / "table.csv"
    table.write_text("\n".join(lines) + "\n")
    return table


@pytest.mark.parametrize(
    "mix", [{}, {"mixing": Mixing(0.2), "class_weights": True}], ids=["plain", "mixup"]
)
def test_several_labels_an_image_are_learned(tmp_path: Path, mix: dict[str, Any]) -> None:
    table = squares(tmp_path)
    task = task_of(**mix, threshold={"red": 0.4})
    task.all_probabilities = True
    data = ImageFolderDataModule(
        table=table, predict=str(tmp_path), multi_label=True, label_separator="|", batch_size=6
    )
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    trainer = Trainer(accelerator="cpu", max_epochs=20, enable_checkpointing=False, **quiet)
    trainer.fit(task, datamodule=data)
    assert trainer.callback_metrics["val/micro_f1"] > 0.8
    assert float(task.temperature) == 1.0
    [batch, *_] = trainer.predict(task, datamodule=data)  # type: ignore[misc]
    for row in batch:
        probable = {"red": row["p_red"] >= 0.4, "green": row["p_green"] >= 0.5}
        assert row["label"] == "|".join(n for n in ("green", "red") if probable[n])
    [figure] = task.figures("val").values()
    assert figure.axes
    again = ImageClassificationTask(
        partial(Backbone, **ARCHITECTURE), threshold=task.hparams["threshold"],
        labels=task.hparams["labels"],
    )  # fmt: skip
    again.load_state_dict(task.state_dict())
    image = torch.randint(255, (2, 3, 32, 32), dtype=torch.uint8)
    index = torch.arange(2)
    torch.testing.assert_close(
        again.eval()(ImageBatch(image, None, index)), task.eval()(ImageBatch(image, None, index))
    )
    exported = StatedProbabilities(task.backbone, task.head, 1.0, several=True).eval()
    torch.testing.assert_close(exported(image), task(ImageBatch(image, None, index)).sigmoid())


def test_a_pretrained_head_is_for_one_label_an_image(tmp_path: Path) -> None:
    data = ImageFolderDataModule(table=squares(tmp_path), multi_label=True, label_separator="|")
    trainer = Trainer(accelerator="cpu", max_epochs=1, logger=False, enable_checkpointing=False)
    with pytest.raises(ValueError, match="head_init: pretrained is for images with one label"):
        trainer.fit(task_of(head_init="pretrained"), datamodule=data)
