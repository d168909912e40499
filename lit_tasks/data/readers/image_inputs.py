"""Images to predict, in the forms in which people name them."""

import os
from collections.abc import Iterator, Sequence
from glob import glob, has_magic
from pathlib import Path
from typing import NamedTuple

from lit_tasks.data.readers.encodings import encoding_of, open_text
from lit_tasks.data.readers.image_folders import (
    endings,
    files_below,
    found_below,
    is_hidden,
    located,
    path_text,
)
from lit_tasks.data.readers.lines import lines_of
from lit_tasks.data.readers.tables import JSON, PARQUET, format_suffix, table_rows
from lit_tasks.data.readers.zipped_files import ZippedFile, zipped_images
from lit_tasks.files import not_there

ImageFile = Path | ZippedFile
_TABLES = (".csv", ".tsv")
_LISTS = (".txt", ".list", ".lst")


class Inputs(NamedTuple):
    """Images that were named.

    Attributes:
        images: The images.
        others: Files beside them that are not images by their names.
    """

    images: list[ImageFile]
    others: list[ImageFile]


def images_named(
    values: Sequence[str], file_column: str | None = None, root: Path | None = None
) -> Inputs:
    """Return the images that some values name, in their order.

    A value is an image, a folder, a pattern such as ``photos/*.jpg``, a zip file, a text file with
    a path on each line (``.txt``), or a CSV file.

    Args:
        values: What was given.
        file_column: Column of a CSV file that names images; ``None`` refuses CSV files.
        root: Where the paths of a table or a list start, if not beside it.

    Raises:
        FileNotFoundError: A value names nothing.
        ValueError: A table or a zip file cannot be read.
    """
    found = Inputs([], [])
    for value in values:
        paths, rest = _matching(value), list[Path]()
        if len(paths) > 1:  # of a pattern; it finds things that are not images, as a folder has
            paths, rest = _worth_reading(paths)
        several = [_images(path, file_column, root) for path in paths]
        # A pattern may find a folder and what is in it.
        found.images.extend(dict.fromkeys(image for images, _ in several for image in images))
        found.others.extend(
            dict.fromkeys([*rest, *(other for _, others in several for other in others)])
        )
    return found


def _worth_reading(paths: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Return the images, and folders with some, that a pattern found, and the other files.

    Lists, tables and zip files are read where the pattern found nothing else.
    """
    paths = [path for path in paths if not is_hidden(path.name)]
    lists = [path for path in paths if path.suffix.lower() in (*_LISTS, *_TABLES, ".zip")]
    if len(lists) == len(paths):
        return lists, []
    found: tuple[list[Path], list[Path]] = [], []
    for path in paths:
        if path.is_dir():
            within = found_below(path)
            found[0].extend([path] if within.images else [])
            found[1].extend([] if within.images else within.others)
        else:
            found[path.suffix.lower() not in endings()].append(path)
    return found


def _matching(value: str) -> list[Path]:
    if not value.strip():
        raise ValueError("data.predict holds an empty path: give an image, a folder or a CSV file")
    path = Path(value).expanduser()
    if os.path.exists(path) or not has_magic(value):
        return [path]
    matches = sorted(Path(match) for match in glob(str(path), recursive=True))
    if not matches:
        raise not_there(value, f"no file is named like {path_text(value)}: correct the pattern")
    return matches


def _images(
    path: Path, file_column: str | None, root: Path | None
) -> tuple[Sequence[ImageFile], Sequence[ImageFile]]:
    kind = path.suffix.lower() if path.is_file() else ""
    folders = [path.parent] if root is None else [root, path.parent]
    if kind in _TABLES and file_column is not None:
        rows = table_rows(path, (file_column,))
        return [located(row[file_column], folders) for _, row in rows], []
    if kind in _LISTS:
        return [located(line, folders) for line in _listed(path)], []
    if kind == ".zip":
        return zipped_images(path)
    if path.is_file() and format_suffix(path) in (*JSON, *PARQUET, *_TABLES):
        raise ValueError(
            f"{path_text(path)} is no list of images that is read here: give an image, a folder, a"
            " pattern, a zip file or a list of paths (.txt); a list may be CSV where images are"
            " classified"
        )
    return files_below(path)


def _listed(path: Path) -> Iterator[str]:
    with open_text(path, encoding_of(path, None)[0]) as file:
        for number, line, problem in lines_of(file):
            if problem:
                raise ValueError(f"{path_text(path)}, line {number}: {problem}")
            if line.strip():
                yield line.strip()
