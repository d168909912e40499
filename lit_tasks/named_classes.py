"""Which words of settings name classes, and of which jsonargparse could make one.

A class stands in settings as a mapping with a ``class_path``, or for short as its path alone where
an option asks for a class.
"""

import collections.abc
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from os import PathLike
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from jsonargparse import Namespace
from jsonargparse.typing import get_registered_type

from lit_tasks.files import parse_yaml
from lit_tasks.jsonargparse_internals import accepts_any_value

_PLAIN = (bool, int, float, complex, NoneType, Mapping, list, tuple, set, frozenset)


def is_name(text: str) -> bool:
    """Return whether a text may be the full path of a class, as in ``package.module.Class``."""
    return "." in text and all(part.isidentifier() for part in text.split("."))


def children(value: Any) -> Iterable[Any]:
    """Return what a container of settings holds."""
    if isinstance(value, Namespace):
        value = vars(value)
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, list | tuple | set | frozenset) else ()


def flattened(value: Any) -> Iterator[Any]:
    """Yield a setting and all that it holds, at any depth."""
    yield value
    for child in children(value):
        yield from flattened(child)


def specs(value: Any) -> Iterator[Any]:
    """Yield every mapping that names a class, at any depth."""
    for each in flattened(value):
        if isinstance(each, Namespace | Mapping) and "class_path" in each:
            yield each


def texts_of(value: Any) -> Iterator[str]:
    """Yield every string that is not a name of a class."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping) and "class_path" in value:
        yield from texts_of([child for key, child in value.items() if key != "class_path"])
    else:
        for child in children(value):
            yield from texts_of(child)


def texts_for_classes(value: Any, hint: Any) -> Iterator[str]:
    """Yield the strings of a setting of which jsonargparse could make a class or a config."""
    if isinstance(value, str):
        wanted = _wanted(hint)
        if "type" in wanted and is_name(value) and not Path(value).exists():
            wanted.discard("type")  # it can only be named by a string
        if wanted & {"class", "type"} and ("text" not in wanted or not _is_mere_text(value)):
            yield value
    elif not (isinstance(value, Namespace | Mapping) and "class_path" in value):
        for inner in _inner(hint, isinstance(value, Namespace | Mapping)):
            for child in children(value):
                yield from texts_for_classes(child, inner)


def _inner(hint: Any, of_mapping: bool) -> Iterator[Any]:
    """Yield the types that a type has for the values of its mappings, or for its items."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType, Annotated):
        for each in arguments:
            yield from _inner(each, of_mapping)
    elif isinstance(origin, type) and issubclass(origin, Mapping):
        yield from arguments[1:] if of_mapping else ()
    elif isinstance(origin, type) and issubclass(origin, collections.abc.Iterable):
        yield from () if of_mapping else [each for each in arguments if each is not ...]


def _is_mere_text(text: str) -> bool:
    try:
        is_scalar = not isinstance(parse_yaml(text), dict | list)
        return is_scalar and not is_name(text.strip()) and not Path(text).exists()
    except (yaml.YAMLError, OSError, ValueError):
        return False


def _wanted(hint: Any) -> set[str]:
    """Return what a setting asks for: ``text``, a ``class``, a ``type``, or something ``plain``."""
    origin, arguments = get_origin(hint), get_args(hint)
    if accepts_any_value(hint) or hint is None or origin is Literal:
        return {"text"}
    if hint is type or origin is type:
        return {"type"}
    if collections.abc.Callable in (hint, origin):
        return {"class"}
    if origin is Annotated:
        return _wanted(arguments[0])
    if origin in (Union, UnionType):
        return set().union(*map(_wanted, arguments))
    if isinstance(origin, type) and issubclass(origin, collections.abc.Iterable):
        inner = arguments[1:] if issubclass(origin, Mapping) else arguments
        return set().union(*[_wanted(each) for each in inner if each is not ...])
    if not isinstance(origin or hint, type):
        return {"text", "class"}
    if issubclass(origin or hint, str | bytes | PathLike | Enum) or get_registered_type(hint):
        return {"text"}
    return {"plain"} if issubclass(origin or hint, _PLAIN) else {"class"}


def named_for_short(said: Any, classes: Any) -> Iterator[str]:
    """Yield the strings of some settings that stand where others have a class.

    Args:
        said: What the user says, with ``init_args`` or without.
        classes: A checkpoint's settings, in which every class is a mapping with a ``class_path``.
    """
    if isinstance(said, list):
        for each in said:
            for other in children(classes) if isinstance(classes, list) else ():
                yield from named_for_short(each, other)
        return
    if not isinstance(classes, Mapping):
        return
    is_class = "class_path" in classes
    if isinstance(said, str) and is_class and is_name(said):
        yield said
    elif isinstance(said, Mapping):
        mine = said.get("init_args", said)
        theirs = classes.get("init_args") if is_class else classes
        if isinstance(mine, Mapping) and isinstance(theirs, Mapping):
            for key in mine.keys() & theirs.keys():
                yield from named_for_short(mine[key], theirs[key])
