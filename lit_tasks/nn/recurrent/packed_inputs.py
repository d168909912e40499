"""Convert padded, packed and single-sequence inputs to packed rows and back."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from lit_tasks.functional.recurrent.packing import check_lengths, invert, packing, reversal


class Layered(Protocol):
    """A stack of recurrent layers in one or two directions, as torch's are described."""

    input_size: int
    hidden_size: int
    num_layers: int
    batch_first: bool
    bidirectional: bool
    dropout: float
    training: bool


class Rows(NamedTuple):
    """A batch of sequences in packed order, and the way back to the form it came in.

    Attributes:
        data: Rows of all sequences, step by step, ``(N, features)``.
        batch_sizes: Sequences that have each step, on the CPU.
        batch: Number of sequences, those without a step included.
        order: Sequences by falling length; ``None`` where they are in that order already.
        positions: Place of each row in the padded input, time first; ``None`` without ``lengths``.
        steps: Number of steps in the padded input.
    """

    data: Tensor
    batch_sizes: Tensor
    batch: int
    order: Tensor | None = None
    positions: Tensor | None = None
    steps: int = 0

    def flipped(self, data: Tensor) -> Tensor:
        """Return the rows with every sequence turned round."""
        if self.order is None and self.steps:
            shape = self.steps, self.batch, data.shape[1]
            return data.reshape(shape).flip(0).flatten(0, 1)
        rows = reversal(self.batch_sizes, data.shape[0]).to(data.device)
        return data.index_select(0, rows)


def rows_of_padded(input: Tensor, lengths: Tensor | None) -> Rows:
    """Return the packed rows of a padded batch, time first, without what is beyond its lengths."""
    steps, batch = input.shape[:2]
    if lengths is None:
        return Rows(input.flatten(0, 1), torch.full((steps,), batch), batch, steps=steps)
    if torch.compiler.is_compiling():
        lengths = checked_lengths(lengths.to(input.device), steps)
        order = packing(lengths, steps, steps * batch)
        real = torch.arange(steps * batch, device=input.device) < lengths.sum()
    else:
        lengths = lengths.cpu()  # the one time that a GPU is waited for
        check_lengths(lengths, rows=-1, longest=steps)
        order, real = packing(lengths), None
    positions = (order.step * batch + order.sequence).to(input.device)
    data = input.flatten(0, 1).index_select(0, positions)
    if real is not None:  # surplus rows of a traced batch are put beyond the end, then cut off
        positions = torch.where(real, positions, steps * batch)
    sorted_indices = order.sorted_indices.to(input.device)
    return Rows(data, order.batch_sizes, batch, sorted_indices, positions, steps)


@torch.library.custom_op("lit_tasks::checked_lengths", mutates_args=())
def checked_lengths(lengths: Tensor, steps: int) -> Tensor:
    """Return a copy of the lengths; also in a compiled or exported program they are checked."""
    check_lengths(lengths, rows=-1, longest=steps)
    return lengths.clone()


@checked_lengths.register_fake
def _(lengths: Tensor, steps: int) -> Tensor:
    return torch.empty_like(lengths)


def padded_of_rows(rows: Rows, data: Tensor) -> Tensor:
    """Return packed rows as a rectangle, time first, with zeros where a sequence has ended."""
    if rows.positions is None:
        return data.reshape(rows.steps, rows.batch, data.shape[1])
    places = rows.steps * rows.batch
    padded = data.new_zeros(places + 1, data.shape[1]).index_copy(0, rows.positions, data)
    return padded[:places].reshape(rows.steps, rows.batch, data.shape[1])


def rows_of(module: Layered, input: Tensor | PackedSequence, lengths: Tensor | None) -> Rows:
    """Return the packed rows of whatever form the input has, after `check`."""
    if isinstance(input, PackedSequence):
        return Rows(input.data, input.batch_sizes, _batch_of(module, input), input.sorted_indices)
    if input.dim() == 2:
        return rows_of_padded(input.unsqueeze(1), None)
    return rows_of_padded(input.transpose(0, 1) if module.batch_first else input, lengths)


def _batch_of(module: Layered, input: Tensor | PackedSequence) -> int:
    if isinstance(input, PackedSequence):
        order, sizes = input.sorted_indices, input.batch_sizes
        return len(order) if order is not None else int(sizes[0]) if sizes.shape[0] else 0
    return 1 if input.dim() == 2 else input.shape[0 if module.batch_first else 1]


