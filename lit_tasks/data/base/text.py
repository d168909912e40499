"""What all data modules of labeled texts share: vocabulary, bad rows, batches, what travels."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
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
from lit_tasks.checked_loading import CheckedLoading, texts_of_state
from lit_tasks.data.base.encoded_texts import EncodedTexts, collate
from lit_tasks.data.base.given_texts import encoded_batch, given_texts, parts_of
from lit_tasks.data.base.labels import label_problems, label_tensor, shown
from lit_tasks.data.base.splits import SPLITS_OF
from lit_tasks.data.base.text_source import Source, held_out
from lit_tasks.data.base.text_vocabulary import (
    known_labels,
    known_words,
    tell_truncated,
    tell_wordless,
)
from lit_tasks.data.cache.token_ids import token_ids_of, words_of
from lit_tasks.data.readers.label_lists import described, label_sets
from lit_tasks.data.readers.tables import BadRows, Quoting, TableOptions
from lit_tasks.data.readers.text_files import Columns
from lit_tasks.files import atomic_write
from lit_tasks.protocols import InputBatch, Split
from lit_tasks.sampling import LengthBuckets
from lit_tasks.text.encoding import TextOptions
from lit_tasks.text.tokenizer_file import tokenizer_json
from lit_tasks.text.vocabulary import Vocabulary

if TYPE_CHECKING:
    from datasets import Dataset

_MAX_SHOWN = 300  # characters of a text in a table for people

#: Texts that are tokenized at once: compiling its expressions takes 50 ms, each time.
_TOKENIZED = 1024


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
        if not state_dict or state_dict == self.state_dict():  # what was read with it stays
            return
        words, labels = (texts_of_state(state_dict, key) for key in ("words", "labels"))
        self.text = self.text.after(state_dict["text"])
        self._vocabulary, self._labels = Vocabulary(words), labels
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
        return held_out(data, fractions, block=block, seed=self.seed, separator=self._separator)

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
        labels = source.strings("label", rows)
        self._labels = known_labels(labels, self._separator, source.name)
        more = f" ({described(label_sets(labels, self.label_separator))})" * self.multi_label
        self._vocabulary, self.text = known_words(source, rows, self.text)
        what = "n-grams of characters" if self.text.split == "characters" else "words"
        rank_zero_info(
            f"{source.name}: {len(rows):,} texts for training{more}, labels {shown(self._labels)}, "
            f"a vocabulary of {len(self._vocabulary):,} {what}"
        )

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
            ids = source.strings("id", rows)
            self._ids = list(ids) if any(ids) else rows.tolist()
            tell_wordless(source, words, rows)
        else:
            label = self._label_indices(source, rows)
            if split == "val" and len(rows):
                self._report_unseen(label)
        tell_truncated(words, rows, self.text, what=split)
        self._sets[split], self._rows[split] = EncodedTexts(token_ids, rows, label), rows
        return self._sets[split]

    def _label_indices(self, source: Source, rows: np.ndarray) -> Tensor:
        return label_tensor(source.strings("label", rows), self._labels, self._separator)

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
        problems = source.column("problem")
        if check_labels or train:
            known = None if train else self._labels
            wrong = label_problems(source.column("label"), known, self._separator)
            problems = np.where(problems == "", wrong, problems)
        return source.usable(problems, self.bad_rows)

    def _report_unseen(self, label: Tensor) -> None:
        counts = zip(self._labels, self._counted(label), strict=True)
        without = [name for name, count in counts if not count]
        if without:
            rank_zero_info(f"warning: validation has no text of the label {shown(without)}")

    def _loader(self, split: Split, shuffle: bool = False) -> DataLoader[TextBatch]:
        return DataLoader(
            dataset=self._set(split),
            batch_size=self.batch_size,
            shuffle=shuffle,
            collate_fn=collate,
            num_workers=self.num_workers,
        )
