"""When torch's own kernel computes a layer of ours, and how: on a GPU and in other tools."""

import logging
from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from lit_tasks.nn.recurrent.packed_inputs import Rows, autocast_enabled
from lit_tasks.torch_internals import (
    forward_mode,
    has_onednn_lstm,
    keeps_graph,
    traced,
    transformed,
)

Implementation = Literal["auto", "analytic", "torch"]
Run = Callable[..., tuple[Tensor, ...]]

REASON = "implementation='analytic' compiles without a break on a GPU too"
_log = logging.getLogger(__name__)


class DropIn(nn.RNNBase):
    """What our layers add to torch's to stand in for them where types or tracers matter.

    Args:
        implementation: Who computes: see the layers.
    """

    def __init__(self, *args: Any, implementation: Implementation = "auto", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.proj_size:
            raise ValueError(f"proj_size must be 0, got {self.proj_size}")
        if implementation not in ("auto", "analytic", "torch"):
            raise ValueError(
                f"implementation must be 'auto', 'analytic' or 'torch', got {implementation!r}"
            )
        self.implementation = implementation

    @property
    def weight_dtype(self) -> torch.dtype:
        """The type of the weights, which the input has to have."""
        weight = self.weight_ih_l0
        assert isinstance(weight, Tensor)
        return weight.dtype

    def to_torch(self) -> nn.RNNBase:
        """Return torch's own layer on the same parameters, for tools that know only that."""
        kind = next(base for base in type(self).__mro__ if base in (nn.LSTM, nn.GRU, nn.RNN))
        names = ("input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout")
        options = {name: getattr(self, name) for name in (*names, "bidirectional")}
        if isinstance(self, nn.RNN):
            options["nonlinearity"] = self.nonlinearity
        theirs: nn.RNNBase = kind(**options, device="meta")
        for name, parameter in self.named_parameters():
            setattr(theirs, name, parameter)
        return theirs.train(self.training)

    def __prepare_scriptable__(self) -> nn.RNNBase:
        """Give ``torch.jit.script`` torch's layer, since it cannot read ours."""
        return self.to_torch()

    @property
    def qconfig(self) -> None:
        """There is none: torch quantizes its own classes, not their subclasses."""
        return None

    @qconfig.setter
    def qconfig(self, value: object) -> None:
        kind = type(self).__name__
        _log.warning("%s stays in float: quantize %s.to_torch(), torch's own layer.", kind, kind)

    @qconfig.deleter
    def qconfig(self) -> None:
        """Torch removes what it has set."""


def uses_torch_kernel(
    module: DropIn, input: Tensor | PackedSequence, lengths: Tensor | None
) -> bool:
    """Tell whether torch's own kernel is to run: when asked, or by itself where it is faster.

    That is on a GPU, and for an LSTM on a rectangle of which no gradient is wanted, or whose
    numbers have 16 bits: oneDNN's kernel for the CPU is ahead of ours there. A transform of
    `torch.func` goes through ours, since torch's has no rule for it. ``torch.jit.trace`` gets
    torch's, which reads the number of steps from the input.
    """
    if traced() and lengths is None:
        return True
    if module.implementation != "auto" or transformed() or forward_mode():
        return module.implementation == "torch"
    data = input.data if isinstance(input, PackedSequence) else input
    if on_gpu(data):  # a compiler is not to replace one kernel by a loop: it breaks its graph here
        return not torch.compiler.is_exporting()
    if torch.compiler.is_compiling() or isinstance(input, PackedSequence) or lengths is not None:
        return False
    if not isinstance(module, nn.LSTM) or not data.is_cpu or autocast_enabled(data):
        return False
    wanted = data.element_size() == 2 or not torch.is_grad_enabled()
    return wanted and has_onednn_lstm(data.dtype)


def calls_module(module: DropIn, input: Tensor | PackedSequence, lengths: Tensor | None) -> bool:
    """Tell whether torch's kernel is to run as torch's own module calls it.

    That is not so where our formulas have to stand by for a second derivative, or where a compiler
    would take a GPU's kernel apart.
    """
    if lengths is not None:
        return False
    if module.implementation == "auto" and torch.is_grad_enabled() and not traced():
        return False
    data = input.data if isinstance(input, PackedSequence) else input
    return not on_gpu(data) or not torch.compiler.is_compiling()


def on_gpu(tensor: Tensor) -> bool:
    """Tell whether torch has a fused kernel for whole sequences on the tensor's device."""
    return tensor.is_cuda


@torch.compiler.disable(reason=REASON)  # type: ignore[untyped-decorator]
def through_torch(
    module: DropIn,
    rows: Rows,
    starts: Sequence[Tensor],
    weights: Sequence[Tensor],
    ours: Run,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run torch's kernel over packed rows; return the rows and the final states.

    Args:
        module: The layer.
        rows: A batch in packed order.
        starts: Initial states, ``(layers * directions, B, H)`` each.
        weights: All weights in torch's order.
        ours: Computes the same from rows, initial states and weights by our own formulas. A
            second derivative is derived from it, since cuDNN has none.
    """
    sizes = rows.batch_sizes
    some = int(sizes[0]) if sizes.shape[0] else 0
    rectangle = rows.positions is None and rows.steps > 0

    def theirs(data: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        states, flat = rest[: len(starts)], list(rest[len(starts) :])
        begin = [state[:, :some].contiguous() for state in states]
        hx = begin if isinstance(module, nn.LSTM) else begin[0]
        options = (module.bias, module.num_layers, module.dropout, module.training)
        call = _function(module)
        if rectangle:
            steps = data.view(rows.steps, rows.batch, -1)
            output, *ends = call(steps, hx, flat, *options, module.bidirectional, False)
            output = output.flatten(0, 1)
        else:
            output, *ends = call(data, sizes, hx, flat, *options, module.bidirectional)
        if some < states[0].shape[1]:  # sequences without a step keep their initial states
            ends = [torch.cat((e, s[:, some:]), 1) for e, s in zip(ends, states, strict=True)]
        return output, *ends

    given = (rows.data, *starts, *weights)
    drawn = module.dropout and module.training and module.num_layers > 1
    learn = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in given)
    wrapped = module.implementation == "auto" and learn and not drawn
    found = _Derivable.apply(theirs, ours, *given) if wrapped else theirs(*given)
    return found[0], tuple(found[1:])


def _function(module: DropIn) -> Callable[..., Any]:
    if isinstance(module, nn.LSTM):
        return torch.lstm
    if isinstance(module, nn.GRU):
        return torch.gru
    return torch.rnn_tanh if module.nonlinearity == "tanh" else torch.rnn_relu


class _Derivable(torch.autograd.Function):
    """Torch's kernel with its own first derivative, and a second one by way of our formulas."""

    @staticmethod
    def forward(ctx: Any, theirs: Run, ours: Run, *tensors: Tensor) -> tuple[Tensor, ...]:
        inputs = [tensor.detach().requires_grad_(tensor.requires_grad) for tensor in tensors]
        with torch.enable_grad():
            outputs = theirs(*inputs)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*tensors)
        ctx.ours, ctx.graph = ours, (inputs, outputs)
        return tuple(output.detach() for output in outputs)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> Any:
        inputs, outputs = ctx.graph
        keep = keeps_graph()
        if torch.is_grad_enabled():
            inputs = ctx.saved_tensors
            outputs, keep = ctx.ours(*inputs), True
        pairs = [(o, g) for o, g in zip(outputs, grads, strict=True) if g is not None]
        wanted = [tensor for tensor in inputs if tensor.requires_grad]
        found = iter(
            torch.autograd.grad(
                [output for output, _ in pairs],
                wanted,
                [grad for _, grad in pairs],
                retain_graph=keep,
                create_graph=torch.is_grad_enabled(),
                allow_unused=True,
            )
        )
        return None, None, *(next(found) if t.requires_grad else None for t in inputs)
