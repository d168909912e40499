"""Checkpoints at an address: fetched, within a limit, and read like any other file after that."""

import hashlib
import os
import secrets
from pathlib import Path, PurePosixPath
from typing import IO

from lightning.pytorch.utilities import rank_zero_info

from lit_tasks.cli import run_folder
from lit_tasks.data.readers.download import download
from lit_tasks.distributed.lightning_internals import is_local
from lit_tasks.printable import printable

MAX_BYTES = 10 << 30
"""Of a checkpoint that is fetched; a larger one is better fetched by a tool made for that."""
_CHUNK = 1 << 20


def is_address(given: str) -> bool:
    """Return whether a checkpoint is given by an address (``https://``, ``s3://``, ``hf://``)."""
    return "://" in given


def fetched(address: str, max_bytes: int = MAX_BYTES) -> Path:
    """Return the file at an address, fetched to the user's cache; it may name as little as others.

    Encrypted addresses (``https``) are read without any more packages, all others by ``fsspec``.

    Args:
        address: Where the file is.
        max_bytes: How large it may be.

    Raises:
        ConnectionError: It cannot be reached, or breaks off.
        ValueError: It is larger, or nothing here reads such addresses.
    """
    if is_local(address):
        return Path(address.partition("://")[2])
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    name = PurePosixPath(address.partition("?")[0]).name or "model.ckpt"
    digest = hashlib.sha256(address.encode()).hexdigest()[:16]
    path = home / "lit_tasks" / "checkpoints" / digest / name
    if run_folder.announced() and path.is_file():
        return path  # the process that started this one has just fetched it
    if address.partition("://")[0].lower() in ("http", "https"):
        download(address, path, max_bytes)
    else:
        _read(address, path, max_bytes)
    rank_zero_info(f"{printable(address)}: {path.stat().st_size:,} bytes fetched to {path}")
    return path


def _read(address: str, path: Path, max_bytes: int) -> None:
    """Copy a file that ``fsspec`` knows how to read."""
    import fsspec  # type: ignore[import-untyped]

    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        opened = fsspec.open(address, "rb")
    except (ImportError, ValueError) as error:  # it says which package reads such addresses
        raise ValueError(f"{address} cannot be read: {error}") from error
    try:
        with opened as source, beside.open("xb") as file:
            size = _copy(source, file, max_bytes)
        if size > max_bytes:
            raise ValueError(
                f"{address} must have at most {max_bytes:,} bytes: fetch it yourself and give the"
                " file if it is what you want"
            )
        beside.replace(path)
    except FileNotFoundError:
        raise ValueError(f"there is no checkpoint {address}") from None
    except OSError as error:
        raise ConnectionError(f"{address} could not be read ({error})") from error
    finally:
        beside.unlink(missing_ok=True)


def _copy(source: IO[bytes], file: IO[bytes], max_bytes: int) -> int:
    """Copy up to a limit; return how much was there, as far as it was read."""
    size = 0
    while size <= max_bytes and (chunk := source.read(_CHUNK)):
        size += len(chunk)
        file.write(chunk)
    return size
