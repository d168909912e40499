"""What a new model begins with: pretrained word vectors, and a head that has seen the training set.

Both happen in ``on_fit_start``, once, and not where a run is resumed: the checkpoint has them.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from lightning.pytorch import LightningModule
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from lit_tasks.protocols import InitializesFromWords, ObservesTraining


def initialize_words(task: LightningModule, network: object, words: Sequence[str]) -> None:
    """Load what a network knows about words before training, unless a checkpoint is loaded."""
    if task.trainer.ckpt_path is not None or not isinstance(network, InitializesFromWords):
        return
    if said := network.initialize(words):
        rank_zero_info(said)


def initialize_head(
    task: LightningModule,
    head: object,
    samples: Callable[[], Iterable[tuple[Any, Tensor]] | None],
    num_classes: int,
) -> None:
    """Let a head see all training samples once, unless a checkpoint is loaded.

    Args:
        task: The task; in evaluation mode while the head observes.
        head: Its head; one without ``observe`` has nothing to see.
        samples: Returns features and classes, batch by batch, or ``None`` where the data have none.
        num_classes: How many classes there are.
    """
    if task.trainer.ckpt_path is not None or not isinstance(head, ObservesTraining):
        return
    training = {module: module.training for module in task.modules()}
    task.eval()
    found = samples()
    if found is not None:
        head.observe(found, num_classes)
    for module, mode in training.items():
        module.training = mode
