"""Checkpoints that are there whole or not at all, also when the disk is full."""

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from lit_tasks.distributed.lightning_internals import is_local
from lit_tasks.files import atomic_write

_LITTLE = 1 << 20  # bytes free: the disk counts as full


class WholeCheckpoints(TorchCheckpointIO):
    """Lightning's own, except that local files are written beside their place and renamed.

    Lightning writes them to the folder of temporary files, which may be on another disk: moved from
    there, a file is half there until it is copied, and stays so when the disk is full.
    """

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: str | Path,
        storage_options: Any | None = None,
    ) -> None:
        """Write a checkpoint."""
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
