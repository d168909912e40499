"""Synthetic scenes as images with labels, for a machine that cannot download any."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from lightning.pytorch.utilities import rank_zero_info
from PIL import Image

from lit_tasks.data.base.image_files import images_given
from lit_tasks.data.base.images import ImageDataModule
from lit_tasks.data.readers.images import ImageFiles, ImageSource
from lit_tasks.data.synthetic.scenes import SHAPES, Scene, draw_scene, random_scene
from lit_tasks.protocols import Split

_DRAWING = 1
"""Raised when the same scenes look otherwise than before."""
_SPLIT_INDEX: dict[Split, int] = {"train": 0, "val": 1, "test": 2, "predict": 3}


@dataclass(frozen=True)
class SyntheticScenes:
    """Images of scenes, drawn when they are read.

    Attributes:
        scenes: What is drawn.
        size: Pixels a side.
        name: Beginning of every image's name.
    """

    scenes: Sequence[Scene]
    size: int
    name: str
    labels: Sequence[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", [scene.things[0].shape for scene in self.scenes])

    @property
    def names(self) -> Sequence[str]:
        """A name made of number and content."""
        return [
            f"{self.name}{index:05}_{thing.size}_{thing.color}_{thing.shape}"
            for index, thing in enumerate(scene.things[0] for scene in self.scenes)
        ]

    def read(self, index: int, min_side: int | None = None) -> Image.Image:
        """Return an image; it has the same size whatever would do."""
        return draw_scene(self.scenes[index], self.size)

    def digest(self) -> str:
        """Return a fingerprint of the scenes."""
        return hashlib.sha256(repr((_DRAWING, self.size, list(self.scenes))).encode()).hexdigest()


class SceneDataModule(ImageDataModule):
    """Colored shapes on textured grounds; the class is the shape.

    The scenes are drawn from a seed, in any number: for trying out and for tests. Metrics on them
    say that the machinery works, and nothing about photographs.

    Args:
        train: Scenes to learn from.
        val: Scenes to choose by.
        test: Scenes to judge by.
        predict: Scenes to predict, or an image, a folder or several of your own.
        shapes: The classes.
        size: Pixels a side.
        kwargs: Options of :class:`~lit_tasks.data.base.images.ImageDataModule`.
    """

    def __init__(
        self,
        train: int = 240,
        val: int = 120,
        test: int = 120,
        predict: int | list[str] | str = 24,
        shapes: list[str] | None = None,
        size: int = 224,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.shapes = list(shapes or SHAPES)
        if unknown := set(self.shapes) - set(SHAPES):
            raise ValueError(f"shapes must be among {', '.join(SHAPES)}, got {', '.join(unknown)}")
        self.counts: dict[Split, int | list[str] | str] = {
            "train": train,
            "val": val,
            "test": test,
            "predict": predict,
        }
        self.size = size

    def images(self, split: Split) -> ImageSource:
        """Return the scenes of a split, no scene in two splits; or images of the user's own."""
        count = self.counts[split]
        if not isinstance(count, int):
            return ImageFiles(images_given(count), max_pixels=self.max_pixels)
        seed = len(_SPLIT_INDEX) * self.seed + _SPLIT_INDEX[split]
        scenes = [random_scene(seed, index, self.shapes) for index in range(count)]
        return SyntheticScenes(scenes, self.size, f"{split}_")

    def setup(self, stage: str) -> None:
        """Draw what a stage needs, and say what its metrics are worth."""
        super().setup(stage)
        if stage != "predict":
            rank_zero_info("Synthetic scenes: these metrics do not carry over to photographs.")
