"""What all data modules of labeled images share: labels, transforms, batches, cached features."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lit_tasks.batch import ImageBatch
from lit_tasks.checked_loading import texts_of_state
from lit_tasks.data.base.image_dataset import FeatureDataset, ImageDataset, identity_collate
from lit_tasks.data.base.image_loading import ImageLoadingDataModule
from lit_tasks.data.base.splits import SPLITS_OF
from lit_tasks.data.readers.image_folders import within_folder
from lit_tasks.data.readers.images import ImageSource
from lit_tasks.data.readers.label_lists import described, indicators, label_sets, several_in
from lit_tasks.nn.image.preprocessing import Preprocessing
from lit_tasks.protocols import HasFrozenNetwork, HasPreprocessing, Split

Loader = DataLoader[Any]  # of ImageBatch or FeatureBatch


class ImageDataModule(ImageLoadingDataModule):
    """Images with labels; a subclass says where they come from (:meth:`images`).

    What a network wants to see belongs to its weights, so size, crop and interpolation are asked
    of the task (its ``preprocessing``). A task with a frozen network (``frozen_network(split)``)
    gets features instead of images where nothing is drawn at random: they are computed once.

    Args:
        kwargs: Options of :class:`~lit_tasks.data.base.image_loading.ImageLoadingDataModule`.
    """

    multi_label = False  #: Whether an image may have several labels.
    label_separator = ","  #: What stands between the labels of an image.

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._labels: list[str] = []
        self._images: dict[Split, ImageSource] = {}

    @abstractmethod
    def images(self, split: Split) -> ImageSource:
        """Return the images of a split.

        Raises:
            ValueError: The split was not given; the sentence says which argument gives it.
        """

    # What the task and the writer of predictions ask for.

    @property
    def labels(self) -> list[str]:
        """The name of each class."""
        if not self._labels:
            self._learn()
        return self._labels

    @property
    def train_class_counts(self) -> list[int]:
        """How many training images each class has."""
        class_indices = self._class_indices("train")
        if isinstance(class_indices, Tensor):
            return class_indices.sum(dim=0).tolist()
        return [(class_indices or []).count(index) for index in range(len(self.labels))]

    @property
    def train_size(self) -> int:
        """How many training images there are."""
        return len(self._of_split("train").names)

    @property
    def predict_ids(self) -> list[str]:
        """The path of each image to predict within their folder."""
        return self.sample_ids("predict")

    def sample_ids(self, split: Split) -> list[str]:
        """Return the path of each image of a split within their folder."""
        return within_folder(self._of_split(split).names)

    def describe(self, split: Split, indices: Sequence[int]) -> list[dict[str, str]]:
        """Return the name of some images."""
        ids = self.sample_ids(split)
        return [{"file": ids[index]} for index in indices]

    @property
    def predict_files(self) -> list[str]:
        """The path of each image to predict."""
        return list(self._of_split("predict").names)

    def shown(self, split: Split, indices: Sequence[int]) -> list[np.ndarray]:
        """Return images of a split as the network sees them, ``(S, S, 3)`` each."""
        images = self._transformed(split, augmented=False)
        return [images.shown(index) for index in indices]

    def train_features(self, network: nn.Module) -> tuple[np.ndarray, Tensor]:
        """Return features of all training images without augmentation, and their classes."""
        images = self._transformed("train", augmented=False)
        assert images.class_indices is not None
        return self._cache().features(network, images), images.class_indices

    # Lightning's hooks.

    def setup(self, stage: str) -> None:
        """Find the images of a stage; labels come from a checkpoint or the training images."""
        if stage == "fit" and not self._labels:
            self._learn()
        for split in SPLITS_OF[stage]:
            if self._labels and split != "predict":
                self._class_indices(split)
            self._of_split(split)  # names an input that is not there

    def train_dataloader(self) -> Loader:
        """Return the training images, in another order each epoch."""
        return self._loader("train", shuffle=True)

    def val_dataloader(self) -> Loader:
        """Return the validation images in order."""
        return self._loader("val")

    def test_dataloader(self) -> Loader:
        """Return the test images in order."""
        return self._loader("test")

    def predict_dataloader(self) -> Loader:
        """Return the images to predict in order."""
        return self._loader("predict")

    def state_dict(self) -> dict[str, Any]:
        """Return what reading new images needs: the names of the classes."""
        return {**({"labels": self._labels} if self._labels else {}), **self._levels_state()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what :meth:`state_dict` of any image data module returned."""
        if "labels" in state_dict:
            self._labels = texts_of_state(state_dict, "labels")
        self._load_levels(state_dict)

    def input_batch(self, image: Tensor, index: Tensor) -> ImageBatch:
        """Return a batch of images without labels."""
        return ImageBatch(image, None, index)

    # The steps.

    def _of_split(self, split: Split) -> ImageSource:
        if split not in self._images:
            self._images[split] = self.leveled(self.images(split))
        return self._images[split]

    def _learn(self) -> None:
        images = self._of_split("train")
        assert images.labels is not None
        sets = self._label_sets(images.labels)
        self._labels = sorted({label for labels in sets for label in labels})
        if len(self._labels) < (1 if self.multi_label else 2):
            raise ValueError(
                f"training needs at least two labels, there is only {self._labels}: "
                "give each label a folder of its images"
            )
        counts = self.train_class_counts
        spread = ", ".join(f"{n:,} {label}" for label, n in zip(self._labels, counts, strict=True))
        more = f" ({described(sets)})" if self.multi_label else ""
        rank_zero_info(f"{len(images.names):,} images for training{more}: {spread}")
        if doubt := several_in(self._labels, self.multi_label):
            rank_zero_info(f"warning: {doubt}")

    def _label_sets(self, labels: Sequence[str]) -> list[list[str]]:
        """Return the labels of each image."""
        if self.multi_label:
            return label_sets(labels, self.label_separator)
        return [[label] for label in labels]

    def _class_indices(self, split: Split) -> list[int] | Tensor | None:
        """Return the class of each image, or which classes it has ``(N, C)``."""
        images = self._of_split(split)
        if split == "predict" or images.labels is None:
            return None
        index = {label: i for i, label in enumerate(self.labels)}
        sets = self._label_sets(images.labels)
        for name, labels in zip(images.names, sets, strict=True):
            for label in labels:
                if label not in index:
                    known = ", ".join(self.labels)
                    raise ValueError(
                        f"{name} has the label {label!r}, training knew only {known}; to train on"
                        " other classes, begin a new run with model.backbone.weights set to the"
                        " checkpoint"
                    )
        if self.multi_label:
            return indicators(sets, index)
        return [index[label] for [label] in sets]

    def _transformed(self, split: Split, augmented: bool) -> ImageDataset:
        task = self._task()
        wanted = (
            task.preprocessing if isinstance(task, HasPreprocessing) else None
        ) or Preprocessing()
        random: dict[str, Any] = {"crop": self.crop, "augment": self.augment} if augmented else {}
        return ImageDataset(
            self._of_split(split), self._class_indices(split), wanted or Preprocessing(), **random
        )

    def _loader(self, split: Split, shuffle: bool = False) -> Loader:
        augmented = split == "train" and (self.crop is not None or bool(self.augment))
        images = self._transformed(split, augmented)
        network = None if augmented or not self.cache_features else self._frozen(split)
        if network is not None:
            values = self._cache().features(network, images)
            return DataLoader(
                dataset=FeatureDataset(values, images.class_indices),
                batch_size=self.batch_size,
                shuffle=shuffle,
                collate_fn=identity_collate,
            )
        return DataLoader(
            dataset=images,
            batch_size=self.batch_size,
            shuffle=shuffle,
            collate_fn=images.collate,
            num_workers=self.num_workers,
        )

    def _frozen(self, split: Split) -> nn.Module | None:
        task = self._task()
        return task.frozen_network(split) if isinstance(task, HasFrozenNetwork) else None
