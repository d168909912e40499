"""A classifier of texts as one ONNX file: token ids in, probabilities out."""

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lit_tasks.nn.onnx_files import write_onnx
from lit_tasks.protocols import ReadsPadded


class PaddedTextProbabilities(nn.Module):
    """Padded token ids to the probabilities that a trained classifier states.

    Args:
        encoder: Has a form for padded texts (``from_padded``).
        head: Features to scores; one score for two classes.
        several: Whether a text may have several labels, each with a probability of its own.

    Raises:
        ValueError: The encoder has no such form.
    """

    def __init__(self, encoder: nn.Module, head: nn.Module, several: bool = False) -> None:
        super().__init__()
        if not isinstance(encoder, ReadsPadded):
            raise ValueError(
                f"{type(encoder).__name__} offers no export to ONNX: give it a method from_padded"
                " (lit_tasks.protocols.ReadsPadded)"
            )
        self.encoder, self.head, self.several = encoder, head, several

    def forward(
        self, input_ids: Int[Tensor, "B T"], attention_mask: Int[Tensor, "B T"]
    ) -> Float[Tensor, "B C"]:
        """Return the probability of each class."""
        features = self.encoder.from_padded(input_ids, attention_mask > 0)
        read = self.head.from_padded if isinstance(self.head, ReadsPadded) else self.head
        scores: Tensor = read(features)
        if self.several:
            return scores.sigmoid()
        if scores.shape[1] == 1:
            scores = torch.cat((torch.zeros_like(scores), scores), dim=1)
        return scores.softmax(dim=1)


def export_text_classifier(
    encoder: nn.Module,
    head: nn.Module,
    labels: Sequence[str],
    path: Path,
    several: bool = False,
) -> None:
    """Write a classifier to an ONNX file.

    Inputs ``input_ids`` and ``attention_mask``, ``(B, T)`` of int64: the token ids of each text
    from the left, and ones where there are any. Output ``probability``, ``(B, C)``. The metadata
    holds ``labels`` as JSON.

    Raises:
        ValueError: The packages for it are not installed, or the encoder cannot be exported.
    """
    ids = torch.zeros(2, 3, dtype=torch.int64)
    write_onnx(
        PaddedTextProbabilities(encoder, head, several),
        {"input_ids": ids, "attention_mask": torch.ones_like(ids)},
        "probability",
        dynamic={"input_ids": ["texts", "tokens"], "attention_mask": ["texts", "tokens"]},
        told={"labels": list(labels)},
        path=path,
    )
