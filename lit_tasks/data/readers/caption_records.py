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


class EmptyCaptions:
    """Captions of nothing, and rows without an image: they stop the run, or are counted.

    Args:
        skip: Whether they are left out; ``None`` where that is no option.
    """

    def __init__(self, skip: bool | None = None) -> None:
        self.skip, self.count, self.first = bool(skip), 0, ""
        self._remedy = ", or leave out what is empty with bad_images: skip" * (skip is False)

    def add(self, problem: str, remedy: str) -> None:
        """Note one that was left out.

        Args:
            problem: Where it stands, and what is empty there.
            remedy: What to do.

        Raises:
            ValueError: None may be left out.
        """
        if not self.skip:
            raise ValueError(f"{problem}; {remedy}{self._remedy}")
        self.count, self.first = self.count + 1, self.first or problem

    def told(self) -> str:
        """Return a sentence about those that were left out."""
        some = "1 caption is" if self.count == 1 else f"{self.count:,} captions are"
        return f"{some} empty and left out, first {self.first}"
