"""The same objective in parts: large images in little memory, with the exact gradient.

A style loss is a function of sums over all positions. A first pass over the image's parts adds
those sums up, without gradients; the derivative of the loss with respect to them is a small matrix
a layer. With it fixed, the loss is a sum over positions, whose gradient a second pass takes part by
part. Each part is seen with a margin as wide as features reach, and starts at a multiple of the
strides, so that its own features are those of the whole image.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lit_tasks.functional.style.losses import Moments, blend, moments, total_variation
from lit_tasks.nn.style.features import StyleFeatures
from lit_tasks.nn.style.objective import RegionMasks, StyleObjective, Targets


class ReceptiveField(NamedTuple):
    """What a feature at position ``p`` sees: pixels ``p * stride - before`` to ``... + after``."""

    stride: int
    before: int
    after: int


class TileSpan(NamedTuple):
    """One side of a part of an image.

    Attributes:
        start: Where it starts, seen with its margin.
        stop: Where it ends, seen with its margin.
        first: First pixel of its own.
        last: First pixel of the next part; ``None`` for the last one.
    """

    start: int
    stop: int
    first: int
    last: int | None

    def own(self, stride: int) -> slice:
        """Return which of the part's features at a stride are its own."""
        end = None if self.last is None else -(-self.last // stride) - self.start // stride
        return slice(-(-self.first // stride) - self.start // stride, end)


class TiledStyleObjective(StyleObjective):
    """:class:`~lit_tasks.nn.style.StyleObjective`, evaluated part by part.

    Args:
        features: Returns features of a normalized image at all layers named below.
        tile: Pixels a side of a part, without its margin.
        options: What :class:`~lit_tasks.nn.style.StyleObjective` takes.
    """

    def __init__(self, features: StyleFeatures, *args: Any, tile: int, **options: Any) -> None:
        super().__init__(features, *args, **options)
        if (*self.style_scales, self.content_scale) != (1.0, 1.0):
            raise ValueError(
                "tile works with style_scales [1.0] and content_scale 1 only, got "
                f"{list(self.style_scales)} and {self.content_scale}"
            )
        found = receptive_fields(features)
        self.field = {layer: found[index] for layer, index in features.wanted.items()}
        self.stride = max(field.stride for field in self.field.values())
        if tile < self.stride:
            raise ValueError(f"tile must be at least {self.stride} pixels, got {tile}")
        self.tile = tile // self.stride * self.stride

    @torch.no_grad()
    def targets(
        self,
        content: Float[Tensor, "1 3 H W"],
        styles: Sequence[Float[Tensor, "1 3 _ _"]],
        style_weights: Sequence[float],
        regions: Sequence[RegionMasks] = (),
    ) -> Targets:
        """Return what an image of this photograph in these styles should be like."""
        if regions:
            raise ValueError("tile works with pairs without regions: leave one of them out")
        wanted: dict[str, list[list[Tensor]]] = {layer: [] for layer in self.content}
        for row in self._parts(content.shape[2]):
            for rows in wanted.values():
                rows.append([])
            for column in self._parts(content.shape[3]):
                own = self._own(content, row, column)
                for layer, rows in wanted.items():
                    rows[-1].append(own[layer].clone())
        whole = {
            layer: torch.cat([torch.cat(row, dim=3) for row in rows], dim=2)
            for layer, rows in wanted.items()
        }
        painted = [self._moments(style)[0] for style in styles]
        return Targets(
            whole,
            {
                layer: blend([parts[layer] for parts in painted], list(style_weights))
                for layer in self.style
            },
        )

    @torch.no_grad()
    def losses(self, image: Float[Tensor, "1 3 H W"], targets: Targets) -> Float[Tensor, " L"]:
        """Return the weighted losses of a normalized image."""
        found, _, content = self._statistics(image, targets)
        style = [
            weight * self.distance(found[layer], targets.style[layer]).sum()
            for layer, weight in self.style.items()
        ]
        variation = self.tv_weight * total_variation(image).sum()
        return torch.stack([*content.values(), *style, variation])

    def gradient(
        self, image: Float[Tensor, "1 3 H W"], targets: Targets
    ) -> tuple[Float[Tensor, " L"], Float[Tensor, "1 3 H W"]]:
        """Return the losses, and the gradient of their sum with respect to the image."""
        image = image.detach()
        found, sizes, content = self._statistics(image, targets)
        style, moment_grads = {}, {}
        for layer, weight in self.style.items():
            leaves = Moments(*(value.requires_grad_() for value in found[layer]))
            with torch.enable_grad():
                style[layer] = weight * self.distance(leaves, targets.style[layer]).sum()
                moment_grads[layer] = torch.autograd.grad(
                    style[layer], leaves, allow_unused=True, materialize_grads=True
                )
        with torch.enable_grad():
            whole = image.clone().requires_grad_()
            variation = self.tv_weight * total_variation(whole).sum()
            [gradient] = torch.autograd.grad(variation, whole)
        for row in self._parts(image.shape[2]):
            for column in self._parts(image.shape[3]):
                self._add(
                    gradient,
                    image,
                    row=row,
                    column=column,
                    targets=targets,
                    moment_grads=moment_grads,
                    sizes=sizes,
                )
        losses = [*content.values(), *(loss.detach() for loss in style.values())]
        return torch.stack([*losses, variation.detach()]), gradient

    def _add(
        self,
        gradient: Tensor,
        image: Tensor,
        row: TileSpan,
        column: TileSpan,
        targets: Targets,
        moment_grads: dict[str, Any],
        sizes: dict[str, int],
    ) -> None:
        """Add the gradient of a part's own features."""
        rows, columns = slice(row.start, row.stop), slice(column.start, column.stop)
        with torch.enable_grad():
            crop = image[:, :, rows, columns].clone().requires_grad_()
            own = self._own(crop, row, column, cropped=True)
            total = crop.new_zeros(())
            for layer, weight in self.content.items():
                wanted = self._crop(targets.content[layer], layer, row=row, column=column)
                scale = self._content_scale(targets.content[layer])
                total = total + weight * scale * (own[layer] - wanted).square().sum()
            for layer in self.style:
                if not own[layer].numel():
                    continue
                fraction = own[layer][0, 0].numel() / sizes[layer]
                found = moments(own[layer])
                for value, pull in zip(found, moment_grads[layer], strict=True):
                    total = total + fraction * (value * pull).sum()
            [part] = torch.autograd.grad(total, crop)
        gradient[:, :, rows, columns] += part

    def _statistics(
        self, image: Tensor, targets: Targets
    ) -> tuple[dict[str, Moments], dict[str, int], dict[str, Tensor]]:
        """Return the whole image's moments, their numbers of positions, and content losses."""
        content = {layer: image.new_zeros(()) for layer in self.content}
        found, sizes = self._moments(image, targets, content)
        return found, sizes, {layer: self.content[layer] * loss for layer, loss in content.items()}

    @torch.no_grad()
    def _moments(
        self,
        image: Tensor,
        targets: Targets | None = None,
        content: dict[str, Tensor] | None = None,
    ) -> tuple[dict[str, Moments], dict[str, int]]:
        parts: dict[str, list[Moments]] = {layer: [] for layer in self.style}
        counts: dict[str, list[int]] = {layer: [] for layer in self.style}
        for row in self._parts(image.shape[2]):
            for column in self._parts(image.shape[3]):
                own = self._own(image, row, column)
                for layer in self.style:
                    if own[layer].numel():
                        parts[layer].append(moments(own[layer]))
                        counts[layer].append(own[layer][0, 0].numel())
                for layer in content or {}:
                    assert targets is not None
                    assert content is not None
                    wanted = self._crop(targets.content[layer], layer, row=row, column=column)
                    scale = self._content_scale(targets.content[layer])
                    content[layer] += scale * (own[layer] - wanted).square().sum()
        found = {layer: blend(parts[layer], counts[layer]) for layer in self.style}
        return found, {layer: sum(counts[layer]) for layer in self.style}

    def _content_scale(self, whole: Tensor) -> float:
        return 1 / whole.numel() if self.content_loss == "mean" else 1.0

    def _own(
        self, image: Tensor, row: TileSpan, column: TileSpan, cropped: bool = False
    ) -> dict[str, Tensor]:
        """Return the features that belong to a part, by layer."""
        if not cropped:
            image = image[:, :, row.start : row.stop, column.start : column.stop]
        found = self.features(image)
        return {
            layer: f[:, :, row.own(field.stride), column.own(field.stride)]
            for layer, f in found.items()
            for field in (self.field[layer],)
        }

    def _crop(self, whole: Tensor, layer: str, row: TileSpan, column: TileSpan) -> Tensor:
        """Return a part's own features out of those of the whole image."""
        stride = self.field[layer].stride
        rows, columns = (
            slice(-(-part.first // stride), None if part.last is None else -(-part.last // stride))
            for part in (row, column)
        )
        return whole[:, :, rows, columns]

    def _parts(self, side: int) -> Iterator[TileSpan]:
        before = max(field.before for field in self.field.values())
        after = max(field.after for field in self.field.values())
        first = 0
        while first < side:
            last = first + self.tile
            # What is left over would be too small for the network, or not worth a margin.
            ends = last + max(self.features.min_side, self.tile // 4) >= side
            start = max(0, (first - before) // self.stride * self.stride)
            stop = side if ends else min(side, last + after + 1)
            yield TileSpan(start, stop, first=first, last=None if ends else last)
            first = side if ends else last


def receptive_fields(features: StyleFeatures) -> list[ReceptiveField]:
    """Return how far each step of a network receptive_fields.

    Raises:
        ValueError: A step's borders depend on the image's size.
    """
    stride, before, after = 1, 0, 0
    found = []
    for step in features.steps:
        for kernel, by, padding in _windows(step):
            before += padding * stride
            after += (kernel - 1 - padding) * stride
            stride *= by
        found.append(ReceptiveField(stride, before, after))
    return found


def _windows(step: nn.Module) -> list[tuple[int, int, int]]:
    """Return kernel, stride and padding of what a step slides over the image."""
    if isinstance(step, nn.ReLU):
        return []
    if type(step) is nn.Conv2d or isinstance(step, nn.MaxPool2d | nn.AvgPool2d):
        return [(_one(step.kernel_size), _one(step.stride), _one(step.padding))]
    if type(step).__name__ == "Fire":
        return [(3, 1, 1)]  # the larger of its two branches
    raise ValueError(
        "tile works with squeezenet1_1, vgg16 and vgg19, whose borders do not depend on the size"
    )


def _one(size: Any) -> int:
    return int(size[0] if isinstance(size, tuple) else size)
