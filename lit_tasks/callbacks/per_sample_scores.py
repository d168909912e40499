"""How well each sample was done, so that two runs can be compared on the same samples."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn

from lit_tasks.callbacks.label_names import label_names
from lit_tasks.distributed.gather import gather_objects
from lit_tasks.distributed.run_dir import run_dir
from lit_tasks.files import atomic_write
from lit_tasks.protocols import (
    Command,
    DescribesSamples,
    HasLabel,
    HasSampleIds,
    HasSampleTables,
    attributes,
    batch_index,
)

_PREDICTION = "prediction"
_AT_ONCE = 10_000  # texts in memory


class PerSampleScores(Callback):
    """Write ``samples_test.csv`` and ``samples_val.csv``: one row a sample, in dataset order.

    A task takes part by returning from ``test_step`` and ``validation_step`` numbers of each sample
    under the names of metrics, such as ``{"accuracy": ..., "loss": ...}``, tensors of one value
    a sample; ``prediction`` among them is the label that was predicted. ``id`` is what the data
    module's ``sample_ids(split)`` says, or the position; ``text`` is what its ``describe`` says;
    ``target`` is the label, where the batch has one. A task may also give whole tables when all
    samples are there (``sample_tables``).
    """

    commands: ClassVar[frozenset[Command]] = frozenset({"validate", "test"})
    display_only: ClassVar[bool] = True

    def __init__(self) -> None:
        self._rows: list[tuple[int, dict[str, str], dict[str, float]]] = []

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
            self._write(trainer, pl_module, "val")

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write."""
        self._write(trainer, pl_module, "test")

    def _keep(self, trainer: Trainer, outputs: Any, batch: Any) -> None:
        index = batch_index(batch)
        if index is None or not isinstance(outputs, Mapping):
            return
        indices = index.tolist()
        columns = {
            name: values.double().tolist()
            for name, values in outputs.items()
            if name != _PREDICTION
            and isinstance(values, torch.Tensor)
            and values.shape == (len(indices),)
        }
        data = attributes(trainer).datamodule
        words = {"target": batch.label if isinstance(batch, HasLabel) else None}
        words[_PREDICTION] = outputs.get(_PREDICTION)
        names = {k: label_names(v, data) for k, v in words.items() if v is not None}
        for at, index in enumerate(indices):
            said = {name: values[at] for name, values in names.items()}
            self._rows.append((index, said, {k: v[at] for k, v in columns.items()}))

    def _write(
        self, trainer: Trainer, pl_module: LightningModule, stage: Literal["val", "test"]
    ) -> None:
        rows, self._rows = gather_objects(trainer, self._rows), []
        folder = run_dir(trainer)
        if trainer.is_global_zero and isinstance(pl_module, HasSampleTables):
            for name, records in pl_module.sample_tables(stage).items():
                _write_table(folder / f"{name}_{stage}.csv", records)
        rows = list({row[0]: row for row in rows if row[2]}.values())
        if not trainer.is_global_zero or not rows:
            return
        rows.sort(key=lambda row: row[0])
        data = attributes(trainer).datamodule
        named = data.sample_ids(stage) if isinstance(data, HasSampleIds) else None
        whole = atomic_write(folder / f"samples_{stage}.csv")
        with whole as beside, beside.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            for begin in range(0, len(rows), _AT_ONCE):
                part = rows[begin : begin + _AT_ONCE]
                texts = _texts(data, stage, [row[0] for row in part])
                if not begin:
                    writer.writerow(["id", *(["text"] if texts else []), *part[0][1], *part[0][2]])
                for at, (index, words, values) in enumerate(part):
                    name = index if named is None else named[index]
                    shown = [f"{value:.6g}" for value in values.values()]
                    writer.writerow([name, *texts[at : at + 1], *words.values(), *shown])


def _texts(data: object, stage: Literal["val", "test"], indices: list[int]) -> list[str]:
    """Return the beginning of each sample's text, where samples are texts."""
    if not isinstance(data, DescribesSamples):
        return []
    described = data.describe(stage, indices)
    return [str(each["text"]) for each in described if "text" in each]


def _write_table(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Write rows of the same columns; numbers with six digits."""
    if not records:
        return
    with atomic_write(path) as beside, beside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(records[0])
        for record in records:
            values = record.values()
            writer.writerow([f"{v:.6g}" if isinstance(v, float) else v for v in values])
