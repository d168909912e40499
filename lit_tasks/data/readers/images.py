"""Images by index: files in any format that Pillow reads, or any other image source."""

import hashlib
import os
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from PIL import Image, ImageOps, UnidentifiedImageError

from lit_tasks.data.readers.bit_depth import BY_TYPE, WhiteLevels, in_eight_bits, is_deep
from lit_tasks.data.readers.image_folders import HEIF, endings, path_text, text_of
from lit_tasks.data.readers.opened_images import MAX_PIXELS, TooManyPixelsError, opened_image
from lit_tasks.data.readers.zipped_files import ZippedFile

_UNREADABLE = (OSError, SyntaxError, ValueError, MemoryError, Image.DecompressionBombError)
_PROFILE = 1_000_000  # bytes of an ICC profile: those of cameras and screens have thousands
_STRIP = 256  # rows that are converted at once


class ImageSource(Protocol):
    """Images with or without labels."""

    @property
    def names(self) -> Sequence[str]:
        """What each image is called, in errors and predictions."""

    @property
    def labels(self) -> Sequence[str] | None:
        """The class of each image."""

    def read(self, index: int, min_side: int | None = None) -> Image.Image:
        """Return an image in red, green and blue; ``min_side`` pixels a side will do."""

    def digest(self) -> str:
        """Return a fingerprint of all images in their order."""


@dataclass(frozen=True)
class ImageFiles:
    """Images in files.

    Attributes:
        paths: The files, on the disk or in zip files.
        labels: The class of each.
        max_pixels: How large an image may be.
        levels: Which values are white in images of more than 8 bits.
    """

    paths: Sequence[Path | ZippedFile]
    labels: Sequence[str] | None = None
    max_pixels: int = MAX_PIXELS
    levels: WhiteLevels = BY_TYPE

    @property
    def names(self) -> Sequence[str]:
        """Paths, as they were given; bytes that are not UTF-8 are written out."""
        return [text_of(str(path)) for path in self.paths]

    def read(self, index: int, min_side: int | None = None) -> Image.Image:
        """Return an image upright and in red, green and blue.

        Args:
            index: Which one.
            min_side: Pixels a side that are enough; a large JPEG is then decoded to twice that,
                which is several times faster.

        Raises:
            ValueError: The file cannot be read, or the image is too large; names it.
        """
        path = self.paths[index]
        file, name = (path, None) if isinstance(path, Path) else (path.open(), path_text(path))
        return read_image(file, min_side, name, max_pixels=self.max_pixels, levels=self.levels)

    def digest(self) -> str:
        """Return a fingerprint of the files' bytes."""
        return hashlib.sha256("".join(file_digests(self.paths)).encode()).hexdigest()


def read_image(
    file: Path | BinaryIO,
    min_side: int | None = None,
    name: str | None = None,
    max_pixels: int = MAX_PIXELS,
    levels: WhiteLevels = BY_TYPE,
) -> Image.Image:
    """Return the image of a file, see :meth:`ImageFiles.read`; ``name`` stands in errors."""
    remedy = "" if name else "; remove it, or leave it out with bad_images: skip"
    name = name or path_text(file)
    if isinstance(file, Path) and (missing := _missing(file)):
        raise FileNotFoundError(f"{name} {missing}{remedy}")
    try:
        with _silenced(), opened_image(file, min_side, max_pixels) as image:
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
            return in_color(image, levels)
    except TooManyPixelsError as error:
        raise ValueError(f"{name} {error}{remedy}") from None
    except _UNREADABLE as error:
        reason = _unknown(name) if isinstance(error, UnidentifiedImageError) else str(error)
        raise ValueError(f"{name} is not a readable image ({reason}){remedy}") from error


