"""Images of a run folder as part of a page."""

import base64
import io
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

_LARGEST = 300_000  # bytes of a file that is embedded as it is
_PIXELS = 64_000_000  # of an image that is made smaller
_SIDE = 1200  # pixels, then
_IN_ALL = 12_000_000  # bytes of all images of a page


class EmbeddedImage(NamedTuple):
    """An image in a page.

    Attributes:
        name: What it shows.
        source: Its ``data:`` address.
    """

    name: str
    source: str


def embedded_images(files: Iterable[Path]) -> tuple[list[EmbeddedImage], int]:
    """Return images, large ones made smaller, and how many did not fit or were no images."""
    found, left, size = [], 0, 0
    for file in files:
        content = _content(file)
        if content is None or size + len(content[1]) > _IN_ALL:
            left += 1
            continue
        kind, data = content
        size += len(data)
        source = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
        found.append(EmbeddedImage(file.stem.replace("_", " "), source))
    return found, left


def _content(file: Path) -> tuple[str, bytes] | None:
    from PIL import Image

    try:
        with Image.open(file) as image:  # reads the head alone
            kind = (image.format or "").lower()
            if kind not in ("png", "jpeg") or image.width * image.height > _PIXELS:
                return None
            if file.stat().st_size <= _LARGEST:
                image.verify()
                return kind, file.read_bytes()
        with Image.open(file) as image:
            image.thumbnail((_SIDE, _SIDE))
            smaller = io.BytesIO()
            image.convert("RGB").save(smaller, format="jpeg", quality=85)
            return "jpeg", smaller.getvalue()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
