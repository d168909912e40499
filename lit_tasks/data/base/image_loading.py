"""What all data modules that open images share: crops, cached features, workers."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor, nn

from lit_tasks.batch import in_batches
from lit_tasks.checked_loading import CheckedLoading
from lit_tasks.data.base.feature_cache import FeatureCache
from lit_tasks.data.base.given_images import GivenImage, GivenImages, given_images
from lit_tasks.data.base.image_dataset import ImageDataset
from lit_tasks.data.readers.bit_depth import BY_TYPE, WhiteLevels, found_levels
from lit_tasks.data.readers.images import ImageFiles, ImageSource
from lit_tasks.data.readers.opened_images import MAX_PIXELS
from lit_tasks.nn.image.preprocessing import Preprocessing
from lit_tasks.protocols import HasPreprocessing, InputBatch, Row


class ImageLoadingDataModule(CheckedLoading, LightningDataModule):
    """Images, opened in batches, or features of them, computed once.

    Subclasses pass these options on as ``**kwargs``; all values stand in ``hparams``.

    Args:
        batch_size: Samples in a batch, over all processes.
        crop: Smallest fraction of the area that a random crop of a training image keeps; all are
            cut in the middle when left out.
        augment: Transforms of torchvision (v2) for training images, after the crop.
        cache_features: Whether features of a frozen network are computed once.
        cache_dir: Folder of the features; ``lit_tasks/features`` in the user's cache if left out.
        seed: Decides what is drawn at random: which images are held out, how a stream is shuffled.
        num_workers: Processes that read images.
        max_pixels: Pixels that an image may have: reading takes up to 8 bytes of memory each.
        white_level: Value that is white in images of more than 8 bits; told from the training
            images if left out, once for all: 255, 1023, 4095, 16383 or 65535, or 1 for fractions.
    """

    predict_example = "my_images"  #: What the end of a fit proposes.

    def __init__(
        self,
        batch_size: int = 32,
        crop: float | None = None,
        augment: list[nn.Module] | None = None,
        cache_features: bool = True,
        cache_dir: Path | None = None,
        seed: int = 0,
        num_workers: int = 0,
        max_pixels: int = MAX_PIXELS,
        white_level: float | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()  # what subclasses were given as well
        for name, value in (("batch_size", batch_size), ("max_pixels", max_pixels)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if crop is not None and not 0 < crop <= 1:
            raise ValueError(f"crop must be above 0 and at most 1, got {crop}")
        if white_level is not None and not white_level > 0:
            raise ValueError(f"white_level must be above 0, got {white_level}")
        self.white_level = white_level
        self._levels: WhiteLevels | None = None
        self.batch_size, self.crop, self.augment = batch_size, crop, list(augment or ())
        self.cache_features, self.cache_dir = cache_features, cache_dir
        self.seed, self.num_workers, self.max_pixels = seed, num_workers, max_pixels

    def leveled(self, images: ImageSource) -> ImageSource:
        """Return images of which all splits have one white; the first that are read decide."""
        if not isinstance(images, ImageFiles):
            if self.white_level is not None:
                raise ValueError(
                    "white_level is for images in files; elsewhere the largest value of a type is"
                    " white: leave it out"
                )
            return images
        if self.white_level is not None:
            self._levels = WhiteLevels(self.white_level, self.white_level)
        if self._levels is None:
            self._levels = found_levels(images.paths, images.max_pixels, tell=rank_zero_info)
            if self._levels is not None:
                rank_zero_info(
                    "Images of more than 8 bits: white is"
                    f" {self._levels.integers:,.0f} in whole numbers, {self._levels.floats:,.0f} in"
                    " fractions (data.white_level sets another)"
                )
        return images if self._levels is None else replace(images, levels=self._levels)

    def _levels_state(self) -> dict[str, list[float]]:
        return {} if self._levels is None else {"white_levels": list(self._levels)}

    def _load_levels(self, state_dict: dict[str, Any]) -> None:
        if "white_levels" in state_dict:
            self._levels = WhiteLevels(*map(float, state_dict["white_levels"]))

    def input_batches(
        self, inputs: Iterable[object], task: object, batch_size: int | None = None
    ) -> Iterator[InputBatch]:
        """Yield batches of images that a program holds, or of the files that it names.

        Args:
            inputs: Paths of files and folders, Pillow's images, arrays ``(H, W, 3)``.
            task: Says what its network wants to see.
            batch_size: Images in a batch; that of the data module if none.
        """
        wanted = task.preprocessing if isinstance(task, HasPreprocessing) else None
        position = 0
        for images in in_batches(given_images(inputs), batch_size or self.batch_size):
            source = GivenImages(images, self.max_pixels, self._levels or BY_TYPE)
            dataset = ImageDataset(source, None, wanted or Preprocessing())
            tensors = torch.stack([dataset[number][0] for number in range(len(images))])
            index = torch.arange(position, position + len(images))
            position += len(images)
            yield [self.input_row(image) for image in images], self.input_batch(tensors, index)

    def input_row(self, image: GivenImage) -> Row:
        """Return what the row of an image begins with: what it is called, and its file."""
        is_file = isinstance(image.content, Path)
        return {"id": image.id} | ({"file": str(image.content)} if is_file else {})

    @abstractmethod
    def input_batch(self, image: Tensor, index: Tensor) -> Any:
        """Return a batch of images without labels."""

    def _task(self) -> object:
        return None if self.trainer is None else self.trainer.lightning_module

    def _cache(self) -> FeatureCache:
        assert self.trainer is not None
        return FeatureCache.of_run(self.trainer, self.cache_dir, self.num_workers)
