"""One image in the making: its pixels, what they should become, and how far it is."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F
from torch.optim import Optimizer

from lit_tasks.batch import StyleRegion
from lit_tasks.functional.style.color import color_statistics, match_colors, with_luma
from lit_tasks.nn.style.objective import RegionMasks, StyleObjective, Targets

Init = Literal["content", "matched", "noise", "style"]
ColorMode = Literal["style", "luma", "match"]


@dataclass(frozen=True)
class Phase:
    """Some steps of one kind.

    Attributes:
        steps: How many.
        optimizer: Builds the optimizer; when left out, the one before goes on, and what it
            remembers of every pixel grows with the image.
        scale: Size of the image, as a fraction of its final size.
        clamp: Before each step, the normalized image is cut to between minus this and this;
            not at all when left out.
    """

    steps: int
    optimizer: Callable[[Iterable[Tensor]], Optimizer] | None = None
    scale: float = 1.0
    clamp: float | None = None

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps of a phase must be at least 1, got {self.steps}")
        if not 0 < self.scale <= 1:
            raise ValueError(f"scale must be above 0 and at most 1, got {self.scale}")
        if self.clamp is not None and self.clamp <= 0:
            raise ValueError(f"clamp must be above 0, got {self.clamp}")


def check(phases: Sequence[Phase]) -> None:
    """Refuse phases that make no image.

    Raises:
        ValueError: There are none, the first has no optimizer, or the last is not full size.
    """
    if not phases:
        raise ValueError("phases needs at least one phase")
    if phases[0].optimizer is None:
        raise ValueError("the first of the phases needs an optimizer")
    if phases[-1].scale != 1:
        raise ValueError(f"the last phase must have scale 1, got {phases[-1].scale}")


class Stylization:
    """The pixels of one image, optimized phase after phase.

    It is not a module: its pixels belong to one process alone, and are nobody's parameters.

    Args:
        objective: What the image should be like.
        content: The photograph, whole numbers up to 255.
        styles: The paintings, whole numbers up to 255.
        style_weights: How much each painting counts.
        phases: What is done.
        init: ``content``; ``matched``, the photograph with mean and covariance of the first
            painting's colors, which has less of the way to go; ``noise``, every color equally
            likely; or ``style``, noise with the mean and covariance of the paintings' colors.
        ema_decay: Decay of a running mean of the pixels, which is then the image; 0 takes the
            pixels themselves.
        color_mode: ``style`` takes the paintings' colors; ``luma`` keeps the photograph's and
            takes the image's light and dark only; ``match`` gives the paintings the photograph's
            colors before they are looked at.
        seed: Of the noise.
        init_image: What it starts from instead, in the photograph's size.
        regions: Parts of the photograph that are painted like parts of the paintings.

    Attributes:
        done: Steps behind it.
        trace: The losses of each step, before it.
    """

    def __init__(
        self,
        objective: StyleObjective,
        content: UInt8[Tensor, "3 H W"],
        styles: Sequence[UInt8[Tensor, "3 _ _"]],
        style_weights: Sequence[float],
        phases: Sequence[Phase],
        init: Init = "content",
        ema_decay: float = 0.0,
        color_mode: ColorMode = "style",
        seed: int = 0,
        init_image: UInt8[Tensor, "3 H W"] | None = None,
        regions: Sequence[StyleRegion] = (),
    ) -> None:
        self.objective, self.style_weights, self.phases = (
            objective,
            list(style_weights),
            list(phases),
        )
        self.content = content[None] / 255
        self.styles = [style[None] / 255 for style in styles]
        if color_mode == "match":
            self.styles = [match_colors(s, self.content).clamp(0, 1) for s in self.styles]
        self.regions = masks(regions)
        self.ema_decay, self.color_mode = ema_decay, color_mode
        self.done, self.trace = 0, list[Tensor]()
        self._phase = -1
        self._evaluated: tuple[Tensor, Tensor, Tensor] | None = None
        self.pixels = self._begin(init, seed, init_image)
        self.mean, self._weight = torch.zeros_like(self.pixels) if ema_decay else None, 0.0
        self._enter(0)

    @property
    def steps(self) -> int:
        """How many steps it takes in all."""
        return sum(phase.steps for phase in self.phases)

    def step(self) -> Tensor:
        """Make one step of the optimizer; return the losses before it."""
        phase = self._phase_of(self.done)
        if phase != self._phase:
            self._enter(phase)
        bound = self.phases[phase].clamp
        if bound is not None:
            self.pixels.clamp_(-bound, bound)
        first: list[Tensor] = []

        def closure() -> float:
            losses, gradient = self._losses()
            first.append(losses)
            self.pixels.grad = gradient
            return float(losses.sum())

        self.optimizer.step(closure)
        self.trace.append(first[0])
        self.done += 1
        if self.mean is not None:
            self.mean.lerp_(self.pixels, 1 - self.ema_decay)
            self._weight = self.ema_decay * self._weight + 1 - self.ema_decay
        return first[0]

    def normalized_image(self) -> Float[Tensor, "1 3 H W"]:
        """Return the normalized image as it is now."""
        if self.mean is None or not self._weight:
            return self.pixels.clone()
        return self.mean / self._weight

    def image(self) -> UInt8[Tensor, "3 H W"]:
        """Return the image as it is now, whole numbers up to 255, at its present size."""
        colors = self.objective.features.denormalize(self.normalized_image())
        if self.color_mode == "luma":
            colors = with_luma(_resized(self.content, colors), colors)
        return to_bytes(colors)

    def state_dict(self) -> dict[str, Any]:
        """Return everything that the next step depends on, without network and targets."""
        return {
            "done": self.done,
            "pixels": self.pixels.clone(),
            "mean": None if self.mean is None else self.mean.clone(),
            "weight": self._weight,
            "trace": torch.stack(self.trace) if self.trace else torch.zeros(0),
            "optimizer": self.optimizer.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where :meth:`state_dict` was called."""
        device = self.pixels.device
        self.done = state["done"]
        self._phase = -1
        phase = self._phase_of(max(self.done - 1, 0))
        self.pixels = state["pixels"].to(device).clone()
        mean, self._weight = state["mean"], state["weight"]
        self.mean = None if mean is None else mean.to(device).clone()
        self._enter(phase)
        self.optimizer.load_state_dict(state["optimizer"])
        self.trace = list(state["trace"])

    def _begin(self, init: Init, seed: int, given: Tensor | None) -> Tensor:
        if given is not None:
            return self.objective.features.normalize(given[None] / 255).contiguous()
        draw = torch.Generator().manual_seed(seed)
        device, shape = self.content.device, self.content.shape
        if init == "content":
            return self.objective.features.normalize(self.content).contiguous()
        if init == "matched":
            colors = match_colors(self.content, self.styles[0])
            return self.objective.features.normalize(colors).contiguous()
        if init == "noise":
            colors = torch.rand(shape, generator=draw).to(device)
        else:
            noise = torch.randn(shape, generator=draw).to(device)
            parts = [color_statistics(style) for style in self.styles]
            weights = [weight / sum(self.style_weights) for weight in self.style_weights]
            mean = sum((s * m for s, (m, _) in zip(weights, parts, strict=True)), 0 * parts[0][0])
            spread = sum((s * c for s, (_, c) in zip(weights, parts, strict=True)), 0 * parts[0][1])
            root = torch.linalg.cholesky(spread + 1e-6 * torch.eye(3, device=device))
            colors = torch.einsum("dc,bchw->bdhw", root, noise) + mean.view(1, 3, 1, 1)
        return self.objective.features.normalize(colors.clamp(0, 1)).contiguous()

    def _phase_of(self, step: int) -> int:
        ends = torch.tensor([phase.steps for phase in self.phases]).cumsum(0)
        return int((step >= ends).sum().clamp(max=len(ends) - 1))

    def _enter(self, phase: int) -> None:
        """Bring pixels, targets and optimizer to the size and kind of a phase."""
        scale = self.phases[phase].scale
        if self._phase < 0 or scale != self.phases[self._phase].scale:
            self.targets = self._targets(scale)
        size = [max(1, round(scale * side)) for side in self.content.shape[2:]]
        before = self.pixels
        self.pixels = _to_size(before, size).detach()
        self.mean = None if self.mean is None else _to_size(self.mean, size)
        made = max(n for n in range(phase + 1) if self.phases[n].optimizer is not None)
        make = self.phases[made].optimizer
        if self._phase < made or self._phase < 0:
            assert make is not None
            self.optimizer = make([self.pixels])
        elif self.pixels is not before:
            self._carry(before)
        self._phase, self._evaluated = phase, None

    def _carry(self, before: Tensor) -> None:
        """Let the optimizer go on with the resized pixels and what it remembers of each."""
        [group] = self.optimizer.param_groups
        group["params"] = [self.pixels]
        state = self.optimizer.state.pop(before, {})
        self.optimizer.state[self.pixels] = {
            key: _to_size(value, list(self.pixels.shape[2:]))
            if isinstance(value, Tensor) and value.shape == before.shape
            else value
            for key, value in state.items()
        }

    def _targets(self, scale: float) -> Targets:
        normalize = self.objective.features.normalize
        content, *styles = (
            normalize(_scaled(colors, scale)) for colors in (self.content, *self.styles)
        )
        regions = [
            RegionMasks(_scaled(r.content, scale), [_scaled(m, scale) for m in r.styles])
            for r in self.regions
        ]
        return self.objective.targets(content, styles, self.style_weights, regions=regions)

    def _losses(self) -> tuple[Tensor, Tensor]:
        """Return losses and gradient; L-BFGS asks for those of its last point again."""
        if self._evaluated is not None and torch.equal(self._evaluated[0], self.pixels):
            return self._evaluated[1:]
        losses, gradient = self.objective.gradient(self.pixels, self.targets)
        if isinstance(self.optimizer, torch.optim.LBFGS):
            self._evaluated = self.pixels.clone(), losses, gradient.clone()
        return losses, gradient


