"""Zip files of others: what they would unpack to is looked at before anything is."""

import zipfile
import zlib
from pathlib import Path

MAX_RATIO = 100
"""Bytes that a byte of the archive may unpack to; texts have 3 to 10, and zeros have 1,000."""
SMALL = 64 << 20
"""Bytes that may be unpacked from anything."""

DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError)
"""What reading a damaged zip file may raise; ``RuntimeError`` asks for a password."""


class UnpackedSizeError(ValueError):
    """An archive would unpack to far more than its size."""


def check_sizes(archive: zipfile.ZipFile, path: Path) -> None:
    """Refuse an archive whose content is out of proportion to it, as that of a zip bomb.

    The sizes are those that the archive states; ``zipfile`` reads no more than them.

    Raises:
        UnpackedSizeError: It would unpack to too much; names the archive.
    """
    size, content = path.stat().st_size, sum(info.file_size for info in archive.infolist())
    if content > max(SMALL, MAX_RATIO * size):
        raise UnpackedSizeError(
            f"{path} must unpack to at most {MAX_RATIO} times its size, it has {size:,} bytes and"
            f" would unpack to {content:,}; if you trust it, unpack it yourself"
        )
