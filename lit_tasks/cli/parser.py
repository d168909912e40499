"""Argument parser with one-line errors: what is wrong, where, and the closest valid name.

jsonargparse explains a wrong value by every type that it tried, in up to sixty lines. The facts
are in there; this file picks them out.
"""

import inspect
import os
import pkgutil
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import yaml
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.callbacks.timer import Interval
from lightning.pytorch.core import LightningDataModule, LightningModule
from lightning.pytorch.loggers import Logger
from yaml import SafeDumper

from lit_tasks import bundled_configs
from lit_tasks.catalog.classes import classes, paths_of
from lit_tasks.cli.loggers import fill_folders
from lit_tasks.files import check_yaml, not_there, read_yaml
from lit_tasks.jsonargparse_internals import option_names, replace_yaml_loader, yaml_loader
from lit_tasks.printable import printable
from lit_tasks.runs.settings import flat
from lit_tasks.trust import CheckedParser


class _CheckedLoader(yaml_loader()):  # type: ignore[misc]
    """The loader of jsonargparse, which reads configs, files they name and texts within them."""

    def __init__(self, stream: str) -> None:
        # Without an anchor nothing stands for more than is written, with one colon no key repeats.
        if "&" in stream or stream.count(":") > 1:
            try:
                check_yaml(stream, aliases_only=True)
            except ValueError as error:
                raise yaml.YAMLError(str(error)) from error
        super().__init__(stream)


replace_yaml_loader(_CheckedLoader)
_BROKEN_CONFIG = r'Invalid content in sub-config file (.+?): (.+)(?:\n *in "[^"]*", line (\d+))?'
# The default of Lightning's Timer, which PyYAML would refuse to write into the run's config.
yaml.add_representer(Interval, lambda dumper, each: dumper.represent_str(each.value), SafeDumper)


