"""Anyone's own texts: labeled lines, CSV, TSV, JSON Lines, parquet or plain text."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities import rank_zero_info

from lit_tasks.data.base.text import TextDataModule
from lit_tasks.data.base.text_source import Source
from lit_tasks.data.cache.rows import cached_rows, digest, fingerprint
from lit_tasks.data.readers.label_lists import check_separator
from lit_tasks.data.readers.text_files import (
    Columns,
    Format,
    check_regular,
    format_of,
    notes_of,
    read_rows,
)
from lit_tasks.data.readers.text_folders import files_of
from lit_tasks.files import not_there
from lit_tasks.protocols import Split


class TextFilesDataModule(TextDataModule):
    """Texts in files, one text a row.

    Files that end in ``.txt`` hold a label, a space or tab, and the text on each line (or text,
    tab, label), and the text alone where labels are not wanted (``predict``). ``.csv``, ``.tsv``,
    ``.jsonl``, ``.json`` (an array of objects too) and ``.parquet`` hold named columns. All but the
    last may be packed, as ``.csv.gz``. A folder holds a folder of text files for each label, one
    text a file.

    Args:
        train: Labeled texts to learn from.
        val: Labeled texts to choose by; a stratified fraction of ``train`` when left out.
        test: Labeled texts to judge by.
        predict: Texts without labels.
        format: Format of all files; inferred from each suffix when left out.
        text_column: Name of the column of texts.
        label_column: Name of the column of labels.
        id_column: Name of the column that identifies a text in the predictions; its row, counted
            from 0, when left out.
        val_fraction: Fraction of ``train`` that is held out where ``val`` is left out.
        multi_label: Whether a text may have several labels, or none: a list in ``.jsonl`` and
            ``.parquet``, ``__label__a __label__b`` at the beginning of a line, and a cell with
            ``label_separator`` in it, or a list (``["a", "b"]``), in files with columns.
        label_separator: What stands between the labels of a text, also in the predictions.
        kwargs: Options of :class:`~lit_tasks.data.base.text.TextDataModule`.
    """

    def __init__(
        self,
        train: Path | None = None,
        val: Path | None = None,
        test: Path | None = None,
        predict: Path | None = None,
        format: Format | None = None,
        text_column: str = "text",
        label_column: str = "label",
        id_column: str | None = None,
        val_fraction: float = 0.1,
        multi_label: bool = False,
        label_separator: str = ",",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not 0 < val_fraction < 1:
            raise ValueError(f"val_fraction must be between 0 and 1, got {val_fraction}")
        self.paths = given_paths(train=train, val=val, test=test, predict=predict)
        self.test_example = None if test else "my_texts.csv"  #: What the end of a fit proposes.
        self.format = format
        check_separator(label_separator)
        self.multi_label, self.label_separator = multi_label, label_separator
        separator = label_separator if multi_label else None
        self.columns = Columns(
            text_column, label_column, id=id_column, table=self.table, separator=separator
        )
        self.val_fraction = val_fraction
        self._sources: dict[Split, Source] = {}

    def source(self, split: Split) -> Source:
        """Return the rows of a split's file; without one for validation, rows of training."""
        if split not in self._sources:
            self._sources |= self._read(split)
        return self._sources[split]

    def _read(self, split: Split) -> dict[Split, Source]:
        held_out = "val" not in self.paths and split in ("train", "val")
        name: Split = "train" if held_out else split
        path = path_of(self.paths, name)
        source = file_source(
            path, self.format, columns=self.columns, split=split, cache_dir=self.cache_dir
        )
        if not held_out:
            return {split: source}
        rest = [1 - self.val_fraction, self.val_fraction]
        train, val = self.splits_of(source.data, rest)
        return {
            "train": Source(source.data, source.name, train),
            "val": Source(source.data, source.name, val),
        }


_LARGE = 32 << 20  # bytes, which are read for a few seconds
_PURPOSE = {
    "train": "learn from",
    "val": "validate on",
    "test": "test on",
    "predict": "predict",
}


def given_paths(**paths: Path | None) -> dict[str, Path]:
    """Return those files that were given."""
    return {split: Path(path).expanduser() for split, path in paths.items() if path is not None}


def path_of(paths: Mapping[str, Path], split: Split) -> Path:
    """Return the file of a split.

    Raises:
        ValueError: None was given.
    """
    if split not in paths:
        raise ValueError(
            f"this needs a file of texts to {_PURPOSE[split]}: set data.{split}, "
            f"for example --data.{split}=my_texts.csv"
        )
    return paths[split]


def file_source(
    path: Path, format: Format | None, columns: Columns, split: Split, cache_dir: Path | None
) -> Source:
    """Return the rows of a file; for ``predict`` no labels are read."""
    if split == "predict":
        columns = replace(columns, label=None)
    if not path.exists():
        raise not_there(path, f"there is no file {path}; give the path of the text data")
    check_regular(path)
    found = format_of(path, format)
    if path.is_dir() and found != "folders":
        raise ValueError(f"{path} is a folder, and format is {found}; give a file, or no format")
    for note in notes_of(path, found, columns):
        rank_zero_info(note)
    files = sorted(files_of(path)) if path.is_dir() else [path]
    names = [file.relative_to(path).as_posix() for file in files]
    key = fingerprint(digest(files), names, found, asdict(columns))
    make = partial(read_rows, path, found, columns=columns)
    large = sum(file.stat().st_size for file in files) > _LARGE
    rows = cached_rows(make, key, cache_dir=cache_dir, name=str(path), large=large)
    return Source(rows, str(path))


def texts_to_predict(path: Path | None, columns: Columns, cache_dir: Path | None) -> Source:
    """Return the rows of the file to predict, in any format.

    Raises:
        ValueError: None was given.
    """
    path = path_of(given_paths(predict=path), "predict")
    return file_source(path, None, columns=columns, split="predict", cache_dir=cache_dir)
