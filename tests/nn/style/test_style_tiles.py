"""An image in parts has the losses and the gradient of the whole."""

from typing import Any

import pytest
import torch
from torch import Tensor

from lit_tasks.functional.style.losses import Reduction
from lit_tasks.nn.style.features import StyleFeatures
from lit_tasks.nn.style.objective import StyleLosses, StyleObjective
from lit_tasks.nn.style.tiles import TiledStyleObjective

pytest.importorskip("torchvision")
NETWORKS = {
    "squeezenet1_1": ("3", ["1", "4", "6", "7"]),
    "vgg16": ("relu2_2", ["relu1_1", "relu2_1", "conv3_2", "pool3"]),
}


def image(height: int, width: int, seed: int) -> Tensor:
    return torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


def objectives(network: str, tile: int, loss: Any, **options: Any) -> list[StyleObjective]:
    content, style = NETWORKS[network]
    features = StyleFeatures([content, *style], network, "random", **options).double()
    weights = {layer: 10.0 ** (2 - n) for n, layer in enumerate(style)}
    reduction: Reduction = "mean" if loss == "wasserstein" else "sum"
    losses = StyleLosses(content=reduction, style=loss)
    arguments = (features, {content: 0.05}, weights, 0.3, losses)
    return [StyleObjective(*arguments), TiledStyleObjective(*arguments, tile=tile)]


@pytest.mark.parametrize(
    "network",
    [pytest.param(n, marks=pytest.mark.slow) if n == "vgg16" else n for n in NETWORKS],  # 138 M
)
@pytest.mark.parametrize(
    ("tile", "size", "loss", "options"),
    [
        (40, (101, 150), "gram", {}),
        (32, (96, 64), "wasserstein", {"pooling": "average"}),
        (48, (131, 83), "gram", {"padding": "replicate"}),
        (64, (50, 200), "gram", {"channels_last": False}),
        (500, (70, 60), "gram", {}),
    ],
)
def test_parts_have_the_gradient_of_the_whole(
    network: str, tile: int, size: tuple[int, int], loss: str, options: dict[str, Any]
) -> None:
    content, style, now = (image(*size, seed=n).double() for n in range(3))
    found = []
    for objective in objectives(network, tile, loss, **options):
        targets = objective.targets(content, [style[:, :, 3:], style.flip(-1)], [1.0, 2.0])
        losses, gradient = objective.gradient(now, targets)
        torch.testing.assert_close(objective.losses(now, targets), losses)
        found.append((losses, gradient, targets.content, targets.style))
    torch.testing.assert_close(*found, rtol=1e-6, atol=1e-9)


def test_in_single_precision_it_is_right_to_a_ten_thousandth() -> None:
    found = []
    for objective in objectives("squeezenet1_1", 64, "gram"):
        objective.float()
        targets = objective.targets(image(200, 260, 0), [image(180, 200, 1)], [1.0])
        found.append(objective.gradient(image(200, 260, 2), targets)[1])
    assert (found[0] - found[1]).norm() < 1e-4 * found[0].norm()


def test_what_cannot_be_cut_is_told() -> None:
    with pytest.raises(ValueError, match="tile works with squeezenet1_1, vgg16 and vgg19"):
        TiledStyleObjective(StyleFeatures(["stem"], weights="random"), {}, {"stem": 1.0}, tile=64)
    features = StyleFeatures(["7"], "squeezenet1_1", "random")
    with pytest.raises(ValueError, match="tile must be at least 8 pixels, got 4"):
        TiledStyleObjective(features, {}, {"7": 1.0}, tile=4)
