"""Values of typed files (JSON, Parquet) as text, label and id; what is none has a problem."""

import math
from decimal import Decimal


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
