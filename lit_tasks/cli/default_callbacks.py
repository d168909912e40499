"""Callbacks that every run has, in the order that Lightning calls them in.

Each has a name: ``--NAME.option=value`` sets an option, ``--NAME=null`` switches it off. In which
commands it takes part it announces itself (:class:`lit_tasks.protocols.AnnouncesItself`).
"""

from importlib import import_module
from typing import Any

from lightning.pytorch import Callback

from lit_tasks.protocols import AnnouncesItself, Command

_OURS = {
    "exact_batches": "lit_tasks.distributed.exact_batches.ExactBatches",
    "checkpoint": "lightning.pytorch.callbacks.ModelCheckpoint",
    "last_checkpoint": "lit_tasks.distributed.last_checkpoint.LastCheckpoint",
    "random_state": "lit_tasks.distributed.rng_state.RandomState",
    "terminate_on_nan": "lit_tasks.distributed.terminate_on_nan.TerminateOnNaN",
    "monitor": "lit_tasks.callbacks.monitor.Monitor",
    "examples": "lit_tasks.callbacks.examples.Examples",
    "curves": "lit_tasks.callbacks.learning_curves.LearningCurves",
    "results": "lit_tasks.callbacks.results.ResultsWriter",
    "samples": "lit_tasks.callbacks.per_sample_scores.PerSampleScores",
    "figures": "lit_tasks.callbacks.figures.FigureWriter",
    "images": "lit_tasks.callbacks.images.PredictedImages",
    "predictions": "lit_tasks.callbacks.predictions.writer.PredictionWriter",
    "report": "lit_tasks.callbacks.report.Report",
    "progress": "lit_tasks.callbacks.progress.Progress",
}
_OPTIONS: dict[str, dict[str, Any]] = {
    "checkpoint": {
        "monitor": "val/loss",
        "filename": "best",
        "auto_insert_metric_name": False,
        "enable_version_counter": False,
    }
}
#: The default of each named option.
CALLBACKS: dict[str, dict[str, Any]] = {
    name: {"class_path": path} | ({"init_args": _OPTIONS[name]} if name in _OPTIONS else {})
    for name, path in _OURS.items()
}


def taking_part(command: str) -> list[str]:
    """Return the names of the callbacks that a command needs; each costs microseconds a step.

    A callback of others announces nothing: Lightning's two, ``early_stopping`` and ``checkpoint``,
    belong to ``fit``. What takes the place of a callback takes part where that one would.
    """
    return [name for name in ("early_stopping", *CALLBACKS) if command in _commands(name)]


def after_fit() -> list[str]:
    """Return the names of the callbacks of the evaluation that ends a fit, but not of the fit."""
    return sorted(set(taking_part("validate")) - set(taking_part("fit")))


def _commands(name: str) -> frozenset[Command]:
    module, _, kind = _OURS.get(name, _OURS["checkpoint"]).rpartition(".")
    made: type[Callback] = getattr(import_module(module), kind)
    return made.commands if isinstance(made, AnnouncesItself) else frozenset({"fit"})
