"""Anyone's own images: a folder for each class, or a table of files and labels."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from lightning.pytorch.utilities import rank_zero_info
from torch import nn

from lit_tasks.data.base.images import ImageDataModule
from lit_tasks.data.base.splits import SPLITS, Part, held_out_fractions, stratified_parts
from lit_tasks.data.readers.images import PictureFiles, file_digests, files_below, reasons
from lit_tasks.data.readers.opened_images import MAX_PIXELS
from lit_tasks.data.readers.tables import BadRows, table_rows


class ImageFolderDataModule(ImageDataModule):
    """Images in folders or named by a table.

    ``root`` holds ``train/``, ``val/`` and perhaps ``test/``, each with a folder of images for
    every class; or it holds the folders of the classes themselves, and validation and test images
    are held out by seed and class. With a ``table`` a CSV file says file and label, and perhaps the
    split, of every image. Where there are no test images, those for validation are taken.

    Args:
        root: Folder of the images, and of the files that a table names.
        table: CSV file with a header line.
        predict: Image, folder of images, or CSV file of images without labels.
        file_column: Column of the files.
        label_column: Column of the labels.
        split_column: Column that says ``train``, ``val`` or ``test``.
        val_fraction: Share that is held out for validation, where ``root`` or ``table`` names none.
        test_fraction: Share that is held out for the test, likewise; 0 takes those for validation.
        bad_images: ``stop`` ends the run at the first file that is no image and names it;
            ``skip`` leaves such files out and counts them.
        batch_size: Images in a batch, over all processes.
        crop: Smallest share of the area that a random crop of a training image keeps; all are cut
            in the middle when left out.
        augment: Transforms of torchvision (v2) for training images, after the crop.
        cache_features: Whether features of a frozen network are computed once.
        cache_dir: Folder of the features; ``lit_tasks/features`` in the user's cache if left out.
        seed: Decides which images are held out.
        num_workers: Processes that read images.
        max_pixels: Pixels that an image may have: reading takes up to 8 bytes of memory each.
    """

    def __init__(
        self,
        root: Path | None = None,
        table: Path | None = None,
        predict: Path | None = None,
        file_column: str = "file",
        label_column: str = "label",
        split_column: str | None = None,
        val_fraction: float = 0.2,
        test_fraction: float = 0.0,
        bad_images: BadRows = "stop",
        batch_size: int = 32,
        crop: float | None = None,
        augment: list[nn.Module] | None = None,
        cache_features: bool = True,
        cache_dir: Path | None = None,
        seed: int = 0,
        num_workers: int = 0,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        super().__init__(
            batch_size, crop, augment, cache_features, cache_dir, seed, num_workers, max_pixels
        )
        self.save_hyperparameters()
        self.root, self.table, self.predict = _path(root), _path(table), _path(predict)
        self.columns = (file_column, label_column, split_column)
        self.fractions = held_out_fractions(val_fraction, test_fraction)
        self.bad_images = bad_images
        self._found: dict[str, PictureFiles] = {}

    def pictures(self, part: Part) -> PictureFiles:
        """Return the pictures of a part; without pictures to test on, those for validation."""
        if part == "predict":
            return self._to_predict()
        if not self._found:
            self._found = self._splits()
        if part == "test" and "test" not in self._found:
            rank_zero_info("There are no test images: the figures are of the validation images.")
            return self._found["val"]
        return self._found[part]

    def _splits(self) -> dict[str, PictureFiles]:
        if self.table is not None:
            files, labels, splits = read_table(self.table, self.root, *self.columns)
            if self.columns[2] is not None:
                return self._named(files, labels, splits)
            return self._held_out(*self._usable(files, labels))
        if self.root is None:
            raise ValueError("this needs images: set data.root to a folder or data.table to a CSV")
        if not self.root.is_dir():
            raise FileNotFoundError(f"there is no folder {self.root}; set data.root to one")
        if not (self.root / "train").is_dir():
            return self._held_out(*self._usable(*read_classes(self.root)))
        found = [name for name in SPLITS if (self.root / name).is_dir()]
        parts = {name: self._usable(*read_classes(self.root / name)) for name in found}
        if "val" not in parts:
            held_out = self._held_out(*parts.pop("train"))
            return {**held_out, **{name: self._files(*rest) for name, rest in parts.items()}}
        return {name: self._files(*rest) for name, rest in parts.items()}

    def _named(
        self, files: list[Path], labels: list[str], splits: list[str]
    ) -> dict[str, PictureFiles]:
        """Return the parts that a table's own column says."""
        parts = {}
        for name in SPLITS:
            rows = [i for i, split in enumerate(splits) if split == name]
            if rows:
                pairs = self._usable([files[i] for i in rows], [labels[i] for i in rows])
                parts[name] = self._files(*pairs)
        for name in ("train", "val"):
            if name not in parts:
                raise ValueError(f"{self.table}: column {self.columns[2]} says {name} nowhere")
        return parts

    def _held_out(self, files: Sequence[Path], labels: Sequence[str]) -> dict[str, PictureFiles]:
        """Return seeded parts that share no picture and keep the share of every class."""
        _, numbers = np.unique(np.array(labels), return_inverse=True)
        _, repeats = np.unique(np.array(file_digests(files)), return_inverse=True)
        fractions = [share for share in self.fractions if share > 0]
        rows = stratified_parts(numbers, repeats, fractions, self.seed)
        return {
            name: self._files([files[i] for i in part], [labels[i] for i in part])
            for name, part in zip(SPLITS, rows, strict=False)
        }

    def _usable(self, files: Sequence[Path], labels: Sequence[str]) -> tuple[list[Path], list[str]]:
        """Return what begins like a picture; the rest stops the run or is counted."""
        found = reasons(files, self.bad_images == "skip", self.max_pixels)
        bad = [f"{file} {why}" for file, why in zip(files, found, strict=True) if why]
        if bad and self.bad_images == "stop":
            others = f" (as well as {len(bad) - 1:,} others)" if len(bad) > 1 else ""
            raise ValueError(f"{bad[0]}{others}; remove it, or leave it out with bad_images: skip")
        if bad:
            rank_zero_info(f"{len(bad):,} of {len(files):,} files left out, first {bad[0]}")
        rows = [i for i, why in enumerate(found) if not why]
        return [files[i] for i in rows], [labels[i] for i in rows] if labels else []

    def _files(self, files: Sequence[Path], labels: Sequence[str] | None = None) -> PictureFiles:
        return PictureFiles(files, labels, self.max_pixels)

    def _to_predict(self) -> PictureFiles:
        if self.predict is None:
            raise ValueError(
                "this needs images to predict: set data.predict to an image, a folder or a CSV "
                "file, for example --data.predict=my_images"
            )
        if self.predict.suffix == ".csv":
            files, _, _ = read_table(self.predict, None, self.columns[0], None, None)
        else:
            files = files_below(self.predict)
        return self._files(self._usable(files, [])[0])


def read_classes(folder: Path) -> tuple[list[Path], list[str]]:
    """Return the images below a folder of classes, and the class of each.

    Raises:
        ValueError: There are no folders of classes.
    """
    classes = sorted(
        path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")
    )
    if not classes:
        raise ValueError(f"{folder} has no folders: it should hold a folder of images per class")
    pairs = [(file, path.name) for path in classes for file in files_below(path)]
    return [file for file, _ in pairs], [label for _, label in pairs]


def read_table(
    table: Path,
    root: Path | None,
    file_column: str,
    label_column: str | None,
    split_column: str | None,
) -> tuple[list[Path], list[str], list[str]]:
    """Return file, label and split of each row; files are below ``root`` or beside the table.

    Raises:
        FileNotFoundError: There is no such table.
        ValueError: A column is missing, or a row names no file or label.
    """
    files, labels, splits = [], [], []
    for _, row in table_rows(table, (file_column, label_column, split_column)):
        files.append((root or table.parent) / row[file_column])
        labels.append(row[label_column] if label_column else "")
        splits.append(row[split_column] if split_column else "")
    return files, labels, splits


def _path(value: Path | None) -> Path | None:
    return None if value is None else Path(value)
