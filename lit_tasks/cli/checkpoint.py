"""A checkpoint is enough: what it says comes after the configs and before the flags.

Lightning reads a checkpoint's hyper-parameters after the command line, so that they beat it. Here
they are written to a temporary config that stands between the user's configs and flags.
"""

import importlib.util
import os
import re
import sys
import zipfile
from collections.abc import Iterator, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import yaml

from lit_tasks.tensor_files import load_plain

#: Classes that a checkpoint may name: importing what a file names runs code.
TRUSTED = ("lit_tasks", "torch.nn", "torch.optim", "lightning.pytorch", "torchvision.transforms")


def load(path: Path) -> dict[str, Any]:
    """Return a checkpoint's content without running code from it.

    Raises:
        ValueError: If the file is missing, cut short or no checkpoint of Lightning.
    """
    if not path.is_file():
        near = ", ".join(sorted(str(p) for p in path.parent.glob("*.ckpt"))[:3])
        raise ValueError(f"there is no checkpoint {path}{f'; there is {near}' if near else ''}")
    if not zipfile.is_zipfile(path):
        size = f"{path.stat().st_size} bytes"
        raise ValueError(f"{path} ({size}) is no complete checkpoint: was it cut short?")
    content = load_plain(path, mmap=True)
    if not isinstance(content, dict) or "state_dict" not in content:
        raise ValueError(f"{path} is no checkpoint of Lightning: it has no 'state_dict'")
    return content


def as_config(content: dict[str, Any], path: Path, named: Sequence[str]) -> dict[str, Any]:
    """Return the ``model`` and ``data`` sections that rebuild what the checkpoint was made with.

    Args:
        content: The checkpoint.
        path: Where it was read from, for messages.
        named: Words of the user's configs and flags; packages named there are trusted.

    Raises:
        ValueError: If the checkpoint names a class of a package that nobody vouched for.
    """
    config = {}
    for key, section in (("model", "hyper_parameters"), ("data", "datamodule_hyper_parameters")):
        values = dict(content.get(section) or {})
        values.pop("_instantiator", None)
        class_path = values.pop("_class_path", None)
        if class_path:
            config[key] = {"class_path": class_path, "init_args": values}
    for name in _dotted_names(config):
        _check_trusted(name, path, named)
    return config


def check_class(content: dict[str, Any], path: str, model: object) -> None:
    """Refuse a checkpoint of another class than the model's or one of its parents.

    Raises:
        ValueError: The classes differ; names both.
    """
    theirs = (content.get("hyper_parameters") or {}).get("_class_path")
    ours = [f"{cls.__module__}.{cls.__qualname__}" for cls in type(model).__mro__]
    if theirs and theirs not in ours:
        raise ValueError(
            f"{path} is a checkpoint of {theirs}, the model here is {ours[0]}: give a checkpoint "
            "of the same class, or leave the configs out, since a checkpoint is enough"
        )


def data_state(content: dict[str, Any]) -> dict[str, Any] | None:
    """Return the state of the data module that the checkpoint was trained with."""
    class_path = (content.get("datamodule_hyper_parameters") or {}).get("_class_path", "")
    state = content.get(class_path.rpartition(".")[2])
    return state if isinstance(state, dict) else None


def _dotted_names(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for child in value.values():
            yield from _dotted_names(child)
    elif isinstance(value, list | tuple):
        for child in value:
            yield from _dotted_names(child)
    elif isinstance(value, str) and re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", value):
        yield value


def _check_trusted(name: str, path: Path, named: Sequence[str]) -> None:
    """Refuse a name that Python could import, unless it is ours, a plugin's or the user's own."""
    root = name.split(".")[0]
    plugins = {entry.value.split(":")[0].split(".")[0] for entry in entry_points(group="lit_tasks")}
    if any(name.startswith(f"{prefix}.") for prefix in TRUSTED) or root in plugins:
        return
    if any(re.search(rf"(?<![\w.]){re.escape(root)}\.", word) for word in named):
        return
    if root in sys.modules or importlib.util.find_spec(root):
        raise ValueError(
            f"{path} wants to import {name}, which is neither part of lit_tasks nor of a plugin; "
            f"if you trust it, name its class in a config or flag, such as --model={name}"
        )


def write_config(config: dict[str, Any], folder: Path) -> Path:
    """Write the sections where the parser can read them."""
    path = folder / f"from-checkpoint-{os.getpid()}.yaml"
    path.write_text(yaml.safe_dump(_plain(config), sort_keys=False))
    return path


def _plain(value: Any) -> Any:
    """Return containers, strings and numbers only: YAML knows no tuples, namespaces or paths."""
    if hasattr(value, "as_dict"):
        value = value.as_dict()
    if isinstance(value, dict):
        return {str(key): _plain(child) for key, child in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(child) for child in value]
    return str(value) if isinstance(value, Path) else value
