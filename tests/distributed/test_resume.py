"""A run that is interrupted anywhere and continued is the run that never was."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from cases import TextClassifier, TextData, trainer
from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.callbacks import EMAWeightAveraging
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from processes import run
from torch import Tensor
from torch.optim.lr_scheduler import CosineAnnealingLR, ExponentialLR, ReduceLROnPlateau

from lit_tasks.distributed.last_checkpoint import LastCheckpoint
from lit_tasks.distributed.rng_state import RandomState


class Scheduled(TextClassifier):
    """Notes what it did and when: losses, learning rates, validations, ends of epochs."""

    def __init__(self, schedule: str) -> None:
        super().__init__(dropout=0.3, norm=True)
        self.schedule = schedule
        self.notes: list[tuple[Any, ...]] = []

    def note(self, what: str, *values: Any) -> None:
        logged_at = self.trainer.fit_loop.epoch_loop._batches_that_stepped
        self.notes.append((self.global_step, what, logged_at, *values))

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss = super().training_step(batch, batch_idx)
        rate = self.trainer.optimizers[0].param_groups[0]["lr"]
        self.note("loss", loss.item(), rate, tuple(batch.index.tolist()))
        return loss

    def on_validation_epoch_end(self) -> None:
        super().on_validation_epoch_end()
        self.note("val", float(self.trainer.callback_metrics["val/loss"]))

    def on_train_epoch_end(self) -> None:
        self.note("epoch", self.current_epoch)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)
        scheduler: dict[str, Any] = {
            "step": {"scheduler": CosineAnnealingLR(optimizer, 20), "interval": "step"},
            "epoch": {"scheduler": ExponentialLR(optimizer, 0.7), "interval": "epoch"},
            "plateau": {
                "scheduler": ReduceLROnPlateau(optimizer, factor=0.5, patience=0),
                "monitor": "val/loss",
            },
        }[self.schedule]
        return {"optimizer": optimizer, "lr_scheduler": scheduler}


class KeepEvery(LastCheckpoint):
    """Keeps every ``last.ckpt`` there ever was."""

    def _save(self, trainer: Trainer) -> None:
        super()._save(trainer)
        if trainer.is_global_zero:
            kept = len(list(self.path.parent.glob("*.kept")))
            shutil.copy(self.path, self.path.with_name(f"{kept:03}.kept"))
        trainer.strategy.barrier("kept")  # all processes look for them afterwards


def play(
    folder: Path, schedule: str, ema: bool, options: dict[str, Any], path: Path | None = None
) -> tuple[list[Any], dict[str, list[float]]]:
    seed_everything(1, verbose=False)
    module = Scheduled(schedule)
    saver = LastCheckpoint(folder) if path else KeepEvery(folder, every_n_train_steps=1)
    callbacks = [*([EMAWeightAveraging(decay=0.9)] if ema else []), RandomState(), saver]
    runner = trainer(callbacks=callbacks, enable_checkpointing=True, **options)
    runner.fit(module, datamodule=TextData(37), ckpt_path=path, weights_only=True)
    return module.notes, module.weights()


def whole_and_continued(folder: Path, *case: Any) -> tuple[int, list[str]]:
    """Play a run, continue it from each of its checkpoints, and return what differed."""
    notes, weights = play(folder, *case)
    differences = []
    checkpoints = sorted(folder.glob("*.kept"))
    for path in checkpoints:
        step = torch.load(path, weights_only=True)["global_step"]
        again, same = play(folder / "again", *case, path)
        if again != notes[len(notes) - len(again) :]:
            differences.append(f"{path.name}: other losses or rows")
        missing = [n[:2] for n in notes[: len(notes) - len(again)] if n[0] > step]
        if missing or (step < notes[-1][0] and weights != same):
            differences.append(f"{path.name} of step {step}: other weights, missing {missing}")
    return len(checkpoints), differences


CASES = [
    ("step", False, {"max_epochs": 3}),
    ("epoch", False, {"max_epochs": 3}),
    ("plateau", False, {"max_epochs": 3}),
    ("step", True, {"max_epochs": 3}),
    ("step", False, {"max_epochs": 3, "val_check_interval": 2}),
    ("step", False, {"max_epochs": 3, "val_check_interval": 1}),
    ("step", False, {"max_epochs": -1, "max_steps": 13}),
    ("step", False, {"max_epochs": 3, "accumulate_grad_batches": 2}),
    ("step", False, {"max_epochs": 3, "check_val_every_n_epoch": 2}),
    ("step", False, {"max_epochs": 3, "limit_val_batches": 0}),
]


@pytest.mark.parametrize(("schedule", "ema", "options"), CASES, ids=str)
def test_continued_from_any_checkpoint_a_run_is_the_same(
    tmp_path: Path, schedule: str, ema: bool, options: dict[str, Any]
) -> None:
    [(count, differences)] = run(1, whole_and_continued, tmp_path, schedule, ema, options)
    assert not differences
    assert count >= 6


def test_two_processes_continue_alike(tmp_path: Path) -> None:
    case = ("step", False, {"max_epochs": 2})
    for _, differences in run(2, whole_and_continued, tmp_path, *case, seconds=400):
        assert not differences
