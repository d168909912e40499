"""Files of tensors, read without running code from them."""

import re
import zipfile
import zlib
from pathlib import Path
from typing import Any

import torch

from lit_tasks.zip_files import UnpackedSizeError, check_sizes


def safe_torch_load(path: Path, mmap: bool = False) -> Any:
    """Return what ``torch.save`` wrote: tensors, containers, strings and numbers.

    Args:
        path: The file.
        mmap: Whether tensors are read only when they are used.

    Raises:
        ValueError: The file is cut short or damaged, or holds objects of other classes, which only
            code from the file could make.
    """
    content: Any = None
    try:
        damaged = _damaged(path)
        if damaged is None:
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except UnpackedSizeError:
        raise
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, KeyError) as error:
        size = f"{path.stat().st_size:,} bytes"
        raise ValueError(f"{path} ({size}) looks truncated: copy or download it again") from error
    except Exception as error:  # UnpicklingError, and whatever a damaged pickle may raise
        raise ValueError(f"{path} {_reason(error)}") from error
    if damaged is not None:
        raise ValueError(f"{path} is damaged (in {damaged}); copy or download it again")
    return content


def _damaged(path: Path) -> str | None:
    """Return the first part of a zip file whose check sum is wrong."""
    if not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        check_sizes(archive, path)
        return archive.testzip()


def _reason(error: Exception) -> str:
    found = re.search(r"GLOBAL ([\w.]+)", str(error))
    if found is None:
        return "was not written by torch.save"
    return (
        f"names {found[1]}, which is neither a tensor nor a plain value: to load it would run code "
        "from the file, so it is refused; save tensors alone"
    )
