"""Images that are opened but not decoded yet: how large they are is known, and limited.

A PNG of 20 kB may hold 169 million pixels of one color. Pillow refuses some of these and warns of
others; here the limit is one number, an option of every data module of images.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image

MAX_PIXELS = 64_000_000
"""More than a camera of 60 megapixels has: reading takes up to 8 bytes a pixel, 500 MB in all."""
#: Decoders that hold several copies: how often a pixel of theirs counts.
_COSTLY = {"WEBP": 2, "AVIF": 2, "HEIF": 2, "JPEG2000": 3}
_RUN_PROGRAMS = ("EPS",)  # Pillow hands them to Ghostscript


class TooManyPixelsError(Exception):
    """An image has more pixels than may be read; the text follows its name in a sentence."""


@contextmanager
def opened_image(
    file: Path | BinaryIO, min_side: int | None, max_pixels: int
) -> Iterator[Image.Image]:
    """Give an image whose pixels may be decoded.

    Args:
        file: The file.
        min_side: Pixels a side that are enough; a large JPEG is then decoded to twice that.
        max_pixels: How many pixels may be decoded.

    Raises:
        TooManyPixelsError: There are more, or ``min_side`` a side would make more of it.
    """
    with _pillow_limit(None), Image.open(file) as image:
        if image.format in _RUN_PROGRAMS:
            raise ValueError(f"{image.format} is not read")
        width, height = image.size
        in_strips = min_side is not None and _is_decoded_in_strips(image)
        if min_side is not None:
            image.draft("RGB", (2 * min_side, 2 * min_side))
        decoded = image.size if in_strips else (width, height)
        limit = max_pixels // _COSTLY.get(image.format or "", 1)
        if decoded[0] * decoded[1] > limit:
            kind = f" in the format {image.format}" if image.format in _COSTLY else ""
            raise TooManyPixelsError(
                f"has {width:,} x {height:,} pixels; at most {limit:,} are read{kind}, since"
                " reading takes up to 8 bytes of memory each: make it smaller, or raise"
                " data.max_pixels"
            )
        check_shape(width, height, min_side=min_side or 1, max_pixels=max_pixels)
        with _pillow_limit(max_pixels):  # for what a file holds within
            yield image


def check_shape(width: int, height: int, min_side: int, max_pixels: int) -> None:
    """Refuse a thread of an image, whose shorter side is made ``min_side`` pixels long.

    Raises:
        TooManyPixelsError: That would have more than ``max_pixels``.
    """
    short = max(1, min(width, height))
    if min_side > short and (min_side / short) ** 2 * width * height > max_pixels:
        long = max(width, height) * min_side // short
        raise TooManyPixelsError(
            f"has {width:,} x {height:,} pixels and would be made {long:,} x {min_side}, more than"
            f" {max_pixels:,} pixels: cut it, or raise data.max_pixels"
        )


def _is_decoded_in_strips(image: Any) -> bool:
    """Return whether a JPEG is decoded at a smaller size without ever holding all of it.

    A progressive one, or one whose colors come one after the other, is held as a whole. Pillow has
    just read the header of the first scan, which says how many colors it has.
    """
    if image.format != "JPEG" or image.info.get("progressive"):
        return False
    place, size = image.fp.tell(), 6 + 2 * image.layers
    image.fp.seek(max(0, place - size - 2))
    header = image.fp.read(4)
    image.fp.seek(place)
    return bool(header == b"\xff\xda" + size.to_bytes(2))


@contextmanager
def _pillow_limit(pixels: int | None) -> Iterator[None]:
    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, pixels
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before
