"""Images to predict, in the forms in which people name them."""

from collections.abc import Iterator, Sequence
from glob import glob, has_magic
from pathlib import Path
from typing import NamedTuple

from lit_tasks.data.readers.encodings import encoding_of, open_text
from lit_tasks.data.readers.image_folders import files_below, located, path_text
from lit_tasks.data.readers.lines import lines_of
from lit_tasks.data.readers.tables import table_rows
from lit_tasks.data.readers.zipped_files import ZippedFile, zipped_images

ImageFile = Path | ZippedFile
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
        for path in _matching(value):
            images, others = _images(path, file_column, root)
            found.images.extend(images)
            found.others.extend(others)
    return found


def _matching(value: str) -> list[Path]:
    path = Path(value).expanduser()
    if path.exists() or not has_magic(value):
        return [path]
    matches = sorted(Path(match) for match in glob(str(path), recursive=True))
    if not matches:
        raise FileNotFoundError(f"no file is named like {path_text(value)}: correct the pattern")
    return matches


def _images(
    path: Path, file_column: str | None, root: Path | None
) -> tuple[Sequence[ImageFile], Sequence[ImageFile]]:
    kind = path.suffix.lower() if path.is_file() else ""
    folders = [path.parent] if root is None else [root, path.parent]
    if kind in (".csv", ".tsv") and file_column is not None:
        rows = table_rows(path, (file_column,))
        return [located(row[file_column], folders) for _, row in rows], []
    if kind in _LISTS:
        return [located(line, folders) for line in _listed(path)], []
    if kind == ".zip":
        return zipped_images(path)
    return files_below(path)


def _listed(path: Path) -> Iterator[str]:
    with open_text(path, encoding_of(path, None)[0]) as file:
        for number, line, problem in lines_of(file):
            if problem:
                raise ValueError(f"{path_text(path)}, line {number}: {problem}")
            if line.strip():
                yield line.strip()
