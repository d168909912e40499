"""Rows as Arrow files of ``datasets``: made once, then memory-mapped.

Every file is found again by a fingerprint of what it was made from and of the settings that shaped
it, so a changed input is read anew.
"""

import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datasets import Dataset

_VERSION = 5
"""Raised when the same input and settings give other rows than before."""
_COLUMNS = dict.fromkeys(("text", "label", "id", "problem", "note"), "string") | {"line": "int64"}


def fingerprint(*parts: object) -> str:
    """Return a name for what these plain values describe."""
    described = json.dumps([_VERSION, *parts], sort_keys=True, default=str)
    return hashlib.sha256(described.encode()).hexdigest()[:32]


def digest(paths: Sequence[Path]) -> str:
    """Return a fingerprint of the bytes of files.

    Raises:
        FileNotFoundError: One of them is not there.
    """
    total = hashlib.sha256()
    for path in paths:
        if not path.is_file():
            raise FileNotFoundError(f"there is no file {path}; give the path of the text data")
        with path.open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()


def cached_rows(
    make: Callable[[], Iterator[Any]],
    key: str,
    cache_dir: Path | None,
    name: str,
    columns: Mapping[str, str] = _COLUMNS,
    large: bool = False,
) -> "Dataset":
    """Return the rows that ``make`` yields; it is called only when nothing is cached for ``key``.

    Args:
        make: Yields rows, dicts of ``columns``.
        key: Fingerprint of all that the rows depend on.
        cache_dir: Folder of the Arrow files; the usual cache of ``datasets`` when left out.
        name: What errors call the input.
        columns: Arrow type of each column; those of
            :class:`~lit_tasks.data.readers.text_rows.Row` when left out.
        large: Whether that takes long enough for a bar on a terminal.

    Raises:
        ValueError: Whatever ``make`` says about its input.
    """
    from datasets import Dataset, Features, Value
    from datasets.exceptions import DatasetGenerationError

    features = Features({name: Value(kind) for name, kind in columns.items()})
    with bars(large):
        try:
            return Dataset.from_generator(
                make,
                features=features,
                cache_dir=None if cache_dir is None else str(cache_dir),
                fingerprint=key,
            )
        except DatasetGenerationError as error:
            raise error.__cause__ or error from None
        except ValueError as error:
            if "corresponds to no data" not in str(error):
                raise
            raise ValueError(f"{name} has no rows; give one with texts or images") from error


@contextmanager
def bars(large: bool = False) -> Iterator[None]:
    """Show the bars of ``datasets`` for large inputs on a terminal.

    A second of work needs none, and a file of log lines would keep every repaint.
    """
    import datasets

    shown = datasets.is_progress_bar_enabled()
    if not (large and sys.stderr.isatty()):
        datasets.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            datasets.enable_progress_bars()
