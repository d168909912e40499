"""Rows of Parquet files, here or at an address."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from lit_tasks.data.readers.tables import column_place
from lit_tasks.files import parse_json

_ROWS = 256  # read at once: images are large


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
            there = file.schema_arrow.names
            names = {name: there[column_place(address, name, there)] for name in wanted}
            classes = _class_names(file.schema_arrow.metadata, names.get(label or ""))
            for batch in file.iter_batches(batch_size=_ROWS, columns=list(names.values())):
                for record in _records(batch):
                    yield {name: record[own] for name, own in names.items()}, classes
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            reason = str(error).splitlines()[0].rstrip(".")
            raise ValueError(
                f"{address} is not a readable Parquet file ({reason}); replace it"
            ) from error


def _class_names(metadata: dict[bytes, bytes] | None, label: str | None) -> list[str]:
    """Return the names that ``datasets`` wrote beside a column of class numbers, if it did."""
    names: Any = None
    with suppress(ValueError):  # somebody else's words under that key
        names = parse_json((metadata or {}).get(b"huggingface", b"{}"))
    for key in ("info", "features", label, "names"):
        names = names.get(key) if isinstance(names, dict) else None
    return [str(name) for name in names] if isinstance(names, list) else []


def _records(batch: Any) -> list[dict[str, Any]]:
    """Return rows as dicts; bytes that are not UTF-8 become what no text has, as in text files."""
    import pyarrow as pa

    try:
        return batch.to_pylist()  # type: ignore[no-any-return]
    except UnicodeDecodeError:
        columns = {
            name: column.cast(pa.large_binary()) if pa.types.is_string(column.type) else column
            for name, column in zip(batch.schema.names, batch.columns, strict=True)
        }
        texts = {name for name in columns if pa.types.is_string(batch.column(name).type)}
        records = pa.record_batch(columns).to_pylist()
        return [{n: _decoded(v) if n in texts else v for n, v in r.items()} for r in records]


def _decoded(value: bytes | None) -> str | None:
    return None if value is None else value.decode(errors="surrogateescape")
