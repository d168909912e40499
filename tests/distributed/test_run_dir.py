"""All processes agree on the run's folder once, and each may ask for it alone after that."""

import os
from typing import Any

import pytest
from lightning.pytorch import Callback, Trainer
from processes import run
from toy_task import ToyData, ToyTask

from lit_tasks.cli.trainer import RunTrainer
from lit_tasks.distributed.run_dir import run_dir


class AsksAlone(Callback):
    """Asks together in ``setup``, and then on the last process only."""

    def setup(self, trainer: Trainer, *_: Any, **__: Any) -> None:
        run_dir(trainer)

    def on_train_epoch_end(self, trainer: Trainer, *_: Any) -> None:
        if trainer.global_rank == trainer.world_size - 1:
            self.folder = str(run_dir(trainer))
            if isinstance(trainer, RunTrainer):
                assert trainer.log_dir == self.folder


def folder_of(kind: type[Trainer]) -> str | None:
    callback = AsksAlone()
    trainer = kind(
        accelerator="cpu",
        devices=int(os.environ["WORLD_SIZE"]),
        max_epochs=1,
        logger=False,
        callbacks=[callback],
        default_root_dir=f"of_{os.environ['RANK']}",
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(ToyTask(), ToyData())
    return getattr(callback, "folder", None)


@pytest.mark.parametrize("kind", [Trainer, RunTrainer])
def test_a_process_may_ask_alone_and_hears_of_the_first_ones_folder(kind: type[Trainer]) -> None:
    first, second = run(2, folder_of, kind, seconds=60)
    assert first is None
    assert second.endswith("of_0")
