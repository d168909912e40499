"""Checkpoints that are there whole or not at all, also when the disk is full."""

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.utilities import rank_zero_warn

from lit_tasks.distributed.lightning_internals import is_local
from lit_tasks.files import atomic_write
from lit_tasks.printable import printable

_LITTLE = 1 << 20  # bytes free: the disk counts as full


class WholeCheckpoints(TorchCheckpointIO):
    """Lightning's own, except that local files are written beside their place and renamed.

    Lightning writes them to the folder of temporary files, which may be on another disk: moved from
    there, a file is half there until it is copied, and stays so when the disk is full.

    And nothing is removed but files beside those that were saved here: which ones a resumed run
    replaces is said by a checkpoint, which may be anybody's.
    """

    def __init__(self) -> None:
        super().__init__()
        self._folders = set[str]()

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: str | Path,
        storage_options: Any | None = None,
    ) -> None:
        """Write a checkpoint."""
        self._folders.add(_folder(path))
        if not is_local(path):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        place = Path(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(place) as beside:
            try:
                torch.save(checkpoint, beside)
            except RuntimeError as error:  # all that torch says of a write that failed
                if shutil.disk_usage(place.parent).free >= _LITTLE:
                    raise
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(place)) from error

    def remove_checkpoint(self, path: str | Path) -> None:
        """Remove a checkpoint, if it is a file beside one that was saved here."""
        is_file = not is_local(path) or Path(path).is_file()
        if is_file and _folder(path) in self._folders:
            super().remove_checkpoint(path)
        elif not is_local(path) or Path(path).exists():
            rank_zero_warn(
                f"{printable(str(path))} is not removed, being beside no checkpoint of the run; "
                "remove it yourself if it is one"
            )


def _folder(path: str | Path) -> str:
    return str(Path(path).resolve().parent) if is_local(path) else str(path).rpartition("/")[0]
