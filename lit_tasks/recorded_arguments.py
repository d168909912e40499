"""Constructor arguments as words of a config, so that a checkpoint can hold and rebuild them.

A command line has them in this form from the start. From Python, ``encoder=RecurrentEncoder`` or
``encoder=partial(RecurrentEncoder, hidden_size=64)`` would be pickled, and what is pickled is not
loaded again: it runs code.
"""

import inspect
import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import partial
from os import PathLike
from typing import Any

import numpy as np


class UnrecordableError(ValueError):
    """An argument is an object of which no config could make another."""


def recorded(arguments: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return arguments as plain values, and the names of those that cannot be written so.

    A class becomes ``{"class_path": ...}``, ``functools.partial`` of one has ``init_args`` beside
    it, and a dataclass becomes a mapping of its fields.
    """
    found: dict[str, Any] = {}
    left: list[str] = []
    for name, value in arguments.items():
        try:
            found[name] = plain_argument(value)
        except UnrecordableError:
            left.append(name)
    return found, left


def plain_argument(value: Any) -> Any:
    """Return one argument as containers, strings and numbers.

    Raises:
        UnrecordableError: It is an object, or a function, which a checkpoint may not name.
    """
    if isinstance(value, Enum):
        return value.name
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return plain_argument(value.item())
    if isinstance(value, PathLike):
        return str(value)
    if isinstance(value, type):
        return {"class_path": _path_of(value)}
    if isinstance(value, partial) and isinstance(value.func, type) and not value.args:
        return {**plain_argument(value.func), "init_args": plain_argument(value.keywords)}
    if is_dataclass(value):
        return {f.name: plain_argument(getattr(value, f.name)) for f in fields(value) if f.init}
    if isinstance(value, Mapping):
        return {str(name): plain_argument(child) for name, child in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain_argument(child) for child in value]
    raise UnrecordableError(f"a {type(value).__name__} cannot be written into a config")


def _path_of(cls: type[Any]) -> str:
    """Return where a class can be imported from: the package that shows it, or its own module."""
    if "<" in cls.__qualname__:
        raise UnrecordableError(f"{cls.__qualname__} is inside of a function")
    name, module = cls.__qualname__, cls.__module__
    package = module.rpartition(".")[0]
    if package and getattr(sys.modules.get(package), name, None) is cls:
        return f"{package}.{name}"
    if inspect.getmodule(cls) is None:
        raise UnrecordableError(f"{name} has no module")
    return f"{module}.{name}"
