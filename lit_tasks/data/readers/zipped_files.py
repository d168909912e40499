"""Files in a zip file, read without unpacking it on the disk."""

import os
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path, PurePosixPath

from lit_tasks.data.readers.image_folders import endings, is_hidden, path_text
from lit_tasks.zip_files import DAMAGED, check_sizes

_MAX_BYTES = 512 << 20  # of one file, as it is held in memory


@dataclass(frozen=True)
class ZippedFile:
    """A file in a zip file.

    Attributes:
        archive: The zip file.
        name: What it calls the file.
    """

    archive: Path
    name: str

    def __str__(self) -> str:
        return f"{self.archive}/{self.name}"

    def open(self, mode: str = "rb") -> BytesIO:
        """Return the file's content.

        Raises:
            OSError: The archive is damaged, or the file is too large.
        """
        try:
            archive = _opened(self.archive, os.getpid())
            if archive.getinfo(self.name).file_size > _MAX_BYTES:
                raise OSError(f"it has more than {_MAX_BYTES:,} bytes; unpack the zip file")
            return BytesIO(archive.read(self.name))
        except DAMAGED as error:
            raise OSError(f"the zip file is damaged: {error}") from error


def zipped_images(path: Path) -> tuple[list[ZippedFile], list[ZippedFile]]:
    """Return the images in a zip file by name, and its other files; hidden ones are left out.

    Raises:
        FileNotFoundError: There are no images.
        ValueError: The file cannot be read, or would unpack to far more than its size.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            check_sizes(archive, path)
            names = sorted(info.filename for info in archive.infolist() if not info.is_dir())
    except DAMAGED as error:
        raise ValueError(f"{path_text(path)} is not a readable zip file ({error})") from error
    found: tuple[list[ZippedFile], list[ZippedFile]] = [], []
    for name in names:
        parts = PurePosixPath(name).parts
        if not any(is_hidden(part) for part in parts):
            other = PurePosixPath(name).suffix.lower() not in endings()
            found[other].append(ZippedFile(path, name))
    if not found[0]:
        raise FileNotFoundError(
            f"{path_text(path)} has no images: give one with files that end in"
            f" {', '.join(endings())}"
        )
    return found


@lru_cache(maxsize=4)
def _opened(path: Path, process: int) -> zipfile.ZipFile:
    """Return an archive of this process: its place in the file must not be shared with another."""
    return zipfile.ZipFile(path)
