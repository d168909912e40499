"""How good sentences about images are, in the metrics of COCO's evaluation and one more."""

import json
from collections.abc import Sequence
from math import fsum
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.data import dim_zero_cat

from lit_tasks.functional.caption.bleu import (
    BleuCounts,
    add_counts,
    bleu,
    bleu_counts,
    unigram_bleu,
)
from lit_tasks.functional.caption.cider import DocumentFrequencies, cider_d, weighted
from lit_tasks.functional.caption.rouge import rouge_l
from lit_tasks.text.captions import SPECIAL, caption_words

#: What is computed, each from 0 for the worst: more is better.
CAPTION_METRICS = (
    *("bleu1", "bleu2", "bleu3", "bleu4", "cider_d", "rouge_l"),
    *("assignment_bleu", "assignment_bleu_first"),
)
_RESAMPLED = 1000
_SPECIAL = {word.lower() for word in SPECIAL}


class CaptionPair(NamedTuple):
    """An image with the sentence about it and those of people."""

    image_index: int
    prediction: str
    references: list[str]


class CaptionScores(Metric):
    """BLEU-1 to 4, CIDEr-D and ROUGE-L as coco-caption computes them, and the assignment's BLEU.

    Sentences are cut into words here, predictions like references. CIDEr-D takes its document
    frequencies from the references that it evaluates. All sentences are kept and put in order of
    their images, each image once: the metrics are the same to the last bit on any number of
    processes, also where one had no batch.

    Args:
        intervals: Whether to add intervals of 95 %, from resampling images.
    """

    full_state_update = False
    higher_is_better = True
    index: list[Tensor]
    sizes: list[Tensor]
    utf8: list[Tensor]

    def __init__(self, intervals: bool = False) -> None:
        super().__init__()
        self.intervals = intervals
        for name in ("index", "sizes", "utf8"):
            self.add_state(name, [], dist_reduce_fx="cat")

    def update(
        self, index: Int[Tensor, " B"], predictions: Sequence[str], references: list[list[str]]
    ) -> None:
        """Keep a batch.

        Raises:
            ValueError: An image has no reference.
        """
        rows = []
        for image, prediction, several in zip(index.tolist(), predictions, references, strict=True):
            if not several:
                raise ValueError(f"image {image} has no reference: a score needs one at least")
            rows.append(json.dumps([prediction, several]).encode())
        utf8 = np.frombuffer(b"".join(rows), dtype=np.uint8).copy()
        self.index.append(index.to(self.device, torch.long))
        self.sizes.append(torch.tensor([len(row) for row in rows], device=self.device))
        self.utf8.append(torch.from_numpy(utf8).to(self.device))

    def sync(self, *args: Any, **kwargs: Any) -> None:
        """Gather all states; a process without a batch gives empty ones of the right type."""
        if not len(self.index):
            for state, dtype in ((self.index, torch.long), (self.sizes, torch.long)):
                state.append(torch.zeros(0, dtype=dtype, device=self.device))
            self.utf8.append(torch.zeros(0, dtype=torch.uint8, device=self.device))
        super().sync(*args, **kwargs)

    def described(self) -> list[CaptionPair]:
        """Return what was kept, in order of the images, each once."""
        if not len(self.index):
            return []
        index, sizes = dim_zero_cat(self.index), dim_zero_cat(self.sizes).long()
        text = bytes(dim_zero_cat(self.utf8).cpu().numpy())
        ends = sizes.cumsum(0).tolist()
        rows: dict[int, CaptionPair] = {}
        for image, size, end in zip(index.tolist(), sizes.tolist(), ends, strict=True):
            prediction, references = json.loads(text[end - size : end])
            rows.setdefault(image, CaptionPair(image, prediction, references))
        return [rows[image] for image in sorted(rows)]

    def compute(self) -> dict[str, float]:
        """Return the metrics of :func:`caption_scores`."""
        rows = self.described()
        texts = [row.prediction for row in rows], [row.references for row in rows]
        return caption_scores(*texts, intervals=self.intervals)


def caption_scores(
    predictions: Sequence[str], references: Sequence[Sequence[str]], intervals: bool = False
) -> dict[str, float]:
    """Return ``bleu1`` to ``bleu4``, ``cider_d``, ``rouge_l``, ``assignment_bleu`` and ``samples``.

    ``assignment_bleu`` compares with one reference at a time and is the mean over all of an
    image's: what the assignment's measure, which draws one at random, is expected to be.
    ``assignment_bleu_first`` is that of each image's first reference. Both leave <UNK> out of a
    prediction, which counts as a wrong word elsewhere. Neither leaves out of a reference what a
    vocabulary lacks: that would make a smaller vocabulary look better.

    Args:
        predictions: A sentence about each image.
        references: Those of people, one an image at least.
        intervals: Whether to add ``..._low`` and ``..._high``, an interval of 95 % from resampling
            images.
    """
    ours = [caption_words(text) for text in predictions]
    theirs = [[caption_words(text) for text in several] for several in references]
    found: dict[str, float] = {"samples": float(len(ours))}
    if not ours:
        return found
    counts = [bleu_counts(p, r) for p, r in zip(ours, theirs, strict=True)]
    each = _of_each_image(ours, theirs)
    for size, value in enumerate(bleu(add_counts(counts)), start=1):
        found[f"bleu{size}"] = value
    found |= {name: float(np.mean(values)) for name, values in each.items()}
    if intervals:
        found |= _intervals(counts, each)
    return found


def _of_each_image(ours: list[list[str]], theirs: list[list[list[str]]]) -> dict[str, list[float]]:
    frequencies = DocumentFrequencies.count(theirs)
    each: dict[str, list[float]] = {
        name: [] for name in ("cider_d", "rouge_l", "assignment_bleu", "assignment_bleu_first")
    }
    for prediction, several in zip(ours, theirs, strict=True):
        vectors = [weighted(reference, frequencies) for reference in several]
        each["cider_d"].append(cider_d(weighted(prediction, frequencies), vectors))
        each["rouge_l"].append(rouge_l(prediction, several))
        said = [word for word in prediction if word not in _SPECIAL]
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
