"""Of several sentences, the one that the others agree with best."""

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import TypeVar

Word = TypeVar("Word", bound=Hashable)
_ORDERS = 4


def agreement(first: Sequence[Counter[object]], second: Sequence[Counter[object]]) -> float:
    """Return how much two sentences share: the mean F1 of their runs of 1 to 4 words."""
    total = 0.0
    for mine, theirs in zip(first, second, strict=True):
        there = mine.total() + theirs.total()
        if there:
            total += (
                2 * sum(min(n, theirs[run]) for run, n in mine.items() if run in theirs) / there
            )
    return total / _ORDERS


def most_agreed(candidates: Sequence[list[Word]], voters: Sequence[list[Word]]) -> list[Word]:
    """Return the candidate with the largest mean agreement with all voters; the first on a tie.

    Sources: minimum Bayes risk decoding, Kumar and Byrne (2004); consensus captions, Devlin et al.
    (2015).
    """
    votes = Counter(map(tuple, voters))
    runs = {sentence: _runs(sentence) for sentence in {*votes, *map(tuple, candidates)}}
    return max(
        candidates,
        key=lambda sentence: sum(
            count * agreement(runs[tuple(sentence)], runs[vote]) for vote, count in votes.items()
        ),
    )


def _runs(words: tuple[Word, ...]) -> list[Counter[object]]:
    return [
        Counter(words[i : i + size] for i in range(len(words) - size + 1))
        for size in range(1, _ORDERS + 1)
    ]
