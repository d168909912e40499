"""What people call the splits of a data set: folders, and cells of a table's column."""

import re
import unicodedata
from typing import Literal

_NAMES: dict[Literal["train", "val", "test"], tuple[str, ...]] = {
    "train": ("train", "training", "trn"),
    "val": ("val", "valid", "validation", "validate", "dev", "devel", "development"),
    "test": ("test", "testing", "tst", "eval", "evaluation"),
}
_SPLITS = {name: split for split, names in _NAMES.items() for name in names}
_ENDING = re.compile(r"[ _-]?(set|split|data|dataset)$")  # training_set, test-data

#: The usual names, for sentences.
USUAL_NAMES = "train or training; val, valid, validation or dev; test, testing or eval"


def split_named(name: str) -> Literal["train", "val", "test"] | None:
    """Return the split that a name stands for in any case, ``None`` for an unusual one."""
    name = unicodedata.normalize("NFKC", name).strip().casefold()
    return _SPLITS.get(name) or _SPLITS.get(_ENDING.sub("", name))


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
