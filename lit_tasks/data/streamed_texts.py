"""Texts that stream from Parquet shards, for sets that do not fit a memory or a disk."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from lit_tasks.batch import TextBatch
from lit_tasks.data.base.given_texts import encoded_batch
from lit_tasks.data.base.labels import label_tensor
from lit_tasks.data.base.text import TextDataModule
from lit_tasks.data.base.text_source import Source
from lit_tasks.data.base.text_vocabulary import tell_truncated
from lit_tasks.data.cache.rows import cached_rows, fingerprint
from lit_tasks.data.cache.token_ids import words_of
from lit_tasks.data.readers.label_lists import check_separator, labels_of
from lit_tasks.data.readers.streams import Record, StreamedRows, find_shards, rows_of, versions
from lit_tasks.data.readers.text_files import Columns, Format, read_rows
from lit_tasks.data.text_files import file_source, given_paths, path_of
from lit_tasks.protocols import Split
from lit_tasks.text.encoding import TextOptions
from lit_tasks.text.vocabulary import Vocabulary


class StreamedTextsDataModule(TextDataModule):
    """Training texts from Parquet shards, local or on the Hugging Face hub, read as they come.

    Labels and vocabulary are taken from the beginning of every shard (``first_rows``), and every
    shard is read by one process and one worker, so there should be at least as many shards as
    processes times workers. Texts to validate, test and predict are files as in
    :class:`~lit_tasks.data.text_files.TextFilesDataModule`. A stream has no length: a
    schedule of the learning rate over the whole run needs ``trainer.max_steps``.

    Args:
        shards: Pattern of local Parquet files (``data/train-*.parquet``) or of addresses
            (``hf://datasets/OWNER/NAME/data/train-*.parquet``).
        val: Labeled texts to choose by.
        test: Labeled texts to judge by.
        predict: Texts without labels.
        format: Format of the files to validate, test and predict; inferred from each suffix
            when left out.
        text_column: Name of the column of texts.
        label_column: Name of the column of labels.
        id_column: Name of the column that identifies a text in the predictions.
        first_rows: About how many rows give labels and vocabulary.
        buffer: Rows in memory among which the next one is drawn.
        multi_label: Whether a text may have several labels, or none, in a list.
        label_separator: What stands between the labels of a text in files with columns, and in the
            predictions.
        kwargs: Options of :class:`~lit_tasks.data.base.text.TextDataModule`.
    """

    def __init__(
        self,
        shards: str | None = None,
        val: Path | None = None,
        test: Path | None = None,
        predict: Path | None = None,
        format: Format | None = None,
        text_column: str = "text",
        label_column: str = "label",
        id_column: str | None = None,
        first_rows: int = 50_000,
        buffer: int = 10_000,
        multi_label: bool = False,
        label_separator: str = ",",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_separator(label_separator)
        self.multi_label, self.label_separator = multi_label, label_separator
        if self.length_buckets:
            raise ValueError("length_buckets needs all texts at hand, a stream has a few at a time")
        for name, value in (("first_rows", first_rows), ("buffer", buffer)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self.paths = given_paths(val=val, test=test, predict=predict)
        self.format = format
        separator = label_separator if multi_label else None
        self.columns = Columns(
            text_column, label_column, id=id_column, table=self.table, separator=separator
        )
        self.test_example = None if test else "my_texts.csv"  #: What the end of a fit proposes.
        self.shards, self.first_rows, self.buffer = shards, first_rows, buffer

    def source(self, split: Split) -> Source:
        """Return the rows of a split; of the training texts only those that teach words."""
        if split == "val" and "val" not in self.paths:
            raise ValueError(
                "a stream has no automatic validation split: set data.val to a file of texts to"
                " validate on, for example --data.val=val.parquet"
            )
        if split != "train":
            path = path_of(self.paths, split)
            return file_source(
                path, self.format, columns=self.columns, split=split, cache_dir=self.cache_dir
            )
        shards = self._shards()
        read = partial(read_shard, columns=self.columns)
        key = fingerprint("first rows", versions(shards), self.first_rows, vars(self.columns))
        make = partial(_without_shard, partial(rows_of, shards, read, limit=self.first_rows))
        return Source(
            cached_rows(make, key, cache_dir=self.cache_dir, name=str(self.shards)),
            str(self.shards),
        )

    def setup(self, stage: str) -> None:
        """Take labels and vocabulary, from a checkpoint or first rows; read the other splits."""
        if stage == "fit":
            self._known()
            self._set("val")
        else:
            super().setup(stage)

    def train_dataloader(self) -> DataLoader[TextBatch]:
        """Return the training texts, in another order each epoch."""
        read = partial(read_shard, columns=self.columns, labels=tuple(self.labels))
        if self.text.max_length is not None:
            first = self.source("train")
            words = words_of(first.data, self.text.tokenizer)
            tell_truncated(words, first.rows, self.text, what="first rows of train")
        rows = StreamedRows(
            self._shards(), read, buffer=self.buffer, seed=self.seed, bad_rows=self.bad_rows
        )
        return DataLoader(
            dataset=rows,
            batch_size=self.batch_size,
            collate_fn=_Encode(
                self._known(), self.text, labels=self.labels, separator=self.columns.separator
            ),
            num_workers=self.num_workers,
        )

    def _shards(self) -> list[str]:
        return find_shards(self.shards, "shards", "texts to learn from")


def read_shard(shard: str, columns: Columns, labels: tuple[str, ...] = ()) -> Iterator[Any]:
    """Yield the rows of a shard; with ``labels``, another one is a problem."""
    for row in read_rows(shard, "parquet", columns):
        one, separator = row["label"], columns.separator
        given = [one] if separator is None else labels_of(one, separator)
        if labels and not row["problem"] and not set(given) <= set(labels):
            known = ", ".join(labels)
            row["problem"] = f"the label '{row['label']}' is not one of the first rows' ({known})"
        yield row


class _Encode:
    """Makes a batch of rows; in a worker, where there are any."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        options: TextOptions,
        labels: list[str],
        separator: str | None = None,
    ) -> None:
        self.vocabulary, self.options = vocabulary, options
        self.labels, self.separator = labels, separator

    def __call__(self, rows: list[Record]) -> TextBatch:
        texts = [row["text"] for row in rows]
        return encoded_batch(texts, self.vocabulary, self.options)._replace(
            label=label_tensor([row["label"] for row in rows], self.labels, self.separator),
            index=torch.tensor([row["line"] - 1 for row in rows]),
        )


def _without_shard(make: Callable[[], Iterator[Record]]) -> Iterator[Record]:
    for row in make():
        del row["shard"]
        yield row
