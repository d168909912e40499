"""Images that stream from Parquet shards, for sets that do not fit a disk."""

from collections.abc import Iterator
from functools import partial
from io import BytesIO
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from lit_tasks.batch import ImageBatch
from lit_tasks.data.base.image_files import images_given
from lit_tasks.data.base.images import ImageDataModule
from lit_tasks.data.readers.arrow_images import image_bytes, kept_images
from lit_tasks.data.readers.image_folders import class_name
from lit_tasks.data.readers.images import ImageFiles, ImageSource, read_image
from lit_tasks.data.readers.parquet import parquet_records
from lit_tasks.data.readers.streams import Record, StreamedRows, find_shards
from lit_tasks.data.readers.tables import BadRows
from lit_tasks.protocols import Split


class StreamedImagesDataModule(ImageDataModule):
    """Training images from Parquet shards, local or on the Hugging Face hub, read as they come.

    The shards have the columns of an image set of ``datasets``: ``image`` (the bytes of a file,
    alone or in a struct) and ``label``. Labels, and what a head wants to know about the features,
    come from the beginning of every shard (``first_rows``); features are not cached, the images to
    validate excepted. Every shard is read by one process and one worker, so there should be at
    least as many shards as processes times workers. A stream has no length: a schedule of the
    learning rate over the whole run needs ``trainer.max_steps``.

    Args:
        shards: Pattern of local Parquet files (``data/train-*.parquet``) or of addresses
            (``hf://datasets/OWNER/NAME/data/train-*.parquet``).
        val: Pattern of Parquet files to validate by.
        test: Pattern of Parquet files to test by; those to validate by when left out.
        predict: Image, folder, pattern, zip file or list of images without labels, or several.
        label_column: Name of the column of labels.
        first_rows: About how many rows give labels and features to begin with.
        buffer: Rows in memory among which the next one is drawn.
        bad_rows: ``stop`` ends the run at the first row that cannot be used and names it; ``skip``
            leaves such rows out and counts them.
        kwargs: Options of :class:`~lit_tasks.data.base.images.ImageDataModule`.
    """

    def __init__(
        self,
        shards: str | None = None,
        val: str | None = None,
        test: str | None = None,
        predict: list[str] | str | None = None,
        label_column: str = "label",
        first_rows: int = 1000,
        buffer: int = 1000,
        bad_rows: BadRows = "stop",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for name, value in (("first_rows", first_rows), ("buffer", buffer)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self.patterns = {"train": shards, "val": val, "test": test or val}
        self.predict = predict
        self.columns = "image", label_column
        self.first_rows, self.buffer, self.bad_rows = first_rows, buffer, bad_rows

    def images(self, split: Split) -> ImageSource:
        """Return the images of a split; of the training images the first ones."""
        if split == "predict":
            if self.predict is None:
                raise ValueError(
                    "this needs images to predict: set data.predict to an image or a folder, for "
                    "example --data.predict=my_images"
                )
            return ImageFiles(images_given(self.predict), max_pixels=self.max_pixels)
        shards, read = self._shards(split), partial(read_shard, columns=self.columns)
        limit = self.first_rows if split == "train" else None
        return kept_images(
            shards,
            read,
            columns=self.columns,
            label=_label,
            limit=limit,
            bad_rows=self.bad_rows,
            cache_dir=self.cache_dir,
            max_pixels=self.max_pixels,
        )

    def train_dataloader(self) -> DataLoader[Any]:
        """Return the training images, in another order each epoch."""
        images = self._transformed("train", augmented=True)
        class_indices = {label: index for index, label in enumerate(self.labels)}
        read = partial(read_shard, columns=self.columns, labels=tuple(self.labels))
        min_side = images.preprocessing.resize
        sample = _Sample(
            images.transform, min_side, class_indices=class_indices, max_pixels=self.max_pixels
        )
        rows = StreamedRows(
            self._shards("train"),
            read,
            buffer=self.buffer,
            seed=self.seed,
            bad_rows=self.bad_rows,
            sample=sample,
        )
        return DataLoader(
            dataset=rows,
            batch_size=self.batch_size,
            collate_fn=_collate,
            num_workers=self.num_workers,
        )

    def _shards(self, split: Split) -> list[str]:
        return find_shards(self.patterns[split], "shards" if split == "train" else split, "images")


def read_shard(
    shard: str, columns: tuple[str, str], labels: tuple[str, ...] = ()
) -> Iterator[Record]:
    """Yield the rows of a shard: ``image`` (bytes), ``label``, ``line`` and ``problem``.

    With ``labels``, another one is a problem.
    """
    image_column, label_column = columns
    records = parquet_records(shard, columns, label_column)
    for line, (record, classes) in enumerate(records, start=1):
        image, problem = image_bytes(record[image_column])
        label = record[label_column]
        if classes and label is not None:
            label = classes[label] if 0 <= label < len(classes) else None
        label = None if label is None else class_name(str(label)) or None
        if label is None:
            problem = problem or f"there is no label, or none of {', '.join(classes) or 'any'}"
        elif labels and label not in labels:
            known = ", ".join(labels)
            problem = problem or f"the label '{label}' is not one of {known}, of the first rows"
        yield {"image": image, "label": str(label), "line": line, "problem": problem}


class _Sample:
    """Makes a tensor of a row's image."""

    def __init__(
        self, transform: Any, min_side: int, class_indices: dict[str, int], max_pixels: int
    ) -> None:
        self.transform, self.min_side, self.class_indices = transform, min_side, class_indices
        self.max_pixels = max_pixels

    def __call__(self, row: Record) -> tuple[Tensor, int, int]:
        content = BytesIO(row["image"])
        image = read_image(content, self.min_side, name="the image", max_pixels=self.max_pixels)
        return self.transform(image), self.class_indices[row["label"]], row["line"] - 1


def _collate(samples: list[tuple[Tensor, int, int]]) -> ImageBatch:
    images, class_indices, lines = zip(*samples, strict=True)
    return ImageBatch(torch.stack(images), torch.tensor(class_indices), torch.tensor(lines))


def _label(row: Record) -> str:
    label: str = row["label"]
    return label
