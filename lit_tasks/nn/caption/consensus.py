"""Of several sentences the one that agrees most with all that might be said about an image.

Minimum Bayes risk decoding (Kumar and Byrne 2004; Eikema and Aziz 2022, *Sampling-based
approximations to minimum Bayes risk decoding*): where many sentences are about equally probable,
the most probable one is an accident, and the one that has most in common with all is safer.
"""

from collections.abc import Hashable, Sequence

from lit_tasks.functional.caption.bleu import unigram_bleu

Words = Sequence[Hashable]


def agreement(sentence: Words, others: Sequence[Words]) -> float:
    """Return the mean precision of a sentence's words against each of ``others``, 0 to 1.

    Precision comes with the brevity penalty
    (:func:`~lit_tasks.functional.caption.bleu.unigram_bleu`), so that neither a word more nor a
    word less than the others have makes a sentence better.
    """
    return sum(unigram_bleu(sentence, other) for other in others) / max(1, len(others))


def by_agreement(candidates: Sequence[list[int]], others: Sequence[Words]) -> list[list[int]]:
    """Return sentences, those first that agree most with ``others``; ties keep their order."""
    return sorted(candidates, key=lambda sentence: -agreement(sentence, others))
