"""Images with sentences, and the two ways in which a batch of them is made."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor
from torch.utils.data import Dataset

from lit_tasks.batch import CaptionBatch
from lit_tasks.data.base.image_dataset import ImageDataset
from lit_tasks.data.readers.caption_records import CaptionRecord
from lit_tasks.data.readers.images import ImageFiles, ImageSource, reasons
from lit_tasks.data.readers.opened_images import MAX_PIXELS
from lit_tasks.text.captions import CaptionVocabulary


@dataclass(frozen=True)
class CaptionedImages:
    """The images of one split, each once, with all that people wrote about it.

    Attributes:
        images: Where they come from.
        ids: What each image is called in the input: COCO's number, or its file.
        sentences: All sentences about each image, in the order of the input; none where they
            are to be predicted.
    """

    images: ImageSource
    ids: Sequence[int | str]
    sentences: Sequence[Sequence[str]]

    def limited(self, captions: int, seed: int) -> "CaptionedImages":
        """Return ``captions`` of the sentences, spread over as many images as possible.

        All images in a seeded order give their first sentence, then their second, until there
        are enough, so a smaller number is a subset of a larger one. Images and sentences keep
        their order, and an image without a sentence is left out.

        Raises:
            ValueError: There are not as many.
        """
        there = sum(map(len, self.sentences))
        if there < captions:
            raise ValueError(
                f"captions must be at most {there}, the captions there are for"
                f" training, got {captions}"
            )
        order = np.random.default_rng(seed).permutation(len(self.ids)).tolist()
        turns = range(max(map(len, self.sentences)))
        pairs = [(i, k) for k in turns for i in order if k < len(self.sentences[i])][:captions]
        kept: dict[int, list[str]] = {}
        for i, k in sorted(pairs):
            kept.setdefault(i, []).append(self.sentences[i][k])
        rows = list(kept)
        images = self.images if len(rows) == len(self.ids) else chosen(self.images, rows)
        return replace(
            self, images=images, ids=[self.ids[i] for i in rows], sentences=list(kept.values())
        )


def usable(
    images: Sequence[CaptionRecord],
    skip: bool,
    need_images: bool = True,
    max_pixels: int = MAX_PIXELS,
) -> CaptionedImages:
    """Return what has an image and a caption; the rest stops the run or is counted.

    Args:
        images: What a reader found.
        skip: Whether to leave out what is bad; this decodes every image.
        need_images: Whether images have to be there.
        max_pixels: How large an image may be.

    Raises:
        ValueError: A row is invalid, or none is valid.
    """
    problems = [
        _problem(image, skip, need_images=need_images, max_pixels=max_pixels) for image in images
    ]
    bad = [problem for problem in problems if problem]
    others = f"; {len(bad) - 1:,} others are bad too" if len(bad) > 1 else ""
    if bad and not skip:
        raise ValueError(
            f"{bad[0]}{others}: add what is missing, or leave such images out with bad_images: skip"
        )
    kept = [image for image, problem in zip(images, problems, strict=True) if not problem]
    if not kept:
        raise ValueError(
            f"there is no usable image among {len(images):,}{others}: {''.join(bad[:1])}"
        )
    if bad:
        rank_zero_info(f"{len(bad):,} of {len(images):,} images left out, first {bad[0]}")
    files = ImageFiles([image.path for image in kept], max_pixels=max_pixels)
    return CaptionedImages(files, [image.id for image in kept], [image.sentences for image in kept])


def _problem(image: CaptionRecord, skip: bool, need_images: bool, max_pixels: int) -> str:
    if not image.sentences:
        return f"image {image.id} ({image.path.name}) has no caption"
    if not need_images:
        return ""
    if not image.path.is_file():
        return f"image {image.id} is not there, no file {image.path}"
    [reason] = reasons([image.path], skip, max_pixels)
    return f"image {image.id} {reason}, {image.path}" if reason else ""


def chosen(images: ImageSource, rows: Sequence[int]) -> ImageSource:
    """Return some of the images."""
    if isinstance(images, ImageFiles):
        paths = [images.paths[row] for row in rows]
        return replace(images, paths=paths)
    return _Chosen(images, rows)


class _Chosen:
    labels = None

    def __init__(self, images: ImageSource, rows: Sequence[int]) -> None:
        self.images, self.rows = images, list(rows)

    @property
    def names(self) -> Sequence[str]:
        """What each image is called."""
        names = self.images.names
        return [names[row] for row in self.rows]

    def read(self, index: int, min_side: int | None = None) -> Any:
        """Return an image."""
        return self.images.read(self.rows[index], min_side)

    def digest(self) -> str:
        """Return a fingerprint of the chosen images."""
        return hashlib.sha256(f"{self.images.digest()} {self.rows}".encode()).hexdigest()


class Sentences:
    """Captions as token ids, one after the other, and the sample each belongs to.

    Args:
        captioned: Images and sentences.
        vocabulary: The number of each word.
        each: Whether every sentence is a sample (training), or every image (evaluation), whose
            tokens are then those of its first sentence.
        max_tokens: Numbers that a sentence has at most; any when left out.
        references: Whether batches bring all sentences of an image.
    """

    def __init__(
        self,
        captioned: CaptionedImages,
        vocabulary: CaptionVocabulary | None,
        each: bool,
        max_tokens: int | None = None,
        references: bool = True,
    ) -> None:
        chosen = [list(s) if each else list(s[:1]) for s in captioned.sentences]
        self.references = captioned.sentences if references and captioned.sentences else None
        self.image_index = np.arange(len(captioned.ids))
        self.tokens: Tensor | None = None
        self.cut = 0  # sentences that were longer than max_tokens
        if vocabulary is None or not captioned.sentences:
            return
        self.image_index = np.repeat(self.image_index, [len(s) for s in chosen])
        sentences = [sentence for several in chosen for sentence in several]
        rows = [vocabulary.encode(sentence, max_tokens) for sentence in sentences]
        full = (s for s, row in zip(sentences, rows, strict=True) if len(row) == max_tokens)
        self.cut = sum(len(vocabulary.encode(sentence)) != max_tokens for sentence in full)
        self.tokens = torch.tensor([number for row in rows for number in row])
        self.lengths = torch.tensor([len(row) for row in rows], dtype=torch.long)
        self.starts = self.lengths.cumsum(0) - self.lengths

    def __len__(self) -> int:
        return len(self.image_index)

    def tell_cut(self, max_tokens: int | None, what: str = "training captions") -> None:
        """Say how many captions were longer than that, if any was."""
        if self.cut:
            rank_zero_info(
                f"{self.cut:,} of {len(self):,} {what} have more than {max_tokens} tokens, start"
                " and end included, and lose their last words; see data.max_tokens"
            )

    def batch(self, image: Tensor, indices: Sequence[int]) -> CaptionBatch:
        """Return a batch of samples with their images."""
        index = torch.tensor(indices)
        references = None
        if self.references is not None:
            references = [list(self.references[i]) for i in self.image_index[list(indices)]]
        if self.tokens is None:
            return CaptionBatch(image, None, lengths=None, references=references, index=index)
        lengths = self.lengths[index]
        before = lengths.cumsum(0) - lengths  # tokens of the batch in front of each caption
        shift = (self.starts[index] - before).repeat_interleave(lengths)
        tokens = self.tokens[torch.arange(len(shift)) + shift]
        return CaptionBatch(image, tokens, lengths=lengths, references=references, index=index)


class CaptionDataset(Dataset[tuple[Tensor, int]]):
    """Samples whose images are read, and perhaps changed at random, whenever they are asked for.

    Args:
        images: As the network wants them.
        sentences: What is said about them.
    """

    def __init__(self, images: ImageDataset, sentences: Sentences) -> None:
        self.images, self.sentences = images, sentences

    def __len__(self) -> int:
        return len(self.sentences)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.images[int(self.sentences.image_index[index])][0], index

    def collate(self, samples: list[tuple[Tensor, int]]) -> CaptionBatch:
        """Return a batch of samples."""
        images, indices = zip(*samples, strict=True)
        return self.sentences.batch(torch.stack(images), indices)


class CaptionedFeatures(Dataset[CaptionBatch]):
    """Samples whose features a frozen network has made, stored once an image.

    Args:
        values: Features of each image, ``(N, F)`` or ``(N, P, F)``; a memory map will do.
        sentences: What is said about them.
    """

    def __init__(self, values: np.ndarray, sentences: Sentences) -> None:
        self.values, self.sentences = values, sentences

    def __len__(self) -> int:
        return len(self.sentences)

    def __getitems__(self, indices: list[int]) -> CaptionBatch:
        """Return the batch of these samples."""
        image = torch.from_numpy(self.values[self.sentences.image_index[indices]])
        return self.sentences.batch(image, indices)
