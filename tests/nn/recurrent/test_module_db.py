"""torch's own tests of modules (`torch.testing._internal.common_modules`) on our layers and cells.

Every difference is listed in docs/recurrent.md with its reason; a difference that is gone or new
fails here.
"""

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lit_tasks.nn import GRU, LSTM, RNN, GRUCell, LSTMCell, RNNCell

pytestmark = pytest.mark.slow  # a minute in all, most of it gradgradcheck

OURS = {
    "RNN": RNN,
    "LSTM": LSTM,
    "GRU": GRU,
    "RNNCell": RNNCell,
    "LSTMCell": LSTMCell,
    "GRUCell": GRUCell,
}
PAGE = Path(__file__).parents[3] / "docs" / "recurrent.md"


def entries() -> dict[str, Any]:
    from torch.testing._internal.common_modules import module_db

    found = {info.module_cls.__name__: info for info in module_db}
    return {name: found[name] for name in OURS}


def samples(name: str, dtype: torch.dtype, training: bool) -> Iterator[tuple[Any, Any, Any]]:
    """Yield torch's module, ours on the same weights, and what to call them with."""
    info = entries()[name]
    inputs = info.module_inputs_func(
        info, device="cpu", dtype=dtype, requires_grad=True, training=training
    )
    for sample in inputs:
        args, kwargs = sample.constructor_input.args, sample.constructor_input.kwargs
        if kwargs.get("proj_size"):
            with pytest.raises(ValueError, match="proj_size must be 0"):
                OURS[name](*args, **{**kwargs, "dtype": dtype})
            continue
        theirs = info.module_cls(*args, **{**kwargs, "dtype": dtype}).train(training)
        ours = OURS[name](*args, **{**kwargs, "dtype": dtype}).train(training)
        ours.load_state_dict(theirs.state_dict())
        yield theirs, ours, sample.forward_input


def flat(found: Any) -> list[Tensor]:
    if isinstance(found, Tensor):
        return [found]
    return [tensor for part in found if part is not None for tensor in flat(part)]


def run(module: nn.Module, given: Any) -> list[Tensor]:
    """Return the outputs and all gradients."""
    args, kwargs = copy.deepcopy((given.args, given.kwargs))
    outputs = flat(module(*args, **kwargs))
    leaves = [t for t in flat([*args, *kwargs.values()]) if t.requires_grad]
    torch.manual_seed(1)
    total = sum((output * torch.randn_like(output)).sum() for output in outputs)
    inputs = [*leaves, *module.parameters()]
    return [*outputs, *torch.autograd.grad(total, inputs)]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", OURS)
def test_forward_and_gradients_are_torchs(name: str, dtype: torch.dtype, training: bool) -> None:
    count = 0
    for theirs, ours, given in samples(name, dtype, training):
        torch.testing.assert_close(run(ours, given), run(theirs, given))
        count += 1
    assert count >= 2


@pytest.mark.parametrize("name", OURS)
def test_names_pickles_copies_and_text_are_torchs(name: str) -> None:
    for theirs, ours, given in samples(name, torch.float32, True):
        assert repr(ours) == repr(theirs)
        assert list(ours.state_dict()) == list(theirs.state_dict())
        torch.testing.assert_close(run(copy.deepcopy(ours), given), run(theirs, given))


@pytest.mark.parametrize("name", OURS)
def test_inputs_and_gradients_need_not_be_contiguous(name: str) -> None:
    for theirs, ours, given in samples(name, torch.float64, True):
        args = [
            [t.mT.contiguous().mT if t.dim() > 1 else t for t in flat(arg)]
            if isinstance(arg, tuple)
            else arg.mT.contiguous().mT
            if isinstance(arg, Tensor) and arg.dim() > 1
            else arg
            for arg in given.args
        ]
        found, expected = ours(*args, **given.kwargs), theirs(*given.args, **given.kwargs)
        torch.testing.assert_close(flat(found), flat(expected))


@pytest.mark.parametrize("name", OURS)
def test_second_derivatives_pass_gradgradcheck(name: str) -> None:
    for number, (_, ours, given) in enumerate(samples(name, torch.float64, True)):
        if number % 8:
            continue  # each takes a second
        tensors = [t for t in flat(list(given.args)) if t.requires_grad]

        def function(*leaves: Tensor, ours: Any = ours, given: Any = given) -> tuple[Tensor, ...]:
            rest = iter(leaves)
            args = [next(rest) if isinstance(arg, Tensor) else arg for arg in given.args]
            return tuple(flat(ours(*args, **given.kwargs)))

        if all(isinstance(arg, Tensor) or arg is None for arg in given.args):
            assert torch.autograd.gradcheck(function, tensors)
            assert torch.autograd.gradgradcheck(function, tensors)


def refused(kind: type[nn.Module], wrong: Any) -> None:
    """Make a module and call it, one of which has to fail."""
    module = kind(*wrong.constructor_input.args, **wrong.constructor_input.kwargs)
    module(*wrong.forward_input.args, **wrong.forward_input.kwargs)


def differences() -> set[str]:
    """Return what differs for each error that torch's list has."""
    found = set()
    for name, info in entries().items():
        if info.module_error_inputs_func is None:
            continue
        errors = info.module_error_inputs_func(
            info, device="cpu", dtype=torch.float32, requires_grad=False, training=False
        )
        for error in errors:
            with pytest.raises((ValueError, RuntimeError, TypeError)) as raised:
                refused(OURS[name], error.module_error_input)
            if not isinstance(raised.value, error.error_type):
                found.add(f"{name}: {raised.type.__name__} instead of {error.error_type.__name__}")
            if not re.search(error.error_regex, str(raised.value)):
                found.add(f"{name}: other words than `{error.error_regex}`")
    return found


def test_every_difference_in_errors_is_in_the_table_of_the_page() -> None:
    written = set(re.findall(r"^\| (\w+: [^|]+?) \|", PAGE.read_text(), re.MULTILINE))
    assert {line for line in written if line.split(":")[0] in OURS} == differences()
