"""Whether words or characters tell texts apart: many scripts put no spaces between words."""

import pyarrow as pa
import pyarrow.compute as pc

_UNSPACED = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}"
_UNSPACED += r"\p{Bopomofo}\p{Yi}\p{Javanese}\p{Balinese}]"
_SOME = 0.2
"""Fraction of all letters in such scripts that makes them matter."""
_REPEATING = 0.5
"""Different words among all words: where more of them differ, words do not repeat."""
_LONG = 8
"""Characters: words of these scripts have 2 to 5, and what stands between two spaces has more."""
_ENOUGH = 50
"""Texts that tell whether single words repeat, in any script."""


def needs_characters(counts: pa.Table, num_texts: int) -> bool:
    """Tell whether words hardly repeat, so that a model of words would learn nothing.

    That is so for sentences of scripts without spaces, and where each text is one word (a name).

    Args:
        counts: Columns ``values`` and ``counts``, each word of the different training texts and how
            often it stands there.
        num_texts: How many different texts that are.
    """
    letters = counts.filter(pc.match_substring_regex(counts["values"], r"\pL"))
    total = _sum(letters["counts"])
    if not total:
        return False
    unspaced = letters.filter(pc.match_substring_regex(letters["values"], _UNSPACED))
    characters = _sum(_characters(unspaced))
    if characters > _SOME * _sum(_characters(letters)):
        number = _sum(unspaced["counts"])
        return len(unspaced) > _REPEATING * number or characters > _LONG * number
    return num_texts >= _ENOUGH and total < 2 * num_texts and len(letters) > _REPEATING * total


def _characters(counts: pa.Table) -> pa.ChunkedArray:
    return pc.multiply(pc.utf8_length(counts["values"]).cast(pa.int64()), counts["counts"])


def _sum(column: pa.ChunkedArray) -> int:
    return int(pc.sum(column).as_py() or 0)
