"""The page of derivations and the code name one another: neither may move alone."""

import importlib
import inspect
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "derivations.md").read_text()
QUOTES = re.findall(r"^→ `(\w+)\.(\w+)`: `([^`]+)`$", PAGE, re.MULTILINE)
PACKAGE = "lit_tasks.functional.recurrent"
FOLDER = ROOT / "lit_tasks" / "functional" / "recurrent"
FLAGS = re.MULTILINE | re.DOTALL
FILES = ("rnn", "lstm", "gru", "cells")


def squeezed(text: str) -> str:
    return re.sub(r"\s+|,(?=\s*[)\]])", "", text)


@pytest.mark.parametrize(("module", "function", "line"), QUOTES)
def test_each_quoted_line_stands_in_its_function(module: str, function: str, line: str) -> None:
    sources = [
        inspect.getsource(inspect.unwrap(found))
        for found in [getattr(importlib.import_module(f"{PACKAGE}.{module}"), function, None)]
        if found is not None
    ]
    written = FOLDER / f"{module}.c"
    if written.is_file():
        body = rf"^[\w ]+\b{function}\([^;{{]*{{.*?\n}}$"
        sources += re.findall(body, written.read_text(), FLAGS)
    assert any(squeezed(line) in squeezed(source) for source in sources), (
        f"{module}.{function} has no line {line!r}"
    )


def test_each_equation_is_named_in_the_code_and_each_named_one_exists() -> None:
    written = {int(number) for number in re.findall(r"\\tag\{(\d+)\}", PAGE)}
    named = set()
    for name in FILES:
        source = (FOLDER / f"{name}.py").read_text()
        named |= {int(number) for number in re.findall(r"eq\. \((\d+)\)", source)}
    assert written == set(range(1, max(written) + 1))
    assert named == written


def test_the_page_quotes_code_after_every_group_of_equations() -> None:
    groups = re.split(r"^→ .*$", PAGE.split("## 8.")[0], flags=re.MULTILINE)
    assert "\\tag" not in groups[-1]
