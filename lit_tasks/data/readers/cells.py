"""Values of typed files (JSON, Parquet) as text, label and id; what is none has a problem."""

import ast
import math
from decimal import Decimal

from lit_tasks.files import parse_json


def text_cell(value: object) -> tuple[str, str]:
    """Return a value as a text, or what is wrong with it; words in a list are joined."""
    if isinstance(value, (list, tuple)):
        if all(isinstance(word, str) for word in value):
            return " ".join(value), ""
        return "", "the text is a list of other things than words; join them to one string"
    return _plain(value, "text")


def label_cell(value: object) -> tuple[str, str]:
    """Return a value as a label, or what is wrong with it; a missing one is empty."""
    if isinstance(value, (float, Decimal)) and math.isinf(value):
        return "", f"the label is {value}, which is not a name of a class"
    label, problem = _plain(value, "label")
    return stripped(label), problem


def id_cell(value: object) -> tuple[str, str]:
    """Return a value as an id, or what is wrong with it."""
    return _plain(value, "id")


def stripped(label: str) -> str:
    """Return a label without blanks and byte order marks around it."""
    return label.strip().strip("\ufeff").strip()


def list_in(cell: str) -> list[object] | None:
    """Return the list that a cell holds, in JSON or in Python's spelling, also of sets."""
    if cell == "set()":
        return []
    if cell[0] == "(" and cell != "()" and "," not in cell:  # Python's tuples have one
        return None
    if cell[0] in "({" and cell[-1] in ")}":
        cell = f"[{cell[1:-1].strip().removesuffix(',')}]"
    for text in (cell, cell.replace("'", '"')):
        try:
            found = parse_json(text)
        except ValueError:
            continue
        if isinstance(found, list):
            return found
    try:  # words with apostrophes stand in quotes of two kinds
        found = ast.literal_eval(cell)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
    return found if isinstance(found, list) else None


def _plain(value: object, what: str) -> tuple[str, str]:
    if value is None or (isinstance(value, (float, Decimal)) and math.isnan(value)):
        return "", ""
    if isinstance(value, bytes):
        return value.decode(errors="surrogateescape"), ""
    if isinstance(value, (list, tuple, set)):
        more = "; if a text may have several, set data.multi_label to true"
        return (
            "",
            f"the {what} is a list, and a text has one {what}{more if what == 'label' else ''}",
        )
    if isinstance(value, dict):
        return "", f"the {what} is an object with names of its own; give a plain value"
    return str(value), ""
