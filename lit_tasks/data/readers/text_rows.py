"""What a row of text is, and what is wrong with one."""

from typing import TypedDict

from lit_tasks.data.readers.encodings import undecoded


class Row(TypedDict):
    """One text.

    ``problem`` is empty or says why the row cannot be used, ``note`` what is odd about it.
    """

    text: str
    label: str
    id: str
    line: int
    problem: str
    note: str


def text_row(text: str, label: str, id: str, line: int, problem: str = "") -> Row:
    """Return a row that nothing is odd about."""
    return {"text": text, "label": label, "id": id, "line": line, "problem": problem, "note": ""}


def labeled_row(text: str, label: str, id: str, line: int) -> Row:
    """Return a row, with what is wrong with it."""
    row = text_row(text, label, id=id, line=line)
    return {**row, "problem": problem_of(row, labeled=True)}


def problem_of(row: Row, labeled: bool, may_have_none: bool = False) -> str:
    """Return what is wrong with a row, or nothing.

    Args:
        row: The row.
        labeled: Whether it is to have a label.
        may_have_none: Whether it may have none, since it may have several.
    """
    where = undecoded(row["text"] + row["label"] + row["id"])
    if where:
        return f"the bytes are not UTF-8 {where}; name their encoding with data.encoding"
    if labeled and not row["text"].strip():
        return "the text is empty"
    if labeled and not row["label"] and not may_have_none:
        return "there is no label"
    return ""
