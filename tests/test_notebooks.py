"""Every notebook runs from its first cell to its last, made small; its figures are drawn.

What a notebook computes with stands in the cell tagged ``parameters``; its metadata hold smaller
values (``lit_tasks.small``), which are set after that cell. Cells run in one namespace, without a
kernel: that costs a second less each and needs no package.
"""

import ast
import io
import json
import logging
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted(ROOT.glob("notebooks/*.ipynb"))
MOST = 200_000  # bytes of a committed notebook with its outputs


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let a notebook find itself beside the configs, in a place where it may write."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    monkeypatch.chdir(tmp_path / "notebooks")
    monkeypatch.syspath_prepend(tmp_path / "notebooks")
    precision, modules = torch.get_default_dtype(), set(sys.modules)
    told = logging.getLogger("lightning.pytorch")  # a notebook asks it to say less
    level = told.level
    yield
    told.setLevel(level)
    torch.set_default_dtype(precision)
    for name in set(sys.modules) - modules:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def run(notebook: dict[str, Any]) -> None:
    """Run the code cells; draw what the last line of each would show."""
    names: dict[str, Any] = {"__name__": "__main__"}
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            continue
        lines = "".join(cell["source"]).splitlines()
        if lines[0].startswith("%%writefile "):
            Path(lines[0].split()[1]).write_text("\n".join(lines[1:]) + "\n")
            continue
        code = "\n".join(line for line in lines if not line.startswith("%"))
        shown = _executed(code, names, cell["id"])
        if hasattr(shown, "savefig"):
            shown.savefig(io.BytesIO(), format="png")
        if "parameters" in cell["metadata"].get("tags", ()):
            small = notebook["metadata"]["lit_tasks"]["small"]
            assert set(_names(small)) <= set(_names(code)), "a small value of no parameter"
            exec(small, names)


def _executed(code: str, names: dict[str, Any], place: str) -> Any:
    tree = ast.parse(code)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, place, "exec"), names)
    if last is None:
        return None
    assert isinstance(last, ast.Expr)
    return eval(compile(ast.Expression(last.value), place, "eval"), names)


def _names(code: str) -> list[str]:
    nodes = ast.walk(ast.parse(code))
    return [n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


@pytest.mark.slow  # six notebooks take as long as a fifth of all other tests
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs_from_first_to_last_cell(path: Path) -> None:
    run(json.loads(path.read_text()))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_small_and_links_to_files_that_exist(path: Path) -> None:
    assert path.stat().st_size < MOST
    text = "".join("".join(cell["source"]) for cell in json.loads(path.read_text())["cells"])
    for link in re.findall(r"\]\((\.\./[^)#]+)", text):
        assert (path.parent / link).is_file(), link
    for config in re.findall(r"configs/[\w./]+\.yaml", text):
        assert (ROOT / config).is_file(), config
