"""Rows of texts: where each stands, which of them can be used, and how they are held out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from lightning.pytorch.utilities import rank_zero_info

from lit_tasks.data.base.labels import strata
from lit_tasks.data.base.splits import stratified_splits
from lit_tasks.data.cache.token_ids import text_hashes
from lit_tasks.data.readers.tables import BadRows

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True)
class Source:
    """Rows of one split.

    Attributes:
        data: Columns ``text`` and, unless it is to be predicted, ``label``, both of strings. May
            have ``id`` (what predictions call a text), ``line`` (where errors find it, by default
            the row counted from 1), ``problem`` (why a row cannot be used, empty where it can) and
            ``note`` (what people should know of a row that is used).
        name: File or folder, as errors name it.
        select: Which rows belong to the split, or ``None`` for all.

    Raises:
        ValueError: The column of texts is missing, or a column does not hold strings.
    """

    data: "Dataset"
    name: str
    select: np.ndarray | None = None

    def __post_init__(self) -> None:
        data = self.data
        if "text" not in data.column_names:
            raise ValueError(
                f"{self.name} must have a column 'text', it has {', '.join(data.column_names)}:"
                " name the column of texts so, for example with data.rename_column"
            )
        for name in {"text", "label", "id", "problem", "note"} & set(data.column_names):
            kind = getattr(data.features[name], "dtype", None)
            if kind != "string":
                raise ValueError(
                    f"{self.name}: column {name!r} must hold strings, got {kind}: turn its values"
                    " into text, for example with data.map"
                )
        for name in ("id", "line", "problem", "note"):
            if name not in data.column_names:
                lines = range(1, len(data) + 1)
                data = data.add_column(name, list(lines) if name == "line" else [""] * len(data))
        object.__setattr__(self, "data", data)

    @property
    def rows(self) -> np.ndarray:
        """The rows of the split."""
        return np.arange(len(self.data)) if self.select is None else self.select

    def column(self, name: str) -> np.ndarray:
        """Return the values of a column in the rows of the split."""
        values: np.ndarray = self.data.data[name].to_numpy()[self.rows]
        return values

    def strings(self, column: str, rows: np.ndarray) -> list[str]:
        """Return the values of a column in some rows."""
        values: list[str] = self.data.data[column].take(rows).to_pylist()
        return values

    def place(self, row: int) -> str:
        """Return where a row stands, as errors name it: its line, or its file in a folder."""
        line = self.data.data["line"][row].as_py()
        if line:
            return f"{self.name}, line {line}"
        return f"{self.name}/{self.data.data['id'][row].as_py()}"

    def usable(self, problems: np.ndarray, bad_rows: BadRows) -> np.ndarray:
        """Return the rows that can be used; the others stop the run or are counted.

        Args:
            problems: Why each of :attr:`rows` cannot be used, empty where it can.
            bad_rows: Whether they stop it.

        Raises:
            ValueError: A row cannot be used, or none can; names the first.
        """
        rows = self.rows
        bad = np.flatnonzero(problems != "")
        if len(bad) and (bad_rows == "stop" or len(bad) == len(rows)):
            more = f" ({len(bad):,} such rows in all)" if len(bad) > 1 else ""
            remedy = "or set bad_rows to skip" if len(bad) < len(rows) else "no row can be used"
            raise ValueError(
                f"{self.place(int(rows[bad[0]]))}: {problems[bad[0]]}{more}; correct it, {remedy}"
            )
        if len(bad):
            rank_zero_info(f"{self.name}: {len(bad):,} of {len(rows):,} rows skipped as unusable")
        usable: np.ndarray = rows[problems == ""]
        self._tell_notes(usable)
        return usable

    def _tell_notes(self, rows: np.ndarray) -> None:
        noted = np.flatnonzero(self.data.data["note"].to_numpy()[rows] != "")
        if len(noted):
            first = int(rows[noted[0]])
            note = self.data.data["note"][first].as_py()
            more = f" ({len(noted):,} such rows in all)" if len(noted) > 1 else ""
            rank_zero_info(f"warning: {self.place(first)}: {note}{more}")


def held_out(
    data: "Dataset", fractions: Sequence[float], block: int, seed: int, separator: str | None
) -> list[np.ndarray]:
    """Return rows in seeded, stratified splits; bad rows come with the first split.

    Args:
        data: Rows as in :class:`Source`.
        fractions: Fraction of each split.
        block: Rows on end that go to one split, as repeats of a text do.
        seed: Decides which go where.
        separator: Stands between labels where a text may have several.
    """
    columns = data.data
    usable = np.flatnonzero(columns["problem"].to_numpy() == "")
    labels = strata(columns["label"].take(usable).to_pylist(), separator)
    _, first, text = np.unique(text_hashes(data)[usable], return_index=True, return_inverse=True)
    blocks = usable[first][text] // block  # a repeat belongs where its text first stands
    splits = [
        usable[rows] for rows in stratified_splits(labels, blocks, fractions=fractions, seed=seed)
    ]
    bad = np.flatnonzero(columns["problem"].to_numpy() != "")
    return [np.sort(np.concatenate((splits[0], bad))), *splits[1:]]