def masks(regions: Sequence[StyleRegion]) -> list[RegionMasks]:
    """Return regions as the objective takes them, from 0 to 1."""
    return [
        RegionMasks(r.content[None, None] / 255, [mask[None, None] / 255 for mask in r.styles])
        for r in regions
    ]


def to_bytes(colors: Float[Tensor, "1 3 H W"]) -> UInt8[Tensor, "3 H W"]:
    """Return fractions up to 1 as whole numbers up to 255."""
    return (colors[0].clamp(0, 1) * 255).round().to(torch.uint8)


def _scaled(colors: Tensor, scale: float) -> Tensor:
    if scale == 1:
        return colors
    size = [max(1, round(scale * side)) for side in colors.shape[2:]]
    return F.interpolate(colors, size, mode="bicubic", antialias=True).clamp(0, 1)


def _to_size(values: Tensor, size: list[int]) -> Tensor:
    """Return values of pixels for another size; bilinear, so that none changes its sign."""
    if list(values.shape[2:]) == size:
        return values
    return F.interpolate(values, size, mode="bilinear", align_corners=False)


def _resized(colors: Tensor, like: Tensor) -> Tensor:
    if colors.shape == like.shape:
        return colors
    size = list(like.shape[2:])
    return F.interpolate(colors, size, mode="bilinear", antialias=True)