def check(
    module: Layered,
    input: Tensor | PackedSequence,
    states: dict[str, Tensor | None],
    lengths: Tensor | None,
    dtype: torch.dtype,
) -> None:
    """Refuse what does not fit the layer, whoever computes it, with or without gradients.

    Args:
        module: The layer.
        input: A batch in any form.
        states: Initial states by the name that a message gives them.
        lengths: Steps of each padded sequence.
        dtype: The weights' type, which the input has to have.

    Raises:
        ValueError: A shape or a type does not fit.
    """
    if isinstance(input, PackedSequence):
        if lengths is not None:
            raise ValueError("lengths must be left out beside a PackedSequence, which has its own")
        data, single = input.data, False
    else:
        if input.dim() not in (2, 3):
            raise ValueError(f"input must have 2 or 3 dimensions, got {input.dim()}")
        data, single = input, input.dim() == 2
        if single and lengths is not None:
            raise ValueError("lengths must be left out beside a single sequence of 2 dimensions")
    if data.shape[-1] != module.input_size:
        raise ValueError(
            f"input must have {module.input_size} features (input_size), got {data.shape[-1]}"
        )
    batch = _batch_of(module, input)
    if lengths is not None and (lengths.dim() != 1 or lengths.shape[0] != batch):
        raise ValueError(
            f"lengths must have one number for each of {batch} sequences, "
            f"got {tuple(lengths.shape) if lengths.dim() != 1 else lengths.shape[0]}"
        )
    lowered = autocast_enabled(data)
    if data.dtype is not dtype and not lowered:
        raise ValueError(
            f"RNN input dtype ({data.dtype}) does not match weight dtype ({dtype}). Convert input: "
            f"input.to({dtype}), or convert model: model.to({data.dtype})"
        )
    for name, state in states.items():
        if state is None:
            continue
        shape: tuple[int, ...] = (
            module.num_layers * (1 + module.bidirectional),
            batch,
            module.hidden_size,
        )
        shape = shape[::2] if single else shape
        if tuple(state.shape) != shape:
            raise ValueError(f"{name} must have shape {shape}, got {tuple(state.shape)}")
        if state.dtype is not data.dtype and not lowered:
            raise ValueError(
                f"{name} must have the input's type {data.dtype}, got {state.dtype}: convert it by "
                f"{name}.to({data.dtype})"
            )


def autocast_enabled(tensor: Tensor) -> bool:
    """Tell whether autocast is on for the tensor's kind of device."""
    if tensor.is_cpu:
        return torch.is_autocast_enabled("cpu")
    kind = tensor.device.type
    return torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)


def to_autocast_dtype(tensor: Tensor) -> Tensor:
    """Return the tensor in autocast's type where autocast is on, as torch's layers do."""
    if autocast_enabled(tensor) and tensor.dtype is not torch.float64:
        return tensor.to(torch.get_autocast_dtype(tensor.device.type))
    return tensor


def initial(module: Layered, rows: Rows, hx: Tensor | None, single: bool) -> Tensor:
    """Return initial states in packed order, ``(layers * directions, B, H)``; zeros by default."""
    if hx is None:
        shape = (module.num_layers * (1 + module.bidirectional), rows.batch, module.hidden_size)
        return to_autocast_dtype(rows.data.new_zeros(shape))
    hx = to_autocast_dtype(hx.unsqueeze(1) if single else hx)
    return hx if rows.order is None else hx.index_select(1, rows.order)


def initial_states(
    module: Layered, rows: Rows, hx: Tensor | None, single: bool
) -> Sequence[Tensor]:
    """Return the initial state of each layer and direction, ``(B, H)``, in packed order."""
    if hx is not None:
        return initial(module, rows, hx, single).unbind(0)
    zeros = rows.data.new_zeros(rows.batch, module.hidden_size)
    return [to_autocast_dtype(zeros)] * (module.num_layers * (1 + module.bidirectional))


def form_of(
    module: Layered, input: Tensor | PackedSequence, rows: Rows, data: Tensor
) -> Tensor | PackedSequence:
    """Return packed rows in the form that the input had."""
    if isinstance(input, PackedSequence):
        return PackedSequence(data, input.batch_sizes, input.sorted_indices, input.unsorted_indices)
    padded = padded_of_rows(rows, data)
    if input.dim() == 2:
        return padded.squeeze(1)
    return padded.transpose(0, 1) if module.batch_first else padded


def final(rows: Rows, states: list[Tensor], single: bool) -> Tensor:
    """Return the final states of all layers and directions, in the order of the batch."""
    stacked = torch.stack(states) if len(states) > 1 else states[0].unsqueeze(0)
    if rows.order is not None:
        stacked = stacked.index_select(1, invert(rows.order))
    return stacked.squeeze(1) if single else stacked


def one_state(hx: Tensor | None) -> Tensor | None:
    """Return the initial state of a layer that has one kind.

    Raises:
        ValueError: It is no tensor.
    """
    if hx is not None and not isinstance(hx, Tensor):
        raise ValueError(f"hx must be one tensor, got {type(hx).__name__}")
    return hx


def two_states(hx: Sequence[Tensor] | None) -> dict[str, Tensor | None]:
    """Return the initial hidden and cell states by name.

    Raises:
        ValueError: There are not two.
    """
    if hx is None:
        return {"hx[0]": None, "hx[1]": None}
    if isinstance(hx, Tensor) or len(hx) != 2:
        count = "one tensor" if isinstance(hx, Tensor) else f"{len(hx)} tensors"
        raise ValueError(f"hx must be two tensors, hidden and cell states, got {count}")
    return {"hx[0]": hx[0], "hx[1]": hx[1]}
