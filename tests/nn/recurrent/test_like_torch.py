"""What torch's layers do beside computing, ours do as well; what they refuse, ours refuse."""

import copy
import logging
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence
from torch.utils.flop_counter import FlopCounterMode

from lit_tasks.functional.recurrent import cells
from lit_tasks.nn import GRU, LSTM, RNN, GRUCell, LSTMCell, RNNCell

LAYERS = [(nn.RNN, RNN), (nn.LSTM, LSTM), (nn.GRU, GRU)]
CELLS = [(nn.RNNCell, RNNCell), (nn.LSTMCell, LSTMCell), (nn.GRUCell, GRUCell)]
ALL = [*LAYERS, *CELLS]
IDS = [ours.__name__ for _, ours in ALL]


def pair(theirs: Any, ours: Any, **options: Any) -> tuple[Any, Any]:
    torch.manual_seed(0)
    a = theirs(3, 4, **options)
    b = ours(3, 4, **options)
    b.load_state_dict(a.state_dict())
    return a, b


def batch(kind: Any, **options: Any) -> Tensor:
    return torch.randn(2, 3, **options) if kind in dict(CELLS) else torch.randn(5, 2, 3, **options)


def first(found: Any) -> Tensor:
    while isinstance(found, tuple):
        found = found[0]
    return found


@pytest.mark.parametrize("name", ["Tanh", "RELU", "", "sigmoid"])
def test_a_cell_refuses_an_unknown_nonlinearity(name: str) -> None:
    with pytest.raises(ValueError, match=f"must be 'tanh' or 'relu', got '{name}'"):
        RNNCell(10, 20, nonlinearity=name)(torch.randn(3, 10))


@pytest.mark.parametrize(("theirs", "ours"), ALL, ids=IDS)
def test_the_meta_device_gives_shapes_and_counts_operations_as_torch_does(
    theirs: Any, ours: Any
) -> None:
    counts = []
    for module in pair(theirs, ours, device="meta"):
        x = batch(theirs, device="meta", requires_grad=True)
        shape = (2, 4) if theirs in dict(CELLS) else (1, 2, 4)
        states = [torch.zeros(shape, device="meta", requires_grad=True) for _ in range(2)]
        with FlopCounterMode(display=False) as counter:
            found = first(module(x, tuple(states) if "LSTM" in ours.__name__ else states[0]))
            forward = counter.get_total_flops()
            found.sum().backward()
        assert found.is_meta
        counts.append((forward, counter.get_total_flops()))
    assert counts[0] == counts[1]
    assert 0 < counts[0][0] < counts[0][1]


@pytest.mark.parametrize(("theirs", "ours"), LAYERS, ids=IDS[:3])
def test_a_counter_sees_compiled_products_too(theirs: Any, ours: Any) -> None:
    counts = []
    for device in ("cpu", "meta"):
        layer = ours(3, 4, device=device)
        with FlopCounterMode(display=False) as counter:
            layer(batch(theirs, device=device))[0].sum().backward()
        counts.append(counter.get_total_flops())
    assert counts[0] == counts[1] > 0


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
@pytest.mark.parametrize(("theirs", "ours"), ALL, ids=IDS)
def test_vmap_works_in_every_mode(theirs: Any, ours: Any, mode: Any) -> None:
    module = ours(3, 4)
    inputs = torch.stack([batch(theirs) for _ in range(3)])
    with mode():
        found = torch.func.vmap(lambda x: first(module(x)))(inputs)
        torch.testing.assert_close(found, torch.stack([first(module(x)) for x in inputs]))


@pytest.mark.parametrize(("theirs", "ours"), ALL, ids=IDS)
def test_derivatives_are_computed_forwards_as_well(theirs: Any, ours: Any) -> None:
    _, module = pair(theirs, ours)
    module = module.double()
    x, direction = batch(theirs, dtype=torch.float64), batch(theirs, dtype=torch.float64)

    def function(x: Tensor) -> Tensor:
        return first(module(x)).square().sum()

    grad = torch.func.grad(function)(x)
    _, along = torch.func.jvp(function, (x,), (direction,))
    torch.testing.assert_close(along, (grad * direction).sum())
    torch.testing.assert_close(torch.func.jacfwd(function)(x), grad)
    expected = torch.autograd.functional.hessian(function, x)
    torch.testing.assert_close(torch.func.hessian(function)(x), expected)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(x, direction)
        found = torch.autograd.forward_ad.unpack_dual(function(dual)).tangent
    torch.testing.assert_close(found, along)


