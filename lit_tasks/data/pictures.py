"""Pictures by number: files in any format that Pillow reads, or whatever else has a look."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

#: Endings of the files that a folder is searched for.
ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".ppm", ".pgm", ".tif", ".tiff", ".gif")


class Pictures(Protocol):
    """Pictures with or without labels."""

    @property
    def names(self) -> Sequence[str]:
        """What each picture is called, in errors and predictions."""

    @property
    def labels(self) -> Sequence[str] | None:
        """The class of each picture."""

    def read(self, number: int, least: int | None = None) -> Image.Image:
        """Return a picture in red, green and blue; ``least`` pixels a side will do."""

    def digest(self) -> str:
        """Return a fingerprint of all pictures in their order."""


@dataclass(frozen=True)
class PictureFiles:
    """Pictures in files.

    Attributes:
        paths: The files.
        labels: The class of each.
    """

    paths: Sequence[Path]
    labels: Sequence[str] | None = None

    @property
    def names(self) -> Sequence[str]:
        """Paths, as they were given."""
        return [str(path) for path in self.paths]

    def read(self, number: int, least: int | None = None) -> Image.Image:
        """Return a picture upright and in red, green and blue.

        Args:
            number: Which one.
            least: Pixels a side that are enough; a large JPEG is then decoded to twice that, which
                is several times faster.

        Raises:
            ValueError: The file cannot be read; names it.
        """
        return read_picture(self.paths[number], least)

    def digest(self) -> str:
        """Return a fingerprint of the files' bytes."""
        return hashlib.sha256("".join(file_digests(self.paths)).encode()).hexdigest()


def read_picture(
    file: Path | BinaryIO, least: int | None = None, name: str | None = None
) -> Image.Image:
    """Return the picture of a file, see :meth:`PictureFiles.read`; ``name`` stands in errors."""
    remedy = "" if name else "; remove it, or leave it out with bad_pictures: skip"
    name = name or str(file)
    try:
        with Image.open(file) as picture:
            if least is not None:
                picture.draft("RGB", (2 * least, 2 * least))
            picture.load()
            return in_colour(ImageOps.exif_transpose(picture))
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no picture {name}") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = "unknown format" if isinstance(error, UnidentifiedImageError) else str(error)
        raise ValueError(f"{name} is no picture that can be read ({reason}){remedy}") from error


def in_colour(picture: Image.Image) -> Image.Image:
    """Return red, green and blue in 8 bits; what is transparent becomes white."""
    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
        values = np.asarray(picture, dtype=np.float64)
        scale = 255 / 65535 if values.max(initial=0) > 255 else 1.0
        picture = Image.fromarray((values * scale).round().clip(0, 255).astype(np.uint8))
    if "A" in picture.getbands() or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        ground = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(ground, picture)
    return picture.convert("RGB")


def file_digests(paths: Sequence[Path]) -> list[str]:
    """Return a fingerprint of each file's bytes."""
    digests = []
    for path in paths:
        with path.open("rb") as file:
            digests.append(hashlib.file_digest(file, "sha256").hexdigest())
    return digests


def files_below(folder: Path) -> list[Path]:
    """Return the pictures in a folder and in its folders, by name; hidden files are left out.

    Raises:
        FileNotFoundError: There are none.
    """
    if folder.is_file():
        return [folder]
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in ENDINGS and not path.name.startswith(".") and path.is_file()
    )
    if not files:
        what = "has no pictures" if folder.is_dir() else "is not there"
        raise FileNotFoundError(
            f"{folder} {what}: give a folder of files that end in {', '.join(ENDINGS)}"
        )
    return files


def readable(files: Sequence[Path | BinaryIO], whole: bool = False) -> list[bool]:
    """Return whether each file begins like a picture, or is one to its end (``whole``).

    Beginnings take a thousandth of a second each; a whole JPEG is decoded at an eighth of its size.
    """
    return [_is_picture(file, whole) for file in files]


def _is_picture(file: Path | BinaryIO, whole: bool) -> bool:
    try:
        with Image.open(file) as picture:
            if whole:
                picture.draft("RGB", (picture.width // 8, picture.height // 8))
                picture.load()
            return min(picture.size) > 0
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return False
