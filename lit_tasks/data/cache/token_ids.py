"""Words and token ids of texts as Arrow files, found again like the rows they come from."""

import hashlib
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lit_tasks.data.cache.datasets_internals import content_key
from lit_tasks.data.cache.rows import bars, fingerprint
from lit_tasks.text.encoding import TextOptions, encode
from lit_tasks.text.tokenizer import Tokenizer
from lit_tasks.text.vocabulary import Vocabulary

if TYPE_CHECKING:
    from datasets import Dataset

_LARGE = 100_000  # texts, for which there is a bar
_COUNTED_AT_ONCE = 1_000_000  # words of which a table of counts is kept


def words_of(rows: "Dataset", tokenizer: Tokenizer) -> "Dataset":
    """Return the column ``words`` of the texts, a list of strings each."""
    key = fingerprint(content_key(rows), "words", vars(tokenizer))
    return _mapped(rows, partial(_tokenize, tokenizer=tokenizer), key)


def text_hashes(rows: "Dataset") -> np.ndarray:
    """Return a number for each text, the same for repeats; texts are read piece by piece."""
    found = [
        np.fromiter((_hash(text) for text in chunk.to_pylist()), np.uint64, len(chunk))
        for chunk in rows.data["text"].chunks
    ]
    return np.concatenate(found) if found else np.zeros(0, np.uint64)


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def word_counts(words: "Dataset", rows: np.ndarray) -> pa.Table:
    """Return each word of some texts and how often it stands there, ``values`` and ``counts``."""
    column = words.data["words"]
    starts = np.cumsum([0, *(len(chunk) for chunk in column.chunks)])
    rows = np.sort(rows)
    bounds = np.searchsorted(rows, starts)
    counts: list[pa.Table] = []
    for chunk, start, first, end in zip(
        column.chunks, starts, bounds[:-1], bounds[1:], strict=False
    ):
        flat = chunk.take(pa.array(rows[first:end] - start)).flatten()
        counts.append(pa.Table.from_struct_array(pc.value_counts(flat)))
        if sum(map(len, counts[1:])) > max(_COUNTED_AT_ONCE, len(counts[0])):
            counts = [_added(counts)]
    return _added(counts)


def _added(counts: list[pa.Table]) -> pa.Table:
    total = pa.concat_tables(counts).group_by("values").aggregate([("counts", "sum")])
    return total.select(["values", "counts_sum"]).rename_columns(["values", "counts"])


def token_ids_of(words: "Dataset", vocabulary: Vocabulary, options: TextOptions) -> "Dataset":
    """Return the column ``token_ids``, the token ids of each text, truncated (int32)."""
    cut = (options.max_length, options.truncate)
    key = fingerprint(content_key(words), "token_ids", vocabulary.words, cut)
    return _mapped(words, partial(_encode, vocabulary=vocabulary, options=options), key)


def _tokenize(table: pa.Table, tokenizer: Tokenizer) -> pa.Table:
    return pa.table({"words": tokenizer(table["text"].combine_chunks())})


def _encode(table: pa.Table, vocabulary: Vocabulary, options: TextOptions) -> pa.Table:
    return pa.table({"token_ids": encode(table["words"].combine_chunks(), vocabulary, options)})


def _mapped(data: "Dataset", function: Callable[..., Any], key: str) -> "Dataset":
    with bars(len(data) >= _LARGE):
        return data.with_format("arrow").map(
            function, batched=True, remove_columns=data.column_names, new_fingerprint=key
        )
