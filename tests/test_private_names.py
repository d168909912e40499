"""Private names of other libraries stand in one adapter each, where contract tests hold them."""

import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import lit_tasks

ROOT = Path(lit_tasks.__file__).parent
#: A file for each library; each of their functions has a test of its own.
ADAPTERS = {
    "distributed/lightning_internals.py",
    "torch_internals.py",
    "jsonargparse_internals.py",
    "loggers/wandb_internals.py",
    "data/cache/datasets_internals.py",
}
#: Name by file, each with the reason why it stands outside of an adapter.
EXCEPTIONS: set[tuple[str, str]] = set()
#: Underscored names that are public: documented for named tuples.
PUBLIC = {"_asdict", "_replace", "_fields", "_make"}


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in PUBLIC and name != "_"


def names_of(tree: ast.Module) -> Iterator[str]:
    """Yield the names that a module gives to things of its own."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.arg(arg=name):
                yield name
            case ast.Name(id=name, ctx=ast.Store()):
                yield name
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name, ctx=ast.Store()):
                yield name
            case ast.alias(name=name, asname=asname):
                yield asname or name


TREES = {path: ast.parse(path.read_text()) for path in sorted(ROOT.rglob("*.py"))}
OURS = {name for tree in TREES.values() for name in names_of(tree)}


def used(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield line and name of every private thing that is not ours."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr=name) if is_private(name):
                of_self = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
                changes = not isinstance(node.ctx, ast.Load) and not of_self
                if name not in OURS or changes:
                    yield node.lineno, name
            case ast.ImportFrom(module=str(module)) if not module.startswith("lit_tasks"):
                for name in (*module.split("."), *(alias.name for alias in node.names)):
                    if is_private(name):
                        yield node.lineno, f"{module}: {name}"
            case ast.Import():
                for alias in node.names:
                    if any(is_private(name) for name in alias.name.split(".")):
                        yield node.lineno, alias.name
            case ast.Call(func=ast.Name(id="getattr" | "setattr" | "hasattr" | "delattr")):
                name = node.args[1]
                said = str(name.value) if isinstance(name, ast.Constant) else ""
                if is_private(said) and said not in OURS:
                    yield node.lineno, said


def found() -> dict[str, set[tuple[int, str]]]:
    by_file = {str(path.relative_to(ROOT)): set(used(tree)) for path, tree in TREES.items()}
    return {file: names for file, names in by_file.items() if names}


def test_private_names_of_others_stand_in_the_adapters_alone() -> None:
    outside = [
        f"{file}:{line}: {name}"
        for file, names in found().items()
        for line, name in sorted(names)
        if file not in ADAPTERS and (file, name) not in EXCEPTIONS
    ]
    assert not outside, "\n".join(outside)


def test_every_exception_is_still_needed() -> None:
    names = {(file, name) for file, names in found().items() for _, name in names}
    assert names >= EXCEPTIONS


def modules() -> list[str]:
    walked = pkgutil.walk_packages(lit_tasks.__path__, "lit_tasks.")
    return [module.name for module in walked if not module.name.endswith("__main__")]


def overridden(cls: type) -> set[str]:
    """Return the private methods of others that a class of ours replaces.

    ``_abc_impl`` and the like come from a metaclass, not from what is written in the class.
    """
    written = {name for name in vars(cls) if is_private(name)} & OURS
    theirs = [base for base in cls.__mro__[1:] if not base.__module__.startswith("lit_tasks")]
    return {name for name in written if any(name in vars(base) for base in theirs)}


def shared(cls: type) -> set[str]:
    """Return the private attributes that both a class of ours and a base of others write to."""
    written = re.compile(r"\bself\.(_[a-z]\w*)(?:: [^=\n]+)? = ")
    theirs = [base for base in cls.__mro__[1:] if not base.__module__.startswith("lit_tasks")]
    names = set(written.findall(inspect.getsource(cls)))
    for base in theirs:
        with suppress(TypeError, OSError):  # written in C
            if names & set(written.findall(inspect.getsource(base))):
                return names & set(written.findall(inspect.getsource(base)))
    return set()


@pytest.mark.slow  # imports every module and looks at every class
def test_private_methods_of_others_are_overridden_in_the_adapters_alone() -> None:
    for name in modules():
        file = str(Path(*name.split(".")[1:])) + ".py"
        module = importlib.import_module(name)
        for cls in vars(module).values():
            if isinstance(cls, type) and cls.__module__ == name and file not in ADAPTERS:
                assert not overridden(cls) | shared(cls), (name, cls.__name__)


@pytest.mark.parametrize("adapter", sorted(ADAPTERS))
def test_every_function_of_an_adapter_has_a_test(adapter: str) -> None:
    [tests] = Path(__file__).parent.rglob(f"test_{Path(adapter).stem}.py")
    text = tests.read_text()
    body = TREES[ROOT / adapter].body
    defined = [node.name for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    untested = [name for name in defined if not name.startswith("_") and name not in text]
    assert not untested
