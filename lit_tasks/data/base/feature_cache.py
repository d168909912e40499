"""Features of a frozen network: computed once, kept as a file, read through a memory map."""

import hashlib
import os
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self, cast

import numpy as np
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.utilities import rank_zero_info
from torch import nn
from torch.utils.data import DataLoader, Subset

from lit_tasks.data.base.image_dataset import ImageDataset
from lit_tasks.data.readers.bit_depth import BY_TYPE
from lit_tasks.data.readers.images import ImageFiles, ImageSource
from lit_tasks.files import stamp
from lit_tasks.protocols import HasFeatureMaps, HasFeatures

_VERSION = 1
"""Raised when the same images, weights and preprocessing give other features than before."""
_TRUSTED = 2 * 10**9  # nanoseconds; the coarsest clock of a file system
_ABANDONED = 24 * 3600  # seconds without a write, after which nobody computes a file any more
_BATCH = 32  # fixed, so that the last bits do not depend on the batch size of the training


class FeatureCache:
    """A folder of features, found again by content, weights and preprocessing.

    The processes of a machine share the work and the file.

    Args:
        folder: Where the files are; ``lit_tasks`` in the user's cache when left out.
        process: Number of this process on its machine.
        processes: How many the machine has.
        agree: Waits for all processes of the run; returns whether all of them say yes.
        run: What this run's processes on this machine call themselves, and no others.
        num_workers: Processes that read images.
    """

    def __init__(
        self,
        folder: Path | None = None,
        process: int = 0,
        processes: int = 1,
        agree: Callable[[bool], bool] = bool,
        run: str | None = None,
        num_workers: int = 0,
    ) -> None:
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        self.folder = folder or Path(home) / "lit_tasks" / "features"
        self.process, self.processes, self.agree = process, processes, agree
        self.run = run or secrets.token_hex(8)
        self.num_workers = num_workers

    @classmethod
    def of_run(cls, trainer: Trainer, folder: Path | None, num_workers: int) -> Self:
        """Return a cache that the processes of a run on this machine share; all must ask."""
        strategy = trainer.strategy
        run = f"{strategy.broadcast(secrets.token_hex(8))}-{trainer.node_rank}"
        return cls(
            folder,
            process=trainer.local_rank,
            processes=trainer.num_devices,
            agree=strategy.reduce_boolean_decision,
            run=run,
            num_workers=num_workers,
        )

    def features(self, network: nn.Module, images: ImageDataset) -> np.ndarray:
        """Return the features of all images, ``(N, F)`` or ``(N, P, F)``; computed if not there.

        Raises:
            ValueError: An image cannot be read.
        """
        content = self._content(images.images)
        path = self.folder / f"{fingerprint(network, images, content)}.npy"
        if not self.agree(path.is_file()):  # another run may write it between two looks
            self._compute(network, images, path)
        values: np.ndarray = np.load(path, mmap_mode="c")  # copy on write: torch wants it writable
        return values

    def _content(self, images: ImageSource) -> str:
        """Return the images' digest; files that look unchanged are not read again.

        A hundred thousand photographs take minutes to read, and seconds to look up their stamps. A
        date of the last seconds is not trusted: the file may change once more within it.
        """
        if not isinstance(images, ImageFiles):
            return images.digest()
        paths = [path for path in images.paths if isinstance(path, Path)]
        if len(paths) < len(images.paths):
            return images.digest()
        stamps = [(str(path.absolute()), stamp(path)) for path in paths]
        note = self.folder / f"{hashlib.sha256(repr(stamps).encode()).hexdigest()[:32]}.digest"
        if note.is_file():
            return note.read_text()
        content = images.digest()
        if max(written for _, (_, written, *_) in stamps) < time.time_ns() - _TRUSTED:
            self.folder.mkdir(parents=True, exist_ok=True)
            beside = note.with_name(f".{note.name}.{self.run}-{self.process}")
            beside.write_text(content)
            beside.replace(note)
        return content

    def _compute(self, network: nn.Module, images: ImageDataset, path: Path) -> None:
        """Write the file beside its place; where another run was faster, its file stays."""
        self.folder.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.stem}.{self.run}.npy")
        shape = (len(images), *_shape(network))
        try:
            if self.process == 0:
                _remove_leftovers(path)
                np.lib.format.open_memmap(beside, mode="w+", dtype=np.float32, shape=shape).flush()
            self.agree(True)
            values = np.lib.format.open_memmap(beside, mode="r+")
            self._fill(values, network, images)
            values.flush()
            self.agree(True)
            if self.process == 0:
                _put(beside, path)
            self.agree(True)
        finally:
            if self.process == 0:
                beside.unlink(missing_ok=True)

    def _fill(self, values: np.ndarray, network: nn.Module, images: ImageDataset) -> None:
        from lightning.pytorch.callbacks.progress.tqdm_progress import Tqdm

        start, count = time.perf_counter(), len(images)
        begins = list(range(0, count, _BATCH))[self.process :: self.processes]
        mine = [i for begin in begins for i in range(begin, min(begin + _BATCH, count))]
        loader = DataLoader(
            dataset=Subset(images, mine),
            batch_size=_BATCH,
            collate_fn=images.collate,
            num_workers=self.num_workers,
            # Its own, or a run that computes would draw other numbers than one that finds them.
            generator=torch.Generator(),
        )
        device = next(network.parameters()).device
        silent = None if self.process == 0 else True  # a bar on a terminal only
        training = network.training
        network.eval()
        with torch.inference_mode(), Tqdm(total=len(mine), desc="features", disable=silent) as bar:
            for batch in loader:
                values[batch.index.numpy()] = network(batch.image.to(device)).float().cpu().numpy()
                bar.update(len(batch.index))
        network.train(training)
        if self.process == 0:
            seconds = time.perf_counter() - start
            rank_zero_info(f"Features of {count:,} images computed in {seconds:.1f} s")


def _put(beside: Path, path: Path) -> None:
    """Give a file its name, unless another has it: on another machine that may be mapped."""
    try:
        path.hardlink_to(beside)
    except FileExistsError:
        pass
    except OSError:  # a file system without links
        beside.replace(path)


def _remove_leftovers(path: Path) -> None:
    """Remove what killed runs have left of a file."""
    for left in path.parent.glob(f".{path.stem}.*.npy"):
        with suppress(FileNotFoundError):
            if time.time() - left.stat().st_mtime > _ABANDONED:
                left.unlink()


def fingerprint(network: nn.Module, images: ImageDataset, content: str | None = None) -> str:
    """Return a name for the images' content, the network's weights and the preprocessing.

    Args:
        network: The network.
        images: The images as it sees them.
        content: Their digest, if known.
    """
    content = content or images.images.digest()
    total = hashlib.sha256(f"{_VERSION} {content}".encode())
    total.update(repr(images.preprocessing).encode())
    if isinstance(images.images, ImageFiles) and images.images.levels != BY_TYPE:
        total.update(repr(images.images.levels).encode())
    total.update(repr(network).encode())
    for name, tensor in network.state_dict().items():
        total.update(name.encode())
        values = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)  # also bfloat16
        total.update(values.numpy().tobytes())
    return total.hexdigest()[:32]


def _shape(network: nn.Module) -> tuple[int, ...]:
    """Return the shape of one image's features: a network that makes maps says it itself."""
    if isinstance(network, HasFeatureMaps):
        return tuple(int(size) for size in network.feature_shape)
    return (int(cast(HasFeatures, network).out_features),)
