"""Anyone's own images: a folder for each class, or a table of files and labels."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.utilities import rank_zero_info

from lit_tasks.data.base.image_files import ImageFilesDataModule, read_classes, read_table
from lit_tasks.data.base.splits import LABELED_SPLITS, Split, held_out_fractions, stratified_splits
from lit_tasks.data.readers.images import ImageFiles, file_digests


class ImageFolderDataModule(ImageFilesDataModule):
    """Images in folders or named by a table.

    ``root`` holds ``train/``, ``val/`` and perhaps ``test/``, each with a folder of images for
    every class; or it holds the folders of the classes themselves, and validation and test images
    are held out by seed and class. With a ``table`` a CSV file says file and label, and perhaps the
    split, of every image. Where there are no test images, those for validation are taken.

    Args:
        root: Folder of the images, and of the files that a table names.
        table: CSV file with a header line.
        file_column: Column of the files.
        label_column: Column of the labels.
        split_column: Column of the splits: ``train``, ``val``, ``test`` or another usual name.
        val_fraction: Fraction held out for validation, where ``root`` or ``table`` names none.
        test_fraction: Fraction held out for the test, likewise; 0 takes those for validation.
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
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.root = None if root is None else Path(root)
        self.table = None if table is None else Path(table)
        self.columns = (file_column, label_column, split_column)
        self.fractions = held_out_fractions(val_fraction, test_fraction)
        self._found: dict[str, ImageFiles] = {}

    def images(self, split: Split) -> ImageFiles:
        """Return the images of a split; without images to test on, those for validation."""
        if split == "predict":
            return self.to_predict(self.columns[0])
        if not self._found:
            self._found = self._splits()
        if split == "test" and "test" not in self._found:
            rank_zero_info(
                "There are no test images: metrics are computed on the validation images."
            )
            return self._found["val"]
        return self._found[split]

    def _splits(self) -> dict[str, ImageFiles]:
        if self.table is not None:
            files, labels, splits = read_table(self.table, self.root, *self.columns)
            if self.columns[2] is not None:
                return self._named(files, labels, splits)
            return self._held_out(*self.usable(files, labels))
        if self.root is None:
            raise ValueError("this needs images: set data.root to a folder or data.table to a CSV")
        if not self.root.is_dir():
            raise FileNotFoundError(f"there is no folder {self.root}; set data.root to one")
        if not (self.root / "train").is_dir():
            return self._held_out(*self.usable(*read_classes(self.root)))
        found = [name for name in LABELED_SPLITS if (self.root / name).is_dir()]
        given = {name: self.usable(*read_classes(self.root / name)) for name in found}
        if "val" not in given:
            held_out = self._held_out(*given.pop("train"))
            return {**held_out, **{name: self.files(*rest) for name, rest in given.items()}}
        return {name: self.files(*rest) for name, rest in given.items()}

    def _named(
        self, files: list[Path], labels: list[str], splits: list[str]
    ) -> dict[str, ImageFiles]:
        """Return the splits that a table's own column says."""
        named = {}
        for name in LABELED_SPLITS:
            rows = [i for i, split in enumerate(splits) if split == name]
            if rows:
                pairs = self.usable([files[i] for i in rows], [labels[i] for i in rows])
                named[name] = self.files(*pairs)
        for name in ("train", "val"):
            if name not in named:
                raise ValueError(f"{self.table}: column {self.columns[2]} has no {name!r} rows")
        return named

    def _held_out(self, files: Sequence[Path], labels: Sequence[str]) -> dict[str, ImageFiles]:
        """Return seeded splits that share no image and keep the fraction of every class."""
        _, class_indices = np.unique(np.array(labels), return_inverse=True)
        _, repeats = np.unique(np.array(file_digests(files)), return_inverse=True)
        fractions = [fraction for fraction in self.fractions if fraction > 0]
        rows = stratified_splits(class_indices, repeats, fractions=fractions, seed=self.seed)
        return {
            name: self.files([files[i] for i in split], [labels[i] for i in split])
            for name, split in zip(LABELED_SPLITS, rows, strict=False)
        }
