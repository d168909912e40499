"""What all data modules of captioned images share: vocabulary, features, batches."""

import os
import re
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor
from torch.utils.data import DataLoader

from lit_tasks.batch import CaptionBatch
from lit_tasks.checked_loading import texts_of_state
from lit_tasks.data.base.caption_dataset import (
    CaptionDataset,
    CaptionedFeatures,
    CaptionedImages,
    Sentences,
)
from lit_tasks.data.base.given_images import GivenImage
from lit_tasks.data.base.image_dataset import ImageDataset, identity_collate
from lit_tasks.data.base.image_files import images_given
from lit_tasks.data.base.image_loading import ImageLoadingDataModule
from lit_tasks.data.base.splits import LABELED_SPLITS, SPLITS_OF
from lit_tasks.data.readers.features import read_features
from lit_tasks.data.readers.image_folders import within_folder
from lit_tasks.data.readers.images import ImageFiles
from lit_tasks.nn.image.preprocessing import Preprocessing
from lit_tasks.protocols import HasFrozenNetwork, HasPreprocessing, LabeledSplit, Row, Split
from lit_tasks.text.captions import CaptionVocabulary

Loader = DataLoader[Any]  # of CaptionBatch

_OFFICIAL = re.compile(r"(?:COCO_\w+_)?(\d{12})\.\w+")


