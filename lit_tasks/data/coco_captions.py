"""COCO's captions, and any set in the same layout: Flickr8k, Flickr30k, your own."""

from pathlib import Path

from lightning.pytorch.utilities import rank_zero_info
from torch import nn

from lit_tasks.data.base.caption_dataset import Captioned, CaptionedFile
from lit_tasks.data.base.captions import CaptionDataModule
from lit_tasks.data.base.splits import Split
from lit_tasks.data.readers.coco import read_coco, read_karpathy
from lit_tasks.data.readers.opened_images import MAX_PIXELS
from lit_tasks.data.readers.tables import BadRows


class CocoCaptionsDataModule(CaptionDataModule):
    """Pictures with about five sentences each, in COCO's official layout or Karpathy's split.

    ``root`` holds ``annotations/captions_train2017.json`` and ``captions_val2017.json`` and the
    folders ``train2017/`` and ``val2017/``, or those of another year. With ``split`` a file like
    ``dataset_coco.json`` says what is for training, validation and test. Where there is nothing to
    test on, the pictures for validation are taken, and it is said.

    Args:
        root: Folder of annotations and pictures.
        split: Karpathy's file, relative to ``root`` or to where the command is given.
        year: Year in the names of files and folders; the only one there is when left out.
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
        seed: Decides what ``captions`` chooses.
        num_workers: Processes that read images.
        max_pixels: Pixels that an image may have: reading takes up to 8 bytes of memory each.
    """

    def __init__(
        self,
        root: Path | None = None,
        split: Path | None = None,
        year: str | None = None,
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
        self.root = None if root is None else Path(root)
        self.split = None if split is None else Path(split)
        self.year = year
        self._karpathy: dict[str, list[CaptionedFile]] = {}

    def read(self, part: Split) -> Captioned:
        """Return pictures and sentences of a part; without a test, those for validation."""
        if self.root is None:
            raise ValueError(
                "this needs pictures with captions: set data.root to a folder with annotations/"
                " and the folders of the pictures, for example --data.root=coco"
            )
        if not self.root.is_dir():
            raise FileNotFoundError(f"there is no folder {self.root}; set data.root to one")
        if self.split is not None:
            return self.usable(self._of_split(self.root, self.split, part))
        path = self._annotations(self.root, part)
        if path is None:
            rank_zero_info("There are no test captions: the figures are of the validation images.")
            return self.captioned("val")
        folder = self.root / path.stem.removeprefix("captions_")
        return self.usable(read_coco(path, folder))

    def _of_split(self, root: Path, split: Path, part: Split) -> list[CaptionedFile]:
        if not self._karpathy:
            inside = root / split
            self._karpathy = read_karpathy(inside if inside.is_file() else split, root)
        if not self._karpathy[part]:
            raise ValueError(f"{split} has no images for {part}; give another split")
        return self._karpathy[part]

    def _annotations(self, root: Path, part: Split) -> Path | None:
        pattern = f"captions_{part}{self.year or '*'}.json"
        found = sorted((root / "annotations").glob(pattern))
        if len(found) > 1:
            names = ", ".join(path.name for path in found)
            raise ValueError(f"{root}/annotations has {names}: set data.year to choose one")
        if not found and part != "test":
            raise FileNotFoundError(
                f"there is no {root}/annotations/{pattern}; data.root should be a folder in COCO's"
                " layout, or set data.split to Karpathy's file"
            )
        return found[0] if found else None
