"""Images of more than 8 bits: which value is white in gray ones, once for a whole set.

A camera, a microscope or an X-ray machine writes 10, 12 or 14 bits into files of 16, and floats of
any range. No single image tells which value is white: a dark one would be read brighter than its
neighbor.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageFile

from lit_tasks.data.readers.opened_images import MAX_PIXELS, opened_image
from lit_tasks.data.readers.zipped_files import ZippedFile

_LOOKED_AT = 500  # images, spread over the set
_STRIP = 256  # rows that are converted at once
_DARK = 64  # of 256: 14 bits in 16 have no color above that
_DEPTHS = tuple(float(2**bits - 1) for bits in (8, 10, 12, 14, 16))


class WhiteLevels(NamedTuple):
    """The values that become white; without a set to look at, the largest that their type holds.

    Attributes:
        integers: Of images of whole numbers.
        floats: Of images of fractions.
    """

    integers: float = 65535.0
    floats: float = 1.0


BY_TYPE = WhiteLevels()


def is_deep(image: Image.Image) -> bool:
    """Return whether an image has more than 8 bits a value."""
    return image.mode in ("I", "F") or image.mode.startswith("I;16")


def is_deep_color(image: Image.Image) -> bool:
    """Return whether an image that is not decoded has colors of 16 bits: Pillow keeps 8 of them."""
    tiles = image.tile if isinstance(image, ImageFile.ImageFile) else []
    return not is_deep(image) and any(";16" in str(tile[3]) for tile in tiles)


def in_eight_bits(image: Image.Image, levels: WhiteLevels) -> Image.Image:
    """Return a deep image in gray or, where a value is transparent, in gray on white."""
    values = np.asarray(image)
    level = levels.floats if image.mode == "F" else levels.integers
    clear = image.info.get("transparency")
    found = np.empty(values.shape, np.uint8)
    for top in range(0, len(values), _STRIP):  # eight bytes a value for a few rows at a time only
        strip = values[top : top + _STRIP].astype(np.float64)
        scaled = (np.nan_to_num(strip).clip(0, level) * (255 / level)).round()
        found[top : top + _STRIP] = (
            scaled if clear is None else np.where(strip == clear, 255, scaled)
        )
    return Image.fromarray(found)


def found_levels(
    files: Sequence[Path | ZippedFile],
    max_pixels: int = MAX_PIXELS,
    tell: Callable[[str], None] | None = None,
) -> WhiteLevels | None:
    """Return which values are white in a set, ``None`` where no image has more than 8 bits.

    Whole numbers end at the first depth (8, 10, 12, 14 or 16 bits) that holds the largest of them,
    fractions at 1 or, if there are larger ones, likewise. At most 500 images are looked
    at; how many of them have values below 0 is told, and where none has a bright color.
    """
    below, colors, brightest = 0, 0, 0
    largest = {"integers": -1.0, "floats": -1.0}
    for row in np.linspace(0, len(files) - 1, min(len(files), _LOOKED_AT)).astype(int):
        file = files[row]
        try:
            content = file.open() if isinstance(file, ZippedFile) else file
            with opened_image(content, None, max_pixels) as image:
                if is_deep_color(image):
                    colors += 1
                    extremes = image.convert("RGB").getextrema()
                    brightest = max(brightest, int(np.max(extremes)))
                elif is_deep(image):
                    kind = "floats" if image.mode == "F" else "integers"
                    values = np.asarray(image)
                    some = float(np.max(values, initial=0, where=np.isfinite(values)))
                    largest[kind] = max(largest[kind], some)
                    below += bool((values < 0).any())
        except Exception:
            continue
    if below and tell is not None:
        images = "1 image has" if below == 1 else f"{below:,} images have"
        tell(f"{images} values below 0, which become black: scale them to begin at 0")
    if colors and brightest < _DARK and tell is not None:
        images = "1 image has" if colors == 1 else f"{colors:,} images have"
        tell(
            f"{images} colors of 16 bits and none brighter than {brightest / 255:.0%} of white, as"
            " files of 10, 12 or 14 bits have: they are read that dark; scale their values to"
            " 65,535"
        )
    if max(largest.values()) < 0:
        return None
    floats = 1.0 if largest["floats"] <= 1 else _depth(largest["floats"])
    return WhiteLevels(_depth(largest["integers"]), floats)


def _depth(largest: float) -> float:
    if largest < 0:
        return _DEPTHS[-1]
    return next((depth for depth in _DEPTHS if largest <= depth), largest)
