"""Texts to token ids: tokenizer, vocabulary and truncation in one object that travels."""

from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from lit_tasks.text.tokenizer import Tokenizer
from lit_tasks.text.vocabulary import Vocabulary

Truncate = Literal["head", "tail", "both"]


@dataclass(frozen=True)
class TextOptions:
    """How texts become token ids.

    Args:
        split: ``words`` cuts punctuation off and contractions apart; ``space`` cuts at white space
            alone, for texts that are tokenized already; ``characters`` gives every one to three
            characters on end, for scripts without spaces; ``auto`` is ``characters`` where the
            words of the training texts hardly repeat, and else ``words``.
        lowercase: Whether capitals count as small letters.
        markup: Whether ``<br />`` is a line break instead of words.
        min_count: Words that occur less often in the training texts are unknown.
        max_size: Most words in the vocabulary, the unknown one included; all when left out.
        max_length: Most words kept of a text; all when left out. How many texts were cut is
            reported. A value given here wins over the one in a checkpoint.
        truncate: Which end of a longer text is kept: its ``head``, its ``tail`` or half of
            ``both``; the head when left out.
    """

    split: Literal["auto", "words", "space", "characters"] = "auto"
    lowercase: bool = True
    markup: bool = False
    min_count: int = 1
    max_size: int | None = None
    max_length: int | None = None
    truncate: Truncate | None = None

    def __post_init__(self) -> None:
        for name, minimum in (("min_count", 1), ("max_size", 2), ("max_length", 1)):
            value = getattr(self, name)
            if value is not None and value < minimum:
                raise ValueError(f"{name} must be at least {minimum}, got {value}")

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer that these options describe; one of words as long as nothing is known."""
        split = "words" if self.split == "auto" else self.split
        return Tokenizer(split, self.lowercase, self.markup)

    def after(self, stored: dict[str, Any]) -> "TextOptions":
        """Return the options of a checkpoint, with truncation replaced where it is given here."""
        known = {option.name for option in fields(TextOptions)}
        if not isinstance(stored, dict) or not stored.keys() <= known:
            raise ValueError(
                "the checkpoint is damaged: the options of its texts should be some of"
                f" {', '.join(sorted(known))}, got {stored!r:.60}"
            )
        kept = TextOptions(**stored)
        return replace(
            kept,
            max_length=self.max_length if self.max_length is not None else kept.max_length,
            truncate=self.truncate or kept.truncate,
        )

    def plain(self) -> dict[str, Any]:
        """Return the options as plain values."""
        return asdict(self)


def truncate(
    offsets: np.ndarray, max_length: int | None, which: Truncate
) -> tuple[np.ndarray, np.ndarray]:
    """Return which positions stay (boolean) and how many of each row, at most ``max_length``.

    Args:
        offsets: Start of each row in the flat array, and the end of the last one.
        max_length: Most positions kept of a row; ``None`` keeps all.
        which: The end that is kept; ``both`` keeps the larger half of an odd number at the head.
    """
    lengths = np.diff(offsets)
    if max_length is None:
        return np.ones(int(lengths.sum()), dtype=bool), lengths
    tail = {"head": 0, "tail": max_length, "both": max_length // 2}[which]
    position = np.arange(int(lengths.sum())) - np.repeat(offsets[:-1] - offsets[0], lengths)
    size = np.repeat(lengths, lengths)
    keep = (position < max_length - tail) | (position >= size - tail) | (size <= max_length)
    return keep, np.minimum(lengths, max_length)


def encode(rows: pa.ListArray, vocabulary: Vocabulary, options: TextOptions) -> pa.ListArray:
    """Return the token ids of each row of words, truncated (list of int32)."""
    offsets = rows.offsets.to_numpy()
    keep, lengths = truncate(offsets, options.max_length, options.truncate or "head")
    token_ids = vocabulary.token_ids(rows.flatten())[keep]
    new_offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(new_offsets), pa.array(token_ids))
