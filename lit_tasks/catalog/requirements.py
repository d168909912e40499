"""What has to be installed for a class or a config: the package's extras."""

import re
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from lit_tasks.catalog.classes import extra_of
from lit_tasks.files import read_yaml
from lit_tasks.runs.settings import flat

_VECTORS = "glove-6b-50d"  # word vectors that a package carries


def extras_of_config(path: Path) -> list[str]:
    """Return the extras that a config's classes and word vectors need."""
    settings = flat(read_yaml(path))
    needs = [extra_of(str(v)) for key, v in settings.items() if key.endswith("class_path")]
    needs += ["quickstart" for value in settings.values() if value == _VECTORS]
    return sorted(set(needs) - {""})


def missing(extras: Iterable[str]) -> list[str]:
    """Return the extras of which something is not installed."""
    return [extra for extra in extras if not _is_installed(extra)]


@cache
def _is_installed(extra: str) -> bool:
    for requirement in requires("lit-tasks") or ():
        name, _, marker = requirement.partition(";")
        package = re.match(r"[\w.-]+", name)
        if package and re.search(rf"extra == ['\"]{extra}['\"]", marker):
            try:
                version(package[0])
            except PackageNotFoundError:
                return False
    return True
