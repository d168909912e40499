"""Features of a frozen network: computed once, kept as a file, read through a memory map."""

import hashlib
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.utilities import rank_zero_info
from torch import nn
from torch.utils.data import DataLoader, Subset

from lit_tasks.data.pictures import Pictures
from lit_tasks.data.transformed import TransformedPictures

_VERSION = 1
"""Raised when the same pictures, weights and preprocessing give other features than before."""
_TRUSTED = 2.0  # seconds; the coarsest clock of a file system
_BATCH = 32  # fixed, so that the last bits do not depend on the batch size of the training


class FeatureCache:
    """A folder of features, found again by content, weights and preprocessing.

    The processes of a machine share the work and the file.

    Args:
        folder: Where the files are; ``lit_tasks`` in the user's cache when left out.
        process: Number of this process on its machine.
        processes: How many the machine has.
        barrier: Waits for all processes of the run.
        num_workers: Processes that read pictures.
    """

    def __init__(
        self,
        folder: Path | None = None,
        process: int = 0,
        processes: int = 1,
        barrier: Callable[[], object] = lambda: None,
        num_workers: int = 0,
    ) -> None:
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        self.folder = folder or Path(home) / "lit_tasks" / "features"
        self.process, self.processes, self.barrier = process, processes, barrier
        self.num_workers = num_workers

    @classmethod
    def of_run(cls, trainer: Trainer, folder: Path | None, num_workers: int) -> Self:
        """Return a cache that the processes of a run on this machine share."""
        processes = trainer.local_rank, trainer.num_devices
        return cls(folder, *processes, trainer.strategy.barrier, num_workers)

    def features(self, network: nn.Module, pictures: TransformedPictures) -> np.ndarray:
        """Return the features of all pictures, ``(N, F)`` or ``(N, P, F)``; computed if not there.

        Raises:
            ValueError: A picture cannot be read.
        """
        content = self._content(pictures.pictures)
        path = self.folder / f"{fingerprint(network, pictures, content)}.npy"
        known = path.is_file()
        self.barrier()  # nobody may look after somebody has written
        if not known:
            self._compute(network, pictures, path)
        values: np.ndarray = np.load(path, mmap_mode="c")  # copy on write: torch wants it writable
        return values

    def _content(self, pictures: Pictures) -> str:
        """Return the pictures' digest; files that look unchanged are not read again.

        A hundred thousand photographs take minutes to read, and seconds to look up their size and
        date. A date of the last seconds is not trusted: the file may change once more within it.
        """
        paths: Sequence[Path] | None = getattr(pictures, "paths", None)
        if paths is None:
            return pictures.digest()
        stats = [(str(path.absolute()), path.stat()) for path in paths]
        looks = repr([(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats])
        note = self.folder / f"{hashlib.sha256(looks.encode()).hexdigest()[:32]}.digest"
        if note.is_file():
            return note.read_text()
        content = pictures.digest()
        if max(stat.st_mtime for _, stat in stats) < time.time() - _TRUSTED:
            self.folder.mkdir(parents=True, exist_ok=True)
            beside = note.with_name(f".{note.name}.{os.getpid()}")
            beside.write_text(content)
            beside.replace(note)
        return content

    def _compute(self, network: nn.Module, pictures: TransformedPictures, path: Path) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.stem}.{os.environ.get('MASTER_PORT', os.getpid())}.npy")
        shape = (len(pictures), *_shape(network))
        if self.process == 0:
            np.lib.format.open_memmap(beside, mode="w+", dtype=np.float32, shape=shape).flush()
        self.barrier()
        values = np.lib.format.open_memmap(beside, mode="r+")
        self._fill(values, network, pictures)
        values.flush()
        self.barrier()
        if self.process == 0:
            beside.replace(path)
        self.barrier()

    def _fill(self, values: np.ndarray, network: nn.Module, pictures: TransformedPictures) -> None:
        from lightning.pytorch.callbacks.progress.tqdm_progress import Tqdm

        start, count = time.perf_counter(), len(pictures)
        begins = list(range(0, count, _BATCH))[self.process :: self.processes]
        mine = [i for begin in begins for i in range(begin, min(begin + _BATCH, count))]
        loader = DataLoader(
            dataset=Subset(pictures, mine),
            batch_size=_BATCH,
            collate_fn=pictures.collate,
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
            rank_zero_info(f"Features of {count:,} pictures computed in {seconds:.1f} s")


def fingerprint(
    network: nn.Module, pictures: TransformedPictures, content: str | None = None
) -> str:
    """Return a name for the pictures' content, the network's weights and the preprocessing.

    Args:
        network: The network.
        pictures: The pictures as it sees them.
        content: Their digest, if known.
    """
    content = content or pictures.pictures.digest()
    total = hashlib.sha256(f"{_VERSION} {content}".encode())
    total.update(repr(pictures.preprocessing).encode())
    total.update(repr(network).encode())
    for name, tensor in network.state_dict().items():
        total.update(name.encode())
        total.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return total.hexdigest()[:32]


def _shape(network: nn.Module) -> tuple[int, ...]:
    """Return the shape of one picture's features: a network that makes maps says it itself."""
    shape: Any = getattr(network, "feature_shape", None) or (network.out_features,)
    return tuple(int(size) for size in shape)
