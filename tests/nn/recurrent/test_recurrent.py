"""torch's own layers are the oracle, for values and for every gradient."""

import itertools
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from lit_tasks.functional.recurrent import fused
from lit_tasks.nn import GRU, LSTM, RNN, GRUCell, LSTMCell, RNNCell

PAIRS = {"lstm": (nn.LSTM, LSTM), "rnn": (nn.RNN, RNN), "gru": (nn.GRU, GRU)}
FORMS = ("rectangle", "sorted", "unsorted", "lengths", "single")
KINDS = [
    ("lstm", {}),
    ("gru", {}),
    ("rnn", {"nonlinearity": "tanh"}),
    ("rnn", {"nonlinearity": "relu"}),
]
OPTIONS = [
    {"num_layers": layers, "bias": bias, "batch_first": first, "bidirectional": both}
    for layers, bias, first, both in itertools.product(
        (1, 2), (True, False), (False, True), (False, True)
    )
]


def pair(
    kind: str, dtype: torch.dtype = torch.float64, **options: Any
) -> tuple[nn.Module, nn.Module]:
    theirs = PAIRS[kind][0](3, 5, dtype=dtype, **options)
    ours = PAIRS[kind][1](3, 5, dtype=dtype, **options)
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def tensors(found: Any) -> list[Tensor]:
    if isinstance(found, Tensor):
        return [found]
    if isinstance(found, PackedSequence):
        return [found.data]
    return [tensor for part in found for tensor in tensors(part)]


def run(
    module: nn.Module, features: Tensor, states: list[Tensor] | None, form: str, torchs: bool
) -> list[Tensor]:
    """Run a batch of four in the given form; torch is given lengths as a packed sequence."""
    first = module.batch_first
    lengths = torch.tensor([6, 4, 4, 1] if form == "sorted" else [2, 6, 1, 4])
    given: Any = features
    if form in ("sorted", "unsorted") or (form == "lengths" and torchs):
        given = pack_padded_sequence(features, lengths, first, enforce_sorted=form == "sorted")
    if form == "single":
        given = features[0] if first else features[:, 0]
        states = None if states is None else [state[:, 0] for state in states]
    hx = None if states is None else tuple(states) if isinstance(module, nn.LSTM) else states[0]
    if form != "lengths":
        return tensors(module(given, hx))
    if torchs:
        output, ends = module(given, hx)
        return tensors((pad_packed_sequence(output, first)[0], ends))
    return tensors(module(given, hx, lengths=lengths))


def results(module: nn.Module, form: str, with_states: bool, torchs: bool) -> list[Tensor]:
    """Return all outputs and the gradients of everything that has one."""
    torch.manual_seed(1)
    dtype = next(module.parameters()).dtype
    ways = 1 + module.bidirectional
    shape = (4, 6, 3) if module.batch_first else (6, 4, 3)
    features = torch.randn(shape, dtype=dtype, requires_grad=True)
    count = (2 if isinstance(module, nn.LSTM) else 1) if with_states else 0
    states = [
        torch.randn(module.num_layers * ways, 4, 5, dtype=dtype, requires_grad=True)
        for _ in range(count)
    ]
    outputs = run(module, features, states or None, form, torchs)
    weighted = sum((output * torch.randn(output.shape, dtype=dtype)).sum() for output in outputs)
    inputs = [features, *states, *module.parameters()]
    return [*outputs, *torch.autograd.grad(weighted, inputs)]


@pytest.mark.parametrize(
    "options", OPTIONS, ids=lambda options: "-".join(map(str, map(int, options.values())))
)
@pytest.mark.parametrize(("kind", "extra"), KINDS, ids=["lstm", "gru", "rnn_tanh", "rnn_relu"])
def test_layers_are_drop_ins_for_torch(
    kind: str, extra: dict[str, Any], options: dict[str, Any]
) -> None:
    for form, with_states in itertools.product(FORMS, (False, True)):
        theirs, ours = pair(kind, **options, **extra)
        expected = results(theirs, form, with_states, torchs=True)
        found = results(ours, form, with_states, torchs=False)
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10, msg=f"{form} differs")


@pytest.mark.parametrize("implementation", ["auto", "analytic", "torch"])
@pytest.mark.parametrize("kind", ["lstm", "rnn", "gru"])
def test_single_precision_agrees_too(kind: str, implementation: str) -> None:
    for form in FORMS:
        theirs, ours = pair(kind, torch.float32, bidirectional=True, num_layers=2)
        ours.implementation = implementation
        expected = results(theirs, form, True, torchs=True)
        found = results(ours, form, True, torchs=False)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_state_dicts_load_both_ways_and_start_is_torchs() -> None:
    for kind in PAIRS:
        torch.manual_seed(3)
        theirs = PAIRS[kind][0](3, 5, num_layers=2, bidirectional=True)
        torch.manual_seed(3)
        ours = PAIRS[kind][1](3, 5, num_layers=2, bidirectional=True)
        assert isinstance(ours, PAIRS[kind][0])
        assert list(ours.state_dict()) == list(theirs.state_dict())
        torch.testing.assert_close(list(ours.parameters()), list(theirs.parameters()))
        theirs.load_state_dict(ours.state_dict())


