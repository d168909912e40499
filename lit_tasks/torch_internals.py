"""Everything of torch that is private, one function for each need, each with a test of its own."""

from typing import Any

from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel
from torch.utils._pytree import tree_leaves

__all__ = ["leaves", "process_store", "sync_buffers"]


def leaves(tree: Any) -> list[Any]:
    """Return what nested lists, tuples and mappings hold, in order."""
    return tree_leaves(tree)


def sync_buffers(model: DistributedDataParallel) -> None:
    """Send the first process's buffers now, which DDP's next forward would otherwise do.

    All processes have to call this; those without a sample would not come to that forward.
    """
    if model.will_sync_module_buffers():
        model._sync_buffers()
        model.require_forward_param_sync = False  # until the next training step sets it


def process_store() -> Any:
    """Return the store by which the processes of a run have found each other."""
    return dist.distributed_c10d._get_default_store()