class ReadableParser(CheckedParser):
    """Lightning's parser, with errors for people."""

    #: Files given with ``--config``, so that an error can name the line of a wrong key.
    config_files: tuple[Path, ...] = ()
    #: Everything the user wrote and the defaults name, to look for classes and their options.
    words: str = ""

    @classmethod
    def read_words(cls, words: str) -> None:
        """Keep everything the user wrote, and import the classes of ours that it names for short.

        jsonargparse knows a class by its bare name once it is imported.
        """
        cls.words = words
        for name in set(re.findall(r"(?<![\w.])[A-Z]\w+", words)):
            for path in paths_of(name):
                with suppress(ImportError):  # an extra is not installed: the full path says so
                    import_module(path.rpartition(".")[0])

    def parse_args(self, args: Any = None, *more: Any, **options: Any) -> Any:
        """Parse; a nested ``null``, which jsonargparse 4.53 passes on as the word None, is null."""
        if isinstance(args, list):
            args = [re.sub(r"^(--[\w.]+=)None$", r"\1null", word) for word in args]
        return super().parse_args(args, *more, **options)

    def before_value(self, key: str, value: Any, hint: Any) -> None:
        """Let loggers that need a folder have none yet: they get that of the run."""
        if key.endswith("trainer.logger"):
            fill_folders(value, None)
        super().before_value(key, value, hint)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print one sentence to stderr and exit with code 2."""
        if not self.exit_on_error:  # nested parsers and load_from_checkpoint want the exception
            super().error(message, ex)
        print(f"lit-tasks: error: {printable(self._sentence(str(message)))}", file=sys.stderr)
        raise SystemExit(2)

    def _sentence(self, message: str) -> str:
        if broken := re.search(_BROKEN_CONFIG, message):
            path, problem, line = broken.groups()
            return f"{path}{f', line {line},' if line else ''} is not YAML: {problem}"
        for pattern, explain in (
            (r"Option '([^']+)' is not accepted", self._unknown_key),
            (r"does not accept option '([^']+)'", self._unknown_key),
            (r"unrecognized arguments: (\S+)", self._unknown_key),
            (r"module '([\w.]+)' has no attribute '(\w+)'", _unknown_class),
            (r"No module named '([\w.]+)'", _unknown_module),
            (r"Expected a dot import path string: (\S+)", _unknown_short_name),
            (r"arguments are required: (\S+)", _missing),
        ):
            if found := re.search(pattern, message):
                name, *_ = found.groups()
                return f"{explain(*found.groups())}{self._place(name)}"
        return self._wrong_value(message)

    def _unknown_key(self, key: str) -> str:
        key = key.lstrip("-").split("=")[0]
        if whole := self._whole_name(key):
            return f"there is no option {key!r}; did you mean {whole!r}?"
        known = _with_prefixes(option_names(self))
        if "." not in key or key.split(".")[0] in known:
            known |= _options_of_classes(self.words)
        if key in known:  # of the class, and filled in by who builds it
            return f"{key!r} is no option here: what builds the class sets it"
        return f"there is no option {key!r}{_did_you_mean(key, known)}"

    def _whole_name(self, key: str) -> str:
        """Return the name of an option that was called by its end, or nothing."""
        first, dot, rest = key.partition(".")
        names = {f"{name}{dot}{rest}" for name in _options_of_sections(self.words, first)}
        is_option = key.split(".")[-1] in _options_of_classes(self.words)
        for path in self.config_files if is_option else ():
            for name in flat(read_yaml(path)):
                name = name.replace("init_args.", "").removesuffix(".class_path")
                names |= {name} if name.endswith(f".{key}") else set()
        return min(names, key=lambda name: (name.count("."), name), default="")

    def _wrong_value(self, message: str) -> str:
        if found := re.search(
            r'(?s).*(Parser key "[^"]+":\s+Expected .*?Got value: [^\n]*)', message
        ):
            message = found[1]  # what follows is about the types around this one
        *_, inner = re.split(r"(?=Parser key \"|Problem with given class_path )", message)
        key = re.search(r'Parser key "([^"]+)"', inner)
        value = re.search(r"(?:Got value|Given value): (.*)", inner)
        # Names that are allowed, and a path, are told as other types are.
        inner = re.sub(r"typing\.Literal\[(.*?)\]\.?", _names_in, inner)
        inner = inner.replace("Not of type Path:", "Expected a path:")
        wanted = re.findall(r"Expected an? (?:<class ')?([\w.\[\], ]+)", inner)
        types = list(
            dict.fromkeys("null" if t == "NoneType" else t for t in wanted if " but" not in t)
        )
        if not (key and value and types):
            return " ".join(re.sub(r"^\s*-", "", line).strip() for line in message.splitlines())
        place = _variable(key[1], value[1]) or self._place(key[1].split(".")[-1])
        return f"{key[1]} must be {' or '.join(types)}, got {value[1]}{place}"

    def _place(self, key: str) -> str:
        """Return where in the config files a word stands, or nothing if it stands in none."""
        first, *_, leaf = key.lstrip("-").split("=")[0].split(".") * 2
        if key.startswith("-"):
            return ""
        for word in dict.fromkeys((leaf, first)):
            for path in reversed(self.config_files):  # the last one won
                for number, line in enumerate(path.read_text().splitlines(), start=1):
                    if re.search(rf"(?<![\w.]){re.escape(word)}(?!\w)", line.split("#")[0]):
                        return f" ({path}, line {number})"
        return ""


def _names_in(found: re.Match[str]) -> str:
    return found[1].replace("'", "").replace(", ", " or ") + ";"


def check_config_files(paths: Iterable[Path]) -> None:
    """Refuse a config file that is missing or is not a YAML mapping, naming file and line.

    Raises:
        ValueError: With the sentence for the user.
    """
    for path in paths:
        if not path.is_file():
            beside = [p.name for p in path.parent.glob("*.y*ml")]
            near = _did_you_mean(path.name, [*beside, *bundled_configs.names(path.suffix)])
            raise ValueError(str(not_there(path, f"there is no config file {path}{near}")))
        read_yaml(path)


def _variable(key: str, value: str) -> str:
    """Return which environment variable said a value, if one did."""
    end = f"__{key.upper().replace('.', '__')}"
    names = (n for n, v in os.environ.items() if n.startswith("PL_") and n.endswith(end))
    return next((f" (in the variable {n})" for n in names if os.environ[n] == value), "")


def _did_you_mean(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    near = get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return f"; did you mean {near[0]!r}?" if near else ""


def _with_prefixes(names: Iterable[str]) -> set[str]:
    """Return ``a``, ``a.b`` and ``a.b.c`` for ``a.b.c``: a typo may stand at any level."""
    split = [name.split(".") for name in names]
    return {".".join(parts[:n]) for parts in split for n in range(1, len(parts) + 1)}


def _options_of_classes(words: str) -> set[str]:
    """Return the parameters of every class whose path stands in ``words``."""
    options: set[str] = set()
    for module, name in set(re.findall(r"([A-Za-z_][\w.]*)\.([A-Za-z_]\w*)", words)):
        found = getattr(sys.modules.get(module), name, None)
        for cls in found.__mro__ if isinstance(found, type) else ():
            options |= set(inspect.signature(cls).parameters) - {"self", "args", "kwargs"}
    return options


def _options_of_sections(words: str, option: str) -> Iterator[str]:
    """Yield the full names that an option has in the task or data whose class is in ``words``."""
    for module, name in set(re.findall(r"([A-Za-z_][\w.]*)\.([A-Za-z_]\w*)", words)):
        found = getattr(sys.modules.get(module), name, None)
        for section, kind in (("model", LightningModule), ("data", LightningDataModule)):
            classes = found.__mro__ if isinstance(found, type) and issubclass(found, kind) else ()
            if any(option in inspect.signature(cls).parameters for cls in classes):
                yield f"{section}.{option}"


def _unknown_class(module: str, name: str) -> str:
    found = sys.modules.get(module)  # importing what a message names could run code
    names = vars(found) if found else {}
    classes = [key for key, value in names.items() if isinstance(value, type)]
    modules = [m.name for m in pkgutil.iter_modules(getattr(found, "__path__", []))]
    return f"there is no class {module}.{name}{_did_you_mean(name, classes + modules)}"


def _unknown_module(module: str) -> str:
    parent, _, name = module.rpartition(".")
    if parent:
        paths = getattr(sys.modules.get(parent), "__path__", [])
        siblings = [m.name for m in pkgutil.iter_modules(paths)]
    else:
        siblings = [m.name for m in pkgutil.iter_modules()]
    return f"there is no module {module}{_did_you_mean(name, siblings, cutoff=0.75)}"


def _unknown_short_name(name: str) -> str:
    if paths := paths_of(name):
        return f"the class {name} cannot be used here; its full path, {paths[0]}, says why"
    kinds = (LightningModule, LightningDataModule, Callback, Logger)
    names = {cls.__name__ for kind in kinds for cls in _subclasses(kind)}
    names |= {each.name for each in classes()}
    rule = "a class is named by its full path, such as package.module.Class"
    return f"there is no class {name}{_did_you_mean(name, names) or '; ' + rule}"


def _subclasses(cls: type[Any]) -> Iterator[type[Any]]:
    for sub in cls.__subclasses__():
        yield sub
        yield from _subclasses(sub)


def _missing(key: str) -> str:
    option = key.split(".", 1)[-1]
    return f"{option!r} is required; give --config FILE.yaml, --{option}=... or --ckpt_path FILE"
