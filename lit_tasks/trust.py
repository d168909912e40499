"""Which classes a checkpoint may name, and a parser that looks at each before it is used.

Whoever writes a checkpoint chooses the classes in its settings and their arguments. jsonargparse
imports what a setting names, calls it, takes a string in the place of a class for a name, for YAML
or for the path of a file, and follows attributes of modules. So the settings of a checkpoint are
parsed alone at first, with every import denied that is not allowed here.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import is_dataclass
from functools import partial
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from reprlib import repr as short
from types import NoneType
from typing import Any

from jsonargparse import ArgumentError, set_parsing_settings
from lightning.pytorch import LightningDataModule
from lightning.pytorch.cli import LightningArgumentParser
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lit_tasks.jsonargparse_internals import (
    WatchedParser,
    import_path,
    imported,
    restored_settings,
)
from lit_tasks.named_classes import flattened, is_name, specs, texts_for_classes, texts_of

#: Packages whose classes a checkpoint may name, beside those of plugins and of the user's choice.
TRUSTED = (
    "lit_tasks.tasks",
    "lit_tasks.data",
    "lit_tasks.nn",
    "lit_tasks.metrics",
    "torch.nn",
    "torch.optim",
    "torchvision.transforms",
    "lightning",
    "torchmetrics",
)
_KINDS = (nn.Module, Optimizer, LRScheduler)
_LARGEST = 1_000_000  # values; the words of a large vocabulary are a tenth of it
_DEEPEST = 50

#: What looks at the values that a parser meets now.
_look: ContextVar["Callable[[str, Any, Any], None] | None"] = ContextVar("_look", default=None)


class CheckedParser(WatchedParser, LightningArgumentParser):
    """Lightning's parser, which shows values to :class:`Trust` before and after it parses them."""

    def before_value(self, key: str, value: Any, hint: Any) -> None:
        """Show a value as the checkpoint has it."""
        if (look := _look.get()) is not None:
            look(key, value, hint)

    def after_value(self, key: str, value: Any) -> None:
        """Show what became of it."""
        if (look := _look.get()) is not None:
            look(key, value, None)


class Trust:
    """What one checkpoint may name.

    Args:
        source: The checkpoint's file, for messages.
        modules: Modules that the user trusts, with all below them.
        classes: Classes that the user names; the other classes of their modules are trusted too.

    Raises:
        ValueError: If a module's name is not a name.
    """

    def __init__(
        self, source: Path | str, modules: Iterable[str] = (), classes: Iterable[str] = ()
    ) -> None:
        self.source = source
        self.modules = tuple(_checked_module(name) for name in modules)
        self._chosen = self.modules + plugins()
        self._classes: dict[str, type[Any]] = {}
        for name in classes:
            self._vouch(name)
        self._refusal: str | None = None

    def check_names(self, settings: Any) -> None:
        """Refuse settings that name a class which is not trusted, before anything is imported.

        Raises:
            ValueError: With the sentence for the user.
        """
        for spec in specs(settings):
            self._check_name(spec["class_path"])
            for key in (*_keys(spec.get("init_args")), *_keys(spec.get("dict_kwargs"))):
                if not key.isidentifier() or key.startswith("__"):
                    raise ValueError(
                        f"{self.source} has a setting {short(key)}, which no option can be called"
                    )

    def check(self, parser: CheckedParser, settings: dict[str, Any]) -> None:
        """Parse a checkpoint's settings alone; refuse those which are not to be trusted.

        Args:
            parser: Knows the types of the settings.
            settings: Sections of a config, with containers, strings and numbers only.

        Raises:
            ValueError: With the sentence for the user.
        """
        self.check_names(settings)
        exits, parser.exit_on_error = parser.exit_on_error, False
        self._refusal = None
        try:
            with self.only_trusted(), _looking(self._strictly):
                parser.parse_object(settings, env=False, defaults=False, _skip_validation=True)
        except ArgumentError as error:
            if self._refusal is None:
                parser.exit_on_error = exits
                parser.error(str(error), error)
        except Exception:
            if self._refusal is None:
                raise
        finally:
            parser.exit_on_error = exits
        if self._refusal is not None:  # also when another type took the value instead
            raise ValueError(self._refusal)

    @contextmanager
    def only_trusted(self) -> Iterator[None]:
        """Let jsonargparse import nothing but what is trusted."""
        with restored():
            allowed = [*TRUSTED, *self._chosen, *self._classes]
            set_parsing_settings(import_path_denylist=["*"], import_path_allowlist=allowed)
            yield

    def distrust(self, settings: dict[str, Any]) -> None:
        """Never let a text of the checkpoint become a class, until :func:`restored` ends.

        The user's words are parsed together with the checkpoint's then, and a class of theirs may
        ask for a class where the checkpoint has a text.
        """
        texts = set(texts_of(settings))
        denied = [text for text in texts if is_name(text) and not self._allows(text)]
        set_parsing_settings(import_path_denylist=denied, import_path_allowlist=[*self._classes])

        def look(key: str, value: Any, hint: Any) -> None:
            if hint is not None and texts.intersection(texts_for_classes(value, hint)):
                raise ValueError(f"{self.source} has a string where a class belongs: {key}")

        _look.set(look)

    def _vouch(self, name: str) -> None:
        """Trust the classes that are defined where a class is, which the user imports anyway."""
        with suppress(Exception):  # the parser will say what is wrong
            found = imported(name, with_check=False)
            modules = {found.__module__, name.rpartition(".")[0]}
            for cls in [
                each for module in modules for each in vars(import_module(module)).values()
            ]:
                if isinstance(cls, type) and cls.__module__ in modules:
                    self._add(cls)
            self._classes[name] = found

    def _add(self, cls: type[Any]) -> None:
        names = [f"{cls.__module__}.{cls.__qualname__}"]
        with suppress(ImportError, AttributeError, ValueError):  # a class inside of a function
            names.append(import_path(cls))
        self._classes.update({name: cls for name in names if is_name(name)})

    def _allows(self, name: str) -> bool:
        return _is_below(name, (*TRUSTED, *self._chosen)) or name in self._classes

    def _check_name(self, name: Any) -> None:
        if not isinstance(name, str) or not is_name(name):
            raise ValueError(
                f"{self.source} names a class {short(name)}: a name is a full path, such as "
                "package.module.Class"
            )
        if not self._allows(name):
            raise ValueError(self._untrusted(name))
        if _is_below(name, self._chosen):
            with suppress(Exception):  # the parser will say what is wrong
                found = imported(name, with_check=False)
                if isinstance(found, type) and _is_below(found.__module__, self._chosen):
                    self._add(found)  # jsonargparse goes on with the shortest of its names

    def _untrusted(self, name: str) -> str:
        module = name.rpartition(".")[0] or name
        return (
            f"{self.source} wants to import {name}, which is neither a building block of models "
            "nor of a plugin; if you trust this module and the file, add "
            f"--trusted_modules={module}"
        )

    def _strictly(self, key: str, value: Any, hint: Any) -> None:
        """Look at a value before it is parsed, and again after, when there is no hint."""
        sentence = None
        if hint is not None:
            if any(texts_for_classes(value, hint)):
                sentence = (
                    f"{self.source} has a string where a class belongs: {key} must be a mapping "
                    "with a class_path; replace it by a flag"
                )
        else:
            sentence = self._unfit(key, value)
        if sentence is not None:
            self._refusal = self._refusal or sentence
            raise ValueError(sentence)

    def _unfit(self, key: str, value: Any) -> str | None:
        for each in flattened(value):
            if inspect.isroutine(each) or isinstance(each, partial):
                return f"{self.source} names a function for {key}: it may name classes only"
            if isinstance(each, type) and not self._is_trusted(each):
                return self._untrusted(f"{each.__module__}.{each.__qualname__}")
        for spec in specs(value):
            name = spec["class_path"]
            try:
                found = imported(name)
            except (ValueError, ImportError, AttributeError):
                return self._untrusted(name)
            if not isinstance(found, type):
                return f"{self.source} names {name}, which is not a class: it may name classes only"
            if not self._is_trusted(found):
                return self._untrusted(name)
        return None

    def _is_trusted(self, cls: type[Any]) -> bool:
        """Return whether a class is the user's or a plugin's, or one that models are built of.

        A logger or a command line of Lightning's would be trusted by its name, and writes files.
        """
        module = cls.__module__
        if cls in self._classes.values() or _is_below(module, self._chosen):
            return True
        kinds = issubclass(cls, _KINDS) or is_dataclass(cls)
        ours = issubclass(cls, LightningDataModule) and _is_below(module, ("lit_tasks",))
        return _is_below(module, TRUSTED) and (
            kinds or ours or _is_below(module, ("torchvision.transforms",))
        )


