"""How much a class counts in a loss, so that rare ones are not drowned."""

from jaxtyping import Float, Int
from torch import Tensor


def class_weights(counts: Int[Tensor, " C"]) -> Float[Tensor, " C"]:
    """Return weights in inverse proportion to the counts, whose mean over the samples is 1.

    A class without samples gets the weight of one with a single sample.
    """
    weights = 1 / counts.clamp(min=1).double()
    share = counts.double() / counts.sum().clamp(min=1)
    return (weights / (weights * share).sum().clamp(min=1e-12)).float()
