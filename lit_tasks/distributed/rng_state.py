"""The state of every random generator in the checkpoint, so that a continued run draws alike."""

import random
from typing import Any, ClassVar

import numpy
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn
from torch import distributed as dist

from lit_tasks.protocols import Command


class RandomState(Callback):
    """Save the random state of all processes, and restore it before the next batch is read.

    Every container is plain, so the checkpoint still loads with ``weights_only=True``.
    """

    commands: ClassVar[frozenset[Command]] = frozenset({"fit"})
    display_only: ClassVar[bool] = False

    def __init__(self) -> None:
        self._restored: list[dict[str, Any]] | None = None

    def state_dict(self) -> dict[str, Any]:
        """Return the states, one per process; all processes have to call this together."""
        mine = random_state()
        if not (dist.is_available() and dist.is_initialized()):
            return {"random": [mine]}
        states: list[Any] = [None] * dist.get_world_size()
        dist.all_gather_object(states, mine)
        return {"random": states}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the states until training starts."""
        self._restored = state_dict["random"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore this process's state, after whatever a start and a sanity check drew."""
        states, self._restored = self._restored, None
        if states is None:
            return
        if len(states) != trainer.world_size:
            rank_zero_warn(
                f"the checkpoint was made by {len(states)} processes and continues on"
                f" {trainer.world_size}: same batches, other dropout"
            )
        if trainer.global_rank < len(states):
            restore_random_state(states[trainer.global_rank])


def random_state() -> dict[str, Any]:
    """Return the states of torch's (CPU and current GPU), numpy's and Python's generators."""
    numpy_state: Any = numpy.random.get_state()  # noqa: NPY002
    _, key, position, has_gauss, gauss = numpy_state
    version, words, next_gauss = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None,
        "numpy": [torch.from_numpy(key.astype("int64")), position, has_gauss, gauss],
        "python": [version, torch.tensor(words), next_gauss],
    }


def restore_random_state(state: dict[str, Any]) -> None:
    """Put back what :func:`random_state` returned."""
    torch.set_rng_state(state["torch"].cpu())
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"].cpu())
    key, position, has_gauss, gauss = state["numpy"]
    key = key.cpu().numpy().astype("uint32")
    numpy.random.set_state(("MT19937", key, position, has_gauss, gauss))  # noqa: NPY002
    version, words, next_gauss = state["python"]
    random.setstate((version, tuple(words.tolist()), next_gauss))
