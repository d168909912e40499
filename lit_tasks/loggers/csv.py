"""``metrics.csv`` in the run folder, which survives a resume."""

import csv
from pathlib import Path
from typing import Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.utilities import rank_zero_only

from lit_tasks.distributed.lightning_internals import CSVWriter, CSVWriterBase, csv_writer
from lit_tasks.files import atomic_write
from lit_tasks.loggers.run_dir import announced


class _KeptRows(CSVWriter):
    """Lightning's writer, which deletes an old ``metrics.csv``; this one goes on in it."""

    def find_old_file(self) -> None:
        """Go on with its columns."""
        path = Path(self.metrics_file_path)
        if path.is_file():
            with path.open(newline="") as file:
                self.metrics_keys = list(csv.DictReader(file).fieldnames or [])

    def replace_header(self, fieldnames: list[str]) -> None:
        """Write all rows again."""
        self._replace(self._rows(), fieldnames)

    def drop_after(self, step: int) -> None:
        """Forget rows written after the checkpoint that training goes on from."""
        self.save()
        if Path(self.metrics_file_path).is_file():
            rows = [row for row in self._rows() if int(row["step"]) < step]
            self._replace(rows, self.metrics_keys)

    def _rows(self) -> list[dict[str, str]]:
        with Path(self.metrics_file_path).open(newline="") as file:
            return list(csv.DictReader(file))

    def _replace(self, rows: list[dict[str, str]], fieldnames: list[str]) -> None:
        whole = atomic_write(Path(self.metrics_file_path))
        with whole as beside, beside.open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=fieldnames)
            writer.writeheader()
            writer.writerows(rows)


class RunCSVLogger(CSVLogger):
    """``metrics.csv`` in the run folder; a resumed run continues it without gap or repetition.

    Args:
        run_dir: The folder; that of this run when not given.
    """

    def __init__(self, run_dir: Path | None = None) -> None:
        super().__init__(
            save_dir=run_dir or announced(),
            name="",
            version="",
            flush_logs_every_n_steps=100,  # rows; they are also written whenever a checkpoint is
        )

    @property
    @rank_zero_experiment
    def experiment(self) -> CSVWriterBase:
        """The writer of rows."""
        return csv_writer(self, lambda: _KeptRows(log_dir=self.log_dir))

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        """Keep a row, without what depends on the clock: ``monitor.csv`` has it."""
        kept = {k: v for k, v in metrics.items() if not k.startswith(("speed/", "system/"))}
        if kept.keys() - {"epoch"}:
            super().log_metrics(kept, step)

    @rank_zero_only
    def drop_after(self, step: int) -> None:
        """Forget rows of ``step`` and later: training goes on from a checkpoint before them."""
        self.experiment.drop_after(step)

    @rank_zero_only
    def after_save_checkpoint(self, checkpoint_callback: Checkpoint) -> None:
        """Write rows before a checkpoint counts on them."""
        self.save()
