"""Everything of jsonargparse and argparse that is private, or that we replace.

One function for each need, each with a test of its own, which fails when a new release changes what
it rests on. No other file touches a private name of theirs.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jsonargparse import ArgumentParser, _loaders_dumpers
from jsonargparse._common import parsing_settings
from jsonargparse._typehints import accepts_any_value
from jsonargparse._util import get_import_path, import_object

__all__ = [
    "WatchedParser",
    "accepts_any_value",
    "import_path",
    "imported",
    "option_names",
    "replace_yaml_loader",
    "restored_settings",
    "yaml_loader",
]


class WatchedParser(ArgumentParser):
    """A parser that shows every value before and after it is parsed."""

    def before_value(self, key: str, value: Any, hint: Any) -> None:
        """See a value as it was given, and the type of its option, if it has one."""

    def after_value(self, key: str, value: Any) -> None:
        """See a value as it was parsed."""

    def _check_value_key(
        self, action: Any, value: Any, key: str, *arguments: Any, **options: Any
    ) -> Any:
        hint = getattr(action, "_typehint", None) or getattr(action, "basetype", None)
        self.before_value(key, value, hint)
        found = super()._check_value_key(action, value, key, *arguments, **options)
        self.after_value(key, found)
        return found


def option_names(parser: ArgumentParser) -> list[str]:
    """Return the full names of a parser's options, as in ``model.lr``."""
    return [action.dest for action in parser._actions]


@contextmanager
def restored_settings() -> Iterator[None]:
    """Put the settings back at the end that ``set_parsing_settings`` changes meanwhile."""
    before = dict(parsing_settings)
    try:
        yield
    finally:
        parsing_settings.update(before)


def imported(name: str, *, with_check: bool = True) -> Any:
    """Return what a full path names.

    Args:
        name: As in ``package.module.Class``.
        with_check: Whether the lists of ``set_parsing_settings`` say what may be imported.
    """
    return import_object(name) if with_check else import_object(name, check_path=False)


def import_path(found: Any) -> str:
    """Return the path by which jsonargparse goes on to name a class: the shortest."""
    return str(get_import_path(found))


def yaml_loader() -> Any:
    """Return the class that reads configs, the files they name and the texts within them."""
    return _loaders_dumpers.get_yaml_default_loader()


def replace_yaml_loader(loader: Any) -> None:
    """Let another class read them, for the whole process."""
    _loaders_dumpers.yaml_default_loader = loader
