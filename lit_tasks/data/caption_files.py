"""Anyone's own images and captions: a table of files and sentences."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.utilities import rank_zero_info

from lit_tasks.data.base.caption_dataset import CaptionedImages
from lit_tasks.data.base.captioned_files import CaptionedFilesDataModule
from lit_tasks.data.base.splits import LABELED_SPLITS, held_out_fractions, stratified_splits
from lit_tasks.data.readers.caption_records import CaptionRecord, EmptyCaptions
from lit_tasks.data.readers.caption_tables import CaptionColumns, caption_rows
from lit_tasks.data.readers.encodings import check_encoding
from lit_tasks.data.readers.image_folders import located, path_text
from lit_tasks.data.readers.split_names import split_of_row
from lit_tasks.files import is_address, not_there
from lit_tasks.protocols import LabeledSplit


class CaptionFilesDataModule(CaptionedFilesDataModule):
    """Images whose captions stand in a file with the names of the images.

    That is a table with a header line (comma, tab, semicolon or vertical bar between its columns),
    JSON Lines, a JSON list, a JSON object of files and captions (``{"a.jpg": ["one", "two"]}``), or
    a file like ``Flickr8k.token.txt``. A row holds one caption, or several in columns such as
    ``caption_0`` to ``caption_4`` or in a list of JSON.
    Rows that name the same file are captions of one image. A column may say what is for training,
    validation and test; otherwise images are held out by seed. Where there is nothing to test on,
    the images for validation are taken, and it is said.

    Args:
        table: The file of captions.
        root: Folder of the images; that of the table when left out.
        file_column: Column of the files; a usual name, such as file, image or file_name, when left
            out.
        caption_column: Column of the sentences; a usual name, such as caption, text or comment,
            when left out.
        split_column: Column of the splits: ``train``, ``val``, ``test`` or another usual name.
        encoding: Encoding of the table, such as ``cp1252``; UTF-8 or UTF-16 when left out.
        val_fraction: Fraction of the images held out for validation, without a split column.
        test_fraction: Fraction held out for the test, likewise; 0 takes those for validation.
        kwargs: Options of
            :class:`~lit_tasks.data.base.captioned_files.CaptionedFilesDataModule`.
    """

    def __init__(
        self,
        table: Path | None = None,
        root: Path | None = None,
        file_column: str | None = None,
        caption_column: str | None = None,
        split_column: str | None = None,
        encoding: str | None = None,
        val_fraction: float = 0.1,
        test_fraction: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.table = None if table is None else Path(table)
        self.root = None if root is None else Path(root)
        self.columns = CaptionColumns(file_column, caption_column, split_column)
        check_encoding(encoding)
        self.encoding = encoding
        self.fractions = held_out_fractions(val_fraction, test_fraction)
        self._found: dict[str, list[CaptionRecord]] = {}

    def read(self, split: LabeledSplit) -> CaptionedImages:
        """Return images and sentences of a split; without a test, those for validation."""
        if self.table is None:
            raise ValueError(
                "this needs images with captions: set data.table to a CSV file with the columns"
                " file and caption"
            )
        if self.root is not None and is_address(self.root) and not self.root.is_dir():
            raise not_there(self.root, f"there is no folder {self.root}")
        if not self._found:
            self._found = self._split(self.table)
        if split == "test" and not self._found[split]:
            rank_zero_info(
                "There are no test captions: metrics are computed on the validation images."
            )
            return self.captioned("val")
        if not self._found[split] and self.columns.split is None:
            images = sum(map(len, self._found.values()))
            raise ValueError(
                f"{self.table} names {images} image{'s' * (images != 1)}, too few to hold out"
                f" {split}: add some, or set data.val_fraction and data.test_fraction"
            )
        if not self._found[split]:
            raise ValueError(f"{self.table}: column {self.columns.split} has no {split!r} rows")
        return self.usable(self._found[split])

    def _split(self, table: Path) -> dict[str, list[CaptionRecord]]:
        with self.empty_captions() as left_out:
            images, splits = read_captions(
                table, self.root, columns=self.columns, encoding=self.encoding, left_out=left_out
            )
        if self.columns.split is None:
            fractions = [fraction for fraction in self.fractions if fraction > 0]
            places = np.arange(len(images))
            rows = stratified_splits(
                np.zeros_like(places), places, fractions=fractions, seed=self.seed
            )
            for name, chosen in zip(LABELED_SPLITS, rows, strict=False):
                for row in chosen.tolist():
                    splits[row] = name
        return {
            name: [image for image, split in zip(images, splits, strict=True) if split == name]
            for name in LABELED_SPLITS
        }


def read_captions(
    table: Path,
    root: Path | None,
    columns: CaptionColumns,
    encoding: str | None = None,
    left_out: EmptyCaptions | None = None,
) -> tuple[list[CaptionRecord], list[str]]:
    """Return images with their sentences, and the split of each, in the order of the file.

    Args:
        table: The file.
        root: Folder of the images; that of the table when left out.
        columns: Their names.
        encoding: That of the table.
        left_out: Counts what is empty; it is refused if left out.

    Raises:
        FileNotFoundError: There is no such table.
        ValueError: A column is missing, a row is empty or names another split than before.
    """
    found: dict[str, CaptionRecord] = {}  # by place: ./a.jpg and a.jpg are one image
    splits: dict[str, str] = {}
    places: dict[str, Path] = {}
    rows = caption_rows(table, columns, encoding, tell=rank_zero_info, left_out=left_out)
    for where, name, captions, cell, _ in rows:
        split = split_of_row(cell, columns.split, where) if columns.split else ""
        if name not in places:
            places[name] = located(name, [root or table.parent])
        key = os.path.normpath(places[name])
        if splits.setdefault(key, split) != split:
            raise ValueError(f"{where}: {name} is for {split} here and {splits[key]} before")
        described = found.setdefault(key, CaptionRecord(name, places[name], []))
        described.sentences.extend(captions)
    if bare := [key for key, described in found.items() if not described.sentences]:
        rank_zero_info(
            f"{len(bare):,} of {len(found):,} images have no other caption and are left out, first"
            f" {path_text(found[bare[0]].id)}"
        )
        found = {key: described for key, described in found.items() if described.sentences}
    if not found:
        raise ValueError(f"{table} has no rows; give a table with captions")
    return list(found.values()), [splits[key] for key in found]
