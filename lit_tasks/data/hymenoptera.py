"""Ants and bees: the 397 images of PyTorch's tutorial on transfer learning."""

from pathlib import Path
from typing import Any

from lightning.pytorch.utilities import rank_zero_info

from lit_tasks.data.base.image_files import ImageFilesDataModule, read_classes
from lit_tasks.data.readers.archives import unpack
from lit_tasks.data.readers.download import check_sha256, download
from lit_tasks.data.readers.images import ImageFiles
from lit_tasks.files import not_there
from lit_tasks.protocols import Split

URL = "https://download.pytorch.org/tutorial/hymenoptera_data.zip"
MAX_BYTES = 200_000_000
"""Four times what the archive has."""


class HymenopteraDataModule(ImageFilesDataModule):
    """Ants and bees, 244 images to train, 153 to validate; there are no others to test on.

    The archive comes over HTTPS, has at most 200 MB, and appears when all of it is there. Its
    publisher names no checksum: without ``sha256`` the numbers of images are what is checked.

    Args:
        root: Folder with ``train/`` and ``val/``; downloaded to ``download`` when left out.
        download: Folder that the tutorial's archive is unpacked in.
        counts: How many images ``train/`` and ``val/`` must hold; none allows any number.
        sha256: Checksum of the archive, where you know it; another one is refused.
        kwargs: Options of :class:`~lit_tasks.data.base.image_files.ImageFilesDataModule`.
    """

    def __init__(
        self,
        root: Path | None = None,
        download: Path = Path("data"),
        counts: tuple[int, int] | None = (244, 153),
        sha256: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.root = Path(root or Path(download) / "hymenoptera_data")
        self.given, self.download = root is not None, Path(download)
        self.sha256 = sha256
        self.counts = None if counts is None else tuple(counts)

    def prepare_data(self) -> None:
        """Download the archive unless a folder was given or is there already."""
        if self.given or self.root.is_dir():
            return
        archive = self.download / URL.rpartition("/")[2]
        if not archive.is_file():
            try:
                download(URL, archive, max_bytes=MAX_BYTES, sha256=self.sha256)
            except ConnectionError as error:
                raise ConnectionError(
                    f"{error}; set data.root to a folder with the tutorial's train/ and val/"
                ) from error
        elif self.sha256 is not None:
            check_sha256(archive, self.sha256, str(archive))
        unpack(archive, self.download)

    def images(self, split: Split) -> ImageFiles:
        """Return the images of a split, counted."""
        if split == "predict":
            return self.to_predict(file_column="file")
        if split == "test" and not (self.root / split).is_dir():
            rank_zero_info(
                "There are no test images: metrics are computed on the validation images."
            )
            split = "val"
        folder = self.root / split
        if not folder.is_dir():
            raise not_there(
                self.root, f"there is no folder {folder}; set data.root to one with train/ and val/"
            )
        found = self.files(*self.usable(*read_classes(folder)))
        number = {"train": 0, "val": 1}.get(split)
        if number is not None and self.counts and len(found.paths) != self.counts[number]:
            raise ValueError(
                f"{self.root}/{split} should hold {self.counts[number]} images, it holds "
                f"{len(found.paths)}: metrics would not be comparable; get the tutorial's archive "
                "again, or set data.counts to null"
            )
        return found
