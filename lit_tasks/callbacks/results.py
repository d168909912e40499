"""What a run found: ``results.json`` in the run folder and a table in the terminal."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn

from lit_tasks.distributed.run_dir import run_dir
from lit_tasks.files import atomic_write
from lit_tasks.metrics.directions import directions
from lit_tasks.metrics.names import without_stage
from lit_tasks.plots.names import distinct
from lit_tasks.printable import printable
from lit_tasks.protocols import Command, HasClassScores
from lit_tasks.runs.result_entries import read_results

_LOW, _HIGH, _SAMPLES = "_low", "_high", "samples"
_LETTERS = 32  # of a class in the terminal


class ResultsWriter(Callback):
    """Keep the metrics of ``validate`` and ``test`` as numbers with intervals.

    Metrics ``m``, ``m_low`` and ``m_high`` of a stage become one entry with an interval of 95 %;
    ``<stage>/samples`` says how many samples they rest on. In the terminal the numbers of each
    class stand in a table of their own, where the task has them (``scores_by_class``).
    """

    commands: ClassVar[frozenset[Command]] = frozenset({"validate", "test"})
    display_only: ClassVar[bool] = True

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Agree on the run's folder."""
        run_dir(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Record the metrics, unless this is one of the validations within training."""
        if trainer.state.fn == TrainerFn.VALIDATING:
            self._record(trainer, pl_module, "val")

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Record the metrics."""
        self._record(trainer, pl_module, "test")

    def _record(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        folder = run_dir(trainer)
        classes = pl_module.scores_by_class() if isinstance(pl_module, HasClassScores) else []
        if not trainer.is_global_zero:
            return
        found = {k: float(v) for k, v in trainer.callback_metrics.items()}
        results = fold(found, stage, directions(pl_module))
        add_results(folder, results)
        print_results(results, stage, classes)


def fold(
    metrics: Mapping[str, float], stage: str, directions: Mapping[str, bool]
) -> dict[str, dict[str, Any]]:
    """Return ``{name: {value, interval, samples, higher_is_better}}`` for one stage's metrics.

    Each has what is known of it.
    """
    metrics = {k: v for k, v in metrics.items() if k.startswith(f"{stage}/")}
    samples = metrics.pop(f"{stage}/{_SAMPLES}", None)
    results: dict[str, dict[str, Any]] = {}
    for name, value in metrics.items():
        if any(name.endswith(end) and name.removesuffix(end) in metrics for end in (_LOW, _HIGH)):
            continue
        entry: dict[str, Any] = {"value": value}
        if name + _LOW in metrics and name + _HIGH in metrics:
            entry["interval"] = [metrics[name + _LOW], metrics[name + _HIGH]]
        if samples is not None:
            entry["samples"] = int(samples)
        if (higher_is_better := directions.get(without_stage(name))) is not None:
            entry["higher_is_better"] = higher_is_better
        results[name] = entry
    return results


def print_results(
    results: Mapping[str, Mapping[str, Any]], stage: str, classes: Sequence[Mapping[str, Any]]
) -> None:
    """Print the metrics, and below them those of each class, a row a class.

    Args:
        results: Value, interval and samples of each metric, by its name.
        stage: ``val`` or ``test``.
        classes: ``class``, some numbers, and ``samples`` of each class.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("metric", "value", "95 % interval", "samples")
    of_class = {f"{stage}/{name}_{row['class']}" for row in classes for name in row}
    for name, entry in results.items():
        if name in of_class:
            continue
        interval = "{:.4f} - {:.4f}".format(*entry["interval"]) if "interval" in entry else ""
        table.add_row(
            Text(printable(name)), f"{entry['value']:.4f}", interval, str(entry.get("samples", ""))
        )
    console = Console()
    console.print(table)
    if not classes:
        return
    numbers = [name for name in classes[0] if name not in ("class", "samples")]
    table = Table(f"{stage}: class")
    for name in (*numbers, "samples"):
        table.add_column(name, justify="right", no_wrap=True)
    labels = distinct([printable(str(row["class"])) for row in classes], _LETTERS)
    for label, row in zip(labels, classes, strict=True):
        table.add_row(Text(label), *(f"{row[n]:.4f}" for n in numbers), f"{row['samples']:,}")
    console.print(table)


Entries = Mapping[str, Mapping[str, Any]]


def add_results(folder: Path, entries: Entries) -> None:
    """Add to the entries of ``results.json``: what they already say of a metric stays.

    The file is replaced at once, so that whoever reads it finds a whole one.

    Raises:
        ValueError: The file that is there holds something else.
    """
    path = folder / "results.json"
    known = read_results(path)
    for name, entry in entries.items():
        known[name] = {**known.get(name, {}), **entry}
    with atomic_write(path) as beside:
        beside.write_text(json.dumps(known, indent=2) + "\n")
