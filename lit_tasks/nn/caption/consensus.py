"""Of several sentences the one that agrees most with all that might be said about an image.

Minimum Bayes risk decoding (Kumar and Byrne 2004; Eikema and Aziz 2022, *Sampling-based
approximations to minimum Bayes risk decoding*): where many sentences are about equally probable,
the most probable one is an accident, and the one that has most in common with all is safer.
"""

from collections.abc import Hashable, Sequence

from lit_tasks.functional.caption.bleu import unigram_bleu
from lit_tasks.functional.caption.cider import SCALE, DocumentFrequencies, cider_d, weighted

Words = Sequence[Hashable]

_ALIKE = DocumentFrequencies({}, total=2)
"""Every n-gram is as rare as any other: what is drawn about one image tells nothing of that."""


def agreements(candidates: Sequence[Words], others: Sequence[Words]) -> list[float]:
    """Return how much each of ``candidates`` has in common with ``others``, 0 to 2.

    It is the mean over ``others`` of the precision of single words with the brevity penalty
    (:func:`~lit_tasks.functional.caption.bleu.unigram_bleu`), so that neither a word more nor a
    word less than the others have makes a sentence better, and of the cosine of the counts of
    n-grams of one to four words
    (:func:`~lit_tasks.functional.caption.cider.cider_d` on a scale of 1, all n-grams weighing
    alike), so that the words stand in an order that the others have.
    """
    if not others:
        return [0.0] * len(candidates)
    counted = [weighted(other, _ALIKE) for other in others]
    found = []
    for sentence in candidates:
        words = sum(unigram_bleu(sentence, other) for other in others) / len(others)
        ngrams = cider_d(weighted(sentence, _ALIKE), counted) / SCALE
        found.append(words + ngrams)
    return found


def by_agreement(candidates: Sequence[list[int]], others: Sequence[Words]) -> list[list[int]]:
    """Return sentences, those first that agree most with ``others``; ties keep their order."""
    agreed = agreements(candidates, others)
    order = sorted(range(len(candidates)), key=lambda place: -agreed[place])
    return [candidates[place] for place in order]