@given(
    kind=st.sampled_from(["lstm", "rnn", "gru"]),
    lengths=st.lists(st.integers(0, 6), min_size=1, max_size=5),
    surplus=st.integers(0, 2),
    hidden=st.integers(1, 4),
    both=st.booleans(),
)
def test_any_lengths_give_what_each_sequence_gives_alone(
    kind: str, lengths: list[int], surplus: int, hidden: int, both: bool
) -> None:
    layer = PAIRS[kind][1](2, hidden, bidirectional=both, batch_first=True).double()
    steps = max(lengths) + surplus
    features = torch.randn(len(lengths), steps, 2, dtype=torch.float64, requires_grad=True)
    states = [torch.randn(1 + both, len(lengths), hidden).double() for _ in range(2)]
    hx = tuple(states) if kind == "lstm" else states[0]
    output, ends = layer(features, hx, lengths=torch.tensor(lengths))
    assert output.shape == (len(lengths), steps, hidden * (1 + both))
    for place, length in enumerate(lengths):
        assert not output[place, length:].any()
        own = [state[:, place] for state in states]
        if not length:  # no step: the state is what it was
            for end, state in zip(tensors(ends), own, strict=False):
                assert torch.equal(end[:, place], state)
            continue
        alone = layer(features[place, :length], tuple(own) if kind == "lstm" else own[0])
        torch.testing.assert_close(output[place, :length], alone[0])
        for end, expected in zip(tensors(ends), tensors(alone[1]), strict=True):
            torch.testing.assert_close(end[:, place], expected)
    if output.requires_grad and sum(lengths):
        (grad,) = torch.autograd.grad(output.sum(), features)
        beyond = torch.arange(steps) >= torch.tensor(lengths)[:, None]
        assert not grad[beyond].any()


@pytest.mark.parametrize("kind", ["lstm", "rnn", "gru"])
def test_permuting_the_batch_permutes_the_result(kind: str) -> None:
    _, ours = pair(kind, bidirectional=True)
    features, lengths = torch.randn(6, 4, 3).double(), torch.tensor([2, 6, 0, 4])
    order = torch.tensor([3, 1, 0, 2])
    straight, mixed = (
        ours(features, lengths=lengths),
        ours(features[:, order], lengths=lengths[order]),
    )
    for one, other in zip(tensors(straight), tensors(mixed), strict=True):
        torch.testing.assert_close(one[:, order], other)


@pytest.mark.parametrize("kind", ["lstm", "rnn", "gru"])
def test_carrying_the_state_over_a_cut_equals_the_whole(kind: str) -> None:
    _, ours = pair(kind, num_layers=2)
    features = torch.randn(7, 4, 3).double()
    whole, end = ours(features)
    head, state = ours(features[:3])
    tail, last = ours(features[3:], state)
    torch.testing.assert_close(torch.cat((head, tail)), whole)
    torch.testing.assert_close(last, end)


