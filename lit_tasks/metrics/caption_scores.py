"""How good sentences about images are, in the metrics of COCO's evaluation and one more."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.data import dim_zero_cat

from lit_tasks.functional.caption.scores import corpus_scores, image_scores
from lit_tasks.text.captions import SPECIAL, caption_words

_SPECIAL = frozenset(word.lower() for word in SPECIAL)


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


def scored_pairs(pairs: Sequence[CaptionPair]) -> dict[str, list[float]]:
    """Return each image's own scores, by name."""
    ours = [caption_words(pair.prediction) for pair in pairs]
    theirs = [[caption_words(text) for text in pair.references] for pair in pairs]
    return image_scores(ours, theirs, unspoken=_SPECIAL)


def caption_scores(
    predictions: Sequence[str], references: Sequence[Sequence[str]], intervals: bool = False
) -> dict[str, float]:
    """Return :data:`~lit_tasks.functional.caption.scores.CAPTION_METRICS` and ``samples``.

    The assignment's metrics leave <UNK> out of a prediction, which counts as a wrong word
    elsewhere. Neither leaves out of a reference what a vocabulary lacks: that would make a smaller
    vocabulary look better.

    Args:
        predictions: A sentence about each image.
        references: Those of people, one an image at least.
        intervals: Whether to add ``..._low`` and ``..._high``, an interval of 95 % from resampling
            images.
    """
    ours = [caption_words(text) for text in predictions]
    theirs = [[caption_words(text) for text in several] for several in references]
    return corpus_scores(ours, theirs, intervals, unspoken=_SPECIAL)
