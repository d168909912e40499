"""CIDEr-D of sampled sentences as a reward, for learning from it (self-critical training)."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from lit_tasks.functional.caption.cider import DocumentFrequencies, TfIdfVector, cider_d, weighted
from lit_tasks.text.captions import caption_words


class CiderReward:
    """Scores sentences with document frequencies that were counted before.

    The references' weighted counts are kept, so that they are made once a run.

    Args:
        references: All training references of every training image; how rare a word is, is
            counted in them.
    """

    def __init__(self, references: Sequence[Sequence[str]]) -> None:
        words = [[caption_words(text) for text in several] for several in references]
        self.frequencies = DocumentFrequencies.count(words)
        self._kept: dict[str, TfIdfVector] = {}

    def __call__(
        self, predictions: Sequence[str], references: Sequence[Sequence[str]]
    ) -> Float[Tensor, " B"]:
        """Return CIDEr-D of each sentence against the references of its image, 0 to 10.

        The sentences are a model's: words joined by spaces, which are not cut again.
        """
        rewards = []
        for prediction, several in zip(predictions, references, strict=True):
            vectors = [self._reference(text) for text in several]
            rewards.append(cider_d(weighted(prediction.split(), self.frequencies), vectors))
        return torch.tensor(rewards)

    def _reference(self, text: str) -> TfIdfVector:
        if text not in self._kept:
            self._kept[text] = weighted(caption_words(text), self.frequencies)
        return self._kept[text]
