"""What a styled image should be like: one number for an image, and its gradient."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

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


class StylePart(NamedTuple):
    """A style loss of its own: of a layer, a scale of the image, and a region of it.

    Attributes:
        layer: Whose features.
        scale: Of the image that is looked at, as a fraction.
        fraction: How much it counts in the layer's loss.
        mask: Where the region is, ``(1, 1, H, W)``, from 0 to 1; everywhere if ``None``.
        moments: Statistics of that part of the paintings.
    """

    layer: str
    scale: float
    fraction: float
    mask: Tensor | None
    moments: Moments


class Targets(NamedTuple):
    """What features should be, by layer.

    Attributes:
        content: The photograph's features.
        style: The paintings' statistics.
        parts: The style losses, where there is more than one for a layer; otherwise nothing.
    """

    content: dict[str, Tensor]
    style: dict[str, Moments]
    parts: Sequence[StylePart] = ()


class RegionMasks(NamedTuple):
    """Where a region is, from 0 to 1.

    Attributes:
        content: In the photograph.
        styles: In each painting.
    """

    content: Float[Tensor, "1 1 H W"]
    styles: Sequence[Float[Tensor, "1 1 _ _"]]


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


@dataclass(frozen=True)
class StyleLosses:
    """How features of an image are compared with those of photograph and painting.

    Args:
        content: Whether squared differences of features are added up (``sum``), as in the
            assignment, or averaged (``mean``): then the same weights hold for every size.
        content_scale: Size of the image, as a fraction, at which content is compared: at a smaller
            one, what is in the image stays and strokes are free. The whole image where the smaller
            one is too small for the network.
        style: ``gram``, or ``wasserstein`` for means and covariances.
        style_scales: Sizes at which style is compared: smaller ones show the same layers larger
            strokes, as deeper layers would (Snelgrove, 2017). A size that is too small for the
            network is left out.
    """

    content: Reduction = "sum"
    content_scale: float = 1.0
    style: Literal["gram", "wasserstein"] = "gram"
    style_scales: Sequence[float] = (1.0,)

    def __post_init__(self) -> None:
        """Refuse sizes that are none.

        Raises:
            ValueError: A size is not above 0 and at most 1.
        """
        scales = self.style_scales
        if not scales or min(scales) <= 0 or max(scales) > 1:
            raise ValueError(f"style_scales must be above 0 and at most 1, got {scales}")
        if not 0 < self.content_scale <= 1:
            raise ValueError(
                f"content_scale must be above 0 and at most 1, got {self.content_scale}"
            )


class StyleObjective(nn.Module):
    """The weighted sum of content, style and variation losses.

    Args:
        features: Returns features of a normalized image at all layers named below.
        content: Weight of each layer's content loss.
        style: Weight of each layer's style loss.
        tv_weight: Weight of the total variation of the normalized image.
        losses: How features are compared.
    """

    def __init__(
        self,
        features: StyleFeatures,
        content: Mapping[str, float],
        style: Mapping[str, float],
        tv_weight: float = 0.0,
        losses: StyleLosses = StyleLosses(),
    ) -> None:
        super().__init__()
        self.content_loss, self.content_scale = losses.content, losses.content_scale
        self.style_scales, self.coarsest = tuple(losses.style_scales), features.min_side + 1
        self.features = features
        self.content, self.style, self.tv_weight = dict(content), dict(style), tv_weight
        self.distance = _STYLE_LOSSES[losses.style]

    @torch.no_grad()
    def targets(
        self,
        content: Float[Tensor, "1 3 H W"],
        styles: Sequence[Float[Tensor, "1 3 _ _"]],
        style_weights: Sequence[float],
        regions: Sequence[RegionMasks] = (),
    ) -> Targets:
        """Return what an image of this photograph in these styles should be like.

        Args:
            content: The photograph, normalized.
            styles: The paintings, normalized.
            style_weights: How much each of them counts.
            regions: Parts of the photograph that are painted like parts of the paintings; what no
                region covers has no style.
        """
        seen = self._at(content, self._content_scale_of(content))
        painted = [self.features(style) for style in styles]
        whole = {
            layer: blend([moments(features[layer]) for features in painted], list(style_weights))
            for layer in self.style
        }
        parts: list[StylePart] = []
        if regions or self.style_scales != (1.0,):
            for scale in self.style_scales:
                if all(self._is_seen(image, scale) for image in (content, *styles)):
                    parts += self._parts_at(
                        scale, styles, style_weights=style_weights, regions=regions
                    )
        return Targets({layer: seen[layer].clone() for layer in self.content}, whole, parts)

    def terms(self, image: Float[Tensor, "1 3 H W"], targets: Targets) -> list[Tensor]:
        """Return the weighted losses of a normalized image in the order of :func:`loss_names`."""
        scales = [self._terms_at(scale, image, targets) for scale in self._scales(image, targets)]
        style = [sum(parts[1:], start=parts[0]) for parts in zip(*scales, strict=True)]
        return [*style, (self.tv_weight * total_variation(image)).sum()]

    def _scales(self, image: Tensor, targets: Targets) -> list[float]:
        """Return the sizes at which an image is looked at."""
        style = [part.scale for part in targets.parts] or [1.0]
        return list(dict.fromkeys([*style, self._content_scale_of(image)]))

    def _terms_at(self, scale: float, image: Tensor, targets: Targets) -> list[Tensor]:
        """Return what looking at an image at one size adds to its losses of content and style."""
        seen, losses = self._at(image, scale), []
        for layer, weight in self.content.items():
            loss = image.new_zeros(1)
            if scale == self._content_scale_of(image):
                loss = content_loss(seen[layer], targets.content[layer], self.content_loss)
            losses.append(weight * loss.sum())
        for layer, weight in self.style.items():
            found = [image.new_zeros(1, dtype=torch.float64)]
            if not targets.parts and scale == 1:
                found = [self.distance(moments(seen[layer]), targets.style[layer])]
            for part in targets.parts:
                if (part.layer, part.scale) == (layer, scale):
                    of = _masked(seen[layer], part.mask)
                    found.append(part.fraction * self.distance(of, part.moments))
            losses.append(weight * torch.stack(found).sum())
        return losses

    def _parts_at(
        self,
        scale: float,
        styles: Sequence[Tensor],
        style_weights: Sequence[float],
        regions: Sequence[RegionMasks],
    ) -> list[StylePart]:
        painted = [self._at(style, scale) for style in styles]
        area = sum(float(region.content.mean()) for region in regions)
        found = []
        places: list[RegionMasks | None] = [*regions] or [None]
        for layer in self.style:
            for region in places:
                masks = region.styles if region else [None] * len(styles)
                of = [_masked(f[layer], mask) for f, mask in zip(painted, masks, strict=True)]
                fraction = float(region.content.mean()) / area if region else 1.0
                mask = region.content if region else None
                target = blend(of, list(style_weights))
                found.append(StylePart(layer, scale, fraction=fraction, mask=mask, moments=target))
        return found

    def _content_scale_of(self, image: Tensor) -> float:
        return self.content_scale if self._is_seen(image, self.content_scale) else 1.0

    def _is_seen(self, image: Tensor, scale: float) -> bool:
        return scale == 1 or scale * min(image.shape[2:]) >= self.coarsest

    def _at(self, image: Tensor, scale: float) -> dict[str, Tensor]:
        """Return the features of an image at another size."""
        if scale == 1:
            return self.features(image)  # type: ignore[no-any-return]
        size = [max(1, round(scale * side)) for side in image.shape[2:]]
        smaller = F.interpolate(image, size, mode="bilinear", antialias=True)
        found: dict[str, Tensor] = self.features(smaller)
        return found

    @torch.no_grad()
    def losses(self, image: Float[Tensor, "1 3 H W"], targets: Targets) -> Float[Tensor, " L"]:
        """Return the weighted losses, without a gradient."""
        return torch.stack(self.terms(image, targets))

    def gradient(
        self, image: Float[Tensor, "1 3 H W"], targets: Targets
    ) -> tuple[Float[Tensor, " L"], Float[Tensor, "1 3 H W"]]:
        """Return the losses, and the gradient of their sum with respect to the image.

        Sizes follow one another, so that only one is in memory.
        """
        losses, gradient = [], torch.zeros_like(image)
        for number, scale in enumerate(self._scales(image, targets)):
            with torch.enable_grad():
                leaf = image.detach().requires_grad_()
                terms = self._terms_at(scale, leaf, targets)
                variation = self.tv_weight * (0 if number else 1) * total_variation(leaf).sum()
                found = torch.stack([*terms, variation])
                [part] = torch.autograd.grad(found.sum(), leaf)
            losses.append(found.detach())
            gradient += part  # the image's own layout, which optimizers want
        return torch.stack(losses).sum(dim=0), gradient


def _masked(features: Tensor, mask: Tensor | None) -> Moments:
    """Return the moments of the features within a mask, each position as far as it lies there."""
    if mask is None:
        return moments(features)
    height, width = features.shape[2:]
    share = F.adaptive_avg_pool2d(mask, (height, width))
    share = share / share.sum().clamp(min=1e-12)
    second = moments(features * share.sqrt()).second * (height * width)
    return Moments((features * share).sum(dim=(2, 3)).double(), second)
