"""Anyone's own images: a folder for each class, or a table of files and labels."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.utilities import rank_zero_info

from lit_tasks.data.base.image_files import (
    ImageFilesDataModule,
    read_classes,
    read_table,
    tell_loose,
)
from lit_tasks.data.base.image_splits import (
    Labeled,
    counted,
    listed,
    split_folders,
    tell_conflicts,
    tell_copies,
    tell_missing,
    tell_similar,
)
from lit_tasks.data.base.splits import LABELED_SPLITS, held_out_fractions, stratified_splits
from lit_tasks.data.readers.images import ImageFiles, file_digests
from lit_tasks.data.readers.label_lists import check_separator, rarest
from lit_tasks.files import is_address, not_there
from lit_tasks.protocols import Split


class ImageFolderDataModule(ImageFilesDataModule):
    """Images in folders or named by a table.

    ``root`` holds ``train/``, ``val/`` and perhaps ``test/``, each with a folder of images for
    every class; other usual names in any case will do (training; valid, validation, dev; testing,
    eval). Or it holds the folders of the classes themselves, and validation and test images are
    held out by seed and class. With a ``table`` a CSV file says file and label, and perhaps the
    split, of every image. Where there are no test images, those for validation are taken.

    Args:
        root: Folder of the images, and of the files that a table names.
        table: CSV file with a header line.
        file_column: Column of the files.
        label_column: Column of the labels.
        split_column: Column of the splits: ``train``, ``val``, ``test`` or another usual name.
        val_fraction: Fraction held out for validation, where ``root`` or ``table`` names none.
        test_fraction: Fraction held out for the test, likewise; 0 takes those for validation.
        multi_label: Whether an image may have several labels, or none: its cell in the ``table``
            holds them with ``label_separator`` between, or as a list (``["cat", "dog"]``).
        label_separator: What stands between the labels of an image, also in the predictions.
        kwargs: Options of :class:`~lit_tasks.data.base.image_files.ImageFilesDataModule`.
    """

    def __init__(
        self,
        root: Path | None = None,
        table: Path | None = None,
        file_column: str = "file",
        label_column: str = "label",
        split_column: str | None = None,
        val_fraction: float = 0.2,
        test_fraction: float = 0.0,
        multi_label: bool = False,
        label_separator: str = ",",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.root = None if root is None else Path(root)
        self.table = None if table is None else Path(table)
        self.columns = (file_column, label_column, split_column)
        self.fractions = held_out_fractions(val_fraction, test_fraction)
        check_separator(label_separator)
        if multi_label and table is None and root is not None:
            raise ValueError(
                "multi_label needs data.table, a CSV file of files and labels: in a folder of"
                " classes each image has one"
            )
        self.multi_label, self.label_separator = multi_label, label_separator
        self._found: dict[str, ImageFiles] = {}

    def images(self, split: Split) -> ImageFiles:
        """Return the images of a split; without images to test on, those for validation."""
        if split == "predict":
            return self.to_predict(self.columns[0], self.root)
        if not self._found:
            self._found = self._splits()
        if split == "test" and "test" not in self._found:
            rank_zero_info(
                "There are no test images: metrics are computed on the validation images."
            )
            return self._found["val"]
        return self._found[split]

    def _splits(self) -> dict[str, ImageFiles]:
        given = self._given()
        if "val" not in given:
            files, labels = given.pop("train")
            given = {**self._held_out(files, labels), **given}
        else:
            tell_copies(given)
        return {split: self.files(*found) for split, found in given.items()}

    def _given(self) -> dict[str, Labeled]:
        """Return the images of each split that folders or a table name; all of them are usable."""
        if self.table is None and self.root is None:
            raise ValueError("this needs images: set data.root to a folder or data.table to a CSV")
        refused = self.table is None or is_address(self.root)  # a table may stand beside its files
        if self.root is not None and not self.root.is_dir() and refused:
            raise not_there(self.root, f"there is no folder {self.root}; set data.root to one")
        if self.table is not None:
            return self._of_table(self.table)
        assert self.root is not None
        folders = split_folders(self.root)
        if folders:
            tell_loose(self.root)
        else:
            folders = {"train": self.root}
        found = {split: read_classes(path) for split, path in folders.items()}
        tell_similar([label for _, labels in found.values() for label in labels])
        return {split: self.usable(*each) for split, each in found.items()}

    def _of_table(self, table: Path) -> dict[str, Labeled]:
        separator = self.label_separator if self.multi_label else None
        files, labels, splits = read_table(table, self.root, *self.columns, separator=separator)
        each = [label for labels in self._label_sets(labels) for label in labels]
        tell_similar(each)
        tell_missing(each)
        if self.columns[2] is None:
            return {"train": self.usable(files, labels)}
        for name in ("train", "val"):
            if name not in splits:
                raise ValueError(f"{table}: column {self.columns[2]} has no {name!r} rows")
        named: dict[str, Labeled] = {}
        for name in dict.fromkeys(splits):
            rows = [i for i, split in enumerate(splits) if split == name]
            named[name] = self.usable([files[i] for i in rows], [labels[i] for i in rows])
        return named

    def _held_out(self, files: Sequence[Path], labels: Sequence[str]) -> dict[str, Labeled]:
        """Return seeded splits that share no image and keep the fraction of every class."""
        sets = self._label_sets(labels)
        names, class_indices = np.unique(np.array(rarest(sets)), return_inverse=True)
        _, repeats = np.unique(np.array(file_digests(files)), return_inverse=True)
        tell_conflicts(files, labels, repeats.tolist())
        fractions = [fraction for fraction in self.fractions if fraction > 0]
        rows = stratified_splits(class_indices, repeats, fractions=fractions, seed=self.seed)
        found: dict[str, Labeled] = {
            name: ([files[i] for i in split], [labels[i] for i in split])
            for name, split in zip(LABELED_SPLITS, rows, strict=False)
        }
        for split in list(found)[1:]:
            there = found[split][1]
            shown = {label for labels in self._label_sets(there) for label in labels}
            if not there:
                raise ValueError(
                    f"no class has enough different images to hold one out for {split}:"
                    f" {counted(labels)}; give more images or splits of your own, or raise"
                    f" data.{split}_fraction"
                )
            missing = sorted(set(names.tolist()) - shown - {""})
            but = f", none of {listed(missing)}" if missing else ""
            rank_zero_info(
                f"{len(there):,} of {len(labels):,} images are held out for {split}{but}"
            )
        return found
