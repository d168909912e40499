"""A checkpoint is enough: what it says comes after the configs and before the flags.

Lightning reads a checkpoint's hyper-parameters after the command line, so that they beat it. Here
they are written to a temporary config that stands between the user's configs and flags.
"""

import os
import zipfile
from pathlib import Path
from typing import Any

import yaml

from lit_tasks.distributed.lightning_internals import CLASS_PATH, INSTANTIATOR
from lit_tasks.tensor_files import safe_torch_load
from lit_tasks.trust import plain

MODEL, DATA = "hyper_parameters", "datamodule_hyper_parameters"


def load(path: Path) -> dict[str, Any]:
    """Return a checkpoint's content without running code from it.

    Raises:
        ValueError: If the file is missing, truncated or not a Lightning checkpoint.
    """
    if not path.is_file():
        near = ", ".join(sorted(str(p) for p in path.parent.glob("*.ckpt"))[:3])
        raise ValueError(f"there is no checkpoint {path}{f'; there is {near}' if near else ''}")
    if not zipfile.is_zipfile(path):
        size = f"{path.stat().st_size} bytes"
        raise ValueError(f"{path} looks truncated ({size})")
    content = safe_torch_load(path, mmap=True)
    if not isinstance(content, dict) or "state_dict" not in content:
        raise ValueError(f"{path} is not a Lightning checkpoint: it has no 'state_dict'")
    _check_types(content, path)
    return content


def _check_types(content: dict[str, Any], path: Path) -> None:
    for key in ("state_dict", MODEL, DATA):
        value = content.get(key)
        if not isinstance(value, dict) and (value is not None or key == "state_dict"):
            kind = type(value).__name__
            raise ValueError(f"{path} is damaged: its {key} must be a mapping, got a {kind}")
        for name in value or ():
            if not isinstance(name, str):
                raise ValueError(f"{path} is damaged: its {key} has {name!r} for a name")
    for section in (content.get(MODEL) or {}, content.get(DATA) or {}):
        class_path = section.get(CLASS_PATH, "")
        if not isinstance(class_path, str):
            raise ValueError(
                f"{path} is damaged: _class_path must be the name of a class, got a "
                f"{type(class_path).__name__}"
            )


def as_config(content: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return the ``model`` and ``data`` sections that rebuild what the checkpoint was made with.

    Args:
        content: The checkpoint.
        path: Where it was read from, for messages.

    Raises:
        ValueError: The settings are not settings.
    """
    config = {}
    for key, section in (("model", MODEL), ("data", DATA)):
        values = dict(content.get(section) or {})
        values.pop(INSTANTIATOR, None)
        if class_path := values.pop(CLASS_PATH, None):
            config[key] = {"class_path": class_path, "init_args": plain(values, path)}
    return config


def check_class(content: dict[str, Any], path: str, model: object) -> None:
    """Refuse a checkpoint of another class than the model's or one of its parents.

    Raises:
        ValueError: The classes differ; names both.
    """
    theirs = (content.get(MODEL) or {}).get(CLASS_PATH)
    ours = [f"{cls.__module__}.{cls.__qualname__}" for cls in type(model).__mro__]
    if theirs and theirs not in ours:
        raise ValueError(
            f"{path} is a checkpoint of {theirs}, the model here is {ours[0]}: give a checkpoint "
            "of the same class, or leave the configs out, since a checkpoint is enough"
        )


def data_state(content: dict[str, Any]) -> dict[str, Any] | None:
    """Return the state of the data module that the checkpoint was trained with."""
    class_path = (content.get(DATA) or {}).get(CLASS_PATH, "")
    state = content.get(class_path.rpartition(".")[2])
    return state if isinstance(state, dict) else None


def write_config(config: dict[str, Any], folder: Path) -> Path:
    """Write the sections where the parser can read them."""
    path = folder / f"from-checkpoint-{os.getpid()}.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return path
