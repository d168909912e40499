"""What happens on a GPU, as far as it can be told without one: decisions, by a CPU that poses."""

from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from lit_tasks.functional.recurrent.packing import pack_ragged
from lit_tasks.nn import GRU, LSTM, RNN
from lit_tasks.nn.recurrent import layers, torch_kernel

LAYERS = [(nn.RNN, RNN), (nn.LSTM, LSTM), (nn.GRU, GRU)]
IDS = [ours.__name__ for _, ours in LAYERS]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let the CPU pose as a GPU; return the kernels of torch that are called."""
    monkeypatch.setattr(torch_kernel, "on_gpu", lambda tensor: True)
    found: list[str] = []
    for name in ("lstm", "gru", "rnn_tanh"):
        true = getattr(torch, name)

        def call(*args: Any, true: Any = true, name: str = name) -> Any:
            found.append(name)
            return true(*args)

        monkeypatch.setattr(torch, name, call)
    return found


@pytest.mark.parametrize(("theirs", "ours"), LAYERS, ids=IDS)
@pytest.mark.parametrize("form", ["rectangle", "packed", "lengths", "single"])
def test_torchs_kernel_computes_values_and_gradients(
    theirs: Any, ours: Any, form: str, calls: list[str]
) -> None:
    torch.manual_seed(0)
    a = theirs(3, 4, num_layers=2, bidirectional=True, batch_first=True).double()
    b = ours(3, 4, num_layers=2, bidirectional=True, batch_first=True).double()
    b.load_state_dict(a.state_dict())
    x = torch.randn(2, 5, 3, dtype=torch.float64, requires_grad=True)

    def packed() -> Any:
        return pack_padded_sequence(x, torch.tensor([3, 5]), True, enforce_sorted=False)

    if form == "lengths":
        expected, _ = nn.utils.rnn.pad_packed_sequence(a(packed())[0], True)
        found = b(x, lengths=[3, 5])[0]
    else:
        make = {"rectangle": lambda: x, "packed": packed, "single": lambda: x[0]}[form]
        expected, found = a(make())[0], b(make())[0]
    assert len(calls) == 1
    grads = []
    for module, output in ((a, expected), (b, found)):
        data = output.data if form == "packed" else output
        inputs = [x, *module.parameters()]
        total = data.square().sum()
        grads.append([data, *torch.autograd.grad(total, inputs, retain_graph=True)])
        grads.append([data, *torch.autograd.grad(total, inputs)])
    torch.testing.assert_close(grads[2:], grads[:2])


@pytest.mark.parametrize(("theirs", "ours"), LAYERS, ids=IDS)
def test_second_derivatives_fall_back_to_our_formulas(
    theirs: Any, ours: Any, calls: list[str]
) -> None:
    layer = ours(2, 2, bidirectional=True).double()
    x = torch.randn(3, 2, 2, dtype=torch.float64, requires_grad=True)
    for lengths in (None, [1, 3]):
        assert torch.autograd.gradgradcheck(lambda x, n=lengths: layer(x, lengths=n)[0], x)
    assert calls


@pytest.mark.parametrize(("theirs", "ours"), LAYERS, ids=IDS)
def test_transforms_fall_back_to_our_formulas(theirs: Any, ours: Any, calls: list[str]) -> None:
    layer, x = ours(3, 4), torch.randn(6, 5, 2, 3)
    found = torch.func.vmap(lambda x: layer(x)[0])(x)
    torch.func.jvp(lambda x: layer(x)[0], (x[0],), (x[0],))
    assert calls == []
    torch.testing.assert_close(found[2], layer(x[2])[0])


@pytest.mark.parametrize(("theirs", "ours"), LAYERS, ids=IDS)
def test_a_graph_that_is_not_kept_is_freed(theirs: Any, ours: Any, calls: list[str]) -> None:
    total = ours(3, 4)(torch.randn(5, 2, 3))[0].sum()
    total.backward()
    with pytest.raises(RuntimeError, match="second time"):
        total.backward()


@pytest.mark.parametrize("grad", [True, False])
def test_a_compiler_breaks_its_graph_and_leaves_the_kernel_whole(
    grad: bool, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.compiler.reset()
    traced: list[bool] = []
    monkeypatch.setattr(
        layers, "run_layers", lambda *args: traced.append(True)
    )  # the loop must not be reached
    layer, x = LSTM(3, 4), torch.randn(5, 2, 3)
    compiled = torch.compile(lambda x: layer(x)[0] * 2, backend="eager")
    with torch.set_grad_enabled(grad):
        found = compiled(x)
    assert calls == ["lstm"]
    assert traced == []
    torch.testing.assert_close(found, nn.LSTM.forward(layer, x)[0] * 2)


class Counted(Tensor):
    """Lengths on a device that has to be waited for: counts what reads them from there."""

    waits: ClassVar[list[str]] = []

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.__name__
        if name in ("cpu", "item", "tolist", "__int__", "__bool__", "__index__", "numpy"):
            cls.waits.append(name)
        found = super().__torch_function__(func, types, args, kwargs or {})
        return found.as_subclass(Tensor) if name == "cpu" else found


@pytest.mark.parametrize(("theirs", "ours"), LAYERS, ids=IDS)
def test_lengths_are_waited_for_once(theirs: Any, ours: Any, calls: list[str]) -> None:
    lengths = torch.tensor([3, 0, 5]).as_subclass(Counted)
    Counted.waits.clear()
    ours(3, 4)(torch.randn(5, 3, 3), lengths=lengths)
    assert Counted.waits == ["cpu"]
    Counted.waits.clear()
    pack_ragged(torch.randn(8, 3), lengths)
    assert Counted.waits == ["cpu"]
