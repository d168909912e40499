"""Docstrings name the arguments there are, once and in order: `--help` and the site show them."""

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "lit_tasks").rglob("*.py"))
BASES_SAY = ("data", "tasks", "nn")  # packages whose classes describe what others pass on to them
CONFIGURED = ("tasks", "data", "callbacks", "nn")  # packages whose classes a YAML may name
Documented = ast.ClassDef | ast.FunctionDef


def sections(node: Documented) -> dict[str, list[str]]:
    """Return the names that each section of a docstring describes, in its order."""
    found: dict[str, list[str]] = {}
    names: list[str] = []
    for line in (ast.get_docstring(node) or "").splitlines():
        if heading := re.fullmatch(r"(Args|Attributes|Raises|Returns|Yields):", line):
            names = found.setdefault(heading[1], [])
        elif entry := re.match(r"    (\w+): ", line):
            names.append(entry[1])
        elif line and not line.startswith(" "):
            names = []
    return found


def arguments(function: ast.FunctionDef) -> list[str]:
    """Return the names of a function's arguments, without ``self`` and what is passed on."""
    given = function.args
    names = [arg.arg for arg in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return [name for name in names if name not in ("self", "cls")]


def passed_on(function: ast.FunctionDef) -> list[str]:
    """Return the names behind stars: what they hold may be described or not."""
    return [arg.arg for arg in (function.args.vararg, function.args.kwarg) if arg is not None]


def fields(node: ast.ClassDef) -> list[str]:
    """Return the fields of a dataclass or named tuple, its arguments."""
    made = [ast.unparse(part) for part in (*node.bases, *node.decorator_list)]
    if not any(part.startswith(("NamedTuple", "dataclass")) for part in made):
        return []
    entries = [part for part in node.body if isinstance(part, ast.AnnAssign)]
    private = [e for e in entries if e.value is not None and "init=False" in ast.unparse(e.value)]
    return [ast.unparse(entry.target) for entry in entries if entry not in private]


def initializer(node: ast.ClassDef) -> ast.FunctionDef | None:
    functions = [part for part in node.body if isinstance(part, ast.FunctionDef)]
    return next((part for part in functions if part.name == "__init__"), None)


def public(path: Path) -> Iterator[Documented]:
    """Yield the public classes, functions and methods of a file."""
    tree = ast.parse(path.read_text())
    nodes = [n for n in tree.body if isinstance(n, Documented) and not n.name.startswith("_")]
    for node in nodes:
        yield node
        if isinstance(node, ast.ClassDef):
            methods = [part for part in node.body if isinstance(part, ast.FunctionDef)]
            yield from (part for part in methods if not part.name.startswith("_"))


def disagreement(node: Documented, configured: bool) -> str:
    """Return where a docstring and a signature differ, or nothing."""
    said = sections(node)
    described = said.get("Args", [])
    made = initializer(node) if isinstance(node, ast.ClassDef) else node
    if made is not None:
        names, must = arguments(made), configured and made is not node
        described = [name for name in described if name not in passed_on(made)]
    else:
        assert isinstance(node, ast.ClassDef)
        names, must = fields(node), False
        described = described or (said.get("Attributes", []) if names else [])
    if described == names or not (described or (must and names)):
        return ""
    return f"line {node.lineno}, {node.name}: described are {described}, there are {names}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_docstring_describes_every_argument_once_and_in_order(path: Path) -> None:
    configured = path.relative_to(ROOT / "lit_tasks").parts[0] in CONFIGURED
    assert [wrong for node in public(path) if (wrong := disagreement(node, configured))] == []


@pytest.mark.parametrize(
    "path", [path for path in FILES if set(BASES_SAY) & set(path.parts)], ids=lambda path: path.name
)
def test_options_that_are_passed_on_are_described_where_they_are_defined(path: Path) -> None:
    """``kwargs`` stands last and names the class that describes them, which exists."""
    for node in public(path):
        made = initializer(node) if isinstance(node, ast.ClassDef) else None
        if made is None or passed_on(made) != ["kwargs"]:  # a layer hands all on, as torch takes it
            continue
        assert sections(node)["Args"] == [*arguments(made), "kwargs"]
        said = (ast.get_docstring(node) or "").partition("    kwargs: ")[2]
        [target] = re.findall(r"Options of\s+:class:`~([\w.]+)`", said)
        module, name = target.rsplit(".", 1)
        assert isinstance(getattr(import_module(module), name), type)
        assert isinstance(node, ast.ClassDef)
        bases = [ast.unparse(base) for base in node.bases]
        assert bases == [name] or re.search(rf"\b{name}\([^()]*\*\*", ast.unparse(node))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_signature_has_at_most_twelve_arguments_of_its_own(path: Path) -> None:
    """More than that is a group without a name, or options that belong to what is built of them."""
    functions = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.FunctionDef)]
    assert [(f.name, f.lineno) for f in functions if len(arguments(f)) > 12] == []


@pytest.mark.parametrize("name", ["a", "c", "a and b", "b and a", "a and a and b"])
def test_a_docstring_that_were_wrong_would_be_noticed(name: str) -> None:
    lines = "".join(f"        {n}: What it is.\n" for n in name.split(" and "))
    code = f'def f(a, b):\n    """Return it.\n\n    Args:\n{lines}    """\n'
    (node,) = ast.parse(code).body
    assert isinstance(node, ast.FunctionDef)
    assert (disagreement(node, False) == "") == (name == "a and b")
