"""A sheet of small pictures with a line above each, made in a few hundredths of a second.

matplotlib would take a second for it, every epoch.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

_SIDE, _GAP, _LINE = 160, 8, 18
_COLOURS = {True: "darkgreen", False: "firebrick", None: "black"}


def example_sheet(
    images: Sequence[np.ndarray],
    titles: Sequence[str],
    right: Sequence[bool | None],
    columns: int = 4,
) -> "Image":
    """Return the pictures in rows.

    Args:
        images: ``(H, W, 3)`` each, whole numbers up to 255.
        titles: A line for each; what does not fit is cut.
        right: Whether it is right: green, otherwise red; black for ``None``.
        columns: Pictures in a row.
    """
    from PIL import Image, ImageDraw, ImageFont

    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    width, height = _SIDE + _GAP, _SIDE + _LINE + _GAP
    sheet = Image.new("RGB", (columns * width + _GAP, rows * height + _GAP), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for at, (image, title, good) in enumerate(zip(images, titles, right, strict=True)):
        x, y = _GAP + at % columns * width, _GAP + at // columns * height
        while len(title) > 1 and draw.textlength(title, font) > _SIDE:
            title = title[:-2] + "…"
        draw.text((x, y), title, fill=_COLOURS[good], font=font)
        picture = Image.fromarray(np.ascontiguousarray(image))
        scale = _SIDE / max(picture.size)
        size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
        how = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BILINEAR
        sheet.paste(picture.resize(size, how), (x, y + _LINE))
    return sheet
