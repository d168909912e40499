"""What data modules share whose images lie in files: bad files, files to predict, tables."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from lightning.pytorch.utilities import rank_zero_info

from lit_tasks.data.base.image_splits import tell_inner
from lit_tasks.data.base.images import ImageDataModule
from lit_tasks.data.readers.encodings import undecoded
from lit_tasks.data.readers.image_folders import (
    class_name,
    folders_in,
    found_below,
    left_out,
    located,
    loose_images,
    path_text,
)
from lit_tasks.data.readers.image_inputs import ImageFile, images_named
from lit_tasks.data.readers.images import ImageFiles, reasons
from lit_tasks.data.readers.label_lists import joined_labels
from lit_tasks.data.readers.split_names import split_columns, split_named, split_of_row
from lit_tasks.data.readers.tables import BadRows, table_rows
from lit_tasks.printable import printable

File = TypeVar("File", bound=ImageFile)
_LOOKED_AT = 1000  # rows, for a column of splits that was not named


def rows_of_images(
    files: Sequence[ImageFile],
    why: Sequence[str],
    skip: bool,
    source: str,
    missing: str = "remove it",
) -> list[int]:
    """Return the places of the files that are images; the others stop the run or are counted.

    Args:
        files: What was found.
        why: What is wrong with each, or nothing.
        skip: Whether bad files are left out.
        source: What has to be corrected where no image is left.
        missing: What can be done about a file that is missing.

    Raises:
        ValueError: A file is missing or no image, or none is left.
    """
    bad = [f"{path_text(file)} {text}" for file, text in zip(files, why, strict=True) if text]
    others = f" (as well as {len(bad) - 1:,} others)" if len(bad) > 1 else ""
    if bad and not skip:
        remedy = missing if " is missing" in bad[0] else "remove it"
        raise ValueError(f"{bad[0]}{others}; {remedy}, or leave it out with bad_images: skip")
    if bad and len(bad) == len(files):
        raise ValueError(f"{bad[0]}{others}, and no image is left: correct {source}")
    if bad:
        rank_zero_info(f"{len(bad):,} of {len(files):,} files left out, first {bad[0]}")
    return [row for row, text in enumerate(why) if not text]


class ImageFilesDataModule(ImageDataModule):
    """Labeled image files; a subclass lists them (:meth:`images`).

    Args:
        predict: Image, folder, pattern (``photos/*.jpg``), zip file, list of paths (``.txt``) or
            CSV file of images without labels; or several of these.
        bad_images: ``stop`` ends the run at the first file that is not an image and names it;
            ``skip`` leaves such files out and counts them.
        kwargs: Options of :class:`~lit_tasks.data.base.images.ImageDataModule`.
    """

    def __init__(
        self, predict: list[str] | str | None = None, bad_images: BadRows = "stop", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.predict = predict
        self.bad_images = bad_images

    def usable(self, files: Sequence[File], labels: Sequence[str]) -> tuple[list[File], list[str]]:
        """Return what begins like an image; the rest stops the run or is counted.

        Raises:
            ValueError: A file is missing or no image, or none is left.
        """
        skip = self.bad_images == "skip"
        found = reasons(files, skip, self.max_pixels)
        rows = rows_of_images(
            files,
            found,
            skip=skip,
            source="data.root or names",
            missing="correct its name or data.root",
        )
        return [files[i] for i in rows], [labels[i] for i in rows] if labels else []

    def files(self, files: Sequence[ImageFile], labels: Sequence[str] | None = None) -> ImageFiles:
        """Return files as images that are opened when they are read."""
        return ImageFiles(files, labels, self.max_pixels)

    def to_predict(self, file_column: str, root: Path | None = None) -> ImageFiles:
        """Return the images to predict.

        Args:
            file_column: Column of a table that names them.
            root: Where the paths of a table or a list start, if not beside it.

        Raises:
            ValueError: None were given.
        """
        if self.predict is None:
            raise ValueError(
                "this needs images to predict: set data.predict to an image, a folder or a CSV "
                "file, for example --data.predict=my_images"
            )
        return self.files(self.usable(images_given(self.predict, file_column, root), [])[0])


def images_given(
    given: Sequence[str] | str | Path, file_column: str | None = None, root: Path | None = None
) -> list[ImageFile]:
    """Return the images that one or several values name; other files there are counted.

    See :func:`~lit_tasks.data.readers.image_inputs.images_named`.
    """
    values = [str(value) for value in ([given] if isinstance(given, str | Path) else given)]
    found = images_named(values, file_column, root)
    if not found.images:
        raise ValueError(
            f"data.predict names no image ({', '.join(map(path_text, values)) or 'an empty list'}):"
            " give an image, a folder or a CSV file"
        )
    if found.others:
        rank_zero_info(left_out(found.others))
    return found.images


def read_classes(folder: Path) -> tuple[list[Path], list[str]]:
    """Return the images below a folder of classes, and the class of each.

    Folders without images are no classes; they are counted, as are files that are not images.

    Raises:
        FileNotFoundError: There are no images.
        ValueError: There are no folders of classes, or they have the names of splits.
    """
    classes = folders_in(folder)
    name = path_text(folder)
    if not classes:
        raise ValueError(f"{name} has no folders: it should hold a folder of images per class")
    splits = [path_text(path.name) for path in classes if split_named(path.name)]
    if splits:
        raise ValueError(
            f"{name} should hold a folder of images per class, it holds {', '.join(splits)}: that"
            " is the name of a split; rename it if it is a class, or name the classes in a table"
            " (data.table)"
        )
    found = {path: found_below(path) for path in classes}
    others = [file for in_class in found.values() for file in in_class.others]
    empty = [path_text(path.name) for path in classes if not found[path].images]
    if len(empty) == len(classes):
        rest = f" ({left_out(others)})" if others else ""
        raise FileNotFoundError(f"{name} has no images in its folders{rest}: put images into them")
    if empty:
        some = "a folder" if len(empty) == 1 else f"{len(empty):,} folders"
        rank_zero_info(
            f"{name}: {some} without images left out: {', '.join(empty[:5])};"
            " put images in, or delete them"
        )
    if others:
        rank_zero_info(left_out(others))
    tell_loose(folder)
    tell_inner({path: found[path].images for path in classes if found[path].images})
    pairs = [(file, class_name(path.name)) for path in classes for file in found[path].images]
    return [file for file, _ in pairs], [label for _, label in pairs]


def tell_loose(folder: Path) -> None:
    """Say how many images stand beside the folders of classes or splits instead of in them."""
    loose = loose_images(folder)
    if loose:
        some = "1 image is" if len(loose) == 1 else f"{len(loose):,} images are"
        rank_zero_info(f"{some} left out, in no class's folder, first {path_text(loose[0])}")


def read_table(
    table: Path,
    root: Path | None = None,
    file_column: str = "file",
    label_column: str | None = None,
    split_column: str | None = None,
    separator: str | None = None,
) -> tuple[list[Path], list[str], list[str]]:
    """Return file, label and split of each row; files are below ``root`` or beside the table.

    Args:
        table: The CSV file.
        root: Where paths start, if not beside it.
        file_column: Column of the files.
        label_column: Column of the labels, if they are wanted.
        split_column: Column of the splits, if there is one.
        separator: What stands between the labels of an image that may have several, or none.

    Raises:
        FileNotFoundError: There is no such table.
        ValueError: A column is missing, or a row names no file, label or split.
    """
    files: list[Path] = []
    labels: list[str] = []
    splits: list[str] = []
    may_be_empty = [label_column] if label_column and separator else []
    first: list[dict[str, str]] = []
    folders = [table.parent] if root is None else [root, table.parent]
    for where, row in table_rows(
        table,
        (file_column, label_column, split_column),
        may_be_empty=may_be_empty,
        tell=rank_zero_info,
    ):
        first += [row] if len(first) < _LOOKED_AT else []
        files.append(located(row[file_column], folders))
        cell = row[label_column] if label_column else ""
        if wrong := undecoded(cell):
            raise ValueError(
                f"{where}: the bytes of column {label_column} are not UTF-8 {wrong}; save the file"
                " as UTF-8"
            )
        label = class_name(cell)
        if label_column and not label and not separator:
            raise ValueError(f"{where}: column {label_column} is empty; fill it, or remove the row")
        if separator:
            label, problem = joined_labels(label, separator)
            if problem:
                raise ValueError(f"{where}: {problem}; correct it, or remove the row")
        labels.append(label)
        splits.append(split_of_row(row[split_column], split_column, where) if split_column else "")
    if not files:
        raise ValueError(f"{table} has no rows; give a table with images")
    if split_column is None:
        for name in split_columns(first, (file_column, label_column)):
            rank_zero_info(
                f"{table}: column {printable(name)} names splits and is not used; to use it, set"
                f" data.split_column={printable(name)}"
            )
    return files, labels, splits
