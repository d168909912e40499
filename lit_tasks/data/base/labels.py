"""Labels of texts as files have them: their order, and what looks like a mistake."""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from lit_tasks.data.readers.label_lists import indicators, label_sets, labels_of, rarest

_SHOWN = 20  # labels in a sentence
_FEW = 5  # labels that a small set may have
_MISSING = {"nan", "na", "n/a", "none", "null", "<na>", "?"}  # as other programs write it
_NO_NUMBER = _MISSING | {"inf", "+inf", "-inf", "infinity", "-infinity"}
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?")
_WHOLE = re.compile(r"([+-]?\d+)\.0*")


def label_order(label: str) -> tuple[bool, float, str]:
    """Order numbers by value and before names."""
    is_number = _NUMBER.fullmatch(label) is not None
    return not is_number, float(label) if is_number else 0.0, label


def label_counts(labels: Sequence[str], separator: str | None) -> Counter[str]:
    """Return how many texts have each label.

    Args:
        labels: The label of each text, or its labels with separators between.
        separator: Stands between labels where a text may have several.
    """
    if separator is None:
        return Counter(labels)
    return Counter(label for each in label_sets(labels, separator) for label in each)


def label_tensor(labels: Sequence[str], known: Sequence[str], separator: str | None) -> Tensor:
    """Return the class of each text ``(N,)``, or which labels it has ``(N, C)``."""
    index = indices_of_labels(known)
    if separator is None:
        return torch.tensor([index[label] for label in labels])
    return indicators(label_sets(labels, separator), index)


def are_foreign(labels: np.ndarray, known: Sequence[str], separator: str | None) -> np.ndarray:
    """Return which texts have a label that is not known."""
    index = indices_of_labels(known)
    there = set(np.unique(labels).tolist())
    if separator is None:
        foreign = there - index.keys()
    else:
        foreign = {each for each in there if not set(labels_of(each, separator)) <= index.keys()}
    found: np.ndarray = np.isin(labels, np.array(sorted(foreign), dtype=object))
    return found


def label_problems(
    labels: np.ndarray, known: Sequence[str] | None, separator: str | None
) -> np.ndarray:
    """Return why the label of each text cannot be used, empty where it can.

    Args:
        labels: The label of each text, or its labels with separators between.
        known: Those of the training texts; ``None`` for the training texts themselves.
        separator: Stands between labels where a text may have several.
    """
    foreign = np.zeros(len(labels), dtype=bool)
    if known is not None:
        foreign = are_foreign(labels, known, separator)
    elif separator is None:
        foreign = missing_numbers(labels)
    quoted = shown([f"'{label}'" for label in known or ()])
    why = "not a number as the others are" if known is None else f"not one of {quoted}"
    problems = np.full(len(labels), "", dtype=object)
    problems[foreign] = [f"the label '{label}' is {why}" for label in labels[foreign]]
    return problems


def strata(labels: Sequence[str], separator: str | None) -> np.ndarray:
    """Return by which class each text is held out: its own, or the rarest of those it has.

    Classes are numbered as they come: which rows a seed holds out depends on these numbers.
    """
    classes = list(labels) if separator is None else rarest(label_sets(labels, separator))
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(each, len(numbers)) for each in classes], dtype=np.int64)


def shown(labels: Sequence[str]) -> str:
    """Return the first labels, for a sentence."""
    more = f" and {len(labels) - _SHOWN:,} more" if len(labels) > _SHOWN else ""
    return ", ".join(labels[:_SHOWN]) + more


def doubts(counts: Mapping[str, int], name: str) -> list[str]:
    """Return sentences about labels that look like mistakes.

    Args:
        counts: Texts of each label.
        name: What the texts come from.
    """
    rows, found = sum(counts.values()), []
    if len(counts) > max(_FEW, rows / 4):
        found.append(
            f"{name} has {len(counts):,} labels in {rows:,} texts ({shown(sorted(counts)[:3])}, "
            "...); are these labels, or words or numbers from another column?"
        )
    alike: dict[str, list[str]] = {}
    for label in counts:
        alike.setdefault(_plain(label), []).append(label)
    pairs = [" and ".join(repr(x) for x in sorted(same)) for same in alike.values() if same[1:]]
    if pairs:
        more = f", and {len(pairs) - 3:,} more such" if len(pairs) > 3 else ""
        found.append(
            f"{name} has labels that may mean the same, or differ only by case, blanks or zeros, "
            f"and are classes of their own: {'; '.join(pairs[:3])}{more}"
        )
    if missing := sorted(filter(stands_for_missing, counts)):
        number = sum(counts[label] for label in missing)
        found.append(
            f"{name}: {number:,} texts have the label {' or '.join(missing)}; it is a class like "
            "others, so leave these rows out if it stands for a missing label"
        )
    return found


def stands_for_missing(label: str) -> bool:
    """Return whether a label is what other programs write where there is none."""
    return label.casefold() in _MISSING


def missing_numbers(labels: np.ndarray) -> np.ndarray:
    """Return which labels stand for a missing one, as ``nan``, where all others are numbers."""
    known = set(labels.tolist()) - {""}
    names = [label for label in known if _NUMBER.fullmatch(label) is None]
    if not names or len(names) == len(known) or any(n.casefold() not in _NO_NUMBER for n in names):
        return np.zeros(len(labels), dtype=bool)
    found: np.ndarray = np.isin(labels, np.array(names, dtype=object))
    return found


def indices_of_labels(labels: Sequence[str]) -> dict[str, int]:
    """Return the class of each label, and of ``1`` where the label is ``1.0`` or the reverse."""
    index = {label: place for place, label in enumerate(labels)}
    for label, place in list(index.items()):
        whole = _WHOLE.fullmatch(label)
        index.setdefault(whole[1] if whole else f"{label}.0", place)
    return index


def _plain(label: str) -> str:
    """Return what is left of a label without what people do not see or mean to tell apart."""
    normal = "".join(unicodedata.normalize("NFKC", label).split()).casefold()
    seen = "".join(letter for letter in normal if unicodedata.category(letter) != "Cf")
    number = {"true": "1", "false": "0"}.get(seen, seen)
    return str(float(number) + 0.0) if _NUMBER.fullmatch(number) else seen
