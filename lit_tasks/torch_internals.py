"""Everything of torch that is private, one function for each need, each with a test of its own."""

from functools import cache
from typing import Any

import torch
from torch import distributed as dist
from torch import nn
from torch._C import (
    _autograd,
    _functorch,
    _get_tracing_state,
    _len_torch_dispatch_stack,
)
from torch.autograd import forward_ad
from torch.nn.parallel import DistributedDataParallel
from torch.utils._pytree import tree_leaves

__all__ = [
    "forward_mode",
    "has_onednn_lstm",
    "keeps_graph",
    "leaves",
    "let_dynamo_trace",
    "observed",
    "process_store",
    "sync_buffers",
    "traced",
    "transformed",
]


def leaves(tree: Any) -> list[Any]:
    """Return what nested lists, tuples and mappings hold, in order."""
    return tree_leaves(tree)


def forward_mode() -> bool:
    """Tell whether derivatives are being computed forwards (``jvp``, ``jacfwd``, ``hessian``)."""
    return forward_ad._current_level >= 0


@cache
def has_onednn_lstm(dtype: torch.dtype) -> bool:
    """Tell whether torch would run an LSTM of this type by oneDNN's kernel on this CPU."""
    if not torch.backends.mkldnn.is_available():
        return False
    ops = torch.ops.mkldnn
    if dtype is torch.bfloat16:
        return bool(ops._is_mkldnn_bf16_supported())
    if dtype is torch.float16:
        return bool(ops._is_mkldnn_fp16_supported())
    return dtype is torch.float32


def transformed() -> bool:
    """Tell whether a transform of `torch.func` is at work (``vmap``, ``grad``, ...)."""
    return _functorch.maybe_current_level() is not None


def observed() -> bool:
    """Tell whether a transform or a mode wants to see every operator that is called."""
    return transformed() or _len_torch_dispatch_stack() > 0


def keeps_graph() -> bool:
    """Tell, in a backward pass, whether ``retain_graph`` was set."""
    return bool(_autograd._get_current_graph_task_keep_graph())


def traced() -> bool:
    """Tell whether ``torch.jit.trace`` is recording."""
    return _get_tracing_state() is not None


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


def let_dynamo_trace(*layers: type[nn.Module]) -> None:
    """Let ``torch.compile`` trace subclasses of torch's recurrent layers, and these alone.

    Dynamo refuses every subclass of ``nn.LSTM`` and ``nn.RNN`` when it meets one, since it cannot
    trace what torch's own do; ``torch._dynamo.config.allow_rnn`` would lift that for the whole
    process. Here it is on only while Dynamo looks at one of these layers.
    """
    from torch._dynamo import config
    from torch._dynamo.variables.builder import VariableBuilder

    wrap_module = VariableBuilder.wrap_module

    def wrap_ours(builder: VariableBuilder, value: nn.Module) -> Any:
        if not isinstance(value, layers):
            return wrap_module(builder, value)
        with config.patch(allow_rnn=True):
            return wrap_module(builder, value)

    VariableBuilder.wrap_module = wrap_ours  # type: ignore[method-assign, assignment]
