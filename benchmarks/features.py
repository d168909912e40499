"""Seconds an epoch: a head on a frozen backbone, features from the cache or computed anew.

    python benchmarks/features.py [--root hymenoptera_data] [--size 224] [--threads 2]

An epoch is training on all images and validation, under Lightning's trainer with the callbacks of
a run. Computing anew, images are also read and resized in every epoch, as other trainers do it.
Fails (exit code 1) where the cache is less than 20 times faster.
"""

import argparse
import statistics
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningDataModule, Trainer

from lit_tasks.data.hymenoptera import HymenopteraDataModule
from lit_tasks.data.scenes import SceneDataModule
from lit_tasks.distributed.exact_batches import ExactBatches
from lit_tasks.nn.image.backbone import Backbone
from lit_tasks.tasks.image_classification import ImageClassificationTask


class EpochTimes(Callback):
    """Notes when each epoch of training ends; its validation lies before that."""

    def __init__(self) -> None:
        self.marks: list[float] = []

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Note the start."""
        self.marks.append(time.perf_counter())

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Note an end."""
        self.marks.append(time.perf_counter())


def seconds_per_epoch(data: LightningDataModule, epochs: int, size: int) -> list[float]:
    """Train a head and return how long each epoch took."""
    times = EpochTimes()
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        callbacks=[ExactBatches(), times],
    )
    optimizer = partial(torch.optim.AdamW, lr=1e-3)
    task = ImageClassificationTask(partial(Backbone, size=size), optimizer=optimizer)
    trainer.fit(task, datamodule=data)
    return [after - before for before, after in zip(times.marks, times.marks[1:], strict=False)]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", type=Path, help="ants and bees; synthetic scenes when left out")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    found = {}
    with tempfile.TemporaryDirectory() as cache:
        for cached in (True, False):
            settings: dict[str, Any] = {"cache_features": cached, "cache_dir": Path(cache)}
            data: LightningDataModule = (
                SceneDataModule(**settings)
                if options.root is None
                else HymenopteraDataModule(options.root, **settings)
            )
            began = time.perf_counter()
            epochs = seconds_per_epoch(data, 11 if cached else 2, options.size)
            rest = time.perf_counter() - began - sum(epochs)
            found[cached] = statistics.median(epochs)
            how = "from the cache" if cached else "computed anew"
            print(f"{how:<15} {found[cached]:8.3f} s an epoch, {rest:5.1f} s before the first")
    ratio = found[False] / found[True]
    print(f"ratio           {ratio:8.1f}")
    return 0 if ratio >= 20 else 1


if __name__ == "__main__":
    sys.exit(main())
