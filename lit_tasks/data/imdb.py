"""The Large Movie Review Dataset (Maas et al., 2011): 25,000 reviews to train, 25,000 to test."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from lit_tasks.data.base.text import TextDataModule
from lit_tasks.data.base.text_source import Source
from lit_tasks.data.cache.datasets_internals import content_key
from lit_tasks.data.cache.rows import cached_rows, digest, fingerprint
from lit_tasks.data.readers.text_files import Columns, read_rows
from lit_tasks.data.readers.text_folders import read_folders
from lit_tasks.data.readers.text_rows import Row, labeled_row
from lit_tasks.data.text_files import texts_to_predict
from lit_tasks.files import not_there
from lit_tasks.protocols import Split
from lit_tasks.text.encoding import TextOptions

HUB_ID = "stanfordnlp/imdb"
_LABELS = ("neg", "pos")


def _block(rows: int) -> int:
    """Return how many neighbors are held out together: 100 of 25,000 reviews."""
    return max(1, rows // 250)


class ImdbDataModule(TextDataModule):
    """IMDB reviews with the official test split and a validation split held out of training.

    ``<br />`` is a line break here, never words. The set's reviews stand in the order of their ids,
    where reviews of one film are neighbors: one in five shares a rare name with the next review,
    one in a thousand with the fiftieth. Validation is therefore made of blocks of neighbors, so
    that it has films of its own, as the test split does; reviews drawn one by one would promise
    up to two per cent more accuracy than the test split keeps. The hub's copy stands in another
    order, where blocks are as good as single reviews. Repeats stay on one side of the split.

    Args:
        path: Folder with ``train-*.parquet`` and ``test-*.parquet``, or the original ``aclImdb``
            folder; the Hugging Face hub (``stanfordnlp/imdb``) when left out.
        predict: Texts of your own to predict, in any format ``TextFilesDataModule`` reads.
        text: How texts become token ids.
        text_column: Column of the texts in ``predict``, where it has columns.
        id_column: Column that identifies a text in the predictions.
        val_fraction: Fraction of the training split that is held out.
        kwargs: Options of :class:`~lit_tasks.data.base.text.TextDataModule`.
    """

    def __init__(
        self,
        path: Path | None = None,
        predict: Path | None = None,
        text: TextOptions = TextOptions(markup=True),  # noqa: B008 (frozen)
        text_column: str = "text",
        id_column: str | None = None,
        val_fraction: float = 0.1,
        **kwargs: Any,
    ) -> None:
        text = replace(text, markup=True)
        super().__init__(text=text, **kwargs)
        if not 0 < val_fraction < 1:
            raise ValueError(f"val_fraction must be between 0 and 1, got {val_fraction}")
        self.path = None if path is None else Path(path)
        self.predict = None if predict is None else Path(predict)
        self.columns = Columns(text_column, "label", id=id_column, table=self.table)
        self.val_fraction = val_fraction

    def source(self, split: Split) -> Source:
        """Return the rows of a split; validation is held out of the official training split."""
        if split == "predict":
            return texts_to_predict(self.predict, self.columns, self.cache_dir)
        source = self._official("test" if split == "test" else "train")
        if split == "test":
            return source
        rest = [1 - self.val_fraction, self.val_fraction]
        train, val = self.splits_of(source.data, rest, _block(len(source.data)))
        return Source(source.data, source.name, train if split == "train" else val)

    def _official(self, split: str) -> Source:
        if self.path is None:
            return _from_hub(split, self.cache_dir)
        if not self.path.is_dir():
            raise not_there(
                self.path,
                f"there is no folder {self.path}; set data.path to a folder with train-*.parquet "
                f"and test-*.parquet or to aclImdb, or leave it out to load {HUB_ID} from the hub",
            )
        files = sorted(self.path.glob(f"{split}-*.parquet"))
        if files:
            key = fingerprint("imdb", digest(files))
            name = str(files[0])
            return Source(
                cached_rows(partial(_parquet, files), key, cache_dir=self.cache_dir, name=name),
                name,
            )
        folder = self.path / split
        if all((folder / label).is_dir() for label in _LABELS):
            key = fingerprint("aclImdb by number", digest(sorted(folder.glob("*/*.txt"))))
            make = partial(read_folders, folder, _LABELS)
            return Source(
                cached_rows(make, key, cache_dir=self.cache_dir, name=str(folder)), str(folder)
            )
        raise FileNotFoundError(
            f"{self.path} has neither {split}-*.parquet nor the folders {split}/neg and "
            f"{split}/pos; set data.path to a copy of {HUB_ID} or of aclImdb"
        )


def _parquet(files: list[Path]) -> Iterator[Row]:
    return chain.from_iterable(read_rows(file, "parquet", Columns()) for file in files)


def _from_hub(split: str, cache_dir: Path | None) -> Source:
    """Return a split of the hub's copy, downloaded once."""
    import datasets

    cache = None if cache_dir is None else str(cache_dir)
    try:
        data = datasets.load_dataset(HUB_ID, split=split, cache_dir=cache)
    except (ConnectionError, OSError) as error:
        raise ConnectionError(
            f"{HUB_ID} could not be loaded from the Hugging Face hub ({error}); "
            "set data.path to a local copy"
        ) from error
    make = partial(_hub_rows, data)
    key = content_key(data)
    return Source(cached_rows(make, key, cache_dir=cache_dir, name=HUB_ID), HUB_ID)


def _hub_rows(data: "datasets.Dataset") -> Iterator[Row]:  # type: ignore[name-defined] # noqa: F821
    for line, record in enumerate(data, start=1):
        yield labeled_row(record["text"], _LABELS[record["label"]], id="", line=line)
