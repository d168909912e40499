"""Pairs of a photograph and a painting: as images of the size that is asked for, in groups."""

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from lit_tasks.batch import StyleBatch, StyleRegion
from lit_tasks.data.base.style_names import Pair, Region
from lit_tasks.data.readers.bit_depth import BY_TYPE, found_levels
from lit_tasks.data.readers.image_folders import path_text
from lit_tasks.data.readers.images import in_color, read_image
from lit_tasks.data.readers.opened_images import MAX_PIXELS
from lit_tasks.data.synthetic.strokes import draw_strokes

PHOTOGRAPH, STROKES = "photograph", "strokes"
_CARRIED = (("sklearn", "datasets/images/china.jpg"), ("skimage", "data/astronaut.png"))
_MAX_PIXELS = 100_000_000  # pixels of an image that is worked on
_BENT = 0.02  # how far the shape of a mask may be from that of its image, as a fraction


class StylePairs(Dataset[Any]):
    """Pairs as images of the sizes that are asked for.

    Args:
        root: Folder that file names start from.
        pairs: The pairs.
        names: What they are called.
        image_size: Pixels of a photograph's shorter side.
        style_size: Pixels of a painting's shorter side.
        batch_size: Pairs that are worked on at the same time.
        max_pixels: Pixels that an image may have.
    """

    def __init__(
        self,
        root: Path,
        pairs: Sequence[Pair],
        names: Sequence[str],
        image_size: int,
        style_size: int,
        batch_size: int,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self.max_pixels = max_pixels
        self.root, self.pairs, self.names = root, pairs, names
        self.image_size, self.style_size, self.batch_size = image_size, style_size, batch_size
        # Every step asks for the same few images again.
        self._read = lru_cache(maxsize=4 * batch_size)(self.image)
        self._fit = lru_cache(maxsize=16 * batch_size)(self._fitted)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> dict[str, Any]:
        pair = self.pairs[index]
        content = self._read(pair.content, self.image_size)
        styles = [self._read(name, self.style_size) for name in pair.styles]
        return {
            "content": content,
            "styles": styles,
            "init": self._fit(pair.init, *content.shape[1:], "RGB") if pair.init else None,
            "regions": [self._region(region, content, styles) for region in pair.regions],
            "style_weights": list(pair.styles.values()),
            "name": self.names[index],
            "slot": index % self.batch_size,
            "index": index,
        }

    def _region(self, region: Region, content: Tensor, styles: Sequence[Tensor]) -> StyleRegion:
        masks = zip(region.styles, styles, strict=True)
        return StyleRegion(
            self._fit(region.content, *content.shape[1:], "L"),
            [self._fit(name, *style.shape[1:], "L") for name, style in masks],
        )

    def _fitted(self, name: str, height: int, width: int, mode: str) -> Tensor:
        """Return an image or a mask in the size of the image that it belongs to."""
        image = self._opened(name)
        if abs(math.log(image.width * height / (image.height * width))) > _BENT:
            raise ValueError(
                f"{path_text(name)} of {image.width} x {image.height} pixels does not lie on an "
                f"image of {width} x {height}: cut it to the same shape"
            )
        image = image.convert(mode).resize((width, height), Image.Resampling.BILINEAR)
        if mode == "L" and not image.getbbox():
            raise ValueError(f"the mask {path_text(name)} is black: white is where a region is")
        found = torch.from_numpy(np.array(image))
        return found if mode == "L" else found.permute(2, 0, 1)

    def image(self, name: str, size: int) -> Tensor:
        """Return an image by its name, its shorter side of ``size`` pixels."""
        return as_tensor(self._opened(name), size, name)

    def _opened(self, name: str) -> Image.Image:
        path = self.root / name
        if name == PHOTOGRAPH and not path.is_file():
            image = _photograph()
        elif name == STROKES and not path.is_file():
            image = draw_strokes()
        else:
            levels = found_levels([path], self.max_pixels) or BY_TYPE
            image = read_image(path, max_pixels=self.max_pixels, levels=levels)
        return image


def as_tensor(image: Image.Image, size: int, name: str) -> Tensor:
    """Return whole numbers ``(3, H, W)``; the shorter side has ``size`` pixels."""
    return torch.from_numpy(np.array(resized(image, size, name))).permute(2, 0, 1)


class PairNames(Dataset[Any]):
    """What pairs are called, without their images.

    Args:
        names: What they are called.
        batch_size: Pairs that are worked on at the same time.
    """

    def __init__(self, names: Sequence[str], batch_size: int) -> None:
        self.names, self.batch_size = names, batch_size

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"name": self.names[index], "slot": index % self.batch_size, "index": index}


class Groups(Sampler[list[int]]):
    """The same few pairs in every batch of an epoch, and the next ones in the next epoch.

    Args:
        pairs: How many there are.
        size: Pairs of a group.
        steps: Batches of an epoch.
    """

    def __init__(self, pairs: int, size: int, steps: int) -> None:
        self.pairs, self.size, self.steps, self.epoch = pairs, size, steps, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the group."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[list[int]]:
        first = self.epoch * self.size
        group = list(range(self.pairs))[first : first + self.size]
        for _ in range(self.steps):
            yield group


def collate(samples: list[dict[str, Any]]) -> StyleBatch:
    """Return pairs side by side: their images differ in size."""
    whole = "content" in samples[0]
    return StyleBatch(
        content=[sample["content"] for sample in samples] if whole else None,
        styles=[sample["styles"] for sample in samples] if whole else None,
        style_weights=[sample["style_weights"] for sample in samples] if whole else [],
        init=[sample["init"] for sample in samples] if whole else [],
        regions=[sample["regions"] for sample in samples] if whole else [],
        names=[sample["name"] for sample in samples],
        slot=[sample["slot"] for sample in samples],
        index=torch.tensor([sample["index"] for sample in samples]),
    )


def resized(image: Image.Image, size: int, name: str) -> Image.Image:
    """Return an image whose shorter side has ``size`` pixels, as torchvision's Resize does.

    Raises:
        ValueError: The other side would be too long.
    """
    width, height = image.size
    short = min(width, height)
    new = (
        (size, int(size * height / short)) if width <= height else (int(size * width / short), size)
    )
    if new[0] * new[1] > _MAX_PIXELS:
        raise ValueError(
            f"{name} of {width} x {height} pixels would become {new[0]} x {new[1]}: choose a "
            "smaller size, or cut it"
        )
    return image if new == image.size else image.resize(new, Image.Resampling.BILINEAR)


def _photograph() -> Image.Image:
    for package, file in _CARRIED:
        spec = find_spec(package)  # importing them would take a second
        if spec is not None and spec.origin and (Path(spec.origin).parent / file).is_file():
            with Image.open(Path(spec.origin).parent / file) as image:
                return in_color(image)
    raise FileNotFoundError(
        "no package here carries a photograph: pip install scikit-learn, or give one of your own"
    )