def plugins() -> tuple[str, ...]:
    """Return the packages that declare themselves plugins of lit_tasks."""
    points = entry_points(group="lit_tasks")
    return tuple({entry.value.split(":")[0].split(".")[0] for entry in points})


@contextmanager
def restored() -> Iterator[None]:
    """Put jsonargparse's settings back at the end, and look at nothing more."""
    look = _look.get()
    try:
        with restored_settings():
            yield
    finally:
        _look.set(look)


def plain(value: Any, source: Path | str) -> Any:
    """Return containers, strings and numbers only: YAML knows no tuples, namespaces or paths.

    Raises:
        ValueError: If there is something else, or more than settings can be.
    """
    left = _LARGEST

    def made(value: Any, depth: int) -> Any:
        nonlocal left
        left -= 1
        if left < 0 or depth > _DEEPEST:
            raise ValueError(f"{source} holds more settings than a model can have: it is damaged")
        if hasattr(value, "as_dict"):
            value = value.as_dict()
        if isinstance(value, Mapping):
            return {str(key): made(child, depth + 1) for key, child in value.items()}
        if isinstance(value, list | tuple | set):
            return [made(child, depth + 1) for child in value]
        if isinstance(value, str | bool | int | float | NoneType):
            return value
        if isinstance(value, Path):
            return str(value)
        raise ValueError(
            f"{source} holds a {type(value).__name__} among its settings: it is damaged"
        )

    return made(value, 0)


@contextmanager
def _looking(look: "Callable[[str, Any, Any], None]") -> Iterator[None]:
    token = _look.set(look)
    try:
        yield
    finally:
        _look.reset(token)


def _checked_module(name: str) -> str:
    if not all(part.isidentifier() for part in name.split(".")):
        raise ValueError(f"trusted_modules must be names of modules, got {name!r}")
    if name.split(".")[0] == "jsonargparse":
        raise ValueError("trusted_modules cannot be jsonargparse, which decides what is imported")
    return name


def _is_below(name: str, packages: Iterable[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def _keys(value: Any) -> list[str]:
    return [str(key) for key in value] if isinstance(value, Mapping) else []


def packages_to_trust(settings: Any) -> list[str]:
    """Return the packages of others whose classes are named: a checkpoint needs the user's word.

    Args:
        settings: Sections of a config.
    """
    names = [str(spec["class_path"]) for spec in specs(settings)]
    known = (*TRUSTED, *plugins())
    return sorted({name.partition(".")[0] for name in names if not _is_below(name, known)})
