"""A page about the run in its folder, and what it was made with."""

import json
import os
import platform
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from typing import Any, ClassVar

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn

from lit_tasks import __version__
from lit_tasks.distributed.run_dir import run_dir
from lit_tasks.files import atomic_write
from lit_tasks.protocols import Command, attributes
from lit_tasks.runs.report.command import write_report

_PACKAGES = ("torch", "lightning", "torchmetrics", "datasets", "timm", "torchvision", "numpy")


class Report(Callback):
    """Write ``report.html`` at the end of a fit: what ``lit-tasks report`` makes of the folder.

    It is written after training, and again after the evaluation that follows it. When training
    begins, ``environment.json`` is: versions, machine and time.
    """

    commands: ClassVar[frozenset[Command]] = frozenset({"fit"})
    display_only: ClassVar[bool] = True

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Agree on the run's folder."""
        run_dir(trainer)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write down what the run is made with."""
        if trainer.is_global_zero and not attributes(trainer).fast_dev_run:
            with atomic_write(run_dir(trainer) / "environment.json") as beside:
                beside.write_text(json.dumps(environment(trainer), indent=2) + "\n")

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write the page, unless nothing was trained; whatever goes wrong with it ends nothing."""
        folder = run_dir(trainer)
        if not trainer.is_global_zero or not (folder / "environment.json").is_file():
            return
        try:
            write_report(folder)
        except Exception as error:
            rank_zero_warn(f"no report was written: {error}")


def environment(trainer: Trainer) -> dict[str, Any]:
    """Return versions, machine and time of a run."""
    found: dict[str, Any] = {
        "started": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "processes": trainer.world_size,
        "device": _device(trainer),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
        "python": sys.version.split()[0],
        "lit_tasks": __version__,
    }
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _device(trainer: Trainer) -> str:
    device = trainer.strategy.root_device
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
