"""The user's words, put into the order in which they should win."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from lit_tasks import shipped_configs
from lit_tasks.cli import checkpoint
from lit_tasks.cli.agent_words import understood


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
            if (found := yaml.safe_load(path.read_text()).get(option)) is not None:
                return str(found)
        return None

    def experiment(self) -> str:
        """Return the name of the first config, or of the command where there is none."""
        return self.configs[0].stem if self.configs else self.command

    def ordered(self, content: dict[str, Any] | None, ckpt_path: Path, folder: Path) -> list[str]:
        """Return the words for the parser, with the checkpoint's settings in their place.

        Args:
            content: The checkpoint, or ``None`` where its settings are not asked for.
            ckpt_path: Where the checkpoint was read from.
            folder: Where a temporary config may be written.
        """
        configs = list(self.configs)
        if content is not None:
            sections = checkpoint.as_config(content, ckpt_path, self.named())
            for key in ("model", "data"):
                if (given := self.flag(key)) and given != sections.get(key, {}).get("class_path"):
                    sections.pop(key, None)
            if self.configs:
                sections.pop("data", None)
            configs.append(checkpoint.write_config(sections, folder))
        return [
            self.command,
            *(word for path in configs for word in ("--config", str(path))),
            *self.flags,
        ]

    def named(self) -> list[str]:
        """Return everything that the user wrote, in flags and in configs."""
        return [*self.flags, *(path.read_text() for path in self.configs)]


def _split(words: Sequence[str]) -> tuple[list[Path], list[str]]:
    configs, flags = [], []
    rest = iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        if name in ("--config", "-c"):
            if not equals and (value := next(rest, "")) == "":
                raise ValueError("--config needs the path of a YAML file")
            configs.append(shipped_configs.found(Path(value)))
        else:
            flags.append(word)
    return configs, flags
