"""The stages of a backbone that an epoch trains, known to everybody who has to know."""

from typing import Any

from lightning.pytorch import LightningModule
from torch import nn

from lit_tasks.nn.finetuning import Finetuning


def train_stages(task: LightningModule, backbone: Any, tuning: Finetuning | None) -> None:
    """Train the stages of the current epoch and freeze the others; all of them without ``tuning``.

    DDP reduces the gradients of what needed them when it was built, so it is built again where the
    choice changes.
    """
    trained = 0
    if tuning is not None:
        trained = tuning.trained_stages(task.trainer.current_epoch, len(backbone.stages()))
    changed = backbone.freeze(trained, tuning is not None and tuning.statistics)
    strategy = task.trainer.strategy
    if changed and isinstance(strategy.model, nn.parallel.DistributedDataParallel):
        strategy.model = strategy._setup_model(task)
