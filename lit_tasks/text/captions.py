"""Sentences about images: cut into words as COCO's evaluation cuts them, and numbered.

coco-caption hands sentences to Stanford's PTB tokenizer (Java), in small letters, and drops
punctuation. The rules here do the same for captions: ``tests/text/test_caption_words.py`` holds
them to its output on 6,401 real ones.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from lit_tasks.text.ptb_tokens import ptb_tokens

START, END, UNKNOWN = "<START>", "<END>", "<UNK>"
SPECIAL = (START, END, UNKNOWN)

# coco-caption drops -LRB- too, but only in capitals, which -lowerCase never leaves: brackets stay.
_DROPPED = frozenset(("''", "``", "--", "...", *"'`.?!,:-;"))


def caption_words(sentence: str) -> list[str]:
    """Return the words of a sentence: small letters, no punctuation, ``man 's`` and ``do n't``."""
    return [token for token in ptb_tokens(sentence) if token not in _DROPPED]


class CaptionVocabulary:
    """A fixed list of words that begins with :data:`SPECIAL`.

    Args:
        words: ``words[number]`` is the word.
    """

    def __init__(self, words: Sequence[str]) -> None:
        if tuple(words[: len(SPECIAL)]) != SPECIAL:
            raise ValueError(
                f"the words of captions must begin with {', '.join(SPECIAL)}, got {words[:3]}"
            )
        self.words = list(words)
        self._index = {word: index for index, word in enumerate(self.words)}

    def __len__(self) -> int:
        return len(self.words)

    @classmethod
    def count(cls, sentences: Iterable[str], min_count: int = 1) -> "CaptionVocabulary":
        """Return the words that occur at least ``min_count`` times, the most frequent first.

        Words of equal frequency stand in alphabetical order, so that the numbers depend on the
        sentences alone and not on their order.
        """
        counts = Counter(word for sentence in sentences for word in caption_words(sentence))
        kept = [(word, n) for word, n in counts.items() if n >= min_count]
        return cls([*SPECIAL, *(word for word, _ in sorted(kept, key=lambda x: (-x[1], x[0])))])

    def encode(self, sentence: str, max_tokens: int | None = None) -> list[int]:
        """Return the token ids from start to end word, at most ``max_tokens`` of them.

        A longer sentence loses its last words and ends with the end word all the same.
        """
        words = caption_words(sentence)[: None if max_tokens is None else max_tokens - 2]
        unknown = self._index[UNKNOWN]
        return [0, *(self._index.get(word, unknown) for word in words), 1]
