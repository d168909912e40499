"""Labels of samples that may have several: lists, and cells with a separator in them.

Within the program the labels of a sample are one string, sorted, with separators between them; so a
table of rows has one column of labels whether samples have one or several.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool
from torch import Tensor

from lit_tasks.data.readers.cells import list_in
from lit_tasks.printable import printable

_SHOWN = 3
_OPENING = ("[", "(", "{", "set()")
_USUAL = ("|", ";", ",")


def labels_of(cell: str, separator: str) -> list[str]:
    """Return the labels in a string, without blanks around them."""
    return [label for part in cell.split(separator) if (label := part.strip())]


def joined_labels(value: object, separator: str) -> tuple[str, str]:
    """Return a value as labels with separators between them, or what is wrong with it.

    Args:
        value: A string with separators in it, a list (in a cell also as JSON or Python write it),
            or one plain value.
        separator: What stands between two labels.
    """
    if isinstance(value, str) and value.strip().startswith(_OPENING):
        found = list_in(value.strip())
        if found is None and value.strip()[0] != "(":  # parentheses may be a part of a name
            return "", f"the labels {printable(value):.60} begin like a list, and are none"
        value = value if found is None else found
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "", "there is no label; an empty list says that a sample has none"
    if isinstance(value, str):
        return separator.join(sorted(set(labels_of(value, separator)))), ""
    names = set()
    for item in value if isinstance(value, list | tuple) else [value]:
        if not isinstance(item, str | int | float):
            return "", f"a label is a {type(item).__name__}, it must be a string or a number"
        if isinstance(item, float) and not math.isfinite(item):
            return "", f"a label is {item}, which is no name of a class"
        label = str(item).strip()
        if separator in label:
            return "", (
                f"the label {printable(label)!r:.60} holds the separator {separator!r}; set"
                " data.label_separator to what no label holds"
            )
        names |= {label} if label else set()
    return separator.join(sorted(names)), ""


def _are_known(parts: Sequence[str], known: set[str], multi_label: bool) -> bool:
    """Tell whether parts of a label are labels: all, or one where texts may have several."""
    found = [part in known for part in parts]
    return any(found) if multi_label else all(found)


def check_separator(separator: str) -> None:
    """Refuse a separator that cannot stand between two labels.

    Raises:
        ValueError: It is empty.
    """
    if not separator:
        raise ValueError("label_separator must not be empty; give what stands between two labels")


def label_sets(joined: Sequence[str], separator: str) -> list[list[str]]:
    """Return the labels of each sample."""
    return [labels_of(each, separator) for each in joined]


def indicators(sets: Sequence[Sequence[str]], index: Mapping[str, int]) -> Bool[Tensor, "N C"]:
    """Return which labels each sample has.

    Args:
        sets: The labels of each sample.
        index: The column of each label.
    """
    found = torch.zeros(len(sets), len(set(index.values())), dtype=torch.bool)
    pairs = [(row, index[label]) for row, labels in enumerate(sets) for label in labels]
    if pairs:
        rows, columns = zip(*pairs, strict=True)
        found[list(rows), list(columns)] = True
    return found


def rarest(sets: Sequence[Sequence[str]]) -> list[str]:
    """Return the rarest label of each sample, by which sets are split; nothing where it has none.

    So each label's samples, where it is the rarest, are spread over the splits in proportion.
    """
    counts = Counter(label for labels in sets for label in labels)
    return [min(labels, key=lambda label: (counts[label], label), default="") for labels in sets]


def described(sets: Sequence[Sequence[str]]) -> str:
    """Return how many samples have several labels, and how many none, for a sentence."""
    several = sum(len(labels) > 1 for labels in sets)
    without = sum(not labels for labels in sets)
    return f"{several:,} with several labels, {without:,} with none"


def several_in(labels: Sequence[str], multi_label: bool = False) -> str:
    """Return a sentence where single labels look like several in one, or nothing.

    Args:
        labels: What is taken for the names of the labels.
        multi_label: Whether samples may have several already.
    """
    known = set(labels)
    turn_on = "if a sample may have several, set data.multi_label to true and"
    for separator in _USUAL:
        found = [
            label
            for label in known
            if separator in label and _are_known(labels_of(label, separator), known, multi_label)
        ]
        if found:
            some = ", ".join(repr(printable(label)) for label in sorted(found)[:_SHOWN])
            return (
                f"labels such as {some} are made of other labels and are classes of their own;"
                f" {'set' if multi_label else turn_on} data.label_separator to {separator!r}"
            )
    lists = [label for label in known if label.startswith(_OPENING) and list_in(label) is not None]
    if lists:
        return (
            f"labels such as {printable(min(lists))!r} are lists and are classes of their own; if a"
            " sample may have several labels, set data.multi_label to true"
        )
    return ""
