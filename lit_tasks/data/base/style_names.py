"""Pairs for style transfer: what is said about each, and what its files are called."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

_LONGEST = 150  # bytes of a name: file systems take 255, and endings and numbers follow


@dataclass(frozen=True)
class Region:
    """Part of a photograph that is painted like part of a painting.

    Attributes:
        content: File of a mask of the photograph: white where the region is.
        style: File of a mask of the painting; one for each where several are blended.
    """

    content: str
    style: str | list[str]

    @property
    def styles(self) -> list[str]:
        """The mask of every painting."""
        return [self.style] if isinstance(self.style, str) else self.style


@dataclass(frozen=True)
class Pair:
    """What is to be seen and how it is to be painted.

    Attributes:
        content: File of the photograph, or ``photograph`` for one that a package carries.
        style: File of the painting, or ``strokes`` for a drawn one; several with their weights.
        name: What files about the pair are called; made of the two names when left out.
        init: File of an image that the pair's image starts from.
        regions: Parts of the photograph with the parts of the painting that belong to them.
    """

    content: str
    style: str | dict[str, float]
    name: str | None = None
    init: str | None = None
    regions: list[Region] = field(default_factory=list)

    @property
    def styles(self) -> dict[str, float]:
        """Every painting with its weight."""
        return {self.style: 1.0} if isinstance(self.style, str) else dict(self.style)

    @property
    def files(self) -> list[str]:
        """Every file that the pair names."""
        masks = [mask for region in self.regions for mask in (region.content, *region.styles)]
        return [self.content, *self.styles, *([self.init] if self.init else []), *masks]

    def check(self) -> None:
        """Refuse weights and regions that mean nothing.

        Raises:
            ValueError: A weight is negative, none is positive, or masks are missing.
        """
        weights = self.styles.values()
        if not weights or min(weights) < 0 or not sum(weights) > 0:
            raise ValueError(
                f"a pair's styles need weights that are not negative and not all 0, got {self}"
            )
        for region in self.regions:
            if len(region.styles) != len(weights):
                raise ValueError(
                    f"a region needs a mask for each of {len(weights)} paintings, got {region}"
                )


def names_of(pairs: Sequence[Pair]) -> list[str]:
    """Return a name for each pair, with a number where its files would be those of another."""
    taken: set[str] = set()
    result = []
    for pair in pairs:
        name = _plain(pair.name or _both(pair))
        candidates = (name if number == 1 else f"{name}-{number}" for number in count(1))
        free = next(candidate for candidate in candidates if not taken & _files_of(candidate))
        taken |= _files_of(free)
        result.append(free)
    return result


def _both(pair: Pair) -> str:
    return "__".join([Path(pair.content).stem, "_".join(Path(s).stem for s in pair.styles)])


def _plain(name: str) -> str:
    """Return a name that is a file's on every system, and not a hidden one or a folder above."""
    name = name.encode("utf-8", "backslashreplace").decode()
    name = re.sub(r'[/\\:*?"<>|\x00-\x1f\x7f]', "_", name).lstrip(".").rstrip(". ") or "image"
    return name.encode()[:_LONGEST].decode("utf-8", "ignore")


def _files_of(name: str) -> set[str]:
    """Return all that is written for a pair, as file systems compare that ignore case and form."""
    written = (name, *(f"{name}{end}" for end in (".png", ".gif", ".json", "_loss.png")))
    return {unicodedata.normalize("NFC", file.casefold()) for file in written}
