"""What we rest on in torch beyond its documentation."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.autograd import forward_ad
from torch.nn.parallel import DistributedDataParallel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from lit_tasks import torch_internals
from lit_tasks.nn import LSTM, RNN


class Theirs(nn.LSTM):
    """A subclass that is not ours."""


class Plain(nn.GRU):
    """A layer that Dynamo can trace."""

    def forward(self, input: Tensor) -> tuple[Tensor]:  # type: ignore[override]
        return (input + self.bias_ih_l0[0],)


def test_leaves_come_in_order_out_of_any_container() -> None:
    assert torch_internals.leaves({"a": [1, (2,)], "b": 3}) == [1, 2, 3]
    assert torch_internals.leaves(4) == [4]


def test_importing_our_layers_leaves_dynamos_settings_alone() -> None:
    assert torch._dynamo.config.allow_rnn is False


@pytest.mark.parametrize("kind", [LSTM, RNN])
def test_dynamo_traces_our_layers(kind: type[nn.RNNBase]) -> None:
    torch.compiler.reset()
    layer, x = kind(3, 5), torch.randn(4, 2, 3)
    compiled = torch.compile(lambda x: layer(x)[0], backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), layer(x)[0])
    assert torch._dynamo.config.allow_rnn is False


@pytest.mark.parametrize("kind", [Theirs, nn.GRU])
def test_dynamo_refuses_the_layers_of_others_as_before(kind: type[nn.RNNBase]) -> None:
    torch.compiler.reset()
    layer = kind(3, 5)
    compiled = torch.compile(lambda x: layer(x)[0], backend="eager", fullgraph=True)
    with pytest.raises(torch._dynamo.exc.Unsupported, match="RNN, GRU, or LSTM"):
        compiled(torch.randn(4, 2, 3))


def test_let_dynamo_trace_means_the_layers_given_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch._dynamo.variables.builder import VariableBuilder

    monkeypatch.setattr(VariableBuilder, "wrap_module", VariableBuilder.wrap_module)
    torch.compiler.reset()
    torch_internals.let_dynamo_trace(Plain)
    layer = Plain(3, 5)
    compiled = torch.compile(lambda x: layer(x)[0], backend="eager", fullgraph=True)
    assert compiled(torch.ones(1, 2, 3)).shape == (1, 2, 3)


@pytest.fixture
def group(tmp_path: Path) -> object:
    store = dist.FileStore(str(tmp_path / "store"), 1)
    dist.init_process_group("gloo", store=store, rank=0, world_size=1, timeout=timedelta(seconds=5))
    yield
    dist.destroy_process_group()


def test_the_store_of_the_processes_takes_what_one_of_them_says(group: object) -> None:
    store = torch_internals.process_store()
    store.compare_set("said", "", "once")
    store.compare_set("said", "", "twice")
    assert store.check(["said"])
    assert store.get("said") == b"once"


def test_buffers_are_sent_once_and_not_again_by_the_next_forward(group: object) -> None:
    model = DistributedDataParallel(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)))
    assert model.will_sync_module_buffers()
    torch_internals.sync_buffers(model)
    assert not model.will_sync_module_buffers()
    model(torch.randn(3, 2)).sum().backward()
    model(torch.randn(3, 2))
    assert model.require_forward_param_sync


def test_transforms_modes_and_traces_are_noticed_while_they_last() -> None:
    asked = (
        torch_internals.transformed,
        torch_internals.observed,
        torch_internals.forward_mode,
        torch_internals.traced,
    )
    seen: list[list[bool]] = []

    def look(x: Tensor) -> Tensor:
        seen.append([ask() for ask in asked])
        return 2 * x

    x = torch.ones(2)
    look(x)
    torch.func.vmap(look)(x)
    torch.func.jvp(look, (x,), (x,))
    with FlopCounterMode(display=False):
        look(x)
    with forward_ad.dual_level():
        look(x)
    torch.jit.trace(look, (x,), check_trace=False)
    look(x)
    none = [False] * 4
    assert seen[0] == seen[-1] == none
    assert seen[1] == [True, True, False, False]
    assert seen[2] == [True, True, True, False]
    assert seen[3] == [False, True, False, False]
    assert seen[4] == [False, False, True, False]
    assert seen[5][3]


class _Seen(TorchDispatchMode):
    """Notes the names of all operators that are called."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.add(str(func))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_onednns_kernel_is_known_to_run_where_torch_runs_it(dtype: torch.dtype) -> None:
    lstm = nn.LSTM(2, 3, dtype=dtype)
    with torch.no_grad(), _Seen() as seen:
        lstm(torch.randn(4, 1, 2, dtype=dtype))
    runs = any("mkldnn_rnn_layer" in name for name in seen.names)
    assert torch_internals.has_onednn_lstm(dtype) == runs


def test_a_backward_pass_knows_whether_its_graph_is_kept() -> None:
    x = torch.ones(2, requires_grad=True)
    found: list[bool] = []
    y = 2 * x
    y.register_hook(lambda _: found.append(torch_internals.keeps_graph()))
    total = y.sum()
    total.backward(retain_graph=True)
    total.backward()
    assert found == [True, False]
