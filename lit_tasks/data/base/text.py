"""What all data modules of labeled texts share: vocabulary, bad rows, batches, what travels."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor
from torch.utils.data import DataLoader

from lit_tasks.batch import TextBatch, in_batches
from lit_tasks.checked_loading import CheckedLoading
from lit_tasks.data.base.encoded_texts import EncodedTexts, collate
from lit_tasks.data.base.given_texts import encoded_batch, given_texts, parts_of
from lit_tasks.data.base.labels import (
    are_foreign,
    doubts,
    label_counts,
    label_order,
    label_tensor,
    missing_numbers,
    shown,
    strata,
)
from lit_tasks.data.base.splits import SPLITS_OF, stratified_splits
from lit_tasks.data.cache.token_ids import text_hashes, token_ids_of, word_counts, words_of
from lit_tasks.data.readers.label_lists import described, label_sets, several_in
from lit_tasks.data.readers.tables import BadRows, Quoting, TableOptions
from lit_tasks.data.readers.text_files import Columns
from lit_tasks.files import atomic_write
from lit_tasks.protocols import InputBatch, Split
from lit_tasks.sampling import LengthBuckets
from lit_tasks.text.encoding import TextOptions
from lit_tasks.text.scripts import needs_characters
from lit_tasks.text.tokenizer_file import tokenizer_json
from lit_tasks.text.vocabulary import Vocabulary

if TYPE_CHECKING:
    from datasets import Dataset

_MAX_SHOWN = 300  # characters of a text in a table for people

#: Texts that are tokenized at once: compiling its expressions takes 50 ms, each time.
_TOKENIZED = 1024


@dataclass(frozen=True)
class Source:
    """Rows of one split.

    Attributes:
        data: Columns ``text`` and, unless it is to be predicted, ``label``, both of strings. May
            have ``id`` (what predictions call a text), ``line`` (where errors find it, by default
            the row counted from 1), ``problem`` (why a row cannot be used, empty where it can) and
            ``note`` (what people should know of a row that is used).
        name: File or folder, as errors name it.
        select: Which rows belong to the split, or ``None`` for all.

    Raises:
        ValueError: The column of texts is missing, or a column does not hold strings.
    """

    data: "Dataset"
    name: str
    select: np.ndarray | None = None

    def __post_init__(self) -> None:
        data = self.data
        if "text" not in data.column_names:
            raise ValueError(
                f"{self.name} must have a column 'text', it has {', '.join(data.column_names)}:"
                " name the column of texts so, for example with data.rename_column"
            )
        for name in {"text", "label", "id", "problem", "note"} & set(data.column_names):
            kind = getattr(data.features[name], "dtype", None)
            if kind != "string":
                raise ValueError(
                    f"{self.name}: column {name!r} must hold strings, got {kind}: turn its values"
                    " into text, for example with data.map"
                )
        for name in ("id", "line", "problem", "note"):
            if name not in data.column_names:
                lines = range(1, len(data) + 1)
                data = data.add_column(name, list(lines) if name == "line" else [""] * len(data))
        object.__setattr__(self, "data", data)

    def place(self, row: int) -> str:
        """Return where a row stands, as errors name it: its line, or its file in a folder."""
        line = self.data.data["line"][row].as_py()
        if line:
            return f"{self.name}, line {line}"
        return f"{self.name}/{self.data.data['id'][row].as_py()}"


class TextDataModule(CheckedLoading, LightningDataModule):
    r"""Texts with labels, ragged: a batch is all words in one row plus lengths.

    A subclass says where the rows of each split come from (:meth:`source`). It passes these
    options on as ``**kwargs``; all values stand in ``hparams``.

    Args:
        text: How texts become token ids.
        batch_size: Texts in a batch, over all processes.
        length_buckets: Whether training batches hold texts of about the same length, which
            recurrent encoders compute faster.
        bad_rows: ``stop`` ends the run at the first row that cannot be used and names it; ``skip``
            leaves such rows out and counts them.
        seed: Decides which rows are held out, and the order of length buckets.
        num_workers: Processes that prepare batches; 0 is fastest for texts that fit in memory.
        cache_dir: Folder of the Arrow files; the usual cache of ``datasets`` when left out.
        delimiter: What stands between two cells of a file with columns, ``\t`` for a tab; when left
            out, a comma, a tab for ``.tsv``, or what the names in the first row stand between.
        quoting: ``double``: quotes around a cell hide delimiters and line breaks in it; ``none``:
            quotes are letters; when left out, double, and none where tabs stand between cells.
        encoding: Encoding of text files, such as ``cp1251``; when left out, UTF-8, UTF-16 or
            cp1252, as the bytes tell.
        header: Whether the first row of a file with columns holds their names; without one they
            are called by their places from 0.
    """

    predict_example = "my_texts.csv"  #: What the end of a fit proposes.
    columns = Columns()  #: Where text, label and id stand in files that have columns.
    multi_label = False  #: Whether a text may have several labels.
    label_separator = ","  #: What stands between the labels of a text.

    def __init__(
        self,
        text: TextOptions = TextOptions(),  # noqa: B008 (frozen)
        batch_size: int = 64,
        length_buckets: bool = False,
        bad_rows: BadRows = "stop",
        seed: int = 0,
        num_workers: int = 0,
        cache_dir: Path | None = None,
        delimiter: str | None = None,
        quoting: Quoting | None = None,
        encoding: str | None = None,
        header: bool = True,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()  # what subclasses were given as well
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        self.table = TableOptions(delimiter, quoting, encoding=encoding, header=header)
        self.text = text
        self.batch_size = batch_size
        self.length_buckets = length_buckets
        self.bad_rows = bad_rows
        self.seed = seed
        self.num_workers = num_workers
        self.cache_dir = cache_dir
        self._vocabulary: Vocabulary | None = None
        self._labels: list[str] = []
        self._sets: dict[Split, EncodedTexts] = {}
        self._rows: dict[Split, np.ndarray] = {}
        self._ids: list[int | str] = []

    @abstractmethod
    def source(self, split: Split) -> Source:
        """Return the rows of a split.

        Raises:
            ValueError: The split was not given; the sentence says which argument gives it.
        """

    # What the task and the writer of predictions ask for.

    @property
    def vocabulary(self) -> list[str]:
        """The word of each number."""
        return self._known().words

    @property
    def labels(self) -> list[str]:
        """The name of each class."""
        self._known()
        return self._labels

    @property
    def train_class_counts(self) -> list[int]:
        """How many training texts each class has."""
        label = self._set("train").label
        assert label is not None
        return self._counted(label)

    @property
    def train_size(self) -> int:
        """How many training texts there are."""
        return len(self._set("train"))

    @property
    def predict_ids(self) -> list[int | str]:
        """The id of each text of the prediction set: the input's own, or its row counted from 0."""
        self._set("predict")
        return self._ids

    def sample_ids(self, split: Split) -> list[int]:
        """Return the row of each text of a split in its file, the same whatever reads it."""
        self._set(split)
        rows: list[int] = self._rows[split].tolist()
        return rows

    def describe(self, split: Split, indices: Sequence[int]) -> list[dict[str, str]]:
        """Return the beginning of some texts, as people read them."""
        self._set(split)
        data = self.source(split).data  # a row at a time: to take some may copy them all
        texts = [data[int(row)]["text"] for row in self._rows[split][list(indices)]]
        return [{"text": " ".join(text.split())[:_MAX_SHOWN]} for text in texts]

    # Lightning's hooks.

    def setup(self, stage: str) -> None:
        """Read what a stage needs; the vocabulary comes from a checkpoint or the training texts."""
        if self._vocabulary is None and stage == "fit":
            self._learn()
        for split in SPLITS_OF[stage]:
            if self._vocabulary is None:
                self.source(split)  # names an input that is not there
            else:
                self._set(split)

    def train_dataloader(self) -> DataLoader[TextBatch]:
        """Return the training texts, in another order each epoch."""
        data = self._set("train")
        if self.length_buckets:
            buckets = LengthBuckets(data.lengths.tolist(), self.batch_size, self.seed)
            return DataLoader(
                dataset=data,
                batch_sampler=buckets,
                collate_fn=collate,
                num_workers=self.num_workers,
            )
        return self._loader("train", shuffle=True)

    def val_dataloader(self) -> DataLoader[TextBatch]:
        """Return the validation texts in input order."""
        if not len(self._set("val")):
            raise ValueError(
                f"no text is left for validation: of the different texts of each label in "
                f"{self.source('val').name} too few are there to hold some out; set data.val to "
                "another file, or data.val_fraction to a larger fraction"
            )
        return self._loader("val")

    def test_dataloader(self) -> DataLoader[TextBatch]:
        """Return the test texts in input order."""
        return self._loader("test")

    def predict_dataloader(self) -> DataLoader[TextBatch]:
        """Return the texts to predict in input order."""
        return self._loader("predict")

    def state_dict(self) -> dict[str, Any]:
        """Return what reading new texts needs, in plain values; nothing before a vocabulary."""
        if self._vocabulary is None:
            return {}
        return {
            "text": self.text.plain(),
            "words": self._vocabulary.words,
            "labels": self._labels,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what :meth:`state_dict` of any text data module returned."""
        if not state_dict:
            return
        self.text = self.text.after(state_dict["text"])
        self._vocabulary = Vocabulary(state_dict["words"])
        self._labels = list(state_dict["labels"])
        self._sets = {}

    def input_batches(
        self, inputs: Iterable[object], task: object, batch_size: int | None = None
    ) -> Iterator[InputBatch]:
        """Yield batches of texts that a program holds, or of the files that it names.

        Args:
            inputs: Strings, each a text, and paths, each a file of texts.
            task: The task that reads them.
            batch_size: Texts in a batch, and read at once; that of the data module if none, and
                a thousand are read at once, since the tokenizer takes as long for one.

        Raises:
            ValueError: The data module knows no words yet.
        """
        if self._vocabulary is None:
            raise ValueError("reading texts needs a vocabulary: train, or load a checkpoint")
        size, position = batch_size or self.batch_size, 0
        together = batch_size or max(size, _TOKENIZED)
        for rows in in_batches(given_texts(inputs, self.columns), together):
            names, texts = zip(*rows, strict=True)
            whole = encoded_batch(texts, self._vocabulary, self.text, first=position)
            position += len(rows)
            for start, batch in zip(count(0, size), parts_of(whole, size), strict=False):
                yield [{"id": name} for name in names[start : start + size]], batch

    def write_tokenizer(self, path: Path) -> None:
        """Write how texts become token ids, as a file that Hugging Face's ``tokenizers`` reads."""
        content = tokenizer_json(self._known(), self.text)
        with atomic_write(path) as beside:
            beside.write_text(content, encoding="utf-8")

    # What subclasses use.

    def splits_of(
        self, data: "Dataset", fractions: list[float], block: int = 1
    ) -> list[np.ndarray]:
        """Return rows in seeded, stratified splits; bad rows come with the first split.

        Repeats of a text go to one split, and so do ``block`` rows on end, for sets where
        neighbors have more in common than their label.
        """
        columns = data.data
        usable = np.flatnonzero(columns["problem"].to_numpy() == "")
        labels = strata(_strings(data, "label", usable), self._separator)
        _, first, text = np.unique(
            text_hashes(data)[usable], return_index=True, return_inverse=True
        )
        blocks = usable[first][text] // block  # a repeat belongs where its text first stands
        splits = [
            usable[p]
            for p in stratified_splits(labels, blocks, fractions=fractions, seed=self.seed)
        ]
        bad = np.flatnonzero(columns["problem"].to_numpy() != "")
        return [np.sort(np.concatenate((splits[0], bad))), *splits[1:]]

    # The steps.

    def _known(self) -> Vocabulary:
        if self._vocabulary is None:
            self._learn()
        assert self._vocabulary is not None
        return self._vocabulary

    def _learn(self) -> None:
        """Take labels and vocabulary from the training texts."""
        source = self.source("train")
        rows = self._usable(source, check_labels=False, train=True)
        if not len(rows):
            raise ValueError(
                f"no text of {source.name} is left to train on; set data.val_fraction to a smaller"
                " fraction, or give a file with more texts"
            )
        labels = _strings(source.data, "label", rows)
        counts = label_counts(labels, self._separator)
        self._labels = sorted(counts, key=label_order)
        if len(self._labels) < (1 if self.multi_label else 2):
            raise ValueError(
                f"training needs at least two labels, {source.name} has only {self._labels}"
            )
        several = several_in(self._labels, self.multi_label)
        made = [f"{source.name}: {several}"] if several else []
        for doubt in (*doubts(counts, source.name), *made):
            rank_zero_info(f"warning: {doubt}")
        more = f" ({described(label_sets(labels, self.label_separator))})" * self.multi_label
        self._vocabulary = self._count_words(source, rows)
        what = "n-grams of characters" if self.text.split == "characters" else "words"
        rank_zero_info(
            f"{source.name}: {len(rows):,} texts for training{more}, labels {shown(self._labels)}, "
            f"a vocabulary of {len(self._vocabulary):,} {what}"
        )

    def _count_words(self, source: Source, rows: np.ndarray) -> Vocabulary:
        counts = word_counts(words_of(source.data, self.text.tokenizer), rows)
        if self.text.split == "auto":
            _, first = np.unique(text_hashes(source.data)[rows], return_index=True)
            once = counts  # of texts that stand there twice, nothing tells that words repeat
            if len(first) < len(rows):
                once = word_counts(words_of(source.data, self.text.tokenizer), rows[first])
            characters = needs_characters(once, len(first))
            self.text = replace(self.text, split="characters" if characters else "words")
            if characters:
                rank_zero_info(
                    f"{source.name}: words hardly repeat in its texts, as in scripts without "
                    "spaces, so n-grams of characters are counted instead; set data.text.split to "
                    "words if that is wrong"
                )
                counts = word_counts(words_of(source.data, self.text.tokenizer), rows)
        return Vocabulary.of_counts(counts, self.text.min_count, self.text.max_size)

    def _set(self, split: Split) -> EncodedTexts:
        """Return a split as token ids."""
        if split in self._sets:
            return self._sets[split]
        vocabulary, source = self._known(), self.source(split)
        rows = self._usable(source, check_labels=split != "predict")
        words = words_of(source.data, self.text.tokenizer)
        token_ids = token_ids_of(words, vocabulary, self.text).data["token_ids"]
        label = None
        if split == "predict":
            ids = _strings(source.data, "id", rows)
            self._ids = list(ids) if any(ids) else rows.tolist()
        else:
            label = self._label_indices(source, rows)
            if split == "val" and len(rows):
                self._report_unseen(label)
        self._report_cuts(split, words, rows)
        self._sets[split], self._rows[split] = EncodedTexts(token_ids, rows, label), rows
        return self._sets[split]

    def _label_indices(self, source: Source, rows: np.ndarray) -> Tensor:
        labels = _strings(source.data, "label", rows)
        return label_tensor(labels, self._labels, self._separator)

    @property
    def _separator(self) -> str | None:
        return self.label_separator if self.multi_label else None

    def _counted(self, label: Tensor) -> list[int]:
        """Return how many texts have each label."""
        if label.ndim == 2:
            return label.sum(dim=0).tolist()
        return torch.bincount(label, minlength=len(self._labels)).tolist()

    def _usable(self, source: Source, check_labels: bool, train: bool = False) -> np.ndarray:
        """Return the rows of a split that can be used; the others stop the run or are counted."""
        columns = source.data.data
        rows = np.arange(len(source.data)) if source.select is None else source.select
        problems = columns["problem"].to_numpy()[rows]
        if check_labels or train:
            labels = columns["label"].to_numpy()[rows]
            problems = problems.copy()
            if not train:
                foreign = are_foreign(labels, self._labels, self._separator)
            elif self.multi_label:
                foreign = np.zeros(len(labels), dtype=bool)
            else:
                foreign = missing_numbers(labels)
            foreign &= problems == ""
            why = "not a number as the others are" if train else f"not one of {self._quoted()}"
            problems[foreign] = [f"the label '{label}' is {why}" for label in labels[foreign]]
        bad = np.flatnonzero(problems != "")
        if len(bad) and (self.bad_rows == "stop" or len(bad) == len(rows)):
            more = f" ({len(bad):,} such rows in all)" if len(bad) > 1 else ""
            remedy = "or set bad_rows to skip" if len(bad) < len(rows) else "no row can be used"
            raise ValueError(
                f"{source.place(int(rows[bad[0]]))}: {problems[bad[0]]}{more}; correct it, {remedy}"
            )
        if len(bad):
            rank_zero_info(f"{source.name}: {len(bad):,} of {len(rows):,} rows skipped as unusable")
        usable: np.ndarray = rows[problems == ""]
        self._report_notes(source, usable)
        return usable

    def _quoted(self) -> str:
        return shown([f"'{label}'" for label in self._labels])

    def _report_notes(self, source: Source, rows: np.ndarray) -> None:
        noted = np.flatnonzero(source.data.data["note"].to_numpy()[rows] != "")
        if len(noted):
            first = int(rows[noted[0]])
            note = source.data.data["note"][first].as_py()
            more = f" ({len(noted):,} such rows in all)" if len(noted) > 1 else ""
            rank_zero_info(
                f"warning: {source.place(first)}: {note}{more}; if quotes are letters there, set "
                "quoting to none"
            )

    def _report_unseen(self, label: Tensor) -> None:
        counts = zip(self._labels, self._counted(label), strict=True)
        without = [name for name, count in counts if not count]
        if without:
            rank_zero_info(f"warning: validation has no text of the label {shown(without)}")

    def _report_cuts(self, split: Split, words: "Dataset", rows: np.ndarray) -> None:
        if self.text.max_length is None:
            return
        chunks = words.data["words"].chunks
        lengths = np.concatenate([np.diff(chunk.offsets.to_numpy()) for chunk in chunks])[rows]
        cut = int((lengths > self.text.max_length).sum())
        kept = "head and tail" if self.text.truncate == "both" else self.text.truncate or "head"
        rank_zero_info(
            f"{split}: {cut:,} of {len(rows):,} texts are longer than max_length "
            f"{self.text.max_length} and are truncated to their {kept}"
        )

    def _loader(self, split: Split, shuffle: bool = False) -> DataLoader[TextBatch]:
        return DataLoader(
            dataset=self._set(split),
            batch_size=self.batch_size,
            shuffle=shuffle,
            collate_fn=collate,
            num_workers=self.num_workers,
        )


def _strings(data: "Dataset", column: str, rows: np.ndarray) -> list[str]:
    values: list[str] = data.data[column].take(rows).to_pylist()
    return values
