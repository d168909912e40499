"""What a run wrote as CSV."""

import csv
from pathlib import Path


def table(path: Path) -> list[dict[str, str]]:
    """Return a file's rows, each by the names of its columns."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
