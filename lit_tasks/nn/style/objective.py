"""What a styled image should be like: one number for an image, and its gradient."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lit_tasks.functional.style.losses import (
    Moments,
    Reduction,
    blend,
    content_loss,
    gram_loss,
    moments,
    total_variation,
    wasserstein_loss,
)
from lit_tasks.nn.style.features import StyleFeatures

_OFF = 4.0  # times: how far features may be from the scale that is expected
_STYLE_LOSSES = {"gram": gram_loss, "wasserstein": wasserstein_loss}


class Targets(NamedTuple):
    """What features should be, by layer.

    Attributes:
        content: The photograph's features.
        style: The paintings' statistics.
    """

    content: dict[str, Tensor]
    style: dict[str, Moments]


def off_scale(targets: Targets, expected: Mapping[str, float]) -> str:
    """Return in a sentence which layer's features are not on the scale that is expected, if any.

    Content losses grow with the square of the features, Gram matrices' with their fourth power: on
    another scale, the weights of a config no longer balance them. Images differ by less than
    twice, so four times is taken as another network or other weights.

    Args:
        targets: Of an image.
        expected: Root mean square of the features of layers.
    """
    squares = {layer: float(f.square().mean()) for layer, f in targets.content.items()}
    for layer, of in targets.style.items():
        squares.setdefault(layer, float(of.second.diagonal(dim1=1, dim2=2).mean()))
    for layer, value in expected.items():
        if layer not in squares:
            raise ValueError(f"expected_rms names layer {layer}, which no loss looks at")
        found = squares[layer] ** 0.5
        if not value / _OFF <= found <= value * _OFF:
            return (
                f"features of layer {layer} have a root mean square of {found:.3g} where the "
                f"config's weights of content and style expect {value:.3g} (expected_rms): use "
                "the network's weights that they were chosen for, or choose them anew"
            )
    return ""


def loss_names(content: Iterable[str], style: Iterable[str]) -> list[str]:
    """Return what the parts of the loss are called, given the layers of content and style."""
    named = [f"content_{layer}" for layer in content]
    return [*named, *(f"style_{layer}" for layer in style), "variation"]


class StyleObjective(nn.Module):
    """The weighted sum of content, style and variation losses.

    Args:
        features: Returns features of a normalized image at all layers named below.
        content: Weight of each layer's content loss.
        style: Weight of each layer's style loss.
        tv_weight: Weight of the total variation of the normalized image.
        style_loss: ``gram``, or ``wasserstein``.
        content_loss: Whether squared differences of features are added up (``sum``) or averaged.
    """

    def __init__(
        self,
        features: StyleFeatures,
        content: Mapping[str, float],
        style: Mapping[str, float],
        tv_weight: float = 0.0,
        style_loss: Literal["gram", "wasserstein"] = "gram",
        content_loss: Reduction = "sum",
    ) -> None:
        super().__init__()
        self.content_loss = content_loss
        self.features = features
        self.content, self.style, self.tv_weight = dict(content), dict(style), tv_weight
        self.distance = _STYLE_LOSSES[style_loss]

    @torch.no_grad()
    def targets(
        self,
        content: Float[Tensor, "1 3 H W"],
        styles: Sequence[Float[Tensor, "1 3 _ _"]],
        style_weights: Sequence[float],
    ) -> Targets:
        """Return what an image of this photograph in these styles should be like."""
        seen = self.features(content)
        painted = [self.features(style) for style in styles]
        return Targets(
            {layer: seen[layer].clone() for layer in self.content},
            {
                layer: blend(
                    [moments(features[layer]) for features in painted], list(style_weights)
                )
                for layer in self.style
            },
        )

    def terms(self, image: Float[Tensor, "1 3 H W"], targets: Targets) -> list[Tensor]:
        """Return the weighted losses of a normalized image in the order of :func:`loss_names`."""
        found = self.features(image)
        losses = [
            weight * content_loss(found[layer], targets.content[layer], self.content_loss)
            for layer, weight in self.content.items()
        ]
        losses += [
            weight * self.distance(moments(found[layer]), targets.style[layer])
            for layer, weight in self.style.items()
        ]
        losses.append(self.tv_weight * total_variation(image))
        return [loss.sum() for loss in losses]

    @torch.no_grad()
    def losses(self, image: Float[Tensor, "1 3 H W"], targets: Targets) -> Float[Tensor, " L"]:
        """Return the weighted losses, without a gradient."""
        return torch.stack(self.terms(image, targets))

    def gradient(
        self, image: Float[Tensor, "1 3 H W"], targets: Targets
    ) -> tuple[Float[Tensor, " L"], Float[Tensor, "1 3 H W"]]:
        """Return the losses, and the gradient of their sum with respect to the image."""
        with torch.enable_grad():
            image = image.detach().requires_grad_()
            losses = torch.stack(self.terms(image, targets))
            [gradient] = torch.autograd.grad(losses.sum(), image)
        # Channels last goes through the network; optimizers want the image's own layout.
        return losses.detach(), gradient.contiguous()
