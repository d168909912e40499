"""Configurations as one flat mapping, and what a setting is called for short."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

#: Settings that say where a run lies and how often it is saved, not what it is.
ASIDE = (
    *("runs", "run_dir", "resume", "experiment", "trainer.default_root_dir", "trainer.logger"),
    "last_checkpoint",
)
#: Callbacks of this package show a run. (``display_only`` says so too, and a test that both agree;
#: here no class is imported, so options of a callback of others count as settings.)
_DISPLAY = "lit_tasks.callbacks."


def flat(config: Mapping[Any, Any], prefix: str = "") -> dict[str, Any]:
    """Return ``{"a.b.c": value}`` for nested mappings, so that runs compare by any setting."""
    result: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, list) and any(isinstance(child, dict) for child in value):
            value = dict(enumerate(value))
        if isinstance(value, dict) and value:
            result |= flat(value, f"{prefix}{key}.")
        else:
            result[f"{prefix}{key}"] = value
    return result


def differing(configs: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the settings that are not the same in all configurations, in their first order.

    A setting that one class has and another has not differs only because the classes do: where
    a ``class_path`` differs, it stands for the arguments of its class that some runs lack.
    """
    configs = list(configs)
    keys = list(dict.fromkeys(key for config in configs for key in config))
    absent = object()
    shows = _that_show(configs)
    found = []
    for key in keys:
        values = [config.get(key, absent) for config in configs]
        if _aside(key, shows) or all(value == values[0] for value in values):
            continue
        if absent in values and _told_by_class(key, configs):
            continue
        found.append(key)
    return found


def _that_show(configs: list[Mapping[str, Any]]) -> set[str]:
    """Return the options that hold a callback which shows the run, in any of the configurations."""
    return {
        key.removesuffix(".class_path")
        for config in configs
        for key, value in config.items()
        if key.endswith(".class_path") and str(value).startswith(_DISPLAY)
    }


def _aside(key: str, shows: set[str]) -> bool:
    return any(key == name or key.startswith(f"{name}.") for name in (*ASIDE, *shows))


def _told_by_class(key: str, configs: list[Mapping[str, Any]]) -> bool:
    """Return whether the class that the setting belongs to differs as well."""
    while "init_args" in key:
        key, _, _ = key.rpartition("init_args")
        classes = {str(config.get(f"{key}class_path")) for config in configs}
        if len(classes) > 1:
            return True
        key = key.rstrip(".")
    return False


def short_names(keys: Iterable[str]) -> dict[str, str]:
    """Return for each setting the end of its name that no other one has.

    ``init_args`` says nothing and is left out; a class is called by what it is an argument of.
    """
    parts = {key: _parts(key) for key in keys}
    ends = Counter(end for found in parts.values() for end in _ends(found))
    return {
        key: ".".join(next((end for end in _ends(found) if ends[end] == 1), found))
        for key, found in parts.items()
    }


def _ends(parts: list[str]) -> Iterator[tuple[str, ...]]:
    """Yield the last part, the last two parts and so on."""
    return (tuple(parts[-length:]) for length in range(1, len(parts) + 1))


def _parts(key: str) -> list[str]:
    parts = [part for part in key.split(".") if part != "init_args"]
    return parts[:-1] if parts[-1:] == ["class_path"] and len(parts) > 1 else parts or [key]


def short_value(value: Any) -> str:
    """Return a setting's value for a table: a class by its name, numbers without noise."""
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return "[" + ", ".join(short_value(item) for item in value) + "]"
    text = "-" if value is None else str(value)
    is_path_of_class = "." in text and "/" not in text and text.replace(".", "").isidentifier()
    return text.rpartition(".")[2] if is_path_of_class else text
