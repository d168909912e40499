"""How well each sample was done, so that two runs can be compared on the same samples."""

import csv
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn

from lit_tasks.distributed.gather import gather_objects
from lit_tasks.distributed.run_dir import run_dir
from lit_tasks.files import atomic_write
from lit_tasks.protocols import Command, HasLabel, HasLabels, HasSampleIds, attributes, batch_index


class PerSampleScores(Callback):
    """Write ``samples_test.csv`` and ``samples_val.csv``: one row a sample, in dataset order.

    A task takes part by returning from ``test_step`` and ``validation_step`` numbers of each sample
    under the names of metrics, such as ``{"accuracy": ..., "loss": ...}``, tensors of one value
    a sample. ``id`` is what the data module's ``sample_ids(split)`` says, or the position;
    ``target`` is the label, where the batch has one.
    """

    commands: ClassVar[frozenset[Command]] = frozenset({"validate", "test"})
    display_only: ClassVar[bool] = True

    def __init__(self) -> None:
        self._rows: list[tuple[int, str | None, dict[str, float]]] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Agree on the run's folder."""
        run_dir(trainer)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the numbers of a batch, unless training goes on."""
        if trainer.state.fn == TrainerFn.VALIDATING:
            self._keep(trainer, outputs, batch)

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the numbers of a batch."""
        self._keep(trainer, outputs, batch)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write, unless training goes on."""
        if trainer.state.fn == TrainerFn.VALIDATING:
            self._write(trainer, "val")

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write."""
        self._write(trainer, "test")

    def _keep(self, trainer: Trainer, outputs: Any, batch: Any) -> None:
        index = batch_index(batch)
        if index is None or not isinstance(outputs, Mapping):
            return
        indices = index.tolist()
        columns = {
            name: values.double().tolist()
            for name, values in outputs.items()
            if isinstance(values, torch.Tensor) and values.shape == (len(indices),)
        }
        data = attributes(trainer).datamodule
        labels = batch.label if isinstance(batch, HasLabel) else None
        names = data.labels if isinstance(data, HasLabels) else None
        for row, sample in enumerate(indices):
            target = None
            if labels is not None:
                label = int(labels[row])
                target = str(names[label]) if names is not None else str(label)
            self._rows.append((sample, target, {k: v[row] for k, v in columns.items()}))

    def _write(self, trainer: Trainer, stage: Literal["val", "test"]) -> None:
        rows, self._rows = gather_objects(trainer, self._rows), []
        folder = run_dir(trainer)
        rows = list({row[0]: row for row in rows if row[2]}.values())
        if not trainer.is_global_zero or not rows:
            return
        rows.sort(key=lambda row: row[0])
        data = attributes(trainer).datamodule
        named = data.sample_ids(stage) if isinstance(data, HasSampleIds) else None
        written = atomic_write(folder / f"samples_{stage}.csv")
        with written as beside, beside.open("w", newline="", encoding="utf-8") as file:
            targets = ["target"] if any(row[1] is not None for row in rows) else []
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["id", *targets, *rows[0][2]])
            for index, target, values in rows:
                name = index if named is None else named[index]
                shown = [f"{value:.6g}" for value in values.values()]
                writer.writerow([name, *([target] if targets else []), *shown])
