"""Images that stream from Parquet shards, for sets that do not fit a disk."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lit_tasks.batch import ImageBatch
from lit_tasks.data.images import ImageDataModule, Part
from lit_tasks.data.parquet import parquet_records
from lit_tasks.data.pictures import PictureFiles, Pictures, files_below, read_picture, readable
from lit_tasks.data.streams import (
    BadRows,
    Record,
    StreamedRows,
    all_rows,
    find_shards,
    first_rows,
    usable,
    versions,
)
from lit_tasks.data.text_cache import cached_rows, fingerprint

if TYPE_CHECKING:
    import datasets

_COLUMNS = {"image": "binary", "label": "string", "name": "string"}


@dataclass(frozen=True)
class PictureRows:
    """Pictures in rows of Parquet files, kept as one memory-mapped Arrow file.

    Attributes:
        rows: Columns ``image`` (the bytes of a file), ``label`` and ``name``.
    """

    rows: "datasets.Dataset"

    @cached_property
    def names(self) -> Sequence[str]:
        """File and row of each."""
        names: list[str] = self.rows.data["name"].to_pylist()
        return names

    @cached_property
    def labels(self) -> Sequence[str]:
        """The class of each."""
        labels: list[str] = self.rows.data["label"].to_pylist()
        return labels

    def read(self, number: int, least: int | None = None) -> Image.Image:
        """Return a picture in red, green and blue; ``least`` pixels a side will do."""
        return read_picture(BytesIO(self.rows[number]["image"]), least, self.names[number])

    def digest(self) -> str:
        """Return a fingerprint of all pictures in their order."""
        total = hashlib.sha256()
        for row in self.rows:
            total.update(hashlib.sha256(row["image"]).digest())
        return total.hexdigest()


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
        predict: Image or folder of images without labels.
        image_column: Name of the column of images.
        label_column: Name of the column of labels.
        first_rows: About how many rows give labels and features to begin with.
        buffer: Rows in memory among which the next one is drawn.
        bad_rows: ``stop`` ends the run at the first row that cannot be used and names it; ``skip``
            leaves such rows out and counts them.
        batch_size: Images in a batch, over all processes.
        crop: Smallest share of the area that a random crop of a training image keeps; all are cut
            in the middle when left out.
        augment: Transforms of torchvision (v2) for training images, after the crop.
        cache_features: Whether features of a frozen network are computed once, to validate.
        cache_dir: Folder of the features; ``lit_tasks/features`` in the user's cache if left out.
        seed: Decides the order.
        num_workers: Processes that read images.
    """

    def __init__(
        self,
        shards: str | None = None,
        val: str | None = None,
        test: str | None = None,
        predict: Path | None = None,
        image_column: str = "image",
        label_column: str = "label",
        first_rows: int = 1000,
        buffer: int = 1000,
        bad_rows: BadRows = "stop",
        batch_size: int = 32,
        crop: float | None = None,
        augment: list[nn.Module] | None = None,
        cache_features: bool = True,
        cache_dir: Path | None = None,
        seed: int = 0,
        num_workers: int = 0,
    ) -> None:
        super().__init__(batch_size, crop, augment, cache_features, cache_dir, seed, num_workers)
        self.save_hyperparameters()
        for name, value in (("first_rows", first_rows), ("buffer", buffer)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self.patterns = {"train": shards, "val": val, "test": test or val}
        self.predict = None if predict is None else Path(predict)
        self.columns = image_column, label_column
        self.first_rows, self.buffer, self.bad_rows = first_rows, buffer, bad_rows

    def pictures(self, part: Part) -> Pictures:
        """Return the pictures of a part; of the training images the first ones."""
        if part == "predict":
            if self.predict is None:
                raise ValueError(
                    "this needs images to predict: set data.predict to an image or a folder, for "
                    "example --data.predict=my_images"
                )
            return PictureFiles(files_below(self.predict))
        shards, read = self._shards(part), partial(read_shard, columns=self.columns)
        rows = partial(all_rows, shards, read)
        if part == "train":
            rows = partial(first_rows, shards, read, self.first_rows)
        few = self.first_rows if part == "train" else None
        key = fingerprint("images", versions(shards), self.columns, few, self.bad_rows)
        make = partial(_kept_rows, rows, self.bad_rows)
        return PictureRows(
            cached_rows(make, key, self.cache_dir, str(self.patterns[part]), _COLUMNS)
        )

    def train_dataloader(self) -> DataLoader[Any]:
        """Return the training images, in another order each epoch."""
        pictures = self._transformed("train", augmented=True)
        numbers = {label: number for number, label in enumerate(self.labels)}
        read = partial(read_shard, columns=self.columns, labels=tuple(self.labels))
        sample = _Sample(pictures.transform, pictures.preprocessing.resize, numbers)
        rows = StreamedRows(
            self._shards("train"), read, self.buffer, self.seed, self.bad_rows, sample
        )
        return DataLoader(
            dataset=rows,
            batch_size=self.batch_size,
            collate_fn=_collate,
            num_workers=self.num_workers,
        )

    def _shards(self, part: Part) -> list[str]:
        pattern = self.patterns[part]
        if pattern is None:
            name = "shards" if part == "train" else part
            raise ValueError(
                f"this needs images: set data.{name} to a pattern of Parquet files, for example "
                f"--data.{name}='data/{part}-*.parquet'"
            )
        return find_shards(pattern)


def read_shard(
    shard: str, columns: tuple[str, str], labels: tuple[str, ...] = ()
) -> Iterator[Record]:
    """Yield the rows of a shard: ``image`` (bytes), ``label``, ``line`` and ``problem``.

    With ``labels``, another one is a problem.
    """
    image_column, label_column = columns
    records = parquet_records(shard, columns, label_column)
    for line, (record, classes) in enumerate(records, start=1):
        image, label = record[image_column], record[label_column]
        image = image.get("bytes") if isinstance(image, dict) else image
        problem = "" if image and isinstance(image, bytes) else "there are no bytes of an image"
        if classes and label is not None:
            label = classes[label] if 0 <= label < len(classes) else None
        if label is None:
            problem = problem or f"there is no label, or none of {', '.join(classes) or 'any'}"
        elif labels and str(label) not in labels:
            known = ", ".join(labels)
            problem = problem or f"the label '{label}' is not one of {known}, of the first rows"
        yield {"image": image, "label": str(label), "line": line, "problem": problem}


class _Sample:
    """Makes a tensor of a row's image."""

    def __init__(self, transform: Any, least: int, numbers: dict[str, int]) -> None:
        self.transform, self.least, self.numbers = transform, least, numbers

    def __call__(self, row: Record) -> tuple[Tensor, int, int]:
        picture = read_picture(BytesIO(row["image"]), self.least, "the image")
        return self.transform(picture), self.numbers[row["label"]], row["line"] - 1


def _collate(samples: list[tuple[Tensor, int, int]]) -> ImageBatch:
    images, numbers, lines = zip(*samples, strict=True)
    return ImageBatch(torch.stack(images), torch.tensor(numbers), torch.tensor(lines))


def _picture(row: Record) -> Record:
    """Return a row to keep; its image has at least the header of one."""
    if not readable([BytesIO(row["image"])], whole=True)[0]:
        raise ValueError("the image is no picture that can be read")
    name = f"{row['shard']}, row {row['line']}"
    return {"image": row["image"], "label": row["label"], "name": name}


def _kept_rows(make: Callable[[], Iterator[Record]], bad_rows: BadRows) -> Iterator[Record]:
    return usable(make(), bad_rows, _picture)
