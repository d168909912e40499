"""Token ids in memory-mapped Arrow columns, served a whole batch at a time."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor
from torch.utils.data import Dataset

from lit_tasks.batch import TextBatch

_COPIED = 2**24
"""Tokens up to which a set is copied into memory: 64 MB."""


class EncodedTexts(Dataset[TextBatch]):
    """Texts as token ids.

    The loader asks for all samples of a batch at once (``__getitems__``) and gets the batch. A set
    of some million tokens lies in memory as one row, where a batch is one lookup; of a larger one
    nothing is copied before it is used.

    Args:
        token_ids: A list of token ids (int32) for every text of a file.
        rows: Which texts of the file belong to this set, in its order.
        label: Class of each text of this set, or ``None``.
    """

    def __init__(self, token_ids: pa.ChunkedArray, rows: np.ndarray, label: Tensor | None) -> None:
        starts = np.concatenate(
            [chunk.offsets.to_numpy()[:-1] for chunk in token_ids.chunks] or [[]]
        )
        ends = np.concatenate([chunk.offsets.to_numpy()[1:] for chunk in token_ids.chunks] or [[]])
        sizes = [len(chunk) for chunk in token_ids.chunks]
        self._chunks = [chunk.values.to_numpy() for chunk in token_ids.chunks]
        self._chunk = np.repeat(np.arange(len(sizes)), sizes)[rows]
        self._starts = starts[rows].astype(np.int64)
        self._ends = ends[rows].astype(np.int64)
        tokens = [len(values) for values in self._chunks]
        self._row: np.ndarray | None = None
        if sum(tokens) <= _COPIED:
            self._row = np.concatenate(self._chunks or [np.zeros(0, np.int32)])
            before = np.cumsum([0, *tokens[:-1]])[self._chunk]
            self._starts, self._ends = self._starts + before, self._ends + before
        self.label = label

    def __len__(self) -> int:
        return len(self._starts)

    @property
    def lengths(self) -> Tensor:
        """Words of each text."""
        return torch.from_numpy(self._ends - self._starts)

    def __getitem__(self, index: int) -> TextBatch:
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int]) -> TextBatch:
        """Return the batch of these samples."""
        index = np.asarray(indices, dtype=np.int64)
        starts, ends = self._starts[index], self._ends[index]
        if self._row is None:
            spans = zip(self._chunk[index].tolist(), starts.tolist(), ends.tolist(), strict=True)
            pieces = [self._chunks[chunk][start:end] for chunk, start, end in spans]
            tokens = np.concatenate(pieces, dtype=np.int64) if pieces else np.zeros(0, np.int64)
        else:
            tokens = self._at(starts, ends)
        where = torch.from_numpy(index)
        label = None if self.label is None else self.label[where]
        return TextBatch(
            torch.from_numpy(tokens), torch.from_numpy(ends - starts), label=label, index=where
        )

    def _at(self, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """Return tokens from the row in memory: no Python object is made for a text."""
        assert self._row is not None
        lengths = ends - starts
        shifts = starts - (lengths.cumsum() - lengths)
        places = np.arange(lengths.sum()) + np.repeat(shifts, lengths)
        found: np.ndarray = self._row[places].astype(np.int64)
        return found


def collate(samples: TextBatch | Sequence[TextBatch]) -> TextBatch:
    """Return one batch of samples; a batch that the set has already made stays as it is."""
    if isinstance(samples, TextBatch):
        return samples
    tokens, lengths, labels, index = zip(*samples, strict=True)
    label = None if labels[0] is None else torch.cat(labels)
    return TextBatch(torch.cat(tokens), torch.cat(lengths), label=label, index=torch.cat(index))
