"""Cells of one's own: each of three from papers against a plain loop; what all layers have."""

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence

from lit_tasks.nn.recurrent import (
    CoupledLSTM,
    MinGRU,
    OwnCell,
    PeepholeLSTM,
    check_step_backward,
)

KINDS = [MinGRU, PeepholeLSTM, CoupledLSTM]
LENGTHS = [2, 6, 0, 4]


def mingru(x: Tensor, h: Tensor, c: Tensor, w: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    z = torch.sigmoid(w["w_z"] @ x + w["b_z"])
    return (1 - z) * h + z * (w["w_n"] @ x + w["b_n"]), c


def peephole(x: Tensor, h: Tensor, c: Tensor, w: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    i, f, g, o = (w["w_x"] @ x + w["w_h"] @ h + w["b"]).chunk(4)
    i, f = torch.sigmoid(i + w["p_i"] * c), torch.sigmoid(f + w["p_f"] * c)
    c = f * c + i * torch.tanh(g)
    return torch.sigmoid(o + w["p_o"] * c) * torch.tanh(c), c


def coupled(x: Tensor, h: Tensor, c: Tensor, w: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    f, g, o = (w["w_x"] @ x + w["w_h"] @ h + w["b"]).chunk(3)
    c = torch.sigmoid(f) * c + (1 - torch.sigmoid(f)) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


LOOPS = {MinGRU: mingru, PeepholeLSTM: peephole, CoupledLSTM: coupled}


def by_loop(layer: OwnCell, x: Tensor, starts: list[Tensor], lengths: list[int]) -> list[Tensor]:
    """Run one sequence after the other, one step after the other, one row at a time."""
    step, ways = LOOPS[type(layer)], 1 + layer.bidirectional
    outputs, ends = [], []
    for index, length in enumerate(lengths):
        rows, ended = [x[t, index] for t in range(length)], []
        for number in range(layer.num_layers):
            columns = []
            for way in range(ways):
                place = number * ways + way
                end = f"_l{number}" + ("_reverse" if way else "")
                weights = {n: getattr(layer, n + end) for n in layer.shapes(1, 1)}
                h, c = starts[0][place, index], starts[-1][place, index]
                column = []
                for row in rows[::-1] if way else rows:
                    h, c = step(row, h, c, weights)
                    column.append(h)
                columns.append(column[::-1] if way else column)
                ended.append((h, c)[: layer.num_states])
            rows = [torch.cat(parts) for parts in zip(*columns, strict=True)]
        blank = x.new_zeros(layer.hidden_size * ways)
        outputs.append(torch.stack(rows + [blank] * (len(x) - length)))
        ends.append([torch.stack(states) for states in zip(*ended, strict=True)])
    return [torch.stack(outputs, 1), *(torch.stack(s, 1) for s in zip(*ends, strict=True))]


def flat(found: Any) -> list[Tensor]:
    return [found] if isinstance(found, Tensor) else [t for part in found for t in flat(part)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("layers", "both"), list(itertools.product((1, 2), (False, True))))
def test_each_cell_equals_a_plain_loop_in_values_and_gradients(
    kind: Any, layers: int, both: bool
) -> None:
    torch.manual_seed(0)
    layer = kind(3, 4, layers, bidirectional=both).double()
    x = torch.randn(6, 4, 3, dtype=torch.float64, requires_grad=True)
    shape = layers * (1 + both), 4, 4
    starts = [
        torch.randn(shape, dtype=torch.float64, requires_grad=True) for _ in range(kind.num_states)
    ]
    results = []
    hx = starts[0] if len(starts) == 1 else tuple(starts)
    for found in (flat(layer(x, hx, lengths=LENGTHS)), by_loop(layer, x, starts, LENGTHS)):
        torch.manual_seed(1)
        total = sum((tensor * torch.randn_like(tensor)).sum() for tensor in found)
        results.append([*found, *torch.autograd.grad(total, [x, *starts, *layer.parameters()])])
    torch.testing.assert_close(results[0], results[1], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_all_forms_of_input_agree(kind: Any) -> None:
    layer, x = kind(3, 4, bidirectional=True, batch_first=True), torch.randn(2, 5, 3)
    padded, _ = layer(x, lengths=(5, 3))
    packed, _ = layer(pack_padded_sequence(x, torch.tensor([5, 3]), batch_first=True))
    torch.testing.assert_close(packed.data[:6], padded[:, :3].transpose(0, 1).flatten(0, 1))
    torch.testing.assert_close(layer(x[0])[0], padded[0])
    with torch.no_grad():
        torch.testing.assert_close(layer(x, lengths=(5, 3))[0], padded)


@pytest.mark.parametrize("kind", KINDS)
def test_second_derivatives_and_transforms(kind: Any) -> None:
    torch.manual_seed(0)
    layer = kind(2, 2).double()
    x = torch.randn(3, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: layer(x, lengths=[1, 3])[0], x)
    assert torch.autograd.gradgradcheck(lambda x: layer(x, lengths=[1, 3])[0], x)
    found = torch.func.vmap(lambda x: layer(x)[0])(torch.stack((x, x)).detach())
    torch.testing.assert_close(found[1], layer(x)[0])
    direction = torch.randn_like(x)
    _, along = torch.func.jvp(lambda x: layer(x)[0].sum(), (x.detach(),), (direction,))
    (grad,) = torch.autograd.grad(layer(x)[0].sum(), x)
    torch.testing.assert_close(along, (grad * direction).sum())


@pytest.mark.parametrize("kind", KINDS)
def test_checkpoints_keep_every_weight(kind: Any, tmp_path: Path) -> None:
    layer, other = kind(3, 4, 2, bidirectional=True), kind(3, 4, 2, bidirectional=True)
    torch.save(layer.state_dict(), tmp_path / "weights.pt")
    other.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    x = torch.randn(5, 2, 3)
    torch.testing.assert_close(other(x), layer(x))
    assert {name.split("_l")[-1] for name in layer.state_dict()} == {
        "0",
        "0_reverse",
        "1",
        "1_reverse",
    }


@pytest.mark.parametrize("kind", KINDS)
def test_a_derivative_by_hand_is_compared_with_autograd(kind: Any) -> None:
    errors = check_step_backward(kind(3, 4))
    assert set(errors) == {
        "x",
        *(f"states[{index}]" for index in range(kind.num_states)),
        *(f"weights[{name!r}]" for name in kind(3, 4).shapes(3, 4)),
    }
    assert max(errors.values()) < 1e-12


class Wrong(MinGRU):
    """Forgets a factor, and a term."""

    def step_backward(self, grads: Any, x: Any, before: Any, weights: Any, after: Any) -> Any:
        of_x, of_states, of_weights = super().step_backward(grads, x, before, weights, after)
        del of_weights["b_n"]
        return of_x, of_states, {**of_weights, "w_z": 2 * of_weights["w_z"]}


def test_the_comparison_says_which_terms_are_off() -> None:
    with pytest.raises(ValueError, match=r"Wrong: weights\['w_z'\] is off by 1.0e\+00") as error:
        check_step_backward(Wrong(3, 4))
    assert "weights['b_n'] is missing" in str(error.value)
    assert "weights['w_n']" not in str(error.value)


def test_wrong_states_are_refused() -> None:
    x = torch.randn(5, 2, 3)
    with pytest.raises(ValueError, match="hx must have the 2 states of PeepholeLSTM, got 1"):
        PeepholeLSTM(3, 4)(x, torch.zeros(1, 2, 4))
    with pytest.raises(ValueError, match=r"hx must have shape \(1, 2, 4\)"):
        MinGRU(3, 4)(x, torch.zeros(1, 3, 4))
    with pytest.raises(ValueError, match="3 features"):
        MinGRU(3, 4)(torch.randn(5, 2, 2))


def test_an_output_may_be_changed_in_place() -> None:
    layer, x = MinGRU(3, 4), torch.randn(5, 2, 3)
    layer(x)[0].mul_(2).square().sum().backward()
    assert layer.w_z_l0.grad.abs().sum() > 0