@pytest.mark.parametrize("kind", [LSTMCell, RNNCell, GRUCell])
def test_a_transform_leaves_nothing_behind_for_the_next_call(kind: Any) -> None:
    """The batch sizes of single steps are kept; made under a transform they would be its own."""
    cells._one_step.cache_clear()
    cell, x = kind(3, 4).double(), torch.randn(2, 3).double()

    def function(x: Tensor) -> Tensor:
        found = cell(x)
        return (found[0] if kind is LSTMCell else found).square().sum()

    found = torch.func.hessian(function)(x)
    torch.testing.assert_close(found, torch.autograd.functional.hessian(function, x))


@pytest.mark.parametrize(("theirs", "ours"), LAYERS, ids=IDS[:3])
@pytest.mark.parametrize("kind", [list, tuple, np.array, torch.tensor])
def test_lengths_may_be_any_row_of_whole_numbers(theirs: Any, ours: Any, kind: Any) -> None:
    module, x = ours(3, 4, bidirectional=True), torch.randn(5, 3, 3)
    found = module(x, lengths=kind([5, 0, 2]))
    expected = module(x, lengths=torch.tensor([5, 0, 2]))
    torch.testing.assert_close(found, expected)
    with pytest.raises(ValueError, match="at most the 5 steps of the input, got 6"):
        module(x, lengths=kind([5, 0, 6]))
    with pytest.raises(ValueError, match=r"whole numbers|one number for each"):
        module(x, lengths=kind([5.0, 0.5, 2.0]))
    empty = module(torch.randn(5, 0, 3), lengths=[])
    assert first(empty).shape == (5, 0, 8)


@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize(("theirs", "ours"), ALL, ids=IDS)
def test_another_type_is_refused_with_the_remedy(theirs: Any, ours: Any, grad: bool) -> None:
    module, x = ours(3, 4), batch(theirs)
    state = torch.zeros(2, 4) if theirs in dict(CELLS) else torch.zeros(1, 2, 4)
    wrong = state.double()
    two = "LSTM" in ours.__name__
    with torch.set_grad_enabled(grad):
        remedy = r"dtype \(torch\.float64\) does not match .* input\.to\(torch\.float32\)"
        with pytest.raises(ValueError, match=remedy):
            module(x.double())
        for hx in [(wrong, state), (state, wrong)] if two else [wrong]:
            with pytest.raises(ValueError, match=r"hx.*torch\.float64.*to\(torch\.float32\)"):
                module(x, hx)


@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize(("theirs", "ours"), ALL, ids=IDS)
def test_wrong_states_are_refused_alike_with_and_without_gradients(
    theirs: Any, ours: Any, grad: bool
) -> None:
    module, x, two = ours(3, 4), batch(theirs), "LSTM" in ours.__name__
    cell = theirs in dict(CELLS)
    single, good = (x[0], torch.zeros(4)) if cell else (x[:, 0], torch.zeros(1, 4))
    with torch.set_grad_enabled(grad):
        shapes = [(1, 4), (2, 5), (4,)] if cell else [(1, 3, 4), (2, 2, 4), (1, 2, 5), (2, 4)]
        for shape in shapes:
            state = torch.zeros(shape)
            with pytest.raises(ValueError, match=r"hx.* must have shape \("):
                module(x, (state, state) if two else state)
        wrong = good.unsqueeze(0) if cell else torch.zeros(1, 1, 4)
        with pytest.raises(ValueError, match=r"hx.* must have shape \("):
            module(single, (wrong, wrong) if two else wrong)
        full = torch.zeros(2, 4) if cell else torch.zeros(1, 2, 4)
        for hx in [(full,) * 3, (full,), full] if two else [(full,), [full]]:
            with pytest.raises(ValueError, match=r"hx must be (two|one) tensor"):
                module(x, hx)
        with pytest.raises(ValueError, match="input must have"):
            module(torch.randn(*x.shape[:-1], 5))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("theirs", "ours"), LAYERS, ids=IDS[:3])
@pytest.mark.parametrize("layers", [1, 2])
def test_an_output_may_be_changed_in_place_where_torchs_may(
    theirs: Any, ours: Any, packed: bool, layers: int
) -> None:
    if theirs is nn.LSTM and not packed:
        pytest.skip("torch's LSTM refuses that on a rectangle")
    grads = []
    for module in pair(theirs, ours, num_layers=layers):
        x = torch.randn(5, 2, 3, generator=torch.Generator().manual_seed(1), requires_grad=True)
        given: Any = pack_padded_sequence(x, torch.tensor([5, 3])) if packed else x
        output = module(given)[0]
        data = output.data if packed else output
        data.mul_(2)
        data.square().sum().backward()
        grads.append([x.grad, *(parameter.grad for parameter in module.parameters())])
    torch.testing.assert_close(grads[1], grads[0])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("theirs", "ours"), ALL, ids=IDS)
