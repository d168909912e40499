"""Command-line arguments in order of precedence."""

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from lit_tasks import bundled_configs, checkpoint
from lit_tasks.cli.agent_words import understood
from lit_tasks.files import parse_yaml, read_yaml
from lit_tasks.named_classes import named_for_short, specs
from lit_tasks.trust import Trust

_PLACES = ("run_dir", "runs", "ckpt_path")  # an empty path would be the current folder


class Arguments:
    """A command line, taken apart: command, configs, flags and the checkpoint they name.

    The last word wins: configs in their order, then what the checkpoint says, then flags. (As
    jsonargparse reads them, a flag before a ``--config`` would lose to it.)

    Attributes:
        command: ``fit``, ``validate``, ``test`` or ``predict``.
        configs: Files given with ``--config``; a name may stand for one that is shipped.
        flags: The other words.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self.command = words[0]
        self.configs, self.flags = _split(understood(words[1:]))
        for name, value in self._options():
            if not value and (name in _PLACES or name.startswith("data.")):
                raise ValueError(
                    f"--{name} is empty, as where a variable of the shell is not set: give a value,"
                    " or null for none"
                )

    def value(self, option: str) -> str | None:
        """Return the last value given to a top-level option, by flag or else by config."""
        return self.flag(option) or self._from_config(option)

    def flag(self, option: str) -> str | None:
        """Return the last value of ``--option``."""
        for position in reversed(range(len(self.flags))):
            name, equals, value = self.flags[position].partition("=")
            if name == f"--{option}":
                return value if equals else next(iter(self.flags[position + 1 :]), None)
        return None

    def _from_config(self, option: str) -> str | None:
        for path in reversed(self.configs):
            if (found := read_yaml(path).get(option)) is not None:
                return str(found)
        return None

    def experiment(self) -> str:
        """Return the name of the first config, or of the command where there is none."""
        return self.configs[0].stem if self.configs else self.command

    def trusted(self, ckpt_path: Path, sections: dict[str, Any]) -> Trust:
        """Return what a checkpoint may name: what the user says so of, or names himself.

        Args:
            ckpt_path: The checkpoint.
            sections: Its settings, which tell where in the user's own a bare path names a class.
        """
        modules = [
            parse_yaml(value) for name, value in self._options() if name == "trusted_modules"
        ]
        configs = [read_yaml(path) for path in self.configs]
        modules += [config.get("trusted_modules") for config in configs]
        classes = [
            value
            for name, value in self._options()
            if name in ("model", "data") or name.endswith(".class_path")
        ]
        classes += [str(spec["class_path"]) for spec in specs([configs, *self._mappings()])]
        for said in (*configs, *self._nested()):
            classes += named_for_short(said, sections)
        return Trust(ckpt_path, [str(m) for m in _all(modules)], classes)

    def sections(self, content: dict[str, Any], ckpt_path: Path) -> dict[str, Any]:
        """Return the checkpoint's sections, without those that the user chose otherwise."""
        sections = checkpoint.as_config(content, ckpt_path)
        for key in ("model", "data"):
            if (given := self.flag(key)) and given != sections.get(key, {}).get("class_path"):
                sections.pop(key, None)
        if self.configs:
            sections.pop("data", None)
        for name, _ in self._options():
            key, _, option = name.replace(".init_args.", ".").partition(".")
            arguments = sections.get(key, {}).get("init_args", {})
            if isinstance(arguments.get(option), str):  # a flag replaces it, whatever it says
                del arguments[option]
        return sections

    def ordered(self, sections: dict[str, Any] | None, folder: Path) -> list[str]:
        """Return the words for the parser, with the checkpoint's settings in their place.

        Args:
            sections: The checkpoint's, or ``None`` where its settings are not asked for.
            folder: Where a temporary config may be written.
        """
        configs = list(self.configs)
        if sections is not None:
            configs.append(checkpoint.write_config(sections, folder))
        return [
            self.command,
            *(word for path in configs for word in ("--config", str(path))),
            *self.flags,
        ]

    def _options(self) -> Iterator[tuple[str, str]]:
        """Yield name and value of every flag."""
        for position, word in enumerate(self.flags):
            name, equals, value = word.partition("=")
            if name.startswith("--"):
                after = next(iter(self.flags[position + 1 :]), "")
                yield name.removeprefix("--").removesuffix("+"), value if equals else after

    def _mappings(self) -> Iterator[Any]:
        """Yield what flags say in YAML."""
        for _, value in self._options():
            if value.startswith(("{", "[")):
                with suppress(yaml.YAMLError, ValueError):  # the parser will say what is wrong
                    yield parse_yaml(value)

    def _nested(self) -> Iterator[Any]:
        """Yield every flag as the mapping that a config would have in its place."""
        for name, value in self._options():
            said: Any = value
            for key in reversed(name.replace(".init_args.", ".").split(".")):
                said = {key: said}
            yield said

    def named(self) -> list[str]:
        """Return everything that the user wrote, in flags and in configs."""
        return [*self.flags, *(path.read_text() for path in self.configs)]


def _all(values: Sequence[Any]) -> Iterator[Any]:
    for value in values:
        yield from value if isinstance(value, list) else [] if value is None else [value]


def _split(words: Sequence[str]) -> tuple[list[Path], list[str]]:
    configs, flags = [], []
    rest = iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        if name in ("--config", "-c"):
            if not equals and (value := next(rest, "")) == "":
                raise ValueError("--config needs the path of a YAML file")
            configs.append(bundled_configs.found(Path(value)))
        else:
            flags.append(word)
    return configs, _joined(flags, "--data.predict")


def _joined(flags: Sequence[str], option: str) -> list[str]:
    """Return the words with all values of an option in one list, where it is given several times.

    Of other options the last value counts; of inputs none may be lost.
    """
    kept: list[str] = []
    values: list[Any] = []
    rest = iter(flags)
    for word in rest:
        name, equals, value = word.partition("=")
        if name != option:
            kept.append(word)
            continue
        value = value if equals else next(rest, "")
        values += _all([parse_yaml(value)]) if value.startswith("[") else [value]
    if len(values) < 2:
        return list(flags)
    return [*kept, f"{option}={json.dumps(values)}"]
