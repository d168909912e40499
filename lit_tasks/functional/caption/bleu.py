"""BLEU as coco-caption computes it: words in, numbers out, no tensor and no tokenizer.

Departures of others, which make scores incomparable: a tie for the closest reference is broken by
the shorter one here, as in coco-caption (torchmetrics 1.9: by the first listed); without any match
the tiny constants below keep the product above zero (torchmetrics: exactly 0).

Sources: Papineni et al. (2002); ``bleu_scorer.py`` of coco-caption.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from math import exp
from typing import NamedTuple

ORDERS = 4
_SMALL, _TINY = 1e-9, 1e-15  # coco-caption's


class BleuCounts(NamedTuple):
    """What BLEU needs to know of one sentence; of several, the sums.

    Attributes:
        correct: N-grams of 1 to 4 words that are in a reference, each at most as often as there.
        guessed: N-grams of 1 to 4 words in all.
        length: Words.
        reference_length: Words of the reference whose length is closest.
    """

    correct: tuple[float, ...]
    guessed: tuple[float, ...]
    length: float
    reference_length: float


def ngrams(words: Sequence[Hashable], longest: int = ORDERS) -> Counter[tuple[Hashable, ...]]:
    """Return how often each n-gram of 1 to ``longest`` words occurs."""
    return Counter(
        tuple(words[start : start + size])
        for size in range(1, longest + 1)
        for start in range(len(words) - size + 1)
    )


def bleu_counts(prediction: Sequence[str], references: Sequence[Sequence[str]]) -> BleuCounts:
    """Return what BLEU needs to know of a sentence and its references, one at least."""
    max_counts: Counter[tuple[Hashable, ...]] = Counter()
    for reference in references:
        max_counts |= ngrams(reference)
    correct = [0] * ORDERS
    for ngram, count in ngrams(prediction).items():
        correct[len(ngram) - 1] += min(count, max_counts[ngram])
    length = len(prediction)
    guessed = tuple(max(0, length - size) for size in range(ORDERS))
    closest = min((abs(len(r) - length), len(r)) for r in references)[1]
    return BleuCounts(tuple(correct), guessed, length, reference_length=closest)


def add_counts(several: Iterable[BleuCounts]) -> BleuCounts:
    """Return the sums over sentences."""
    rows = [(*c.correct, *c.guessed, c.length, c.reference_length) for c in several]
    total = [sum(column) for column in zip(*rows, strict=True)] or [0] * (2 * ORDERS + 2)
    return BleuCounts(
        correct=tuple(total[:ORDERS]),
        guessed=tuple(total[ORDERS:-2]),
        length=total[-2],
        reference_length=total[-1],
    )


def bleu(counts: BleuCounts) -> list[float]:
    """Return BLEU-1 to BLEU-4 of the sums over a corpus."""
    ratio = (counts.length + _TINY) / (counts.reference_length + _SMALL)
    penalty = exp(1 - 1 / ratio) if 0 < ratio < 1 else 1.0
    scores, product = [], 1.0
    for size in range(ORDERS):
        product *= (counts.correct[size] + _TINY) / (counts.guessed[size] + _SMALL)
        scores.append(product ** (1 / (size + 1)) * penalty)
    return scores


def unigram_bleu(prediction: Sequence[Hashable], reference: Sequence[Hashable]) -> float:
    """Return the precision of single words against one reference, times the brevity penalty.

    The assignment's measure of one sentence (nltk's ``sentence_bleu`` with ``weights=[1]``).
    """
    if not prediction:
        return 0.0
    shared = Counter(prediction) & Counter(reference)
    penalty = exp(min(0.0, 1 - len(reference) / len(prediction)))
    return shared.total() / len(prediction) * penalty