def test_traces_hold_for_other_sizes(theirs: Any, ours: Any) -> None:
    a, b = pair(theirs, ours)
    x = batch(theirs)
    traced = torch.jit.trace(b, (x,))
    other = torch.randn(*(7, 4, 3)[-x.dim() :])
    torch.testing.assert_close(traced(other), a(other))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("theirs", "ours"), LAYERS, ids=IDS[:3])
def test_scripting_takes_torchs_layer(theirs: Any, ours: Any) -> None:
    a, b = pair(theirs, ours, num_layers=2, bidirectional=True)
    x = batch(theirs)
    torch.testing.assert_close(torch.jit.script(nn.Sequential(b))(x), a(x))
    assert b.to_torch().weight_ih_l0 is b.weight_ih_l0


@pytest.mark.filterwarnings("ignore")
def test_quantizing_says_in_one_line_how(caplog: pytest.LogCaptureFixture) -> None:
    model = nn.Sequential(LSTM(3, 4))
    with caplog.at_level(logging.WARNING, "lit_tasks"):
        torch.ao.quantization.quantize_dynamic(model, {nn.LSTM})
    assert [record.getMessage() for record in caplog.records] == [
        "LSTM stays in float: quantize LSTM.to_torch(), torch's own layer."
    ]
    quantized = torch.ao.quantization.quantize_dynamic(nn.Sequential(model[0].to_torch()))
    assert "quantized" in type(quantized[0]).__module__


@pytest.mark.slow  # tracing takes ten times as long as what is traced
@pytest.mark.parametrize(("theirs", "ours"), LAYERS, ids=IDS[:3])
def test_exported_and_compiled_programs_refuse_lengths_that_do_not_fit(
    theirs: Any, ours: Any
) -> None:
    module = ours(3, 4)

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = module

        def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
            return self.layer(x, lengths=lengths)[0]

    example = torch.randn(5, 2, 3), torch.tensor([5, 2])
    program = torch.export.export(Model(), example).module()
    compiled = torch.compile(Model(), backend="eager", fullgraph=True)
    for call in (program, compiled):
        torch.testing.assert_close(call(*example), Model()(*example))
        with pytest.raises(ValueError, match="at most the 5 steps of the input, got 6"):
            call(example[0], torch.tensor([5, 6]))
        with pytest.raises(ValueError, match="not be negative, got -1"):
            call(example[0], torch.tensor([5, -1]))


@pytest.mark.parametrize(("theirs", "ours"), LAYERS, ids=IDS[:3])
def test_batch_sizes_that_do_not_describe_the_rows_are_refused(theirs: Any, ours: Any) -> None:
    module = ours(3, 4)
    packed = pack_padded_sequence(torch.randn(5, 2, 3), torch.tensor([5, 3]))
    for sizes in ([2, 2, 2, 1], [1, 2, 2, 2, 1], [2, 2, 2, 2, 1], [8]):
        wrong = packed._replace(batch_sizes=torch.tensor(sizes))
        with pytest.raises((ValueError, RuntimeError)):
            first(module(wrong)).data.sum().backward()


@pytest.mark.parametrize(("theirs", "ours"), ALL, ids=IDS)
def test_odd_memory_gives_the_same_numbers(theirs: Any, ours: Any) -> None:
    """Strided, transposed, expanded and negated views, where compiled code reads plain memory."""
    a, b = pair(theirs, ours)
    for module in (a, b):
        for parameter in module.parameters():
            if parameter.dim() == 2:
                parameter.data = parameter.data.t().contiguous().t()
    x = batch(theirs)
    negated = torch.imag(torch.complex(torch.zeros_like(x), x).conj())
    assert negated.is_neg()
    for given in (x.mT.contiguous().mT, x[:1].expand_as(x), negated, torch.stack((x, x))[0]):
        results = []
        for module in (a, b):
            module.zero_grad()
            total = first(module(given.clone() if module is a else given)).sum()
            results.append([total, *torch.autograd.grad(total, list(module.parameters()))])
        torch.testing.assert_close(results[1], results[0])


def test_copies_compute_what_the_layer_does() -> None:
    layer, x = LSTM(3, 4, num_layers=2), torch.randn(5, 2, 3)
    torch.testing.assert_close(copy.deepcopy(layer)(x), layer(x))
