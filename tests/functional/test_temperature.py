import pytest
import torch
from torch.nn import functional as F

from lit_tasks.functional.calibration import fit_temperature


def made_up(samples: int, classes: int, sharpness: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores whose probabilities come true once they are divided by ``sharpness``."""
    draw = torch.Generator().manual_seed(0)
    scores = 2 * torch.randn(samples, classes, generator=draw, dtype=torch.float64)
    target = torch.multinomial(scores.softmax(1), 1, generator=draw).squeeze(1)
    return scores * sharpness, target


def test_no_other_temperature_gives_a_smaller_loss() -> None:
    scores, target = made_up(300, 4, 3.0)
    found = fit_temperature(scores, target)
    grid = torch.logspace(-1, 1, 401).tolist()
    best = min(grid, key=lambda t: float(F.cross_entropy(scores / t, target)))
    assert found == pytest.approx(best, rel=0.02)
    loss = F.cross_entropy(scores / found, target)
    assert loss <= min(F.cross_entropy(scores / t, target) for t in grid)


def test_a_known_exaggeration_is_found() -> None:
    assert fit_temperature(*made_up(20_000, 3, 2.5)) == pytest.approx(2.5, rel=0.05)


def test_temperature_ends_where_no_loss_is_smallest() -> None:
    scores, target = torch.eye(3), torch.arange(3)
    assert fit_temperature(scores, target) == pytest.approx(1 / 20, rel=1e-6)
    assert fit_temperature(-scores, target) == pytest.approx(20, rel=1e-6)
    assert fit_temperature(scores[:0], target[:0]) == 1.0
