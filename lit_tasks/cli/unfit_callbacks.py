"""Callbacks of Lightning that do not go with a model, refused before anything is trained."""

from collections.abc import Iterable

from lightning.pytorch import Callback, LightningModule
from lightning.pytorch.callbacks import (
    EarlyStopping,
    LearningRateFinder,
    StochasticWeightAveraging,
)
from lightning.pytorch.utilities.model_helpers import is_overridden
from lightning.pytorch.utilities.parsing import lightning_hasattr

from lit_tasks.distributed.lightning_internals import learning_rate_name


def check_callbacks(
    callbacks: Iterable[Callback], model: LightningModule, is_validated: bool = True
) -> None:
    """Refuse callbacks that would fail or do nothing.

    Args:
        callbacks: Those of the trainer.
        model: The task.
        is_validated: Whether there are validations while training.

    Raises:
        ValueError: One of them would.
    """
    for callback in callbacks:
        builds_late = is_overridden("configure_model", model)
        if isinstance(callback, StochasticWeightAveraging) and builds_late:
            raise ValueError(
                "StochasticWeightAveraging averages a copy made before the model is built, which is"
                " empty: take lightning.pytorch.callbacks.EMAWeightAveraging instead"
            )
        stops_by = callback.monitor if isinstance(callback, EarlyStopping) else ""
        if stops_by.startswith("val/") and not is_validated:
            raise ValueError(
                f"early stopping monitors {stops_by!r}, which limit_val_batches 0 leaves out: to"
                " train without validation, add --early_stopping=null"
            )
        if not isinstance(callback, LearningRateFinder):
            continue
        name = learning_rate_name(callback)
        if not _has(model, name):
            raise ValueError(
                f"LearningRateFinder sets an attribute {name} of the model, which"
                f" {type(model).__name__} does not have: try values of --model.optimizer.lr with"
                " lit-tasks sweep instead"
            )


def _has(model: LightningModule, name: str) -> bool:
    names = {name, "learning_rate"} if name == "lr" else {name}
    return any(lightning_hasattr(model, n) for n in names)
