"""Anyone's own pictures and captions: a table of files and sentences."""

from pathlib import Path

import numpy as np
from lightning.pytorch.utilities import rank_zero_info
from torch import nn

from lit_tasks.data.base.caption_dataset import Captioned, CaptionedFile
from lit_tasks.data.base.captions import CaptionDataModule
from lit_tasks.data.base.splits import SPLITS, Split, held_out_fractions, stratified_parts
from lit_tasks.data.readers.opened_images import MAX_PIXELS
from lit_tasks.data.readers.tables import BadRows, table_rows


class CaptionFilesDataModule(CaptionDataModule):
    """Pictures whose captions stand in a CSV file, one row a caption.

    Rows that name the same file are captions of one picture. A column may say what is for training,
    validation and test; otherwise pictures are held out by seed. Where there is nothing to test on,
    the pictures for validation are taken, and it is said.

    Args:
        table: CSV file with a header line.
        root: Folder of the pictures; that of the table when left out.
        file_column: Column of the files.
        caption_column: Column of the sentences.
        split_column: Column that says ``train``, ``val`` or ``test``.
        val_fraction: Share of the pictures that is held out for validation, without a split column.
        test_fraction: Share that is held out for the test, likewise; 0 takes those for validation.
        bad_images: ``stop`` ends the run at the first picture that is not there, cannot be read
            or has no caption, and names it; ``skip`` leaves such pictures out and counts them.
        batch_size: Samples in a batch, over all processes.
        captions: Sentences to train on, spread over as many pictures as possible by ``seed``; all
            when left out. Words are counted in these only.
        min_count: How often a word must occur in training to be known.
        max_tokens: Words of a training sentence, start and end word included; further ones are cut.
        predict: Image or folder of images; or a part, whose pictures are described.
        validate_on: The part that ``validate`` and the validation within ``fit`` look at.
        train_references: Whether training batches bring all sentences of a picture, as learning
            from CIDEr-D needs.
        crop: Smallest share of the area that a random crop of a training image keeps; all are cut
            in the middle when left out.
        augment: Transforms of torchvision (v2) for training images, after the crop.
        cache_features: Whether features of a frozen network are computed once.
        cache_dir: Folder of the features; ``lit_tasks/features`` in the user's cache if left out.
        features: File of features that take the place of the pictures, ``.npy`` or ``.h5``;
            ``{part}`` in its name stands for train, val, test or predict.
        seed: Decides which pictures are held out, and what ``captions`` chooses.
        num_workers: Processes that read images.
        max_pixels: Pixels that an image may have: reading takes up to 8 bytes of memory each.
    """

    def __init__(
        self,
        table: Path | None = None,
        root: Path | None = None,
        file_column: str = "file",
        caption_column: str = "caption",
        split_column: str | None = None,
        val_fraction: float = 0.1,
        test_fraction: float = 0.0,
        bad_images: BadRows = "stop",
        batch_size: int = 32,
        captions: int | None = None,
        min_count: int = 1,
        max_tokens: int = 22,
        predict: Split | Path | None = None,
        validate_on: Split = "val",
        train_references: bool = False,
        crop: float | None = None,
        augment: list[nn.Module] | None = None,
        cache_features: bool = True,
        cache_dir: Path | None = None,
        features: str | None = None,
        seed: int = 0,
        num_workers: int = 0,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        super().__init__(
            batch_size, captions, min_count, max_tokens, predict, validate_on, train_references,
            crop, augment, cache_features, cache_dir, features, bad_images, seed,
            num_workers, max_pixels,
        )  # fmt: skip
        self.save_hyperparameters()
        self.table = None if table is None else Path(table)
        self.root = None if root is None else Path(root)
        self.columns = (file_column, caption_column, split_column)
        self.fractions = held_out_fractions(val_fraction, test_fraction)
        self._found: dict[str, list[CaptionedFile]] = {}

    def read(self, part: Split) -> Captioned:
        """Return pictures and sentences of a part; without a test, those for validation."""
        if self.table is None:
            raise ValueError(
                "this needs pictures with captions: set data.table to a CSV file with the columns"
                f" {self.columns[0]} and {self.columns[1]}"
            )
        if not self._found:
            self._found = self._split(self.table)
        if part == "test" and not self._found[part]:
            rank_zero_info("There are no test captions: the figures are of the validation images.")
            return self.captioned("val")
        if not self._found[part]:
            raise ValueError(f"{self.table}: column {self.columns[2]} says {part} nowhere")
        return self.usable(self._found[part])

    def _split(self, table: Path) -> dict[str, list[CaptionedFile]]:
        images, splits = read_captions(table, self.root, *self.columns)
        if self.columns[2] is None:
            fractions = [share for share in self.fractions if share > 0]
            places = np.arange(len(images))
            rows = stratified_parts(np.zeros_like(places), places, fractions, self.seed)
            for name, part in zip(SPLITS, rows, strict=False):
                for row in part.tolist():
                    splits[row] = name
        return {
            name: [image for image, split in zip(images, splits, strict=True) if split == name]
            for name in SPLITS
        }


def read_captions(
    table: Path,
    root: Path | None,
    file_column: str,
    caption_column: str,
    split_column: str | None,
) -> tuple[list[CaptionedFile], list[str]]:
    """Return pictures with their sentences, and the split of each, in the order of the file.

    Raises:
        FileNotFoundError: There is no such table.
        ValueError: A column is missing, a row is empty or names another split than before.
    """
    found: dict[str, CaptionedFile] = {}
    splits: dict[str, str] = {}
    for where, row in table_rows(table, (file_column, caption_column, split_column)):
        name, split = row[file_column].strip(), row[split_column] if split_column else ""
        if split_column and split not in SPLITS:
            raise ValueError(f"{where}: {split_column} must be train, val or test, got {split!r}")
        if splits.setdefault(name, split) != split:
            raise ValueError(f"{where}: {name} is for {split} here and {splits[name]} before")
        place = (root or table.parent) / name
        described = found.setdefault(name, CaptionedFile(name, place, []))
        described.sentences.append(" ".join(row[caption_column].split()))
    if not found:
        raise ValueError(f"{table} has no rows; give a table with captions")
    return list(found.values()), [splits[name] for name in found]
