"""``results.json`` of a run folder: one entry a metric, filled by several callbacks."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lit_tasks.runs.result_entries import read_results
from lit_tasks.whole_files import written_whole

Entries = Mapping[str, Mapping[str, Any]]


def add_results(folder: Path, entries: Entries) -> None:
    """Add to the entries of ``results.json``: what they already say of a metric stays.

    The file is replaced at once, so that whoever reads it finds a whole one.

    Raises:
        ValueError: The file that is there holds something else.
    """
    path = folder / "results.json"
    known = read_results(path)
    for name, entry in entries.items():
        known[name] = {**known.get(name, {}), **entry}
    with written_whole(path) as beside:
        beside.write_text(json.dumps(known, indent=2) + "\n")
