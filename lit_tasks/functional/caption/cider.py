"""CIDEr-D: how close a sentence is to the consensus of its references, rare words weighing more.

Sources: Vedantam, Zitnick and Parikh (2015); ``cider_scorer.py`` of coco-caption, whose "CIDEr" is
CIDEr-D and whose length of a sentence is its number of pairs of words.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import exp, fsum, log, sqrt

from lit_tasks.functional.caption.bleu import ORDERS, ngrams

_SIGMA = 6.0
_SCALE = 10.0
Run = tuple[str, ...]


@dataclass(frozen=True)
class Frequencies:
    """In how many images' references each run of words occurs.

    Attributes:
        images: By run of words.
        total: Number of images.
    """

    images: Mapping[Run, int]
    total: int

    @classmethod
    def count(cls, references: Iterable[Sequence[Sequence[str]]]) -> "Frequencies":
        """Return the frequencies of a corpus: the words of all references of every image."""
        images: Counter[Run] = Counter()
        total = 0
        for several in references:
            images.update({run for reference in several for run in ngrams(reference)})
            total += 1
        return cls(images, total)

    def weight(self, run: Run) -> float:
        """Return the logarithm of the inverse frequency; a run that is nowhere counts as in one."""
        return log(self.total / max(1, self.images.get(run, 0)))


@dataclass(frozen=True)
class Weighted:
    """A sentence as weighted counts of its runs of words.

    Attributes:
        counts: By number of words, 1 to 4, the weighted count of each run.
        norms: Of each of them.
        pairs: Number of pairs of words.
    """

    counts: tuple[dict[Run, float], ...]
    norms: tuple[float, ...]
    pairs: int


def weighted(words: Sequence[str], frequencies: Frequencies) -> Weighted:
    """Return a sentence as weighted counts."""
    counts: tuple[dict[Run, float], ...] = tuple({} for _ in range(ORDERS))
    for run, count in ngrams(words).items():
        counts[len(run) - 1][run] = count * frequencies.weight(run)
    norms = tuple(sqrt(fsum([v * v for v in of_size.values()])) for of_size in counts)
    return Weighted(counts, norms, max(0, len(words) - 1))


def cider_d(prediction: Weighted, references: Sequence[Weighted]) -> float:
    """Return the score of one sentence, 0 to 10; their mean is that of a corpus."""
    return _SCALE * fsum(_similarity(prediction, r) for r in references) / len(references)


def _similarity(prediction: Weighted, reference: Weighted) -> float:
    """Return the mean cosine over the four sizes, clipped and smaller where lengths differ."""
    cosines = []
    for size in range(ORDERS):
        theirs, norm = reference.counts[size], prediction.norms[size] * reference.norms[size]
        ours = prediction.counts[size]
        shared = [(ours[run], theirs[run]) for run in ours.keys() & theirs.keys()]
        product = fsum([min(our, their) * their for our, their in shared])
        cosines.append(product / norm if norm else product)
    apart = prediction.pairs - reference.pairs
    return fsum(cosines) / ORDERS * exp(-(apart**2) / (2 * _SIGMA**2))
