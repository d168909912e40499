"""CIDEr-D of sampled sentences as a reward, for learning from it (self-critical training)."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from lit_tasks.functional.caption.cider import DocumentFrequencies, TfIdfVector, cider_d, weighted
from lit_tasks.text.captions import END, caption_words


class CiderReward:
    """Scores sentences with document frequencies that were counted before.

    The references' weighted counts are kept, so that they are made once a run.

    Args:
        references: All training references of every training image; how rare a word is, is
            counted in them.
        end_word: Whether the end word is a word like others, in sentences, references and document
            frequencies (Rennie et al. 2017, appendix E).
    """

    def __init__(self, references: Sequence[Sequence[str]], end_word: bool = True) -> None:
        self._end = [END] if end_word else []
        words = [[caption_words(text) + self._end for text in several] for several in references]
        self.frequencies = DocumentFrequencies.count(words)
        self._kept: dict[str, TfIdfVector] = {}

    def __call__(
        self,
        predictions: Sequence[str],
        references: Sequence[Sequence[str]],
        ended: Sequence[bool] | None = None,
    ) -> Float[Tensor, " B"]:
        """Return CIDEr-D of each sentence against the references of its image, 0 to 10.

        The sentences are a model's: words joined by spaces, which are not cut again.

        Args:
            predictions: A sentence about each image.
            references: Those of people.
            ended: Whether each sentence ended by itself; one that was cut has no end word. All
                did when left out.
        """
        rewards = []
        whole = [True] * len(predictions) if ended is None else ended
        for prediction, several, done in zip(predictions, references, whole, strict=True):
            vectors = [self._reference(text) for text in several]
            words = prediction.split() + (self._end if done else [])
            rewards.append(cider_d(weighted(words, self.frequencies), vectors))
        return torch.tensor(rewards)

    def _reference(self, text: str) -> TfIdfVector:
        if text not in self._kept:
            self._kept[text] = weighted(caption_words(text) + self._end, self.frequencies)
        return self._kept[text]
