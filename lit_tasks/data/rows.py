"""Rows of tables: where a column stands, and what happens to a row that cannot be used."""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

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
        f"set the argument that says '{name}' (its name ends in _column)"
    )
