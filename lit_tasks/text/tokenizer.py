"""Cut texts into words with Arrow's compiled string kernels: no Python string is made per word.

25,000 reviews take 2 s of one core; a compiled regular expression with a dictionary takes 4 to
6 s and Hugging Face ``tokenizers`` 17 s (`benchmarks/tokenizer.py` compares them).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

# An apostrophe that belongs to a word is hidden behind this mark while quotation marks are cut off.
_MARK = "\u0001"
_SUBSTITUTIONS = (
    ("[\u2018\u2019]", "'"),
    # GloVe's habit: do n't, it 's. Two words are known where one would be unknown.
    (r"(\pL)n't\b", rf"\1 n{_MARK}t"),
    (r"(?i)([\pL\pN])'(s|m|re|ve|ll|d)\b", rf"\1 {_MARK}\2"),
    (r"(\pL)'(\pL)", rf"\1{_MARK}\2"),  # o'clock
    (rf"([^\pL\pM\pN\s{_MARK}])", r" \1 "),
    (_MARK, "'"),
)

_LONGEST = 3  # characters on end: two tell most words of Chinese, three those of Thai
_SPACE = r"[\s\pZ\x{1c}-\x{1f}\x{85}]+"


@dataclass(frozen=True)
class Tokenizer:
    """How a text becomes words.

    Args:
        split: ``words`` cuts punctuation off and contractions apart (do n't); ``space`` cuts at
            white space alone, for texts that are tokenized already; ``characters`` gives every one
            to three characters on end, which scripts without spaces need.
        lowercase: Whether capitals count as small letters.
        markup: Whether ``<br />`` is a line break instead of words.
    """

    split: Literal["words", "space", "characters"] = "words"
    lowercase: bool = True
    markup: bool = False

    def __call__(self, texts: pa.Array) -> pa.ListArray:
        """Return the words of each text; a text of white space has none."""
        if self.markup:
            texts = pc.replace_substring_regex(texts, pattern=r"(?i)<br\s*/?>", replacement=" ")
        if self.lowercase:
            texts = pc.utf8_lower(texts)
        if self.split == "words":
            for pattern, replacement in _SUBSTITUTIONS:
                texts = pc.replace_substring_regex(texts, pattern=pattern, replacement=replacement)
        # Not utf8_split_whitespace: at the end of an array it sometimes misses the white space
        # behind a character beyond the basic plane (seen with pyarrow 26.0.1).
        texts = pc.replace_substring_regex(texts, pattern=_SPACE, replacement=" ")
        if self.split == "characters":
            return _character_ngrams(texts.to_pylist())
        return _without_empty_words(pc.ascii_split_whitespace(texts))


def _without_empty_words(rows: pa.ListArray) -> pa.ListArray:
    """Drop what Arrow puts before leading and after trailing white space."""
    values, offsets = rows.values, rows.offsets.to_numpy()
    keep = pc.not_equal(values, "")
    kept = np.concatenate(([0], np.cumsum(keep.to_numpy(zero_copy_only=False))))
    new_offsets = pa.array(kept[offsets].astype(np.int32) - np.int32(kept[offsets[0]]))
    flat = values.filter(keep)
    flat = flat.slice(int(kept[offsets[0]]), int(kept[offsets[-1]] - kept[offsets[0]]))
    return pa.ListArray.from_arrays(new_offsets, flat)


def _character_ngrams(texts: Sequence[str]) -> pa.ListArray:
    """Return the n-grams of characters of each text in order; none goes across white space."""
    codes = np.frombuffer("\n".join([*texts, ""]).encode("utf-32-le"), np.uint32)
    row = np.cumsum(codes == ord("\n"))
    inside = ~np.isin(codes, (0, ord(" "), ord("\n")))
    order, grams = [], []
    whole = inside
    for n in range(1, _LONGEST + 1):
        whole = inside if n == 1 else whole[:-1] & inside[n - 1 :]
        start = np.flatnonzero(whole)
        windows = np.stack([codes[start + i] for i in range(n)], axis=1)
        grams.append(np.ascontiguousarray(windows).view(f"<U{n}").ravel())
        order.append(start * _LONGEST + n - 1)
    places = np.concatenate(order)
    values = np.concatenate(grams)[np.argsort(places)]
    lengths = np.bincount(row[places // _LONGEST], minlength=len(texts))[: len(texts)]
    offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values, pa.string()))