@contextmanager
def _silenced() -> Iterator[None]:
    """Keep back Pillow's warnings about broken metadata: they name no file, only Pillow's own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


def _missing(path: Path) -> str:
    """Return why there is no file to open, or nothing; a pipe would be waited for without end."""
    if os.path.isfile(path):  # as pathlib's, but a name that is too long is no error
        return ""
    if os.path.isdir(path):
        return "is a folder"
    if os.path.exists(path):
        return "is not a file"
    link = f": it is a link to {path_text(path.readlink())}" if os.path.islink(path) else ""
    return f"is missing{link}"


def _unknown(name: str) -> str:
    if name.lower().endswith(HEIF) and not set(HEIF) <= set(endings()):
        return "HEIC is read after pip install pillow-heif"
    return "unknown format"


def has_frames(path: Path) -> bool:
    """Return whether a file holds several images, of which the first is read: a film, or pages."""
    try:
        with Image.open(path) as image:
            return bool(getattr(image, "is_animated", False))
    except _UNREADABLE:
        return False


def color_profile(path: Path) -> bytes | None:
    """Return the ICC profile that a file's red, green and blue are meant in, if it names one."""
    try:
        with Image.open(path) as image:
            found = image.info.get("icc_profile")
    except _UNREADABLE:
        return None
    of_colors = isinstance(found, bytes) and found[16:20] == b"RGB " and len(found) <= _PROFILE
    return found if of_colors else None


def in_color(image: Image.Image, levels: WhiteLevels = BY_TYPE) -> Image.Image:
    """Return red, green and blue in 8 bits; what is transparent becomes white."""
    image.load()  # it may be returned itself, and its file be closed
    if is_deep(image):
        image = in_eight_bits(image, levels)
    if "A" in image.getbands() or "transparency" in image.info:
        return _on_white(image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _on_white(image: Image.Image) -> Image.Image:
    found = Image.new("RGB", image.size)
    for top in range(0, image.height, _STRIP):
        box = 0, top, image.width, min(top + _STRIP, image.height)
        strip = image.crop(box).convert("RGBA")
        ground = Image.new("RGBA", strip.size, "white")
        found.paste(Image.alpha_composite(ground, strip).convert("RGB"), box)
    return found


def file_digests(paths: Sequence[Path | ZippedFile]) -> list[str]:
    """Return a fingerprint of each file's bytes."""
    digests = []
    for path in paths:
        with path.open("rb") as file:
            digests.append(hashlib.file_digest(file, "sha256").hexdigest())
    return digests


def content_numbers(paths: Sequence[Path]) -> list[int]:
    """Return a number for each file, the same for the same bytes.

    A file whose size no other has is not read.
    """
    sizes = [path.stat().st_size for path in paths]
    repeated = {size for size, count in Counter(sizes).items() if count > 1}
    rows = [row for row, size in enumerate(sizes) if size in repeated]
    contents: dict[str, int] = {}
    numbers = list(range(len(paths)))
    for row, digest in zip(rows, file_digests([paths[row] for row in rows]), strict=True):
        numbers[row] = contents.setdefault(digest, row)
    return numbers


def reasons(
    files: Sequence[Path | BinaryIO | ZippedFile], whole: bool = False, max_pixels: int = MAX_PIXELS
) -> list[str]:
    """Return why each file cannot be used: what follows its name in a sentence, or nothing.

    Beginnings take a thousandth of a second each; a whole JPEG is decoded at an eighth of its size.

    Args:
        files: The files.
        whole: Whether to read them to their end.
        max_pixels: How large an image may be.
    """
    return [_reason(file, whole, max_pixels) for file in files]


def _reason(file: Path | BinaryIO | ZippedFile, whole: bool, max_pixels: int) -> str:
    if isinstance(file, Path) and (missing := _missing(file)):
        return missing
    try:
        content = file.open() if isinstance(file, ZippedFile) else file
        with opened_image(content, 1, max_pixels) as image:
            if whole:
                image.load()
            good = min(image.size) > 0
    except TooManyPixelsError as error:
        return str(error)
    except _UNREADABLE:
        good = False
    return "" if good else "is not a readable image"
