"""Captioned images that stream from Parquet shards, for sets that do not fit a disk."""

import json
from collections.abc import Iterator
from functools import partial
from io import BytesIO
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from lit_tasks.batch import CaptionBatch
from lit_tasks.data.base.caption_dataset import CaptionedImages, Sentences
from lit_tasks.data.base.captions import CaptionDataModule
from lit_tasks.data.readers.arrow_images import image_bytes, kept_images
from lit_tasks.data.readers.images import read_image
from lit_tasks.data.readers.parquet import parquet_records
from lit_tasks.data.readers.streams import Record, StreamedRows, find_shards
from lit_tasks.data.readers.tables import BadRows
from lit_tasks.protocols import LabeledSplit
from lit_tasks.text.captions import CaptionVocabulary


class StreamedCaptionsDataModule(CaptionDataModule):
    """Training images with sentences from Parquet shards, here or on the hub, read as they come.

    The shards have a column ``image`` (the bytes of a file, alone or in a struct) and a column of
    sentences, one or a list a row. Each epoch shows an image with one of its sentences, drawn at
    random. Words are counted in the beginning of every shard (``first_rows``); features are not
    cached, the images to validate excepted. Every shard is read by one process and one worker, so
    there should be at least as many shards as processes times workers. A stream has no length: a
    schedule of the learning rate over the whole run needs ``trainer.max_steps``.

    Args:
        shards: Pattern of local Parquet files (``data/train-*.parquet``) or of addresses
            (``hf://datasets/OWNER/NAME/data/train-*.parquet``).
        val: Pattern of Parquet files to validate by.
        test: Pattern of Parquet files to test by; those to validate by when left out.
        caption_column: Name of the column of sentences.
        id_column: Name of the column that says what an image is called; its number otherwise.
        first_rows: About how many rows give the words.
        buffer: Rows in memory among which the next one is drawn.
        bad_rows: ``stop`` ends the run at the first row that cannot be used and names it; ``skip``
            leaves such rows out and counts them.
        kwargs: Options of :class:`~lit_tasks.data.base.captions.CaptionDataModule`.
    """

    def __init__(
        self,
        shards: str | None = None,
        val: str | None = None,
        test: str | None = None,
        caption_column: str = "captions",
        id_column: str | None = None,
        first_rows: int = 10_000,
        buffer: int = 1000,
        bad_rows: BadRows = "stop",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if self.captions is not None:
            raise ValueError("captions cannot be limited in a stream: choose fewer shards")
        for name, value in (("first_rows", first_rows), ("buffer", buffer)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self.patterns = {"train": shards, "val": val, "test": test or val}
        self.columns = "image", caption_column, id_column
        self.first_rows, self.buffer, self.bad_rows = first_rows, buffer, bad_rows

    def read(self, split: LabeledSplit) -> CaptionedImages:
        """Return images and sentences of a split; of those to train on the first ones."""
        shards, read = self._shards(split), partial(read_shard, columns=self.columns)
        limit = self.first_rows if split == "train" else None
        images = kept_images(
            shards,
            read,
            columns=self.columns,
            label=_told,
            limit=limit,
            bad_rows=self.bad_rows,
            cache_dir=self.cache_dir,
            max_pixels=self.max_pixels,
        )
        told = [json.loads(label) for label in images.labels]
        ids = range(len(told)) if self.columns[2] is None else [name for name, _ in told]
        return CaptionedImages(images, ids, [several for _, several in told])

    def train_dataloader(self) -> DataLoader[Any]:
        """Return the training images with a sentence each, in another order each epoch."""
        images = self._transformed("train", augmented=True)
        read = partial(read_shard, columns=self.columns)
        vocabulary = CaptionVocabulary(self.vocabulary)
        known = self.captioned("train")
        first = Sentences(known, vocabulary, each=True, max_tokens=self.max_tokens)
        first.tell_cut(self.max_tokens, f"captions of the first {len(known.ids):,} rows")
        sample = _Sample(
            images.transform,
            images.preprocessing.resize,
            vocabulary=vocabulary,
            max_tokens=self.max_tokens,
            max_pixels=self.max_pixels,
        )
        shards = self._shards("train")
        return DataLoader(
            dataset=StreamedRows(
                shards,
                read,
                buffer=self.buffer,
                seed=self.seed,
                bad_rows=self.bad_rows,
                sample=sample,
            ),
            batch_size=self.batch_size,
            collate_fn=partial(_collate, references=self.train_references),
            num_workers=self.num_workers,
        )

    def _shards(self, split: LabeledSplit) -> list[str]:
        argument = "shards" if split == "train" else split
        return find_shards(self.patterns[split], argument, "captioned images")


def read_shard(shard: str, columns: tuple[str, str, str | None]) -> Iterator[Record]:
    """Yield the rows of a shard: ``image`` (bytes), ``captions``, ``id``, ``line``, ``problem``."""
    image_column, caption_column, id_column = columns
    for line, (record, _) in enumerate(parquet_records(shard, columns, None), start=1):
        image, problem = image_bytes(record[image_column])
        said = record[caption_column]
        several = [said] if isinstance(said, str) else list(said or ())
        if not several or not all(isinstance(text, str) and text.strip() for text in several):
            problem = problem or f"there is no caption, or an empty one, in {caption_column}"
        name = None if id_column is None else record[id_column]
        yield {"image": image, "captions": several, "id": name, "line": line, "problem": problem}


class _Sample:
    """Makes tensors of a row: its image, and one of its sentences drawn at random."""

    def __init__(
        self,
        transform: Any,
        min_side: int,
        vocabulary: CaptionVocabulary,
        max_tokens: int,
        max_pixels: int,
    ) -> None:
        self.transform, self.min_side = transform, min_side
        self.vocabulary, self.max_tokens, self.max_pixels = vocabulary, max_tokens, max_pixels

    def __call__(self, row: Record) -> tuple[Tensor, list[int], list[str], int]:
        content = BytesIO(row["image"])
        image = read_image(content, self.min_side, name="the image", max_pixels=self.max_pixels)
        several: list[str] = row["captions"]
        said = several[int(torch.randint(len(several), ()))]
        numbers = self.vocabulary.encode(said, self.max_tokens)
        return self.transform(image), numbers, several, row["line"] - 1


def _collate(
    samples: list[tuple[Tensor, list[int], list[str], int]], references: bool
) -> CaptionBatch:
    images, sentences, several, lines = zip(*samples, strict=True)
    return CaptionBatch(
        torch.stack(images),
        torch.tensor([number for sentence in sentences for number in sentence]),
        lengths=torch.tensor([len(sentence) for sentence in sentences]),
        references=[list(texts) for texts in several] if references else None,
        index=torch.tensor(lines),
    )


def _told(row: Record) -> str:
    return json.dumps([row["id"], row["captions"]])
