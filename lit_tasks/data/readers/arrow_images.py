"""Images in rows of Parquet shards, those that are kept as one Arrow file."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from lit_tasks.data.cache.rows import cached_rows, fingerprint
from lit_tasks.data.readers.images import read_image, reasons
from lit_tasks.data.readers.opened_images import MAX_PIXELS
from lit_tasks.data.readers.streams import Read, Record, rows_of, usable, versions
from lit_tasks.data.readers.tables import BadRows

if TYPE_CHECKING:
    import datasets

_COLUMNS = {"image": "binary", "label": "string", "name": "string"}


@dataclass(frozen=True)
class ImageRows:
    """Images in rows of Parquet files, kept as one memory-mapped Arrow file.

    Attributes:
        rows: Columns ``image`` (the bytes of a file), ``label`` and ``name``.
        max_pixels: How large an image may be.
    """

    rows: "datasets.Dataset"
    max_pixels: int = MAX_PIXELS

    @cached_property
    def names(self) -> Sequence[str]:
        """File and row of each."""
        names: list[str] = self.rows.data["name"].to_pylist()
        return names

    @cached_property
    def labels(self) -> Sequence[str]:
        """What each row says of its image."""
        labels: list[str] = self.rows.data["label"].to_pylist()
        return labels

    def read(self, index: int, min_side: int | None = None) -> Image.Image:
        """Return an image in red, green and blue; ``min_side`` pixels a side will do."""
        content = BytesIO(self.rows[index]["image"])
        return read_image(content, min_side, name=self.names[index], max_pixels=self.max_pixels)

    def digest(self) -> str:
        """Return a fingerprint of all images in their order."""
        total = hashlib.sha256()
        for row in self.rows:
            total.update(hashlib.sha256(row["image"]).digest())
        return total.hexdigest()


def kept_images(
    shards: Sequence[str],
    read: Read,
    columns: Sequence[str | None],
    label: Callable[[Record], str],
    limit: int | None,
    bad_rows: BadRows,
    cache_dir: Path | None,
    max_pixels: int = MAX_PIXELS,
) -> ImageRows:
    """Return the images of shards, made once; about ``limit``, from the beginning of each.

    Args:
        shards: Files or addresses.
        read: Yields the rows of one of them: ``image`` (bytes) and whatever ``label`` needs.
        columns: Those that it reads.
        label: What is kept of a row beside its image.
        limit: How many images; all if none.
        bad_rows: What happens to a row whose image cannot be read to its end.
        cache_dir: Folder of the Arrow files; the usual cache of ``datasets`` when left out.
        max_pixels: How large an image may be.
    """
    what = "images", label.__name__, versions(shards), columns, limit, bad_rows, max_pixels
    key = fingerprint(*what)
    rows = partial(rows_of, shards, read, limit=limit)
    make = partial(_usable_rows, rows, bad_rows, label=label, max_pixels=max_pixels)
    name = f"{shards[0]}{' and the other shards' if len(shards) > 1 else ''}"
    return ImageRows(
        cached_rows(make, key, cache_dir=cache_dir, name=name, columns=_COLUMNS), max_pixels
    )


def image_bytes(value: Any) -> tuple[bytes, str]:
    """Return the bytes of an image column, alone or in a struct, and what is wrong with them."""
    found = value.get("bytes") if isinstance(value, dict) else value
    if found and isinstance(found, bytes):
        return found, ""
    return b"", "there are no bytes of an image"


def _usable_rows(
    make: Callable[[], Iterator[Record]],
    bad_rows: BadRows,
    label: Callable[[Record], str],
    max_pixels: int,
) -> Iterator[Record]:
    return usable(make(), bad_rows, partial(_kept, label=label, max_pixels=max_pixels))


def _kept(row: Record, label: Callable[[Record], str], max_pixels: int) -> Record:
    [reason] = reasons([BytesIO(row["image"])], whole=True, max_pixels=max_pixels)
    if reason:
        raise ValueError(f"the image {reason}")
    name = f"{row['shard']}, row {row['line']}"
    return {"image": row["image"], "label": label(row), "name": name}
