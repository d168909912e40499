"""Names of others in figures: a dollar is a dollar, what is long is cut, and every script is shown.

matplotlib takes what stands between two dollars for a formula, leaves lines out of a legend whose
names begin with ``_``, and draws boxes for letters that its own font lacks.
"""

import re
import unicodedata
import warnings
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from lit_tasks.printable import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RIGHT, WRONG = "#0072b2", "#c04000"
"""Blue and red that everybody can tell apart (Okabe and Ito, 2008; the red a little darker)."""
_FALLBACKS = (
    *(f"Noto Sans CJK {which}" for which in ("SC", "JP", "KR", "TC")),
    *("Noto Sans SC", "Noto Sans JP", "Source Han Sans SC", "WenQuanYi Zen Hei"),
    *("WenQuanYi Micro Hei", "Droid Sans Fallback", "IPAGothic", "TakaoGothic", "UnDotum"),
    *("PingFang SC", "Hiragino Sans", "Apple SD Gothic Neo", "Arial Unicode MS"),
    *("Microsoft YaHei", "SimHei", "MS Gothic", "Malgun Gothic", "Nirmala UI", "Mangal"),
    *("Noto Sans Devanagari", "Noto Sans Bengali", "Noto Sans Tamil", "Noto Sans Thai", "Lohit"),
    *("Noto Sans Arabic", "Noto Sans Hebrew", "Noto Sans Symbols2", "Noto Emoji", "Symbola"),
)
_BREAKS = re.compile(r"(?<=[\s_/-])(?=[^\s_/-])")  # behind a blank, an underscore, a slash, a dash


def plain(text: str) -> str:
    """Return a text in which matplotlib finds no formula; lines stay, steering is shown."""
    return printable(text, lines=True).replace("$", r"\$")


def in_legend(text: str) -> str:
    """Return a name that matplotlib shows in a legend, also one that begins with ``_``."""
    return plain(f"\u200b{text}" if text.startswith("_") else text)


def width(text: str) -> int:
    """Return how many letters wide a text is; those of East Asia count twice."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def shortened(text: str, most: int) -> str:
    """Return a text of at most ``most`` letters; the middle is left out, both ends tell apart."""
    if width(text) <= most:
        return text
    head, tail = text, text
    while width(head) > (most - 1) // 2:
        head = head[:-1]
    while width(tail) > most - 1 - width(head):
        tail = tail[1:]
    return f"{head}…{tail}"


def wrapped(text: str, most: int, lines: int = 2) -> str:
    """Return a text in lines of at most ``most`` letters, broken at blanks, ``_``, ``/`` and ``-``.

    What is longer than ``lines`` of them loses its middle.
    """
    text = " ".join(text.split())
    for letters in range(most * lines, most // 2, -1):  # until it fits between its words
        found = _broken(shortened(text, letters), most)
        if len(found) <= lines and max(map(width, found)) <= most:
            return "\n".join(found)
    found, rest = [], shortened(text, most * lines - lines)  # one long word
    while rest:
        head = rest
        while width(head) > most:
            head = head[:-1]
        found, rest = [*found, head], rest[len(head) :]
    return "\n".join(found)


def _broken(text: str, most: int) -> list[str]:
    found = [""]
    for piece in _BREAKS.split(text):
        if width(found[-1] + piece.rstrip()) > most and found[-1]:
            found.append("")
        found[-1] += piece
    return [line.rstrip() for line in found]


def distinct(names: Sequence[str], most: int) -> list[str]:
    """Return names of at most ``most`` letters, no two the same; see :func:`shortened`."""
    found: dict[str, None] = {}
    for name in names:
        short, number = shortened(name, most), 1
        while short in found:
            number += 1
            short = f"{shortened(name, most - len(f' ({number})'))} ({number})"
        found[short] = None
    return list(found)


def natural_order(names: Sequence[str]) -> list[int]:
    """Return the places of names in alphabetical order, numbers in them by their value."""

    def key(place: int) -> list[tuple[bool, int, str]]:
        parts = re.findall(r"[0-9]+|[^0-9]+", names[place])
        return [(not p.isdigit(), int(p[:50]) if p.isdigit() else 0, p.casefold()) for p in parts]

    return sorted(range(len(names)), key=lambda place: (key(place), names[place]))


def save_figure(
    figure: "Figure", file: Path | BinaryIO, dpi: int = 120, format: str = "png"
) -> None:
    """Write a figure, all of it, with a font for every script that one is installed for."""
    from matplotlib.text import Text

    texts = [text for text in figure.findobj(Text) if isinstance(text, Text)]
    foreign = {c for text in texts for c in text.get_text() if ord(c) > 0x24F}
    if foreign:
        for text in texts:
            text.set_fontfamily(_families())
        _tell_missing(foreign)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)
        figure.savefig(file, format=format, dpi=dpi, bbox_inches="tight")


def font_path(text: str) -> str:
    """Return the file of the installed font that shows most of a text."""
    needed = {ord(letter) for letter in text}
    shown = [len(needed & charmap) for charmap in _charmaps()]
    return _files()[shown.index(max(shown))]


@cache
def _families() -> list[str]:
    """Return matplotlib's own families, then those of other scripts that are installed."""
    from matplotlib import font_manager, rcParams

    installed = {font.name for font in font_manager.fontManager.ttflist}
    return [*rcParams["font.family"], *(name for name in _FALLBACKS if name in installed)]


@cache
def _files() -> list[str]:
    from matplotlib.font_manager import FontProperties, findfont

    return [str(findfont(FontProperties(family=[family]))) for family in _families()]


@cache
def _charmaps() -> list[set[int]]:
    from matplotlib.ft2font import FT2Font

    return [set(FT2Font(path).get_charmap()) for path in _files()]


def _tell_missing(letters: Iterable[str]) -> None:
    missing = sorted(c for c in letters if not any(ord(c) in known for known in _charmaps()))
    missing = [c for c in missing if unicodedata.category(c)[0] not in "CM"]
    if missing:
        some = "".join(missing[:10])
        warnings.warn(
            f"no installed font shows {some!r} in figures: install one, such as Noto Sans CJK",
            stacklevel=3,
        )
