"""How good sentences about images are: COCO's metrics and one more, for a corpus and each image.

No tensors: words in, numbers out.
"""

from collections.abc import Sequence
from math import fsum

import numpy as np

from lit_tasks.functional.caption.bleu import (
    BleuCounts,
    add_counts,
    bleu,
    bleu_counts,
    unigram_bleu,
)
from lit_tasks.functional.caption.cider import DocumentFrequencies, cider_d, weighted
from lit_tasks.functional.caption.rouge import rouge_l

Words = Sequence[str]

#: What is computed, each from 0 for the worst: more is better.
CAPTION_METRICS = (
    *("bleu1", "bleu2", "bleu3", "bleu4", "cider_d", "rouge_l"),
    *("assignment_bleu", "assignment_bleu_first"),
)
_RESAMPLED = 1000


def corpus_scores(
    predictions: Sequence[Words],
    references: Sequence[Sequence[Words]],
    intervals: bool = False,
    unspoken: frozenset[str] = frozenset(),
) -> dict[str, float]:
    """Return :data:`CAPTION_METRICS` and ``samples``, the number of images.

    ``assignment_bleu`` compares with one reference at a time and is the mean over all of an
    image's: what the assignment's measure, which draws one at random, is expected to be.
    ``assignment_bleu_first`` is that of each image's first reference.

    Args:
        predictions: The words of a sentence about each image.
        references: Those of people, one an image at least.
        intervals: Whether to add ``..._low`` and ``..._high``, an interval of 95 % from resampling
            images.
        unspoken: Words that the assignment's metrics leave out of a prediction.
    """
    found: dict[str, float] = {"samples": float(len(predictions))}
    if not predictions:
        return found
    counts = [bleu_counts(p, r) for p, r in zip(predictions, references, strict=True)]
    each = _of_each_image(predictions, references, unspoken)
    for size, value in enumerate(bleu(add_counts(counts)), start=1):
        found[f"bleu{size}"] = value
    found |= {name: float(np.mean(values)) for name, values in each.items()}
    if intervals:
        found |= _intervals(counts, each)
    return found


def image_scores(
    predictions: Sequence[Words],
    references: Sequence[Sequence[Words]],
    unspoken: frozenset[str] = frozenset(),
) -> dict[str, list[float]]:
    """Return each image's own value of :data:`CAPTION_METRICS`, as coco-caption's ``imgToEval``.

    BLEU of one sentence is that of a corpus of one; CIDEr-D takes its document frequencies from
    all references. The means of ``cider_d``, ``rouge_l`` and the assignment's are the corpus's.
    """
    pairs = zip(predictions, references, strict=True)
    single = [bleu(bleu_counts(prediction, several)) for prediction, several in pairs]
    columns = {f"bleu{size + 1}": [row[size] for row in single] for size in range(4)}
    return columns | _of_each_image(predictions, references, unspoken)


def _of_each_image(
    ours: Sequence[Words], theirs: Sequence[Sequence[Words]], unspoken: frozenset[str]
) -> dict[str, list[float]]:
    frequencies = DocumentFrequencies.count(theirs)
    each: dict[str, list[float]] = {
        name: [] for name in ("cider_d", "rouge_l", "assignment_bleu", "assignment_bleu_first")
    }
    for prediction, several in zip(ours, theirs, strict=True):
        vectors = [weighted(reference, frequencies) for reference in several]
        each["cider_d"].append(cider_d(weighted(prediction, frequencies), vectors))
        each["rouge_l"].append(rouge_l(prediction, several))
        said = [word for word in prediction if word not in unspoken]
        single = [unigram_bleu(said, reference) for reference in several]
        each["assignment_bleu"].append(fsum(single) / len(single))
        each["assignment_bleu_first"].append(single[0])
    return each


def _intervals(counts: list[BleuCounts], each: dict[str, list[float]]) -> dict[str, float]:
    """Return the 2.5th and 97.5th percentile of every metric over resampled images.

    CIDEr-D keeps its document frequencies.
    """
    total = len(counts)
    times = np.random.default_rng(0).multinomial(total, [1 / total] * total, size=_RESAMPLED)
    rows = np.array([[*c.correct, *c.guessed, c.length, c.reference_length] for c in counts])
    sums = (times @ rows).tolist()
    scores = np.array(
        [bleu(BleuCounts(s[:4], s[4:8], length=s[8], reference_length=s[9])) for s in sums]
    )
    drawn = {f"bleu{size + 1}": scores[:, size] for size in range(scores.shape[1])}
    drawn |= {name: times @ np.array(values) / total for name, values in each.items()}
    found: dict[str, float] = {}
    for name, values in drawn.items():
        low, high = np.percentile(values, (2.5, 97.5)).tolist()
        found |= {f"{name}_low": low, f"{name}_high": high}
    return found
