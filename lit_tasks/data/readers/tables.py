"""Rows of tables: where a column stands, and what happens to a row that cannot be used."""

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from lit_tasks.data.readers.lines import ParsedRow, csv_rows

BadRows = Literal["stop", "skip"]
"""``stop`` ends the run at the first row that cannot be used and names it; ``skip`` counts them."""


def column_place(path: Path | str, name: str, header: Sequence[str]) -> int:
    """Return where a column stands."""
    if name in header:
        return list(header).index(name)
    quoted = ", ".join(f"'{there}'" for there in header) or "none"
    near = difflib.get_close_matches(name, header, n=1)
    meant = f" (did you mean '{near[0]}'?)" if near else ""
    raise ValueError(
        f"{path} has no column '{name}', only {quoted}{meant}; "
        f"give the right name to the option --data.*_column that is '{name}' now"
    )


def table_rows(table: Path, columns: Sequence[str | None]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the rows of a CSV file with a header line, each behind its place as errors name it.

    Args:
        table: The file.
        columns: Those that must be there and must not be empty, leaving ``None`` out.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A column is missing, or empty in a row, or a row cannot be parsed.
    """
    if not table.is_file():
        raise FileNotFoundError(f"there is no file {table}; give the path of a CSV file")
    wanted = [name for name in columns if name is not None]
    rows = csv_rows(table)
    header = next(rows, ParsedRow(1, []))
    for name in wanted:
        column_place(table, name, header.fields)
    for line, fields, problem in rows:
        where = f"{table}, line {line}"
        if problem:
            raise ValueError(f"{where}: {problem}; correct it, or remove the row")
        row = dict(zip(header.fields, fields, strict=False))
        empty = [name for name in wanted if not row.get(name, "").strip()]
        if empty:
            raise ValueError(f"{where}: column {empty[0]} is empty; fill it, or remove the row")
        yield where, row
