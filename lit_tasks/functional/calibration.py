"""Temperature scaling of logits."""

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F


def fit_temperature(logits: Float[Tensor, "N C"], target: Int[Tensor, " N"]) -> float:
    r"""Return the :math:`T` for which ``softmax(scores / T)`` has the smallest cross-entropy.

    In :math:`\beta = 1/T` the cross-entropy is convex, so its derivative, the mean over samples of
    :math:`\sum_c p_c s_c - s_y`, is zero at one place; bisection finds it. Where it has none (every
    sample right, or no better than chance) the ends 1/20 and 20 are returned. Source: Guo, Pleiss,
    Sun and Weinberger (2017), who search by gradient descent.
    """
    logits = logits.double()
    if len(logits) == 0:
        return 1.0
    true = logits.gather(1, target[:, None]).squeeze(1)
    low, high = 1 / 20, 20.0  # of beta
    for _ in range(60):
        middle = (low * high) ** 0.5
        expected = (F.softmax(middle * logits, dim=1) * logits).sum(dim=1)
        if (expected - true).mean() > 0:
            high = middle
        else:
            low = middle
    return float(1 / middle)


def class_weights(counts: Int[Tensor, " C"]) -> Float[Tensor, " C"]:
    """Return weights in inverse proportion to the counts, whose mean over the samples is 1.

    A class without samples gets the weight of one with a single sample.
    """
    weights = 1 / counts.clamp(min=1).double()
    fraction = counts.double() / counts.sum().clamp(min=1)
    return (weights / (weights * fraction).sum().clamp(min=1e-12)).float()
