from collections.abc import Mapping
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint

from lit_tasks.metrics.directions import directions
from lit_tasks.metrics.names import without_stage
from lit_tasks.runs.curves import best_and_last


class Plain(LightningModule):
    """A task that declares nothing."""


class Declaring(Plain):
    higher_is_better: Mapping[str, bool] = {"wer": False, "fid": False}


def attached(task: LightningModule, *callbacks: Callback) -> LightningModule:
    task.trainer = Trainer(logger=False, callbacks=list(callbacks), accelerator="cpu")
    return task


def test_a_direction_is_declared_or_monitored_and_never_guessed() -> None:
    assert directions(Plain()) == {}
    monitors = [ModelCheckpoint(monitor="val/wer", mode="max"), EarlyStopping("val/ppl")]
    assert directions(attached(Plain(), *monitors)) == {"wer": True, "ppl": False}
    found = directions(attached(Declaring(), *monitors))
    assert found == {"wer": False, "fid": False, "ppl": False}  # what the task says wins


@pytest.mark.parametrize("name", ["train/wer", "val/wer", "test/wer", "best/val/wer", "wer"])
def test_a_direction_holds_in_every_stage(name: str) -> None:
    assert without_stage(name) == "wer"


def test_a_metric_without_a_direction_has_no_best_value() -> None:
    rows: list[dict[str, Any]] = [
        {"epoch": 0, "step": 1, "val/wer": 0.4, "val/loss": 1.0},
        {"epoch": 1, "step": 3, "val/wer": 0.2, "val/loss": 2.0},
        {"epoch": 2, "step": 5, "val/wer": 0.3, "val/loss": torch.nan},
    ]
    found = best_and_last(rows, {"wer": False})
    assert found["val/wer"]["best"] == {"value": 0.2, "epoch": 1, "step": 3}
    assert found["val/wer"]["higher_is_better"] is False
    assert set(found["val/loss"]) == {"last"}
