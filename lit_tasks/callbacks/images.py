"""Images in the making, on disk and in loggers that show images."""

import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer
from PIL import Image

from lit_tasks.callbacks.logger_media import show_image
from lit_tasks.distributed.gather import gather_objects
from lit_tasks.distributed.lightning_internals import skip_hook
from lit_tasks.distributed.run_dir import run_dir
from lit_tasks.files import atomic_write
from lit_tasks.protocols import Command, HasColorProfiles, MakesImages, attributes

_SECONDS = 4.0  # that an animation takes


class ImageWriter(Callback):
    """Write images that a task makes step by step to ``images/`` in the run folder.

    A task offers them by a method ``images_at_work() -> list[dict]``, what this process works
    on: ``name``, ``step``, ``steps``, ``image`` ``(H, W, 3)`` of whole numbers, and ``losses``,
    a list a name. Every process writes its own. For a task without the method this does nothing
    and costs nothing.

    An image in the making is ``images/NAME/STEP.png``. A finished one is ``NAME.png``, with its
    losses as ``NAME.json`` and ``NAME_loss.png``, and its way there as ``NAME.gif``.

    Args:
        every_n_steps: Steps between two images; 0 writes finished ones only.
        animation: Longer side of the animation, in pixels; 0 makes none.
    """

    commands: ClassVar[frozenset[Command]] = frozenset({"fit"})
    display_only: ClassVar[bool] = True

    def __init__(self, every_n_steps: int = 20, animation: int = 320) -> None:
        if every_n_steps < 0 or animation < 0:
            raise ValueError(
                "every_n_steps and animation must not be negative, got "
                f"{every_n_steps} and {animation}"
            )
        self.every_n_steps, self.animation = every_n_steps, animation
        self._folder = Path("images")

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Find the folder, or nothing to do."""
        if not isinstance(pl_module, MakesImages):
            skip_hook(self, "on_train_batch_end")
            return
        self._folder = run_dir(trainer) / "images"
        if stage == "fit":
            self._folder.mkdir(parents=True, exist_ok=True)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write what is due."""
        last = trainer.is_last_batch
        due = self.every_n_steps and (batch_idx + 1) % self.every_n_steps == 0
        if not (due or last):
            return
        assert isinstance(pl_module, MakesImages)
        data = attributes(trainer).datamodule
        written = [self._write(row, bool(due), data) for row in pl_module.images_at_work()]
        self._show(trainer, written)

    def _write(self, row: dict[str, Any], due: bool, data: object) -> tuple[str, str]:
        """Write one image; return its name and where it is."""
        name, folder = row["name"], self._folder / row["name"]
        path = folder / f"{row['step']:06}.png"
        if due:
            folder.mkdir(exist_ok=True)
            _save(row["image"], path, _profile(data, name))
        if row["step"] == row["steps"]:
            path = self._folder / f"{name}.png"
            _save(row["image"], path, _profile(data, name))
            self._finish(row)
        return name, str(path)

    def _finish(self, row: dict[str, Any]) -> None:
        from lit_tasks.plots import loss_curves, save_figure

        name, losses = row["name"], row["losses"]
        total = [sum(parts) for parts in zip(*losses.values(), strict=True)]
        with atomic_write(self._folder / f"{name}.json") as beside:
            content = {"name": name, "steps": row["steps"], "loss": total, **losses}
            beside.write_text(json.dumps(content))
        with atomic_write(self._folder / f"{name}_loss.png") as beside:
            save_figure(loss_curves({"loss": total, **losses}), beside)
        frames = sorted((self._folder / name).glob("*.png"))
        if self.animation and len(frames) > 1:
            self._animate(frames, self._folder / f"{name}.gif")

    def _animate(self, paths: list[Path], to: Path) -> None:
        """Write an animation of images of different sizes, the last one the largest."""
        with Image.open(paths[-1]) as last:
            scale = min(1.0, self.animation / max(last.size))
            size = tuple(max(1, round(scale * side)) for side in last.size)
        frames = [Image.open(path).convert("RGB").resize((size[0], size[1])) for path in paths]
        each = max(20, round(1000 * _SECONDS / len(frames)))
        durations = [each] * (len(frames) - 1) + [1500]
        how: dict[str, Any] = {"save_all": True, "append_images": frames[1:], "loop": 0}
        with atomic_write(to) as beside:
            frames[0].save(beside, "GIF", duration=durations, **how)

    def _show(self, trainer: Trainer, written: list[tuple[str, str]]) -> None:
        """Show the images of all processes, where the loggers of the first one can."""
        everybody = gather_objects(trainer, written)
        if not trainer.is_global_zero:
            return
        for name, path in everybody:
            if Path(path).is_file():
                show_image(trainer, f"images/{name}", path=Path(path), step=trainer.global_step)


class PredictedImages(Callback):
    """Write the finished images that a checkpoint holds to ``images/`` in the run folder.

    Every process writes its own. For a task that makes no images this does nothing.
    """

    commands: ClassVar[frozenset[Command]] = frozenset({"predict"})
    display_only: ClassVar[bool] = True

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Make the folder, or find nothing to do."""
        if not isinstance(pl_module, MakesImages):
            skip_hook(self, "on_predict_batch_end")
        elif stage == "predict":
            (run_dir(trainer) / "images").mkdir(parents=True, exist_ok=True)

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Write a batch's images under the names that the table of predictions gives."""
        assert isinstance(pl_module, MakesImages)
        folder = run_dir(trainer) / "images"
        for index, name in zip(batch.index.tolist(), batch.names, strict=True):
            if (image := pl_module.image_of(index)) is not None:
                data = attributes(trainer).datamodule
                _save(image, folder / f"{name}.png", _profile(data, name))


def _profile(data: object, name: str) -> bytes | None:
    return data.color_profile(name) if isinstance(data, HasColorProfiles) else None


def _save(pixels: np.ndarray, path: Path, profile: bytes | None) -> None:
    with atomic_write(path) as beside:
        Image.fromarray(pixels).save(beside, "PNG", icc_profile=profile)
