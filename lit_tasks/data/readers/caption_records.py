"""What readers of captions find."""

from pathlib import Path
from typing import NamedTuple


class CaptionRecord(NamedTuple):
    """One image of an input, as a reader found it.

    Attributes:
        id: What the input calls it.
        path: Where it should be.
        sentences: What people wrote about it, in the order of the input.
    """

    id: int | str
    path: Path
    sentences: list[str]
