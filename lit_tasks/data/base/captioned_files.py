"""What data modules share whose captions name image files: bad files, features from a file."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from lightning.pytorch.utilities import rank_zero_info

from lit_tasks.data.base.caption_dataset import CaptionedImages, chosen, usable
from lit_tasks.data.base.captions import CaptionDataModule
from lit_tasks.data.base.image_files import rows_of_images
from lit_tasks.data.base.splits import LABELED_SPLITS
from lit_tasks.data.readers.caption_records import CaptionRecord, EmptyCaptions
from lit_tasks.data.readers.images import ImageFiles, reasons
from lit_tasks.data.readers.tables import BadRows


class CaptionedFilesDataModule(CaptionDataModule):
    """Image files with captions; a subclass reads the list of them.

    Args:
        bad_images: ``stop`` ends the run at the first image that is not there, cannot be read
            or has no caption, and at the first empty caption, and names it; ``skip`` leaves such
            images and captions out and counts them.
        features: File of features that take the place of the images, ``.npy`` or ``.h5``, or a
            folder with an ``.npy`` or ``.npz`` for each image; ``{split}`` in its name stands for
            train, val, test or predict.
        kwargs: Options of :class:`~lit_tasks.data.base.captions.CaptionDataModule`.
    """

    def __init__(
        self, bad_images: BadRows = "stop", features: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.bad_images, self.feature_file = bad_images, features

    def _to_predict(self) -> CaptionedImages:
        found = super()._to_predict()
        if not isinstance(found.images, ImageFiles) or self.predict in LABELED_SPLITS:
            return found
        skip, files = self.bad_images == "skip", found.images.paths
        if self.feature_file is not None:
            return found
        why = reasons(files, skip, self.max_pixels)
        rows = rows_of_images(files, why, skip=skip, source="data.predict")
        if len(rows) == len(files):
            return found
        ids = [found.ids[row] for row in rows]
        return replace(found, images=chosen(found.images, rows), ids=ids)

    @contextmanager
    def empty_captions(self) -> Iterator[EmptyCaptions]:
        """Give what a reader hands empty captions to, and say at the end how many there were."""
        left_out = EmptyCaptions(self.bad_images == "skip")
        yield left_out
        if left_out.count:
            rank_zero_info(left_out.told())

    def usable(self, images: Sequence[CaptionRecord]) -> CaptionedImages:
        """Return what has an image, where one is needed, and a caption."""
        return usable(
            images,
            skip=self.bad_images == "skip",
            need_images=self.feature_file is None,
            max_pixels=self.max_pixels,
        )
