"""COCO's captions, and any set in the same layout: Flickr8k, Flickr30k, your own."""

from pathlib import Path
from typing import Any

from lightning.pytorch.utilities import rank_zero_info

from lit_tasks.data.base.caption_dataset import CaptionedImages
from lit_tasks.data.base.captioned_files import CaptionedFilesDataModule
from lit_tasks.data.readers.caption_records import CaptionRecord
from lit_tasks.data.readers.coco import read_coco, read_karpathy
from lit_tasks.files import not_there
from lit_tasks.protocols import LabeledSplit


class CocoCaptionsDataModule(CaptionedFilesDataModule):
    """Images with about five sentences each, in COCO's official layout or Karpathy's split.

    ``root`` holds ``annotations/captions_train2017.json`` and ``captions_val2017.json`` and the
    folders ``train2017/`` and ``val2017/``, or those of another year. With ``split`` a file like
    ``dataset_coco.json`` says what is for training, validation and test. Where there is nothing to
    test on, the images for validation are taken, and it is said.

    Args:
        root: Folder of annotations and images.
        split: Karpathy's file, relative to ``root`` or to where the command is given.
        year: Year in the names of files and folders; the only one there is when left out.
        images: Folder of the images, relative to ``root`` or to where the command is given;
            ``{split}`` in its name stands for train, val or test. Those of COCO when left out.
        kwargs: Options of
            :class:`~lit_tasks.data.base.captioned_files.CaptionedFilesDataModule`.
    """

    def __init__(
        self,
        root: Path | None = None,
        split: Path | None = None,
        year: str | None = None,
        images: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.root = None if root is None else Path(root)
        self.split = None if split is None else Path(split)
        self.year, self.images = year, images
        self._karpathy: dict[str, list[CaptionRecord]] = {}

    def read(self, split: LabeledSplit) -> CaptionedImages:
        """Return images and sentences of a split; without a test, those for validation."""
        if self.root is None:
            raise ValueError(
                "this needs images with captions: set data.root to a folder with annotations/"
                " and the folders of the images, for example --data.root=coco"
            )
        if not self.root.is_dir():
            raise not_there(self.root, f"there is no folder {self.root}; set data.root to one")
        if self.split is not None:
            return self.usable(self._of_split(self.root, self.split, split))
        path = self._annotations(self.root, split)
        if path is None:
            rank_zero_info(
                "There are no test captions: metrics are computed on the validation images."
            )
            return self.captioned("val")
        folder = self._images(self.root, split) or self.root / path.stem.removeprefix("captions_")
        with self.empty_captions() as left_out:
            images = read_coco(path, folder, left_out)
        return self.usable(images)

    def _of_split(self, root: Path, file: Path, split: LabeledSplit) -> list[CaptionRecord]:
        if not self._karpathy:
            inside = root / file
            folder = self._images(root, split) or root
            with self.empty_captions() as left_out:
                path = inside if inside.is_file() else file
                self._karpathy = read_karpathy(path, folder, left_out)
        if not self._karpathy[split]:
            raise ValueError(f"{file} has no images for {split}; give another split")
        return self._karpathy[split]

    def _images(self, root: Path, split: LabeledSplit) -> Path | None:
        """Return the folder of images that was asked for."""
        if self.images is None:
            return None
        if self.split is not None and "{split}" in self.images:
            raise ValueError(
                "data.images must be one folder where Karpathy's file says the splits, got"
                f" {self.images!r}"
            )
        named = Path(self.images.replace("{split}", split))
        inside = root / named
        if not inside.is_dir() and not named.is_dir():
            raise not_there(named, f"there is no folder {inside}; set data.images to one")
        return inside if inside.is_dir() else named

    def _annotations(self, root: Path, split: LabeledSplit) -> Path | None:
        pattern = f"captions_{split}{self.year or '*'}.json"
        found = sorted((root / "annotations").glob(pattern))
        if len(found) > 1:
            names = ", ".join(path.name for path in found)
            raise ValueError(f"{root}/annotations has {names}: set data.year to choose one")
        if not found and split != "test":
            raise FileNotFoundError(
                f"there is no {root}/annotations/{pattern}; data.root should be a folder in COCO's"
                " layout, or set data.split to Karpathy's file"
            )
        return found[0] if found else None
