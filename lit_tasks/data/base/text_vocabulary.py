"""What is learned of training texts before a network sees them: labels and words."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from lightning.pytorch.utilities import rank_zero_info

from lit_tasks.data.base.labels import doubts, label_counts, label_order
from lit_tasks.data.base.text_source import Source
from lit_tasks.data.cache.token_ids import text_hashes, word_counts, words_of
from lit_tasks.data.readers.label_lists import several_in
from lit_tasks.text.encoding import TextOptions
from lit_tasks.text.scripts import needs_characters
from lit_tasks.text.vocabulary import Vocabulary

if TYPE_CHECKING:
    from datasets import Dataset


def known_labels(labels: Sequence[str], separator: str | None, name: str) -> list[str]:
    """Return the different labels in their order; what looks like a mistake is told.

    Args:
        labels: The label of each text, or its labels with separators between.
        separator: Stands between labels where a text may have several.
        name: What the texts come from.

    Raises:
        ValueError: There are too few to tell apart.
    """
    counts = label_counts(labels, separator)
    found = sorted(counts, key=label_order)
    if len(found) < (2 if separator is None else 1):
        raise ValueError(f"training needs at least two labels, {name} has only {found}")
    several = several_in(found, separator is not None)
    made = [f"{name}: {several}"] if several else []
    for doubt in (*doubts(counts, name), *made):
        rank_zero_info(f"warning: {doubt}")
    return found


def known_words(
    source: Source, rows: np.ndarray, options: TextOptions
) -> tuple[Vocabulary, TextOptions]:
    """Return the words of some texts, and the options with words or characters chosen.

    Args:
        source: The texts.
        rows: Those to learn from.
        options: How texts become words.
    """
    counts = word_counts(words_of(source.data, options.tokenizer), rows)
    if options.split == "auto":
        _, first = np.unique(text_hashes(source.data)[rows], return_index=True)
        once = counts  # of texts that stand there twice, nothing tells that words repeat
        if len(first) < len(rows):
            once = word_counts(words_of(source.data, options.tokenizer), rows[first])
        characters = needs_characters(once, len(first))
        options = replace(options, split="characters" if characters else "words")
        if characters:
            rank_zero_info(
                f"{source.name}: words hardly repeat in its texts, as in scripts without "
                "spaces, so n-grams of characters are counted instead; set data.text.split to "
                "words if that is wrong"
            )
            counts = word_counts(words_of(source.data, options.tokenizer), rows)
    return Vocabulary.of_counts(counts, options.min_count, options.max_size), options


def tell_truncated(words: "Dataset", rows: np.ndarray, options: TextOptions, what: str) -> None:
    """Say how many texts are longer than ``max_length``, if any is.

    Args:
        words: Column ``words``, a list for each text.
        rows: Those that are used.
        options: How texts are truncated.
        what: What the texts are called.
    """
    if options.max_length is None:
        return
    lengths = _lengths(words)[rows]
    if cut := int((lengths > options.max_length).sum()):
        kept = "head and tail" if options.truncate == "both" else options.truncate or "head"
        rank_zero_info(
            f"{what}: {cut:,} of {len(rows):,} texts are longer than max_length "
            f"{options.max_length} and are truncated to their {kept}"
        )


def tell_wordless(source: Source, words: "Dataset", rows: np.ndarray) -> None:
    """Say how many texts have no words, if any has none: their prediction is that of no text.

    Args:
        source: The texts.
        words: Column ``words``, a list for each text.
        rows: Those that are used.
    """
    empty = rows[_lengths(words)[rows] == 0]
    if len(empty):
        more = f" ({len(empty):,} such texts in all)" if len(empty) > 1 else ""
        rank_zero_info(
            f"warning: {source.place(int(empty[0]))}: the text has no words{more}, and gets the"
            " prediction of an empty one"
        )


def _lengths(words: "Dataset") -> np.ndarray:
    chunks = words.data["words"].chunks
    return np.concatenate([np.diff(chunk.offsets.to_numpy()) for chunk in chunks])
