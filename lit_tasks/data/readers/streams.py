"""Rows that stream from Parquet shards: neither memory nor disk has to hold them all."""

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from glob import glob
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from lightning.pytorch.utilities import rank_zero_info
from torch.utils.data import IterableDataset

from lit_tasks.data.readers.tables import BadRows
from lit_tasks.files import stamp
from lit_tasks.sampling import derived_seed, seeded

if TYPE_CHECKING:
    import datasets

Record = dict[str, Any]
Read = Callable[[str], Iterator[Record]]
"""Yields the rows of one shard. Each has ``line``, its place in the shard counted from 1, and
``problem``, which is empty or says why the row cannot be used."""


def find_shards(pattern: str | None, argument: str, what: str) -> list[str]:
    """Return the files that a pattern names, by name.

    Args:
        pattern: Pattern of local files (``data/train-*.parquet``) or of addresses that fsspec
            knows (``hf://datasets/OWNER/NAME/data/train-*.parquet``, ``s3://...``).
        argument: The data module's argument that gives it.
        what: What the files hold.

    Raises:
        ValueError: No pattern was given.
        FileNotFoundError: There are none.
        ConnectionError: The address cannot be reached.
    """
    example = f"--data.{argument}='data/{'train' if argument == 'shards' else argument}-*.parquet'"
    if pattern is None:
        raise ValueError(
            f"this needs {what}: set data.{argument} to a pattern of Parquet files, for example "
            f"{example}"
        )
    if "://" not in pattern:
        found = sorted(glob(pattern, recursive=True))
    else:
        from fsspec.core import get_fs_token_paths  # type: ignore[import-untyped]

        try:
            system, _, paths = get_fs_token_paths(pattern)
        except (OSError, ImportError, RuntimeError) as error:
            raise ConnectionError(
                f"{pattern} cannot be listed ({error}); check the address and the network, or "
                "give a pattern of local Parquet files"
            ) from error
        found = sorted(system.unstrip_protocol(path) for path in paths)
    if not found:
        raise FileNotFoundError(
            f"there is no file {pattern}; give a pattern of Parquet files, for example {example}"
        )
    return found


def versions(shards: Sequence[str]) -> list[tuple[object, ...]]:
    """Return name and stamp of each shard: to hash them would read what is to be streamed."""
    paths = [(shard, Path(shard)) for shard in shards]
    return [(shard, stamp(path) if path.is_file() else None) for shard, path in paths]


def rows_of(shards: Sequence[str], read: Read, limit: int | None = None) -> Iterator[Record]:
    """Yield the rows of one shard after the other; about ``limit``, equally many of each."""
    each = None if limit is None else -(-limit // len(shards))
    for shard in shards:
        for row in islice(read(shard), each):
            yield {**row, "shard": shard}


def usable(
    rows: Iterable[Record], bad_rows: BadRows, sample: Callable[[Record], Any]
) -> Iterator[Any]:
    """Yield a sample of each row without problems; ``sample`` may raise ``ValueError`` for one.

    Raises:
        ValueError: A row cannot be used, and ``bad_rows`` is ``stop``; names shard and row.
    """
    skipped = 0
    for row in rows:
        problem, made = row["problem"], None
        try:
            made = None if problem else sample(row)
        except ValueError as error:
            problem = str(error)
        if not problem:
            yield made
        elif bad_rows == "skip":
            skipped += 1
        else:
            raise ValueError(
                f"{row['shard']}, row {row['line']}: {problem}; correct it, or set bad_rows to skip"
            )
    if skipped:
        rank_zero_info(f"{skipped:,} rows of the stream skipped as unusable")


class StreamedRows(IterableDataset[Any]):
    """Samples of shards in an order that is another one each epoch, without unusable rows.

    Shards come in random order and their rows go through a buffer from which they are drawn at
    random. Processes and the workers of a loader have shards of their own; only where there are
    fewer shards than processes, each reads all and takes its part of the rows.

    Args:
        shards: Files or addresses.
        read: Yields the rows of one of them.
        buffer: Rows in memory among which the next one is drawn; 1 keeps the order of a shard.
        seed: Together with the epoch, decides the order.
        bad_rows: ``stop`` ends the run at the first unusable row and names it; ``skip`` counts.
        sample: Makes a sample of a row; may raise ``ValueError``, which makes the row unusable, and
            draw from torch's random numbers, which depend on seed, epoch and row alone.
    """

    def __init__(
        self,
        shards: Sequence[str],
        read: Read,
        buffer: int,
        seed: int,
        bad_rows: BadRows,
        sample: Callable[[Record], Any] | None = None,
    ) -> None:
        from datasets import IterableDataset as Stream

        rows = Stream.from_generator(rows_of, gen_kwargs={"shards": list(shards), "read": read})
        self.rows: datasets.IterableDataset = rows.shuffle(seed=seed, buffer_size=buffer)
        self.seed, self.bad_rows, self.sample, self.epoch = seed, bad_rows, sample, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of an epoch."""
        self.epoch = epoch
        self.rows.set_epoch(epoch)

    def split_by_process(self, rank: int, world_size: int) -> Self:
        """Return one process's part."""
        from datasets.distributed import split_dataset_by_node

        part = copy(self)
        part.rows = split_dataset_by_node(self.rows, rank, world_size)
        return part

    def __iter__(self) -> Iterator[Any]:
        return usable(self.rows, self.bad_rows, self._sample)

    def _sample(self, row: Record) -> Any:
        if self.sample is None:
            return row
        place = zlib.crc32(row["shard"].encode())
        with seeded(derived_seed(self.seed, self.epoch, place, row["line"])):
            return self.sample(row)
