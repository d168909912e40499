"""What people call the splits of a data set: folders, and cells of a table's column."""

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from typing import Literal

_NAMES: dict[Literal["train", "val", "test"], tuple[str, ...]] = {
    "train": ("train", "training", "trn", "restval"),  # restval: Karpathy's
    "val": ("val", "valid", "validation", "validate", "dev", "devel", "development"),
    "test": ("test", "testing", "tst", "eval", "evaluation"),
}
_SPLITS = {name: split for split, names in _NAMES.items() for name in names}
_BETWEEN = re.compile(r"[\W_]+|(?<=\D)(?=\d)")  # train_images, val2017
_MORE = re.compile(r"\d+|sets?|splits?|data|dataset|images?|imgs?|pictures?|photos?|files?|folder")
_GLUED = re.compile(r"(set|split|data|dataset)$")  # trainset

#: The usual names, for sentences.
USUAL_NAMES = "train or training; val, valid, validation or dev; test, testing or eval"


def split_named(name: str) -> Literal["train", "val", "test"] | None:
    """Return the split that a name stands for in any case, ``None`` for an unusual one."""
    words = [word for word in _words(name) if not _MORE.fullmatch(word)]
    return _split_of(words[0]) if len(words) == 1 else None


def holds_split(name: str) -> bool:
    """Return whether one of the words of a name is that of a split, as in ``seg_train``."""
    return any(_split_of(word) or word == "trainval" for word in _words(name))


def _words(name: str) -> list[str]:
    plain = unicodedata.normalize("NFKC", name).casefold()
    return [word for word in _BETWEEN.split(plain) if word]


def _split_of(word: str) -> Literal["train", "val", "test"] | None:
    return _SPLITS.get(word) or _SPLITS.get(_GLUED.sub("", word))


def split_of_row(cell: str, column: str, where: str) -> Literal["train", "val", "test"]:
    """Return the split that a cell of a table names.

    Args:
        cell: What the row says.
        column: The column's name.
        where: File and line of the row.

    Raises:
        ValueError: The cell names none.
    """
    split = split_named(cell)
    if split is None:
        raise ValueError(
            f"{where}: column {column} is {cell!r}, the name of no split: write {USUAL_NAMES},"
            " or remove the row"
        )
    return split


def split_columns(rows: Sequence[Mapping[str, str]], used: Collection[str | None]) -> list[str]:
    """Return the columns, but for those in use, whose cells all name splits, and not all one."""
    found = []
    for name in rows[0].keys() - set(used) if rows else ():
        splits = {split_named(row.get(name, "")) for row in rows}
        if None not in splits and len(splits) > 1:
            found.append(name)
    return sorted(found)
