"""Sentences about images: cut into words as COCO's evaluation cuts them, and numbered.

coco-caption hands sentences to Stanford's PTB tokenizer (Java), in small letters, and drops
punctuation. The rules here do the same for captions: ``tests/text/test_caption_words.py`` holds
them to its output on 6,401 real ones.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

START, END, UNKNOWN = "<START>", "<END>", "<UNK>"
SPECIAL = (START, END, UNKNOWN)

# coco-caption drops -LRB- too, but only in capitals, which -lowerCase never leaves: brackets stay.
_DROPPED = frozenset(("''", "``", "--", *"'`\"“”.?!,:-…–—;\x96\x97"))
_BRACKETS = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"}
_ABBREVIATIONS = frozenset(
    re.findall(
        r"\w+",
        "mr mrs ms dr prof st sr jr gen col sgt capt lt rev hon sen rep gov pres ave blvd rd mt ft"
        " vs etc no co corp inc ltd bros dept est fig vol ca approx jan feb mar apr jun jul aug sep"
        " sept oct nov dec mon tue tues wed thu thur thurs fri sat sun",
    )
)
_SPLIT = {
    "cannot": ("can", "not"),
    "gonna": ("gon", "na"),
    "wanna": ("wan", "na"),
    "gotta": ("got", "ta"),
    "lemme": ("lem", "me"),
    "gimme": ("gim", "me"),
    "'tis": ("'t", "is"),
    "'twas": ("'t", "was"),
}
_CURRENCY = {"£": "#", "¢": "cents", "€": "$"}
_LETTER = r"[^\W\d_]"
_WORD = r"[^\W_](?:\w*[^\W_])?"
_PLAIN = re.compile(r"[a-z]+(?:[ ,]+[a-z]+)*[ ]*\.?[ ]*")
_TOKEN = re.compile(
    rf"""
    https?://[^\s"<>]+[^\s"<>.,!?;:)\]}}'] | [\w.+-]+@[\w-]+(?:\.[\w-]+)+
    | -[lr][rsc]b- | </?\w+/?>                                     # markup
    | '(?:tis|twas)\b | '\d0s\b | 'n'(?!\w) | '(?:em|til)\b | \bol'(?!\w)
    | {_LETTER}+(?=n't\b) | n't\b | '(?:s|m|d|re|ve|ll)\b
    | (?:{_LETTER}\.){{2,}} | (?:{_LETTER}\.)+(?={_LETTER}\b)(?:{_LETTER}) # u.s.a., p.m.
    | (?-i:\b[A-Z]\.) | no\.(?=\s*\d)                               # initials, numbers
    | (?:{"|".join(sorted(_ABBREVIATIONS - {"no"}))})\.
    | \d+(?:[.,:]\d+)+ | \.\d+
    | {_LETTER}*[oldc]'(?!(?:ve|re|ll)\b){_LETTER}{{2,}}(?:-\w+)*      # o'clock
    | w/o?(?=\b) (?!\w)
    | {_WORD}(?:-{_WORD})*(?:[/]{_WORD}(?:-{_WORD})*)*(?:\.{_LETTER}{{2,}})*
    | [:;]-?[()] | [!?]{{2,}} | \*{{2,}} | \S         # a face, or what is left
    """,
    re.VERBOSE | re.IGNORECASE,
)


def caption_words(sentence: str) -> list[str]:
    """Return the words of a sentence: small letters, no punctuation, ``man 's`` and ``do n't``."""
    lower = sentence.lower()
    if _PLAIN.fullmatch(lower):  # most are; five times as fast
        plain = lower.replace(",", " ").rstrip(" .").split()
        if plain[-1] not in _ABBREVIATIONS and len(plain[-1]) > 1 and not _SPLIT.keys() & plain:
            return plain
    words: list[str] = []
    for found in _TOKEN.findall(sentence.replace("\u2019", "'").replace("\u2018", "'")):
        token = found.lower()
        for bracket, name in _BRACKETS.items():
            token = token.replace(bracket, name)
        words.extend(_SPLIT.get(token, (_CURRENCY.get(token, token),)))
    return [word for word in words if word not in _DROPPED]


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
