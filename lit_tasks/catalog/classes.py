"""Every public class of the package by name, read from the source: importing takes seconds."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_ROOT = Path(__file__).parents[1]
#: Packages whose classes a YAML may name, each with its kind and how names of that kind end.
_KINDS = (
    ("tasks", "tasks", "Task"),
    ("data", "data", "DataModule"),
    ("encoders", "nn/text", ""),
    ("captioners", "nn/caption", ""),
    ("backbones", "nn/image", "Backbone"),
    ("callbacks", "callbacks", ""),
    ("callbacks", "distributed", ""),
)
_NAMED = ("tasks", "data", "nn", "metrics", "callbacks", "loggers", "distributed", "text")
#: Extras that a module needs beside the package's own requirements.
_EXTRAS = {
    "lit_tasks.tasks.image_classification": "image",
    "lit_tasks.tasks.captioning": "image",
    "lit_tasks.tasks.style_transfer": "image",
    "lit_tasks.nn.image": "image",
    "lit_tasks.nn.style": "image",
    "lit_tasks.data.movie_reviews": "quickstart",
    "lit_tasks.callbacks.onnx_export": "export",
}


@dataclass(frozen=True)
class Listed:
    """A class that a config may name.

    Attributes:
        name: Its name.
        path: Where it is imported from: the package that shows it, or its own module.
        sentence: The first sentence of its docstring.
        bases: Names of the classes that it is made of.
    """

    name: str
    path: str
    sentence: str
    bases: tuple[str, ...]


@cache
def classes() -> tuple[Listed, ...]:
    """Return all public classes of the packages that a config may name classes of."""
    files = [file for package in _NAMED for file in sorted((_ROOT / package).rglob("*.py"))]
    return tuple(each for file in files for each in _classes_of(file))


def kinds() -> tuple[str, ...]:
    """Return the kinds of classes that :func:`of_kind` knows."""
    return tuple(dict.fromkeys(kind for kind, _, _ in _KINDS))


def of_kind(kind: str) -> list[Listed]:
    """Return the classes of one kind, such as ``encoders``, in alphabetical order."""
    places = [(folder, ending) for each, folder, ending in _KINDS if each == kind]
    found = [
        each
        for folder, ending in places
        for each in classes()
        if _is_in(each.path, folder) and each.name.endswith(ending) and _fits(kind, each)
    ]
    return sorted(found, key=lambda each: each.name)


def extra_of(path: str) -> str:
    """Return the extra that a class or module of the package needs, or nothing."""
    data_of_images = ("image", "caption", "scenes", "hymenoptera", "style_pairs")
    module = path.removeprefix("lit_tasks.data.")
    if module != path and any(word in module for word in data_of_images):
        return "image"
    return next((extra for name, extra in _EXTRAS.items() if path.startswith(name)), "")


def paths_of(name: str) -> list[str]:
    """Return where a class of this name can be imported from; several if the name is not unique."""
    return [each.path for each in classes() if each.name == name]


def _is_in(path: str, folder: str) -> bool:
    package = f"lit_tasks.{folder.replace('/', '.')}."
    rest = path.removeprefix(package)
    # A kind's classes lie in its package; `data.base` and the like hold what they share.
    return rest != path and (rest.count(".") <= 1 or folder == "callbacks")


def _fits(kind: str, listed: Listed) -> bool:
    """Return whether a class is of a kind that others in its package are not."""
    if kind == "callbacks":
        ends = ("Callback", "ProgressBar", "Checkpoint", "TerminateOnNaN")
        return any(base.endswith(ends) for base in listed.bases)
    if kind in ("encoders", "captioners"):
        shown = listed.path.count(".") == 3  # by the package itself: lit_tasks.nn.text.BagOfWords
        return shown and (kind == "encoders" or "Captioner" in listed.name)
    return True


def _classes_of(file: Path) -> Iterator[Listed]:
    parts = file.relative_to(_ROOT).with_suffix("").parts
    if parts[-1] == "__init__":
        return
    module, package = ".".join(("lit_tasks", *parts)), ".".join(("lit_tasks", *parts[:-1]))
    shown = _shown_by(file.parent / "__init__.py")
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            place = package if node.name in shown else module
            doc = (ast.get_docstring(node) or "").split("\n\n")[0]
            sentence = re.split(r"(?<!et al)\. ", " ".join(doc.split()))[0].rstrip(".:")
            bases = tuple(ast.unparse(base).rpartition(".")[2] for base in node.bases)
            yield Listed(
                node.name, f"{place}.{node.name}", sentence=sentence.replace("``", ""), bases=bases
            )


@cache
def _shown_by(file: Path) -> frozenset[str]:
    """Return the names that a package imports to show them."""
    if not file.is_file():
        return frozenset()
    body = ast.parse(file.read_text(encoding="utf-8")).body
    imports = [node for node in body if isinstance(node, ast.ImportFrom)]
    return frozenset(alias.asname or alias.name for node in imports for alias in node.names)
