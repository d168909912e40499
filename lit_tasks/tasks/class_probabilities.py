"""The probability of every class, as columns of a prediction."""

from collections.abc import Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor


def add_probabilities(
    rows: Sequence[dict[str, Any]], labels: Sequence[str], probability: Float[Tensor, "B C"]
) -> None:
    """Add to each row a column ``p_LABEL`` for every class.

    Args:
        rows: What is predicted, one row a sample.
        labels: Names of the classes.
        probability: Of each class, for each sample.
    """
    for row, values in zip(rows, probability.tolist(), strict=True):
        row.update({f"p_{label}": value for label, value in zip(labels, values, strict=True)})
