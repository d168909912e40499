"""Zip and packed files of others: what they unpack to is limited by their size."""

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

MAX_RATIO = 100
"""Bytes that a byte of the archive may unpack to; texts have 3 to 10, and zeros have 1,000."""
SMALL = 64 << 20
"""Bytes that may be unpacked from anything."""
_UNPACKERS: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\0": lzma.open,
}
PACKED = (".gz", ".bz2", ".xz")
"""Endings behind that of the format: ``reviews.csv.gz``."""
_BROKEN = (EOFError, OSError, zlib.error, lzma.LZMAError)
_CHUNK = 1 << 17

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


def unpacked(path: Path) -> io.BufferedReader:
    """Open a file that may be packed with gzip, bzip2 or xz, which its first bytes tell.

    Reading raises ValueError where the file is damaged, or unpacks to far more than its size.
    """
    return io.BufferedReader(_Unpacked(path), _CHUNK)


class _Unpacked(io.RawIOBase):
    """The bytes of a file, unpacked where its first bytes say so.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            magic = file.read(6)
        opens = next((o for m, o in _UNPACKERS.items() if magic.startswith(m)), None)
        self._path, self._packed, self._size = path, opens is not None, 0
        self._file: IO[bytes] = opens(path, "rb") if opens else path.open("rb", buffering=0)
        self._most = max(SMALL, MAX_RATIO * path.stat().st_size)

    def readable(self) -> bool:
        """Return true."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer; refuse what is damaged or unpacks to far more than its size."""
        try:
            content = self._file.read(len(buffer))
        except _BROKEN as error:
            if not self._packed:
                raise
            raise ValueError(
                f"{self._path} is not a whole packed file ({error}); download or pack it again"
            ) from error
        self._size += len(content)
        if self._packed and self._size > self._most:
            raise UnpackedSizeError(
                f"{self._path} must unpack to at most {MAX_RATIO} times its size; if you trust it, "
                "unpack it yourself"
            )
        buffer[: len(content)] = content
        return len(content)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()
