"""Anyone's own texts: labelled lines, CSV, TSV, JSON Lines, parquet or plain text."""

from functools import partial
from pathlib import Path

from lit_tasks.data.base.splits import Part
from lit_tasks.data.base.text import Source, TextDataModule
from lit_tasks.data.cache.rows import cached_rows, digest, fingerprint
from lit_tasks.data.readers.tables import BadRows
from lit_tasks.data.readers.text_files import Columns, Format, format_of, read_rows
from lit_tasks.text.encoding import TextOptions


class TextFilesDataModule(TextDataModule):
    """Texts in files, one text a row.

    Files that end in ``.txt`` hold a label, a space and the text on each line, and the text alone
    where labels are not wanted (``predict``); ``.csv``, ``.tsv``, ``.jsonl`` and ``.parquet`` hold
    named columns.

    Args:
        train: Labelled texts to learn from.
        val: Labelled texts to choose by; a stratified part of ``train`` when left out.
        test: Labelled texts to judge by.
        predict: Texts without labels.
        text: How texts become word numbers.
        format: Format of all files; told by the end of each name when left out.
        text_column: Name of the column of texts.
        label_column: Name of the column of labels.
        id_column: Name of the column that identifies a text in the predictions; its row, counted
            from 0, when left out.
        val_fraction: Share of ``train`` that is held out where ``val`` is left out.
        batch_size: Texts in a batch, over all processes.
        length_buckets: Whether training batches hold texts of about the same length.
        bad_rows: ``stop`` ends the run at the first row that cannot be used and names it; ``skip``
            leaves such rows out and counts them.
        seed: Decides which rows are held out, and the order of length buckets.
        num_workers: Processes that prepare batches; 0 is fastest for texts that fit in memory.
        cache_dir: Folder of the Arrow files; the usual cache of ``datasets`` when left out.
    """

    def __init__(
        self,
        train: Path | None = None,
        val: Path | None = None,
        test: Path | None = None,
        predict: Path | None = None,
        text: TextOptions = TextOptions(),  # noqa: B008 (frozen)
        format: Format | None = None,
        text_column: str = "text",
        label_column: str = "label",
        id_column: str | None = None,
        val_fraction: float = 0.1,
        batch_size: int = 64,
        length_buckets: bool = False,
        bad_rows: BadRows = "stop",
        seed: int = 0,
        num_workers: int = 0,
        cache_dir: Path | None = None,
    ) -> None:
        super().__init__(text, batch_size, length_buckets, bad_rows, seed, num_workers, cache_dir)
        self.save_hyperparameters()
        if not 0 < val_fraction < 1:
            raise ValueError(f"val_fraction must be between 0 and 1, got {val_fraction}")
        paths: dict[Part, Path | None] = {
            "train": train,
            "val": val,
            "test": test,
            "predict": predict,
        }
        self.test_example = None if test else "my_texts.csv"  #: What the end of a fit proposes.
        self.paths = {part: Path(path) for part, path in paths.items() if path is not None}
        self.format = format
        self.columns = Columns(text_column, label_column, id_column)
        self.val_fraction = val_fraction

    def source(self, part: Part) -> Source:
        """Return the rows of a part's file; without a file for validation, a part of training."""
        held_out = "val" not in self.paths and part in ("train", "val")
        name: Part = "train" if held_out else part
        if name not in self.paths:
            raise ValueError(
                f"this needs a file of texts to {_PURPOSE[name]}: set data.{name}, "
                f"for example --data.{name}=my_texts.csv"
            )
        source = file_source(self.paths[name], self.format, self.columns, part, self.cache_dir)
        if not held_out:
            return source
        rest = [1 - self.val_fraction, self.val_fraction]
        train, val = self.parts_of(source.data, rest)
        return Source(source.data, source.name, train if part == "train" else val)


_PURPOSE = {
    "train": "learn from",
    "val": "validate on",
    "test": "test on",
    "predict": "predict",
}


def file_source(
    path: Path, format: Format | None, columns: Columns, part: Part, cache_dir: Path | None
) -> Source:
    """Return the rows of a file; for ``predict`` no labels are read."""
    if part == "predict":
        columns = Columns(columns.text, None, columns.id)
    found = format_of(path, format)
    key = fingerprint(digest([path]), found, vars(columns))
    make = partial(read_rows, path, found, columns)
    return Source(cached_rows(make, key, cache_dir, str(path)), str(path))


def texts_to_predict(path: Path | None, columns: Columns, cache_dir: Path | None) -> Source:
    """Return the rows of the file to predict, in any format.

    Raises:
        ValueError: None was given.
    """
    if path is None:
        raise ValueError(
            "this needs a file of texts to predict: set data.predict, for example "
            "--data.predict=my_texts.csv"
        )
    return file_source(path, None, columns, "predict", cache_dir)
