"""Log predictions for a fixed set of validation samples each epoch."""

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn
from lightning.pytorch.utilities.model_helpers import is_overridden

from lit_tasks.callbacks.label_names import label_names
from lit_tasks.callbacks.logger_media import show_image, show_table
from lit_tasks.distributed.gather import gather_objects
from lit_tasks.distributed.run_dir import run_dir
from lit_tasks.files import atomic_write
from lit_tasks.plots import example_sheet
from lit_tasks.protocols import (
    Command,
    DescribesSamples,
    HasLabel,
    HasValidateOn,
    ShowsSamples,
    attributes,
    batch_index,
)

Row = dict[str, Any]
_NAMES = ("file", "id", "image_id")  # what a row is of, not what it says


class Examples(Callback):
    """Predict some samples of the first validation batch once more, and show the rows.

    They are the same samples in every epoch and on any number of processes. All rows are in
    ``examples.csv``; each epoch's go to the loggers as the table ``val/examples``. Where the data
    module can show samples (``shown(split, indices)`` returns images), a sheet of them with
    what was predicted goes to ``examples/`` and to the loggers. ``describe(split, indices)`` of
    the data module adds columns, such as a text or a file's name.

    Args:
        rows: Samples at most.
        every_n_epochs: Epochs from one table to the next.
    """

    commands: ClassVar[frozenset[Command]] = frozenset({"fit"})
    display_only: ClassVar[bool] = True

    def __init__(self, rows: int = 8, every_n_epochs: int = 1) -> None:
        if rows < 1 or every_n_epochs < 1:
            raise ValueError(
                f"rows and every_n_epochs must be at least 1, got {rows} and {every_n_epochs}"
            )
        self.rows, self.every_n_epochs = rows, every_n_epochs
        self._mine: list[tuple[int, str | None, Row]] = []
        self._folder = Path()
        self._failed = False

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Remember the run's folder."""
        self._folder = run_dir(trainer)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget what was written after the checkpoint that the run goes on from."""
        path = self._folder / "examples.csv"
        if not trainer.is_global_zero or not path.is_file():
            return
        with path.open(newline="", encoding="utf-8") as file:
            head, *rows = list(csv.reader(file)) or [[]]
        kept = [row for row in rows if _step(row) <= trainer.global_step]
        with atomic_write(path) as beside:
            _append(beside, [head, *kept])

    def on_validation_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Predict the first batch, or this process's part of it."""
        if batch_idx or dataloader_idx or self._failed or not self._due(trainer):
            return
        index = batch_index(batch)
        if index is None or not is_overridden("predict_step", pl_module):
            return
        try:
            rows = self._predicted(trainer, pl_module, batch)
        except Exception as error:  # a table for people must not end a training run
            self._failed = True
            rank_zero_warn(f"no examples are shown: predict_step failed with {error!r}")
            return
        labels = batch.label if isinstance(batch, HasLabel) else None
        data = attributes(trainer).datamodule
        targets = [None] * len(rows) if labels is None else label_names(labels, data)
        self._mine = list(zip(index.tolist(), targets, rows, strict=True))

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Collect the rows of all processes, and show them."""
        if not self._due(trainer):
            return
        rows, self._mine = gather_objects(trainer, self._mine), []
        if trainer.is_global_zero and rows:
            self._show(trainer, sorted(rows, key=lambda row: row[0])[: self.rows])

    def _due(self, trainer: Trainer) -> bool:
        in_training = trainer.state.fn == "fit" and not trainer.sanity_checking
        return in_training and trainer.current_epoch % self.every_n_epochs == 0

    def _predicted(self, trainer: Trainer, pl_module: LightningModule, batch: Any) -> list[Row]:
        with torch.random.fork_rng(), trainer.precision_plugin.predict_step_context():
            rows = pl_module.predict_step(batch, 0)
        return [dict(row) for row in rows]

    def _show(self, trainer: Trainer, found: list[tuple[int, str | None, Row]]) -> None:
        data = attributes(trainer).datamodule
        split = data.validate_on if isinstance(data, HasValidateOn) else "val"
        indices = [index for index, _, _ in found]
        targets = [target for _, target, _ in found]
        rows = [row for _, _, row in found]
        extra: Sequence[Mapping[str, Any]] = [{} for _ in rows]
        if isinstance(data, DescribesSamples):
            extra = data.describe(split, indices)
        table = [
            {"sample": index, **more, **({} if target is None else {"target": target}), **row}
            for index, more, target, row in zip(indices, extra, targets, rows, strict=True)
        ]
        columns = list(dict.fromkeys(name for line in table for name in line))
        cells = [[_plain(line.get(name, "")) for name in columns] for line in table]
        self._keep(trainer, columns, cells)
        if isinstance(data, ShowsSamples):
            self._show_images(trainer, data.shown(split, indices), rows=rows, targets=targets)

    def _keep(self, trainer: Trainer, columns: list[str], cells: list[list[Any]]) -> None:
        path = self._folder / "examples.csv"
        where = [trainer.current_epoch, trainer.global_step]
        head = [] if path.is_file() else [["epoch", "step", *columns]]
        _append(path, [*head, *([*where, *line] for line in cells)])
        show_table(
            trainer,
            "val/examples",
            columns=columns,
            rows=cells,
            path=path,
            step=trainer.global_step,
        )

    def _show_images(
        self, trainer: Trainer, images: list[Any], rows: list[Row], targets: Sequence[str | None]
    ) -> None:
        titles, right = [], []
        for row, target in zip(rows, targets, strict=True):
            values = [_plain(value) for name, value in row.items() if name not in _NAMES]
            titles.append(" ".join(str(value) for value in values[:2]))
            right.append(None if target is None or "label" not in row else row["label"] == target)
        path = self._folder / "examples" / f"epoch_{trainer.current_epoch:04}.png"
        path.parent.mkdir(exist_ok=True)
        example_sheet(images, titles, right).save(path)
        show_image(trainer, "val/images", path=path, step=trainer.global_step)


def _step(row: Sequence[str]) -> float:
    """Return the step of a row; a damaged row has one that never comes."""
    return int(row[1]) if len(row) > 1 and row[1].isdecimal() else math.inf


def _plain(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value


def _append(path: Path, rows: Sequence[Sequence[Any]]) -> None:
    with path.open("a", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
