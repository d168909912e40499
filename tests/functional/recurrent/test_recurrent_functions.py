"""The formulas against torch's derivatives, the sequence against the step, fast against plain."""

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from lit_tasks.functional.recurrent import fused, gru, loops, lstm, rnn
from lit_tasks.functional.recurrent.cells import gru_cell, lstm_cell, rnn_relu_cell, rnn_tanh_cell
from lit_tasks.functional.recurrent.gru_autograd import gru as gru_sequence
from lit_tasks.functional.recurrent.lstm_autograd import lstm as lstm_sequence
from lit_tasks.functional.recurrent.packing import blocks, pack_ragged
from lit_tasks.functional.recurrent.rnn_autograd import rnn as rnn_sequence
from lit_tasks.functional.recurrent.sequences import (
    GRUSaved,
    LSTMGrads,
    LSTMSaved,
    RNNGrads,
    RNNSaved,
)

SIZES = torch.tensor([3, 2, 2])


def leaf(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return (torch.randn(*shape, dtype=dtype) * 0.7).requires_grad_()


def lstm_inputs(hidden: int = 3, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """Return seven rows in three steps, and a fourth sequence without any."""
    torch.manual_seed(0)
    shapes = [
        (7, 2),
        (4, hidden),
        (4, hidden),
        (4 * hidden, 2),
        (4 * hidden, hidden),
        (4 * hidden,),
    ]
    return [leaf(*shape, dtype=dtype) for shape in shapes]


def rnn_inputs() -> list[Tensor]:
    torch.manual_seed(0)
    return [leaf(7, 2), leaf(4, 3), leaf(3, 2), leaf(3, 3), leaf(3)]


def test_lstm_sequence_has_first_and_second_derivatives() -> None:
    def function(*given: Tensor) -> tuple[Tensor, ...]:
        return tuple(lstm_sequence(*given, None, SIZES))

    assert torch.autograd.gradcheck(function, lstm_inputs())
    assert torch.autograd.gradgradcheck(lambda *given: function(*given)[:4], lstm_inputs())


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_rnn_sequence_has_first_and_second_derivatives(nonlinearity: Any) -> None:
    def function(*given: Tensor) -> tuple[Tensor, ...]:
        return tuple(rnn_sequence(*given, None, SIZES, nonlinearity))

    assert torch.autograd.gradcheck(function, rnn_inputs())
    assert torch.autograd.gradgradcheck(function, rnn_inputs())


@pytest.mark.parametrize(
    ("ours", "theirs", "gates"),
    [
        (lstm_cell, torch.lstm_cell, 4),
        (rnn_tanh_cell, torch.rnn_tanh_cell, 1),
        (rnn_relu_cell, torch.rnn_relu_cell, 1),
        (gru_cell, torch.gru_cell, 3),
    ],
)
def test_cells_take_torchs_arguments_and_have_second_derivatives(
    ours: Any, theirs: Any, gates: int
) -> None:
    torch.manual_seed(0)
    x, h, c = leaf(2, 2), leaf(2, 3), leaf(2, 3)
    weights = [leaf(gates * 3, 2), leaf(gates * 3, 3), leaf(gates * 3), leaf(gates * 3)]

    def call(cell: Any) -> Any:
        return lambda x, h, c, *rest: cell(x, (h, c) if gates == 4 else h, *rest)

    inputs = [x, h, c, *weights]
    torch.testing.assert_close(call(ours)(*inputs), call(theirs)(*inputs))
    assert torch.autograd.gradcheck(call(ours), inputs)
    assert torch.autograd.gradgradcheck(call(ours), inputs)


def test_lstm_sequence_equals_its_step_in_a_loop() -> None:
    x, h0, c0, w_ih, w_hh, bias = (tensor.detach() for tensor in lstm_inputs())
    found = lstm.lstm_forward(x, h0, c0, w_ih, w_hh, bias, SIZES)
    h, c, start = h0, c0, 0
    for size in SIZES.tolist():
        rows = slice(start, start + size)
        start += size
        h, c, gates = lstm.lstm_cell_forward(
            x[rows] @ w_ih.t() + h[:size] @ w_hh.t() + bias, c[:size]
        )
        torch.testing.assert_close(
            (found.output[rows], found.cells[rows], found.gates[rows]), (h, c, gates)
        )


@pytest.mark.parametrize("rows", [1, 3, 1000])
def test_both_backward_passes_of_the_lstm_agree(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lstm, "GRAD_ROWS", rows)
    monkeypatch.setattr(lstm, "KEPT_ROWS", rows)
    x, h0, c0, w_ih, w_hh, bias = (tensor.detach() for tensor in lstm_inputs())
    done = lstm.lstm_forward(x, h0, c0, w_ih, w_hh, bias, SIZES)
    grads = LSTMGrads(
        torch.randn_like(done.output),
        torch.randn_like(h0),
        torch.randn_like(c0),
        torch.randn_like(done.cells),
    )
    saved = LSTMSaved(x, h0, c0, w_ih, w_hh, done.output, done.cells, done.gates, SIZES)
    fast = lstm.lstm_backward(grads, saved)
    torch.testing.assert_close(fast, lstm.lstm_backward_by_steps(grads, saved))
    fast = lstm.lstm_backward(LSTMGrads(h_n=grads.h_n), saved)
    plain = lstm.lstm_backward_by_steps(LSTMGrads(h_n=grads.h_n), saved)
    torch.testing.assert_close(fast, plain)


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_both_backward_passes_of_the_rnn_agree(nonlinearity: Any) -> None:
    x, h0, w_ih, w_hh, bias = (tensor.detach() for tensor in rnn_inputs())
    done = rnn.rnn_forward(x, h0, w_ih, w_hh, bias, SIZES, nonlinearity)
    grads = RNNGrads(torch.randn_like(done.output), torch.randn_like(h0))
    given = grads, RNNSaved(x, h0, w_ih, w_hh, done.output, SIZES)
    fast = rnn.rnn_backward(*given, nonlinearity)
    torch.testing.assert_close(fast, rnn.rnn_backward_by_steps(*given, nonlinearity))


def test_gates_are_kept_only_for_the_derivative() -> None:
    inputs = [tensor.detach() for tensor in lstm_inputs()]
    kept, lost = (lstm.lstm_forward(*inputs, SIZES, keep=keep) for keep in (True, False))
    torch.testing.assert_close(lost[:4], kept[:4])
    assert kept.gates.shape == (7, 12)
    assert lost.gates.shape == (0, 12)


@pytest.mark.skipif(fused.library() is None, reason="no C compiler here")
@pytest.mark.parametrize("hidden", [1, 3, 16, 37])
def test_the_compiled_step_equals_the_plain_one(hidden: int) -> None:
    inputs = [tensor.detach() for tensor in lstm_inputs(hidden, torch.float32)]
    plain, quick = (lstm.lstm_forward(*inputs, SIZES, fused=use) for use in (False, True))
    torch.testing.assert_close(quick, plain, rtol=1e-6, atol=1e-6)
    grads = LSTMGrads(
        torch.randn_like(plain.output),
        None,
        torch.randn_like(inputs[2]),
        torch.randn_like(plain.cells),
    )
    saved = LSTMSaved(*inputs[:5], plain.output, plain.cells, plain.gates, SIZES)
    expected, found = (lstm.lstm_backward(grads, saved, fused=use) for use in (False, True))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.skipif(fused.library() is None, reason="no C compiler here")
def test_the_compiled_activations_are_exact_near_zero_and_far_from_it() -> None:
    far = torch.tensor([0.0, -0.0, 1e-30, -1e-8, 1e-4, 0.624, 0.626, 5, -9, 50, -100, 1e4, -1e4])
    values = torch.cat((far, torch.tensor([float("inf"), -float("inf"), float("nan")])))
    zero, big = torch.zeros_like(values), torch.full_like(values, 100.0)
    z = torch.cat((big, zero, values, values))[None]  # input gate 1, forget gate 1/2
    c_next, h = torch.empty(1, len(values)), torch.empty(1, len(values))
    fused.lstm_forward_step(z, None, torch.zeros(1, len(values)), c_next, h)
    torch.testing.assert_close(c_next[0], values.tanh(), rtol=3e-7, atol=0, equal_nan=True)
    torch.testing.assert_close(
        z[0, -len(values) :], values.sigmoid(), rtol=3e-7, atol=1e-37, equal_nan=True
    )


def test_without_a_compiler_the_plain_step_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = [tensor.detach() for tensor in lstm_inputs(dtype=torch.float32)]
    expected = lstm.lstm_forward(*inputs, SIZES)
    monkeypatch.setenv("LIT_TASKS_FUSED", "0")
    fused.library.cache_clear()
    try:
        assert fused.library() is None
        torch.testing.assert_close(lstm.lstm_forward(*inputs, SIZES, fused=True), expected)
    finally:
        fused.library.cache_clear()


def test_blocks_cover_all_steps_in_order() -> None:
    sizes = [5, 5, 4, 2, 2, 2, 1]
    for rows in (1, 4, 6, 100):
        found = blocks(sizes, rows)
        assert list(itertools.chain(*(block.sizes for block in found))) == sizes
        assert [block.start for block in found] == [
            sum(block.total for block in found[:place]) for place in range(len(found))
        ]


def test_a_ragged_batch_can_be_embedded_packed_and_run() -> None:
    words, lengths = torch.tensor([4, 1, 2, 2, 0, 3]), torch.tensor([2, 0, 4])
    packed = pack_ragged(words, lengths)
    table = torch.randn(5, 2).double()
    _, h0, c0, *weights = lstm_inputs()
    done = lstm_sequence(table[packed.data], h0[:3], c0[:3], *weights, None, packed.batch_sizes)
    order = packed.sorted_indices
    assert order is not None
    for place, text in enumerate(order.tolist()):
        own = words.split(lengths.tolist())[text]
        ones = torch.ones(len(own), dtype=torch.int64)
        state = h0[place : place + 1], c0[place : place + 1]
        alone = lstm_sequence(table[own], *state, *weights, None, ones)
        torch.testing.assert_close(done.h_n[place], alone.h_n[0])


@pytest.mark.parametrize("missing", ["compiler", "product"])
@pytest.mark.parametrize("kind", ["lstm", "rnn", "gru"])
def test_where_something_is_missing_the_present_loop_stays(
    kind: str, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a compiler all is plain; without torch's product only an LSTM's step is compiled."""
    if missing == "compiler":
        monkeypatch.setattr(fused, "library", lambda dtype=torch.float32: None)
    else:
        monkeypatch.setattr(fused, "blas", lambda dtype: None)
    assert not fused.loop_usable(torch.zeros(1))
    monkeypatch.setattr(loops, f"{kind}_forward", None)  # calling it would fail
    monkeypatch.setattr(loops, f"{kind}_backward", None)
    inputs = [tensor.detach().requires_grad_() for tensor in lstm_inputs(3, torch.float32)]
    x, h0, c0, w_ih, w_hh, bias = inputs
    rows = {"lstm": 12, "gru": 9, "rnn": 3}[kind]
    weights = [weight[:rows] for weight in (w_ih, w_hh, bias)]
    found = []
    for use in (True, False):
        if kind == "lstm":
            done = lstm_sequence(x, h0, c0, *weights, None, SIZES, use)
        elif kind == "gru":
            done = gru_sequence(x, h0, *weights, weights[2], SIZES, use)
        else:
            done = rnn_sequence(x, h0, *weights, None, SIZES, "tanh", use)
        used = [tensor for tensor in inputs if kind == "lstm" or tensor is not c0]
        found.append([*done[:2], *torch.autograd.grad(done[0].square().sum(), used)])
    torch.testing.assert_close(found[0], found[1], rtol=1e-5, atol=1e-6)


@pytest.mark.skipif(fused.library() is None, reason="no C compiler here")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("sizes", [[3, 2, 2], [40] * 30, [30, 30, 29, 10, 10, 3, 1, 1], [1] * 2100])
@pytest.mark.parametrize("kind", ["lstm", "tanh", "relu", "gru"])
def test_the_compiled_loop_equals_the_plain_one(
    kind: str, sizes: list[int], dtype: torch.dtype
) -> None:
    """Over several blocks, with a last sequence that has no step."""
    torch.manual_seed(0)
    rows, hidden, steps = sum(sizes), 5, torch.tensor(sizes)
    gates = {"lstm": 4, "gru": 3}.get(kind, 1) * hidden

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=dtype) * 0.5

    x, h0, c0 = draw(rows, 3), draw(sizes[0] + 1, hidden), draw(sizes[0] + 1, hidden)
    weights = draw(gates, 3), draw(gates, hidden), draw(gates)
    of_output, of_h, of_c = draw(rows, hidden), draw(*h0.shape), draw(*h0.shape)
    found = []
    for use in (False, True):
        if kind == "lstm":
            done = lstm.lstm_forward(x, h0, c0, *weights, steps, fused=use)
            saved = LSTMSaved(x, h0, c0, *weights[:2], *done[:1], *done[3:], steps)
            reach = LSTMGrads(of_output, of_h, of_c, of_output)
            grads = lstm.lstm_backward(reach, saved, fused=use)
        elif kind == "gru":
            done = gru.gru_forward(x, h0, *weights, 2 * weights[2], steps, fused=use)
            given = GRUSaved(x, h0, *weights[:2], done.output, done.gates, steps)
            grads = gru.gru_backward(RNNGrads(of_output, of_h), given, fused=use)
            by_steps = gru.gru_backward_by_steps(RNNGrads(of_output, of_h), given)
            torch.testing.assert_close(grads, by_steps, rtol=1e-3, atol=1e-3)
        else:
            done = rnn.rnn_forward(x, h0, *weights, steps, kind, fused=use)
            kept = RNNSaved(x, h0, *weights[:2], done.output, steps)
            grads = rnn.rnn_backward(RNNGrads(of_output, of_h), kept, kind, fused=use)
        found.append([*done, *grads])
    tolerance = 1e-4 if dtype is torch.float32 else 1e-11
    for one, other in zip(*found, strict=True):
        size = float(one.abs().max())
        torch.testing.assert_close(other / size, one / size, rtol=0, atol=tolerance)


def test_gru_sequence_has_first_and_second_derivatives() -> None:
    x, h0, _, w_ih, w_hh, bias = lstm_inputs()
    given = [leaf(*t.shape) for t in (x, h0, w_ih[:9], w_hh[:9], bias[:9], bias[:9])]

    def function(*given: Tensor) -> tuple[Tensor, ...]:
        return tuple(gru_sequence(*given, SIZES)[:2])

    assert torch.autograd.gradcheck(function, given)
    assert torch.autograd.gradgradcheck(function, given)
