"""Ants and bees: the 397 images of PyTorch's tutorial on transfer learning."""

from pathlib import Path

from torch import nn

from lit_tasks.data.base.splits import Part
from lit_tasks.data.image_folder import ImageFolderDataModule
from lit_tasks.data.readers.archives import unpack
from lit_tasks.data.readers.download import check_sha256, download
from lit_tasks.data.readers.images import PictureFiles
from lit_tasks.data.readers.opened_images import MAX_PIXELS
from lit_tasks.data.readers.tables import BadRows

URL = "https://download.pytorch.org/tutorial/hymenoptera_data.zip"
MAX_BYTES = 200_000_000
"""Four times what the archive has."""


class HymenopteraDataModule(ImageFolderDataModule):
    """Ants and bees, 244 images to train, 153 to validate; there are no others to test on.

    The archive comes over HTTPS, has at most 200 MB, and appears when all of it is there. Its
    publisher names no checksum: without ``sha256`` the numbers of images are what is checked.

    Args:
        root: Folder with ``train/`` and ``val/``; downloaded to ``download`` when left out.
        download: Folder that the tutorial's archive is unpacked in.
        counts: How many images ``train/`` and ``val/`` must hold; none allows any number.
        predict: Image, folder of images, or CSV file of images without labels.
        bad_images: ``stop`` ends the run at the first file that is no image and names it;
            ``skip`` leaves such files out and counts them.
        batch_size: Images in a batch, over all processes.
        crop: Smallest share of the area that a random crop of a training image keeps; all are cut
            in the middle when left out.
        augment: Transforms of torchvision (v2) for training images, after the crop.
        cache_features: Whether features of a frozen network are computed once.
        cache_dir: Folder of the features; ``lit_tasks/features`` in the user's cache if left out.
        num_workers: Processes that read images.
        max_pixels: Pixels that an image may have: reading takes up to 8 bytes of memory each.
        sha256: Checksum of the archive, where you know it; another one is refused.
    """

    def __init__(
        self,
        root: Path | None = None,
        download: Path = Path("data"),
        counts: tuple[int, int] | None = (244, 153),
        predict: Path | None = None,
        bad_images: BadRows = "stop",
        batch_size: int = 32,
        crop: float | None = None,
        augment: list[nn.Module] | None = None,
        cache_features: bool = True,
        cache_dir: Path | None = None,
        num_workers: int = 0,
        max_pixels: int = MAX_PIXELS,
        sha256: str | None = None,
    ) -> None:
        super().__init__(
            root or Path(download) / "hymenoptera_data",
            predict=predict,
            bad_images=bad_images,
            batch_size=batch_size,
            crop=crop,
            augment=augment,
            cache_features=cache_features,
            cache_dir=cache_dir,
            num_workers=num_workers,
            max_pixels=max_pixels,
        )
        self.save_hyperparameters()
        self.given, self.download = root is not None, Path(download)
        self.sha256 = sha256
        self.counts = None if counts is None else tuple(counts)

    def prepare_data(self) -> None:
        """Download the archive unless a folder was given or is there already."""
        assert self.root is not None
        if self.given or self.root.is_dir():
            return
        archive = self.download / URL.rpartition("/")[2]
        if not archive.is_file():
            try:
                download(URL, archive, MAX_BYTES, self.sha256)
            except ConnectionError as error:
                raise ConnectionError(
                    f"{error}; set data.root to a folder with the tutorial's train/ and val/"
                ) from error
        elif self.sha256 is not None:
            check_sha256(archive, self.sha256, str(archive))
        unpack(archive, self.download)

    def pictures(self, part: Part) -> PictureFiles:
        """Return the pictures of a part, counted."""
        found = super().pictures(part)
        number = {"train": 0, "val": 1}.get(part)
        if number is not None and self.counts and len(found.paths) != self.counts[number]:
            raise ValueError(
                f"{self.root}/{part} should hold {self.counts[number]} images, it holds "
                f"{len(found.paths)}: figures would not be comparable; get the tutorial's archive "
                "again, or set data.counts to null"
            )
        return found
