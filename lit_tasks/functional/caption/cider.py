"""CIDEr-D: how close a sentence is to the consensus of its references, rare words weighing more.

Sources: Vedantam, Zitnick and Parikh (2015); ``cider_scorer.py`` of coco-caption, whose "CIDEr" is
CIDEr-D and whose length of a sentence is its number of pairs of words.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import exp, fsum, log, sqrt

from lit_tasks.functional.caption.bleu import ORDERS, ngrams

SCALE = 10.0
"""Score of a sentence that is its only reference."""
_SIGMA = 6.0
NGram = tuple[Hashable, ...]


@dataclass(frozen=True)
class DocumentFrequencies:
    """In how many images' references each n-gram occurs.

    Attributes:
        images: By n-gram.
        total: Number of images.
    """

    images: Mapping[NGram, int]
    total: int

    @classmethod
    def count(cls, references: Iterable[Sequence[Sequence[Hashable]]]) -> "DocumentFrequencies":
        """Return the frequencies of a corpus: the words of all references of every image."""
        images: Counter[NGram] = Counter()
        total = 0
        for several in references:
            images.update({ngram for reference in several for ngram in ngrams(reference)})
            total += 1
        return cls(images, total)

    def weight(self, ngram: NGram) -> float:
        """Return the log of the inverse frequency; an unseen n-gram counts as in one image."""
        return log(self.total / max(1, self.images.get(ngram, 0)))


@dataclass(frozen=True)
class TfIdfVector:
    """A sentence as weighted counts of its n-grams.

    Attributes:
        counts: By number of words, 1 to 4, the weighted count of each n-gram.
        norms: Of each of them.
        pairs: Number of pairs of words.
    """

    counts: tuple[dict[NGram, float], ...]
    norms: tuple[float, ...]
    pairs: int


def weighted(words: Sequence[Hashable], frequencies: DocumentFrequencies) -> TfIdfVector:
    """Return a sentence as weighted counts."""
    counts: tuple[dict[NGram, float], ...] = tuple({} for _ in range(ORDERS))
    for ngram, count in ngrams(words).items():
        counts[len(ngram) - 1][ngram] = count * frequencies.weight(ngram)
    norms = tuple(sqrt(fsum([v * v for v in of_size.values()])) for of_size in counts)
    return TfIdfVector(counts, norms, max(0, len(words) - 1))


def cider_d(prediction: TfIdfVector, references: Sequence[TfIdfVector]) -> float:
    """Return the score of one sentence, 0 to 10; their mean is that of a corpus."""
    return SCALE * fsum(_similarity(prediction, r) for r in references) / len(references)


def _similarity(prediction: TfIdfVector, reference: TfIdfVector) -> float:
    """Return the mean cosine over the four sizes, clipped and smaller where lengths differ."""
    cosines = []
    for size in range(ORDERS):
        theirs, norm = reference.counts[size], prediction.norms[size] * reference.norms[size]
        ours = prediction.counts[size]
        shared = [(ours[ngram], theirs[ngram]) for ngram in ours.keys() & theirs.keys()]
        product = fsum([min(our, their) * their for our, their in shared])
        cosines.append(product / norm if norm else product)
    apart = prediction.pairs - reference.pairs
    return fsum(cosines) / ORDERS * exp(-(apart**2) / (2 * _SIGMA**2))
