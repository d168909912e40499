"""Files that are there whole or not at all, and whether a file is still the one it was."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give a path to write to, and put what was written in its place at the end of the block.

    Where the block fails, what it wrote is removed and what was there before stays.
    """
    beside = path.with_name(f".{path.name}.tmp")
    try:
        yield beside
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def stamp(path: Path) -> tuple[int, ...]:
    """Return numbers that change when a file's content is replaced, without reading it.

    Size and date may stay (``cp -p``, ``rsync -t``, ``mv``); then the inode is another, or the time
    of the last change to it, which no program can set.
    """
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino
