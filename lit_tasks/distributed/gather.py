"""Gather what each process of a run has: rows, and metric states that may be empty."""

from typing import Any

from lightning.pytorch import LightningModule, Trainer
from torch import Tensor
from torch import distributed as dist
from torchmetrics import Metric


def gather_objects(trainer: Trainer, mine: list[Any]) -> list[Any]:
    """Return the rows of every process, the first one's first; all processes have to ask."""
    if trainer.world_size == 1:
        return mine
    parts: list[Any] = [None] * trainer.world_size
    dist.all_gather_object(parts, mine)
    return [row for part in parts for row in part]


def gather_tensors(state: Tensor, group: Any = None) -> list[Tensor]:
    """Return the tensor of every process, of whatever shapes and types they are.

    torchmetrics sends an empty float tensor for a list that was never appended to, while the
    others send, say, integers of two dimensions; gloo then ends the process (1.9.0: "op.preamble
    .length <= op.nbytes"). An empty tensor takes the type and shape of the others here.
    """
    group = group or dist.group.WORLD
    states: list[Any] = [None] * dist.get_world_size(group)
    dist.all_gather_object(states, state.detach().cpu(), group=group)
    filled = next((other for other in states if other.numel()), state)
    empty = filled.new_empty((0, *filled.shape[1:]))
    return [(s if s.numel() else empty).to(state.device) for s in states]


def allow_empty_processes(module: LightningModule) -> None:
    """Let the module's metrics be gathered so, unless they bring a way of their own."""
    for metric in module.modules():
        if isinstance(metric, Metric) and metric.dist_sync_fn is None:
            metric.dist_sync_fn = gather_tensors
