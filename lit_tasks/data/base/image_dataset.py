"""Images as tensors of one size, and batches of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from lit_tasks.batch import FeatureBatch, ImageBatch
from lit_tasks.data.readers.images import ImageSource
from lit_tasks.nn.image.preprocessing import Preprocessing


class ImageDataset(Dataset[tuple[Tensor, Tensor, int]]):
    """Images as a network wants them: ``(3, S, S)``, whole numbers, with label and position.

    Args:
        images: Where they come from.
        class_indices: Class of each, or which classes it has ``(N, C)``, if known.
        preprocessing: The network's own.
        crop: Smallest fraction of the area that a random crop keeps; the middle is cut out if none.
        augment: Transforms of torchvision, applied after the crop.
    """

    def __init__(
        self,
        images: ImageSource,
        class_indices: Sequence[int] | Tensor | None,
        preprocessing: Preprocessing,
        crop: float | None = None,
        augment: Sequence[nn.Module] = (),
    ) -> None:
        from torchvision.transforms import v2  # type: ignore[import-untyped, unused-ignore]

        self.images = images
        self.class_indices = None if class_indices is None else torch.as_tensor(class_indices)
        self.preprocessing = preprocessing
        how = {"interpolation": v2.InterpolationMode(preprocessing.interpolation)}
        size = preprocessing.size
        if crop is None:
            steps: list[Any] = [v2.Resize(preprocessing.resize, **how), v2.CenterCrop(size)]
        else:
            steps = [v2.RandomResizedCrop(size, scale=(crop, 1.0), **how)]
        self.transform = v2.Compose([*steps, v2.PILToTensor(), *augment])

    def __len__(self) -> int:
        return len(self.images.names)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, int]:
        image = self.images.read(index, self.preprocessing.resize)
        label = torch.tensor(-1) if self.class_indices is None else self.class_indices[index]
        return self.transform(image), label, index

    def shown(self, index: int) -> np.ndarray:
        """Return an image as the network sees it, ``(S, S, 3)``."""
        return np.asarray(self[index][0].permute(1, 2, 0))

    def collate(self, samples: list[tuple[Tensor, Tensor, int]]) -> ImageBatch:
        """Return a batch of samples."""
        images, labels, indices = zip(*samples, strict=True)
        label = None if self.class_indices is None else torch.stack(labels)
        return ImageBatch(torch.stack(images), label, torch.tensor(indices))


class FeatureDataset(Dataset[FeatureBatch]):
    """What a frozen network made of images.

    Args:
        values: Features of each image, ``(N, F)``; a memory map will do.
        class_indices: Class of each, or which classes it has ``(N, C)``, if known.
    """

    def __init__(self, values: np.ndarray, class_indices: Sequence[int] | Tensor | None) -> None:
        self.values = values
        self.class_indices = None if class_indices is None else torch.as_tensor(class_indices)

    def __len__(self) -> int:
        return len(self.values)

    def __getitems__(self, indices: list[int]) -> FeatureBatch:
        index = torch.tensor(indices)
        features = torch.from_numpy(self.values[indices])
        return FeatureBatch(
            features, None if self.class_indices is None else self.class_indices[index], index
        )


def identity_collate(batch: Any) -> Any:
    """Return what the dataset has collated already."""
    return batch