@pytest.mark.parametrize("kind", ["lstm", "rnn", "gru"])
def test_layers_have_second_derivatives(kind: str) -> None:
    torch.manual_seed(0)
    layer = PAIRS[kind][1](2, 2, bidirectional=True).double()
    names, values = zip(*layer.named_parameters(), strict=True)

    def function(features: Tensor, *weights: Tensor) -> tuple[Tensor, ...]:
        given = dict(zip(names, weights, strict=True))
        found = torch.func.functional_call(layer, given, (features, None, torch.tensor([1, 3])))
        return tuple(tensors(found))

    features = torch.randn(3, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(function, (features, *values))
    assert torch.autograd.gradgradcheck(function, (features, *values))


@pytest.mark.parametrize(
    ("theirs", "ours"), [(nn.RNNCell, RNNCell), (nn.LSTMCell, LSTMCell), (nn.GRUCell, GRUCell)]
)
def test_cells_are_drop_ins_for_torch(theirs: Any, ours: Any) -> None:
    for bias, batch, with_states in itertools.product((True, False), (4, None), (True, False)):
        torch.manual_seed(0)
        cells = theirs(3, 5, bias=bias).double(), ours(3, 5, bias=bias).double()
        cells[1].load_state_dict(cells[0].state_dict())
        shape = () if batch is None else (batch,)
        features = torch.randn(*shape, 3, dtype=torch.float64, requires_grad=True)
        states = [torch.randn(*shape, 5, dtype=torch.float64, requires_grad=True) for _ in range(2)]
        found = []
        for cell in cells:
            hx = (tuple(states) if theirs is nn.LSTMCell else states[0]) if with_states else None
            outputs = tensors(cell(features, hx))
            total = sum(output.square().sum() for output in outputs)
            used = states[: len(outputs)] if with_states else []
            found.append(
                [*outputs, *torch.autograd.grad(total, [features, *used, *cell.parameters()])]
            )
        torch.testing.assert_close(found[1], found[0], rtol=1e-10, atol=1e-10)


def test_a_cell_in_a_loop_equals_the_layer() -> None:
    layer, cell = LSTM(3, 5).double(), LSTMCell(3, 5).double()
    cell.load_state_dict(
        {name.removesuffix("_l0"): value for name, value in layer.state_dict().items()}
    )
    features, state, found = torch.randn(6, 4, 3).double(), None, []
    for x in features:
        state = cell(x, state)
        found.append(state)
    output, _, cells = layer.forward_with_cells(features)
    torch.testing.assert_close(torch.stack([h for h, _ in found]), output)
    torch.testing.assert_close(torch.stack([c for _, c in found]), cells)


def test_eval_mode_has_a_backward_pass() -> None:
    layer = LSTM(3, 5, num_layers=2, dropout=0.5).eval()
    features = torch.randn(6, 4, 3, requires_grad=True)
    layer(features)[0].sum().backward()
    assert features.grad is not None
    assert features.grad.abs().sum() > 0


def test_dropout_between_layers_is_drawn_in_training_only() -> None:
    layer, features = LSTM(3, 64, num_layers=2, dropout=0.5), torch.randn(6, 4, 3)
    assert not torch.equal(layer(features)[0], layer(features)[0])
    layer.eval()
    assert torch.equal(layer(features)[0], layer(features)[0])


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: LSTM(3, 5, proj_size=4), "proj_size must be 0, got 4"),
        (lambda: RNN(3, 5, implementation="cudnn"), "implementation must be .* got 'cudnn'"),
        (lambda: LSTM(3, 5)(torch.zeros(2, 1, 4)), r"3 features \(input_size\), got 4"),
        (lambda: LSTM(3, 5)(torch.zeros(3)), "2 or 3 dimensions, got 1"),
        (
            lambda: RNN(3, 5)(torch.zeros(2, 1, 3), torch.zeros(1, 2, 5)),
            r"hx must have shape \(1, 1, 5\)",
        ),
        (
            lambda: RNN(3, 5)(torch.zeros(2, 1, 3), lengths=torch.tensor([3])),
            "at most the 2 steps .* got 3",
        ),
        (
            lambda: RNN(3, 5)(torch.zeros(2, 1, 3), lengths=torch.tensor([-1])),
            "not be negative, got -1",
        ),
        (
            lambda: RNN(3, 5)(torch.zeros(2, 1, 3), lengths=torch.tensor([1, 1])),
            "each of 1 sequences, got 2",
        ),
        (lambda: RNN(3, 5)(torch.zeros(2, 1, 3), lengths=torch.tensor([1.0])), "whole numbers"),
        (lambda: LSTMCell(3, 5)(torch.zeros(2, 4)), r"input must have shape \(B, 3\)"),
    ],
)
def test_what_cannot_be_is_refused_by_a_sentence(build: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize("kind", ["lstm", "rnn", "gru"])
def test_no_gradient_changes_no_number(kind: str) -> None:
    for form in FORMS:
        _, ours = pair(kind, torch.float32, bidirectional=True, num_layers=2)
        features = torch.randn(6, 4, 3)
        learned = run(ours, features, None, form, torchs=False)
        with torch.no_grad():
            idle = run(ours, features, None, form, torchs=False)
        torch.testing.assert_close(idle, learned, rtol=1e-5, atol=1e-6)


@pytest.mark.skipif(fused.library() is None, reason="no C compiler here")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", [LSTM, GRU, RNN, LSTMCell, GRUCell, RNNCell])
def test_numbers_of_16_bits_are_computed_in_float32(kind: Any, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    low, high = kind(3, 5, dtype=dtype), kind(3, 5)
    high.load_state_dict(low.state_dict())
    features = torch.randn(6, 4, 3).to(dtype)
    found = []
    for module, x in ((low, features), (high, features.float())):
        own = x[0] if "Cell" in kind.__name__ else pack_padded_sequence(x, [6, 4, 4, 1])
        output = tensors(module(own))
        torch.stack([part.float().square().sum() for part in output]).sum().backward()
        found.append((output, [weight.grad for weight in module.parameters()]))
    assert all(part.dtype is dtype for part in (*found[0][0], *found[0][1]))
    assert [part.tolist() for part in found[0][0]] == [
        part.to(dtype).tolist() for part in found[1][0]
    ]
    for mine, exact in zip(found[0][1], found[1][1], strict=True):
        torch.testing.assert_close(mine.float(), exact, rtol=0.02, atol=0.02)
