"""Images that a program holds, or files and folders of them, as a network wants them."""

from collections.abc import Iterable, Iterator
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageOps
from torch import Tensor

from lit_tasks.data.readers.bit_depth import BY_TYPE, WhiteLevels
from lit_tasks.data.readers.image_folders import files_below
from lit_tasks.data.readers.images import in_color, read_image
from lit_tasks.data.readers.opened_images import TooManyPixelsError, check_shape

_CHANNELS = (1, 3, 4)


class GivenImage(NamedTuple):
    """One image to predict.

    Attributes:
        id: Its path as it was given, or its position among the inputs.
        content: A path, or the image itself.
    """

    id: int | str
    content: Path | Image.Image


class GivenImages:
    """Some images to predict, as a source of :class:`~lit_tasks.data.base.image_dataset`.

    Args:
        images: The images.
        max_pixels: How large an image may be.
        levels: Which values are white in images of more than 8 bits.
    """

    labels = None

    def __init__(
        self, images: list[GivenImage], max_pixels: int, levels: WhiteLevels = BY_TYPE
    ) -> None:
        self.images, self.max_pixels, self.levels = images, max_pixels, levels

    @property
    def names(self) -> list[str]:
        """What each is called."""
        return [str(image.id) for image in self.images]

    def read(self, index: int, min_side: int | None = None) -> Image.Image:
        """Return an image upright and in red, green and blue."""
        name, content = self.images[index]
        if isinstance(content, Path):
            return read_image(
                content,
                min_side,
                name=str(content),
                max_pixels=self.max_pixels,
                levels=self.levels,
            )
        width, height = content.size
        try:
            check_shape(width, height, min_side=min_side or 1, max_pixels=self.max_pixels)
        except TooManyPixelsError as error:
            raise ValueError(f"input {name} {error}") from None
        return in_color(ImageOps.exif_transpose(content), self.levels)

    def digest(self) -> str:
        """Return a fingerprint; nothing of these images is kept under one."""
        raise NotImplementedError


def given_images(inputs: Iterable[object]) -> Iterator[GivenImage]:
    """Yield images by their inputs: paths of files and of folders, Pillow's images and arrays.

    Raises:
        TypeError: Something is no image.
        ValueError: An array has another shape than an image.
        FileNotFoundError: A path is not there, or a folder has no images.
    """
    for position, item in enumerate(inputs):
        if isinstance(item, str | PathLike):
            yield from (GivenImage(str(path), path) for path in files_below(Path(item)).images)
        elif isinstance(item, Image.Image):
            yield GivenImage(position, item)
        elif isinstance(item, np.ndarray | Tensor):
            yield GivenImage(position, _of_array(item, position))
        else:
            raise TypeError(
                "an image is a path, a PIL.Image, an array (H, W, 3) or a tensor (3, H, W); input"
                f" {position} is a {type(item).__name__}"
            )


def _of_array(array: Any, position: int) -> Image.Image:
    """Return the image of an array with channels last, or of a tensor with channels first."""
    shape = tuple(array.shape)
    if isinstance(array, Tensor):
        array = array.detach().cpu().numpy()
        array = np.moveaxis(array, 0, -1) if array.ndim == 3 else array
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[-1] not in _CHANNELS or 0 in array.shape:
        raise ValueError(
            "an array must be (H, W), (H, W, 3) or (H, W, 4), and a tensor (3, H, W); input"
            f" {position} has the shape {shape}"
        )
    if np.issubdtype(array.dtype, np.floating):
        if not (np.isfinite(array).all() and array.min() >= 0 and array.max() <= 1):
            raise ValueError(
                f"an array of fractions must be from 0 to 1, input {position} is not: divide it, or"
                " give whole numbers up to 255"
            )
        array = (array * 255).round()
    elif array.dtype != np.bool_ and not (array.min() >= 0 and array.max() <= 255):
        raise ValueError(
            f"an array of whole numbers must be from 0 to 255, input {position} is not"
        )
    array = array.astype(np.uint8) * (255 if array.dtype == np.bool_ else 1)
    return Image.fromarray(array[:, :, 0] if array.shape[-1] == 1 else array)
