"""Whether an interrupted prediction is the same as the one that is started."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningDataModule, LightningModule, Trainer

from lit_tasks.distributed.rank_loader import RankLoader
from lit_tasks.files import read_json, stamp
from lit_tasks.protocols import HasPredictIds, attributes

_SAMPLED = 4096  # values of a tensor that are looked at


def identity(
    trainer: Trainer, module: LightningModule, loader: RankLoader | None
) -> dict[str, Any]:
    """Return what a row depends on: weights, settings, inputs."""
    data = attributes(trainer).datamodule
    ids = data.predict_ids if isinstance(data, HasPredictIds) else None
    settings = data.hparams if isinstance(data, LightningDataModule) else {}
    return {
        "task": type(module).__qualname__,
        "weights": weights_digest(module),
        "settings": _digest(_plain(dict(module.hparams))),
        "data": _digest(_plain(dict(settings))),
        "samples": None if loader is None else len(loader.dataset),  # type: ignore[arg-type]
        "ids": None if ids is None else _digest(list(ids)),
    }


def matches_fingerprint(path: Path, mine: Mapping[str, Any]) -> bool:
    """Return whether a file holds this fingerprint; one that cannot be read does not."""
    try:
        return bool(read_json(path) == mine)
    except (OSError, ValueError):
        return False


def weights_digest(module: torch.nn.Module) -> str:
    """Return a digest of every tensor's name, shape and up to 4096 of its values, evenly spaced."""
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in module.state_dict().items():
        values = tensor.detach().flatten()
        values = values[:: max(1, len(values) // _SAMPLED)].cpu().contiguous()
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(values.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _digest(value: Any) -> str:
    return hashlib.blake2b(json.dumps(value).encode(), digest_size=16).hexdigest()


def _plain(value: Any) -> Any:
    """Return the value as JSON, a file's with its stamp, an object's type alone."""
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, str | Path):
        if os.path.isfile(value):
            return [str(value), *stamp(Path(value))]
        return str(value)
    if isinstance(value, Sequence):
        return [_plain(item) for item in value]
    return value if isinstance(value, bool | int | float | None) else type(value).__name__
