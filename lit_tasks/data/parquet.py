"""Rows of Parquet files, here or at an address."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from lit_tasks.data.rows import column_place

_ROWS = 256  # read at once: pictures are large


def parquet_records(
    address: str, columns: Sequence[str | None], label: str | None
) -> Iterator[tuple[dict[str, Any], list[str]]]:
    """Yield the rows of a Parquet file, with the class names that stand in it for ``label``.

    Args:
        address: A file, or an address that fsspec knows (``hf://``, ``s3://``).
        columns: Which columns to read, leaving ``None`` out.
        label: The column of class numbers.

    Raises:
        ValueError: The file cannot be read, or has no such column; names it.
    """
    import fsspec  # type: ignore[import-untyped]
    import pyarrow as pa
    import pyarrow.parquet as pq

    wanted = [name for name in columns if name]
    with fsspec.open(address, "rb") as opened:
        try:
            file = pq.ParquetFile(opened)
            for name in wanted:
                column_place(address, name, file.schema_arrow.names)
            classes = _class_names(file.schema_arrow.metadata, label)
            for batch in file.iter_batches(batch_size=_ROWS, columns=wanted):
                yield from ((record, classes) for record in batch.to_pylist())
        except (pa.ArrowException, OSError) as error:
            reason = str(error).splitlines()[0].rstrip(".")
            raise ValueError(
                f"{address} is no Parquet file that can be read ({reason}); replace it"
            ) from error


def _class_names(metadata: dict[bytes, bytes] | None, label: str | None) -> list[str]:
    """Return the names that ``datasets`` wrote beside a column of class numbers, if it did."""
    described: Any = json.loads((metadata or {}).get(b"huggingface", b"{}"))
    feature = described.get("info", {}).get("features", {}).get(label, {})
    return list(feature.get("names", []))