class CaptionDataModule(ImageLoadingDataModule):
    """Images with several sentences each; a subclass says where they come from (:meth:`read`).

    A sample of training is an image with one of its sentences; a sample of evaluation is an
    image with all of them. A task with a frozen network (``frozen_network(split)``) gets features
    instead of images where nothing is drawn at random: computed once and stored once an image.

    Args:
        captions: Sentences to train on, spread over as many images as possible by ``seed``; all
            when left out. Words are counted in these only.
        min_count: How often a word must occur in training to be known.
        max_tokens: Words of a training sentence, start and end word included; further ones are cut.
        predict: Image, folder, pattern, zip file or list of images, or several of these; or a
            split, whose images are described.
        validate_on: The split that ``validate`` and the validation within ``fit`` look at.
        train_references: Whether training batches bring all sentences of an image, as learning
            from CIDEr-D needs.
        kwargs: Options of :class:`~lit_tasks.data.base.image_loading.ImageLoadingDataModule`.
    """

    feature_file: str | None = None
    """File of features that take the place of the images."""

    def __init__(
        self,
        captions: int | None = None,
        min_count: int = 1,
        max_tokens: int = 22,
        predict: list[str] | str | None = None,
        validate_on: LabeledSplit = "val",
        train_references: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for name, value, minimum in (
            ("captions", 1 if captions is None else captions, 1),
            ("min_count", min_count, 1),
            ("max_tokens", max_tokens, 3),
        ):
            if value < minimum:
                raise ValueError(f"{name} must be at least {minimum}, got {value}")
        self.captions, self.min_count, self.max_tokens = captions, min_count, max_tokens
        self.predict = predict
        self.validate_on: LabeledSplit = validate_on
        self.train_references = train_references
        self._vocabulary: CaptionVocabulary | None = None
        self._splits: dict[Split, CaptionedImages] = {}
        self._given: dict[Split, np.ndarray] = {}

    @abstractmethod
    def read(self, split: LabeledSplit) -> CaptionedImages:
        """Return images and sentences of a split.

        Raises:
            ValueError: The input is not as it should be; the sentence says where and what to do.
        """

    # What the task and the writer of predictions ask for.

    @property
    def vocabulary(self) -> list[str]:
        """The word of each number; the first three are <START>, <END> and <UNK>."""
        return self._known().words

    @cached_property
    def predict_ids(self) -> list[int | str]:
        """What each image to predict is called: COCO's number, or its path in the folder."""
        return self.image_ids("predict")

    @cached_property
    def predict_files(self) -> list[str]:
        """The path of each image to predict."""
        return list(self.captioned("predict").images.names)

    @property
    def feature_shape(self) -> tuple[int, ...] | None:
        """Shape of one image's features where a file brings them, otherwise ``None``."""
        if self.feature_file is None:
            return None
        split: Split = "train" if "train" in self._splits else next(iter(self._splits))
        return self._from_file(split).shape[1:]

    def image_ids(self, split: Split) -> list[int | str]:
        """Return what each image of a split is called, in the order of evaluation batches."""
        return list(self.captioned(split).ids)

    def references(self, split: Split) -> list[list[str]]:
        """Return all sentences about each image of a split, in the order of evaluation batches."""
        return [list(several) for several in self.captioned(split).sentences]

    def shown(self, split: Split, indices: Sequence[int]) -> list[np.ndarray]:
        """Return images of a split as the network sees them, ``(S, S, 3)`` each.

        ``val`` stands for what the validation looks at, see ``validate_on``.
        """
        images = self._transformed(self._looked_at(split), augmented=False)
        return [images.shown(index) for index in indices]

    def describe(self, split: Split, indices: Sequence[int]) -> list[dict[str, str]]:
        """Return the first sentence that somebody wrote about each of some images."""
        sentences = self.captioned(self._looked_at(split)).sentences
        return [{"reference": next(iter(sentences[index]), "")} for index in indices]

    def captioned(self, split: Split) -> CaptionedImages:
        """Return images and sentences of a split; of those to train on, as many as asked for."""
        if split not in self._splits:
            found = self._to_predict() if split == "predict" else self.read(split)
            if split == "train" and self.captions is not None:
                found = found.limited(self.captions, self.seed)
            self._splits[split] = replace(found, images=self.leveled(found.images))
        return self._splits[split]

    def _looked_at(self, split: Split) -> Split:
        return self.validate_on if split == "val" else split

    # Lightning's hooks.

    def setup(self, stage: str) -> None:
        """Read what a stage needs; words come from a checkpoint or the training sentences."""
        for split in SPLITS_OF[stage]:
            self.captioned(self._looked_at(split))
        if stage == "fit":
            self._known()

    def train_dataloader(self) -> Loader:
        """Return images with one sentence each, in another order each epoch."""
        return self._loader("train", train=True)

    def val_dataloader(self) -> Loader:
        """Return images with all their sentences, in order."""
        return self._loader(self.validate_on)

    def test_dataloader(self) -> Loader:
        """Return images with all their sentences, in order."""
        return self._loader("test")

    def predict_dataloader(self) -> Loader:
        """Return images in order."""
        return self._loader("predict")

    def state_dict(self) -> dict[str, Any]:
        """Return what describing new images needs: the words."""
        words = {} if self._vocabulary is None else {"words": self._vocabulary.words}
        return {**words, **self._levels_state()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what :meth:`state_dict` of any captioned data module returned."""
        if "words" in state_dict:
            self._vocabulary = CaptionVocabulary(texts_of_state(state_dict, "words"))
        self._load_levels(state_dict)

    def input_batch(self, image: Tensor, index: Tensor) -> CaptionBatch:
        """Return a batch of images without sentences."""
        return CaptionBatch(image, None, lengths=None, references=None, index=index)

    def input_row(self, image: GivenImage) -> Row:
        """Return what the row of an image begins with: COCO's number, or its path."""
        row = super().input_row(image)
        official = _OFFICIAL.fullmatch(Path(str(image.id)).name)
        return {"id": row["id"], "image_id": int(official[1]) if official else image.id, **row}

    # The steps.

    def _known(self) -> CaptionVocabulary:
        if self._vocabulary is None:
            captioned = self.captioned("train")
            sentences = [s for several in captioned.sentences for s in several]
            self._vocabulary = CaptionVocabulary.count(sentences, self.min_count)
            rank_zero_info(
                f"{len(sentences):,} captions of {len(captioned.ids):,} images for training,"
                f" {len(self._vocabulary):,} words"
            )
        return self._vocabulary

    def _to_predict(self) -> CaptionedImages:
        if self.predict is None:
            raise ValueError(
                "this needs images to describe: set data.predict to an image, a folder, or train,"
                " val or test, for example --data.predict=my_images"
            )
        if isinstance(self.predict, str) and self.predict in LABELED_SPLITS:
            found = self.captioned(cast(LabeledSplit, self.predict))
            return CaptionedImages(found.images, found.ids, [])
        images = ImageFiles(images_given(self.predict), max_pixels=self.max_pixels)
        return CaptionedImages(images, _names(images.names), [])

    def _loader(self, split: Split, train: bool = False) -> Loader:
        captioned, vocabulary = self.captioned(split), self._vocabulary
        max_tokens = self.max_tokens if train else None
        references = self.train_references or not train
        sentences = Sentences(
            captioned, vocabulary, each=train, max_tokens=max_tokens, references=references
        )
        if train:
            sentences.tell_cut(max_tokens)
        values = self._values(split, train)
        if values is not None:
            return DataLoader(
                dataset=CaptionedFeatures(values, sentences),
                batch_size=self.batch_size,
                shuffle=train,
                collate_fn=identity_collate,
            )
        dataset = CaptionDataset(self._transformed(split, augmented=train), sentences)
        return DataLoader(
            dataset=dataset,
            batch_size=self.batch_size,
            shuffle=train,
            collate_fn=dataset.collate,
            num_workers=self.num_workers,
        )

    def _values(self, split: Split, train: bool) -> np.ndarray | None:
        """Return features of all images of a split, or none where images are wanted."""
        if self.feature_file is not None:
            return self._from_file(split)
        if train and (self.crop is not None or self.augment):
            return None
        task, network = self._task(), None
        if self.cache_features and isinstance(task, HasFrozenNetwork):
            network = task.frozen_network(split)
        if network is None:
            return None
        return self._cache().features(network, self._transformed(split, augmented=False))

    def _from_file(self, split: Split) -> np.ndarray:
        assert self.feature_file is not None
        if split not in self._given:
            path = Path(self.feature_file.replace("{split}", split))
            self._given[split] = read_features(path, self.captioned(split).ids)
        return self._given[split]

    def _transformed(self, split: Split, augmented: bool) -> ImageDataset:
        task = self._task()
        wanted = task.preprocessing if isinstance(task, HasPreprocessing) else None
        random: dict[str, Any] = {"crop": self.crop, "augment": self.augment} if augmented else {}
        images = self.captioned(split).images
        return ImageDataset(images, None, wanted or Preprocessing(), **random)


def _names(paths: Sequence[str]) -> list[int | str]:
    """Return COCO's numbers where all files are called as COCO calls them, otherwise paths."""
    official = [_OFFICIAL.fullmatch(os.path.basename(path)) for path in paths]
    numbers: list[int | str] = [int(match[1]) for match in official if match]
    if len(set(numbers)) == len(paths):
        return numbers
    return list(within_folder(paths))
