"""Style that is compared region by region, and at several sizes."""

from typing import Any

import pytest
import torch
from torch import Tensor

from lit_tasks.functional.style.losses import moments
from lit_tasks.nn.style.features import StyleFeatures
from lit_tasks.nn.style.objective import RegionMasks, StyleLosses, StyleObjective
from lit_tasks.nn.style.tiles import TiledStyleObjective

pytest.importorskip("torchvision")
STYLE = {"1": 10.0, "4": 1.0}


def image(height: int, width: int, seed: int) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(1, 3, height, width, generator=draw, dtype=torch.float64)


def objective(**options: Any) -> StyleObjective:
    features = StyleFeatures(["3", *STYLE], "squeezenet1_1", "random").double()
    return StyleObjective(features, {"3": 0.01}, STYLE, 0.02, StyleLosses(**options))


def halves(height: int, width: int, left: bool) -> Tensor:
    mask = torch.zeros(1, 1, height, width, dtype=torch.float64)
    mask[..., : width // 2] = 1
    return mask if left else 1 - mask


CONTENT, PAINTING, NOW = image(64, 64, 1), image(64, 64, 2), image(64, 64, 3)


@pytest.mark.parametrize("style_loss", ["gram", "wasserstein"])
def test_a_region_of_everything_is_no_region(style_loss: Any) -> None:
    whole = torch.ones(1, 1, 64, 64, dtype=torch.float64)
    target, losses = objective(style=style_loss), []
    for regions in ((), (RegionMasks(whole, [whole]),)):
        targets = target.targets(CONTENT, [PAINTING], [1.0], regions)
        losses.append(target.gradient(NOW, targets))
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-6, atol=1e-9)


def test_each_region_is_compared_with_its_own_part_of_the_painting() -> None:
    """The features of a half, far from the border, are those of that half alone."""
    regions = [
        RegionMasks(halves(64, 64, left), [halves(64, 64, not left)]) for left in (True, False)
    ]
    target = objective()
    targets = target.targets(CONTENT, [PAINTING], [1.0], regions)
    assert [part.fraction for part in targets.parts] == [0.5] * 4
    f = target.features(PAINTING)["1"]
    width = f.shape[3]
    right = f[..., width // 2 + 1 :]
    found = next(part for part in targets.parts if part.layer == "1").moments
    expected = moments(right)
    torch.testing.assert_close(found.mean, expected.mean, rtol=0.1, atol=0.05)
    swapped = torch.cat([PAINTING[..., 32:], PAINTING[..., :32]], dim=3)
    same = float(target.losses(swapped, targets)[1:3].sum())
    other = float(target.losses(PAINTING, targets)[1:3].sum())
    assert same < 0.5 * other


def test_style_at_several_sizes_is_the_sum_of_style_at_each() -> None:
    style = []
    for scales in ((1.0,), (0.5,), (1.0, 0.5)):
        target = objective(style_scales=scales)
        targets = target.targets(CONTENT, [PAINTING], [1.0])
        losses, gradient = target.gradient(NOW, targets)
        assert gradient.isfinite().all()
        style.append(losses[1:3])
    torch.testing.assert_close(style[0] + style[1], style[2])
    small = objective(style_scales=(1.0, 0.01)).targets(CONTENT, [PAINTING], [1.0])
    assert {part.scale for part in small.parts} == {1.0}


def test_content_at_half_the_size_is_that_of_smaller_images() -> None:
    half = objective(content_scale=0.5)
    found = half.losses(NOW, half.targets(CONTENT, [PAINTING], [1.0]))[0]
    smaller = [
        torch.nn.functional.interpolate(p, (32, 32), mode="bilinear", antialias=True)
        for p in (NOW, CONTENT)
    ]
    whole = objective()
    expected = whole.losses(smaller[0], whole.targets(smaller[1], [PAINTING], [1.0]))[0]
    torch.testing.assert_close(found, expected)
    tiny = objective(content_scale=0.01)
    torch.testing.assert_close(
        tiny.losses(NOW, tiny.targets(CONTENT, [PAINTING], [1.0])),
        whole.losses(NOW, whole.targets(CONTENT, [PAINTING], [1.0])),
    )


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(ValueError, match=r"style_scales must be above 0 and at most 1, got \(2"):
        objective(style_scales=(2.0,))
    with pytest.raises(ValueError, match="content_scale must be above 0 and at most 1, got 0"):
        objective(content_scale=0)
    features = StyleFeatures(["1"], "squeezenet1_1", "random")
    with pytest.raises(ValueError, match="tile works with style_scales"):
        TiledStyleObjective(
            features, {}, {"1": 1.0}, tile=64, losses=StyleLosses(style_scales=(1.0, 0.5))
        )
    tiled, whole = TiledStyleObjective(features, {}, {"1": 1.0}, tile=64), torch.ones(1, 1, 64, 64)
    with pytest.raises(ValueError, match="tile works with pairs without regions"):
        tiled.targets(CONTENT.float(), [PAINTING.float()], [1.0], [RegionMasks(whole, [whole])])
