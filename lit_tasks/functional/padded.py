"""What encoders do to ragged texts, done to padded ones: in operations that ONNX has.

Rows are texts, columns the positions of their tokens; ``keep`` says which positions hold any.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lit_tasks.functional.ngrams import hashed_ngrams


def padded_ngrams(
    tokens: Int[Tensor, "B T"],
    keep: Bool[Tensor, "B T"],
    longest: int,
    first: int,
    buckets: int,
) -> tuple[Int[Tensor, "B M"], Bool[Tensor, "B M"]]:
    """Return what :func:`lit_tasks.functional.ngrams.with_ngrams` does, and which of it is there.

    Args:
        tokens: Token ids; those of a text stand first in its row.
        keep: Which of them are there.
        longest: Longest n-gram; 1 returns the tokens alone.
        first: Number of the first bucket.
        buckets: How many numbers the n-grams share.
    """
    if longest == 1:
        return tokens, keep
    grams = hashed_ngrams(tokens, longest, first=first, buckets=buckets)
    place = torch.arange(tokens.shape[1], device=tokens.device)
    there = [keep & (place >= size) for size in range(longest)]
    return torch.cat(grams, dim=1), torch.cat(there, dim=1)


def padded_distinct(
    features: Int[Tensor, "B M"], keep: Bool[Tensor, "B M"]
) -> tuple[Int[Tensor, "B M"], Bool[Tensor, "B M"]]:
    """Return the features of each row in order, and which of them stand there the first time."""
    marked = torch.where(keep, features, -1)
    ordered = marked.sort(dim=1).values
    before = torch.cat((torch.full_like(ordered[:, :1], -1), ordered[:, :-1]), dim=1)
    new = (ordered != before) & (ordered >= 0)
    return ordered.clamp(min=0), new


def padded_sum(values: Float[Tensor, "B M F"], keep: Bool[Tensor, "B M"]) -> Float[Tensor, "B F"]:
    """Return the sum of what is there."""
    return (values * keep.unsqueeze(2)).sum(dim=1)


def padded_mean(values: Float[Tensor, "B M F"], keep: Bool[Tensor, "B M"]) -> Float[Tensor, "B F"]:
    """Return the mean of what is there, zeros where nothing is."""
    return padded_sum(values, keep) / keep.sum(dim=1, keepdim=True).clamp(min=1)


def padded_max(values: Float[Tensor, "B M F"], keep: Bool[Tensor, "B M"]) -> Float[Tensor, "B F"]:
    """Return the largest of what is there, zeros where nothing is."""
    low = torch.where(keep.unsqueeze(2), values, torch.finfo(values.dtype).min)
    there = keep.any(dim=1, keepdim=True)
    return torch.where(there, low.amax(dim=1), torch.zeros_like(low[:, 0]))


def padded_softmax(scores: Float[Tensor, "B T"], keep: Bool[Tensor, "B T"]) -> Float[Tensor, "B T"]:
    """Return the softmax over what is there, zeros elsewhere."""
    low = torch.where(keep, scores, torch.finfo(scores.dtype).min)
    return low.softmax(dim=1) * keep
