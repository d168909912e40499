"""What a run found: ``results.json`` in the run folder and a table in the terminal."""

from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn

from lit_tasks.callbacks.result_file import add_results
from lit_tasks.printable import printable

_LOW, _HIGH, _SAMPLES = "_low", "_high", "samples"


class ResultsWriter(Callback):
    """Keep the metrics of ``validate`` and ``test`` as numbers with intervals.

    Metrics ``m``, ``m_low`` and ``m_high`` of a stage become one entry with an interval of 95 %;
    ``<stage>/samples`` says how many samples they rest on.
    """

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Record the metrics, unless this is one of the validations within training."""
        if trainer.state.fn == TrainerFn.VALIDATING:
            self._record(trainer, "val")

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Record the metrics."""
        self._record(trainer, "test")

    def _record(self, trainer: Trainer, stage: str) -> None:
        folder = Path(trainer.log_dir or ".")  # a broadcast: every process asks
        if not trainer.is_global_zero:
            return
        found = {k: float(v) for k, v in trainer.callback_metrics.items()}
        results = fold(found, stage)
        add_results(folder, results)
        _print(results)


def fold(metrics: dict[str, float], stage: str) -> dict[str, dict[str, Any]]:
    """Return ``{name: {value, interval, samples}}`` for the metrics of one stage."""
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
        results[name] = entry
    return results


def _print(results: dict[str, dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("metric", "value", "95 % interval", "samples")
    for name, entry in results.items():
        interval = "{:.4f} - {:.4f}".format(*entry["interval"]) if "interval" in entry else ""
        table.add_row(
            Text(printable(name)), f"{entry['value']:.4f}", interval, str(entry.get("samples", ""))
        )
    Console().print(table)
