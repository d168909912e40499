"""Rows of ``predict`` on disk: in input order, each once, on any number of processes."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from lightning.pytorch import Callback, LightningModule, Trainer

from lit_tasks.callbacks.predictions.fingerprint import identity, matches_fingerprint
from lit_tasks.callbacks.predictions.parts import (
    PartFile,
    finished,
    write_json,
    write_merged,
)
from lit_tasks.distributed.rank_loader import RankLoader
from lit_tasks.distributed.run_dir import run_dir
from lit_tasks.protocols import (
    Command,
    HasJsonFiles,
    HasPredictIds,
    StatesProbabilities,
    attributes,
    batch_index,
)
from lit_tasks.torch_internals import leaves


class PredictionWriter(Callback):
    """Write what ``predict_step`` returns, one row a sample, to ``predictions/`` in the run folder.

    Every process appends its rows to a file of its own as they come, so memory stays flat; at the
    end they are merged by position, and the finished file takes its name at once. Started again
    in the same folder with the same weights and inputs, an interrupted prediction goes on with
    the batches that are missing. A task may name files that others read, such as COCO's results:
    ``json_files = {"captions.json": ("image_id", "caption")}`` are the columns of an array each.

    Args:
        format: ``csv``; ``jsonl``, one JSON object a line; or ``lines``, one value a line.
        column: For ``lines``: which of a row's values.
        digits: Significant digits of numbers that are not whole; none keeps all.
        probabilities: Whether a classifier's rows have a column ``p_LABEL`` for every label.
    """

    commands: ClassVar[frozenset[Command]] = frozenset({"predict"})
    display_only: ClassVar[bool] = True

    def __init__(
        self,
        format: Literal["csv", "jsonl", "lines"] = "csv",
        column: str | None = None,
        digits: int | None = 6,
        probabilities: bool = False,
    ) -> None:
        if (format == "lines") != (column is not None):
            raise ValueError(
                f"column names the value that format 'lines' writes: got format {format!r} with"
                f" column {column!r}"
            )
        self.format, self.column, self.digits = format, column, digits
        self.probabilities = probabilities
        self._part: PartFile | None = None
        self._loader: RankLoader | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Agree on the run's folder; let the task say what is asked for."""
        run_dir(trainer)
        if self.probabilities:
            ask_for_probabilities(pl_module)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Find what an interrupted prediction left, and begin this process's file."""
        loaders = leaves(trainer.predict_dataloaders)
        if len(loaders) != 1:
            raise ValueError(f"predictions are written for one data loader, got {len(loaders)}")
        self._loader = loaders[0] if isinstance(loaders[0], RankLoader) else None
        parts = self._folder(trainer) / "parts"
        if trainer.is_global_zero:
            mine = identity(trainer, pl_module, self._loader)
            mine["probabilities"] = self.probabilities
            if not matches_fingerprint(parts / "identity.json", mine):
                shutil.rmtree(parts, ignore_errors=True)
        trainer.strategy.barrier("parts chosen")
        done = finished(parts)
        # Nobody may add rows before all have read them: they must agree on what is missing.
        trainer.strategy.barrier("parts read")
        if self._loader is not None:
            self._loader.shards.done = frozenset(done)
        if trainer.is_global_zero:
            parts.mkdir(parents=True, exist_ok=True)
            (parts / "identity.json").write_text(json.dumps(mine))
        self._part = PartFile(parts / f"{trainer.global_rank:05}.jsonl")

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Append the batch's rows."""
        assert self._part is not None
        indices = self._indices(batch)
        rows = [_checked(row) for row in (() if outputs is None else outputs)]
        if len(rows) != len(indices):
            raise ValueError(
                f"predict_step must return one row a sample: got {len(rows)} rows for a batch of"
                f" {len(indices)} samples"
            )
        self._part.append(indices, rows)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Merge all rows once every process has written its own."""
        self._close()
        folder = self._folder(trainer)
        trainer.strategy.barrier("parts written")
        if trainer.is_global_zero:
            suffix = {"csv": "csv", "jsonl": "jsonl", "lines": "txt"}[self.format]
            data = attributes(trainer).datamodule
            ids = data.predict_ids if isinstance(data, HasPredictIds) else None
            path = folder / f"predictions.{suffix}"
            write_merged(folder / "parts", path, ids=ids, column=self.column, digits=self.digits)
            named = pl_module.json_files if isinstance(pl_module, HasJsonFiles) else {}
            for name, columns in named.items():
                write_json(folder / "parts", folder / name, columns)
            shutil.rmtree(folder / "parts")
        trainer.strategy.barrier("parts merged")

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Close the file; what it holds counts when the prediction is started again."""
        self._close()

    def _indices(self, batch: Any) -> list[int]:
        if self._loader is not None and self._loader.current is not None:
            return self._loader.current.indices
        index = batch_index(batch)
        if index is not None:
            indices: list[int] = index.tolist()
            return indices
        raise ValueError(
            "rows cannot be put in order: the batch has no index, and its loader is not a plain"
            " DataLoader; give the batch an index, the position of each sample"
        )

    def _folder(self, trainer: Trainer) -> Path:
        return run_dir(trainer) / "predictions"

    def _close(self) -> None:
        if self._part is not None:
            self._part.close()
            self._part = None


def ask_for_probabilities(task: LightningModule) -> None:
    """Let a task's predictions state the probability of every class.

    Raises:
        ValueError: It has no classes.
    """
    if not isinstance(task, StatesProbabilities):
        raise ValueError(
            f"{type(task).__name__} states no probabilities of classes: leave probabilities out"
        )
    task.all_probabilities = True


def _checked(row: Any) -> dict[str, Any]:
    if not isinstance(row, Mapping):
        raise ValueError(f"predict_step must return rows (dicts), got a {type(row).__name__}")
    for name, value in row.items():
        if not isinstance(value, str | int | float | list | tuple | dict | None):
            raise ValueError(
                f"predict_step must return plain values, got a {type(value).__name__} under"
                f" {name!r}; call .tolist() or .item()"
            )
    return dict(row)
