"""What data modules share whose images lie in files: bad files, files to predict, tables."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities import rank_zero_info

from lit_tasks.data.base.images import ImageDataModule
from lit_tasks.data.readers.images import ImageFiles, files_below, reasons
from lit_tasks.data.readers.split_names import split_of_row
from lit_tasks.data.readers.tables import BadRows, table_rows


class ImageFilesDataModule(ImageDataModule):
    """Labeled image files; a subclass lists them (:meth:`images`).

    Args:
        predict: Image, folder of images, or CSV file of images without labels.
        bad_images: ``stop`` ends the run at the first file that is no image and names it;
            ``skip`` leaves such files out and counts them.
        kwargs: Options of :class:`~lit_tasks.data.base.images.ImageDataModule`.
    """

    def __init__(
        self, predict: Path | None = None, bad_images: BadRows = "stop", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.predict = None if predict is None else Path(predict)
        self.bad_images = bad_images

    def usable(self, files: Sequence[Path], labels: Sequence[str]) -> tuple[list[Path], list[str]]:
        """Return what begins like an image; the rest stops the run or is counted."""
        found = reasons(files, self.bad_images == "skip", self.max_pixels)
        bad = [f"{file} {why}" for file, why in zip(files, found, strict=True) if why]
        if bad and self.bad_images == "stop":
            others = f" (as well as {len(bad) - 1:,} others)" if len(bad) > 1 else ""
            raise ValueError(f"{bad[0]}{others}; remove it, or leave it out with bad_images: skip")
        if bad:
            rank_zero_info(f"{len(bad):,} of {len(files):,} files left out, first {bad[0]}")
        rows = [i for i, why in enumerate(found) if not why]
        return [files[i] for i in rows], [labels[i] for i in rows] if labels else []

    def files(self, files: Sequence[Path], labels: Sequence[str] | None = None) -> ImageFiles:
        """Return files as images that are opened when they are read."""
        return ImageFiles(files, labels, self.max_pixels)

    def to_predict(self, file_column: str) -> ImageFiles:
        """Return the images to predict; a table names them in ``file_column``.

        Raises:
            ValueError: None were given.
        """
        if self.predict is None:
            raise ValueError(
                "this needs images to predict: set data.predict to an image, a folder or a CSV "
                "file, for example --data.predict=my_images"
            )
        if self.predict.suffix == ".csv":
            files, _, _ = read_table(self.predict, file_column=file_column)
        else:
            files = files_below(self.predict)
        return self.files(self.usable(files, [])[0])


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
    root: Path | None = None,
    file_column: str = "file",
    label_column: str | None = None,
    split_column: str | None = None,
) -> tuple[list[Path], list[str], list[str]]:
    """Return file, label and split of each row; files are below ``root`` or beside the table.

    Raises:
        FileNotFoundError: There is no such table.
        ValueError: A column is missing, or a row names no file, label or split.
    """
    files: list[Path] = []
    labels: list[str] = []
    splits: list[str] = []
    for where, row in table_rows(table, (file_column, label_column, split_column)):
        files.append((root or table.parent) / row[file_column])
        labels.append(row[label_column] if label_column else "")
        splits.append(split_of_row(row[split_column], split_column, where) if split_column else "")
    return files, labels, splits
