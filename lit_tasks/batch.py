"""What a batch holds: one NamedTuple per kind of supervision.

Every batch carries ``index``, the position of each sample in its dataset. Predictions are put
back into input order by it, on any number of processes, and an error can name the sample.
"""

from typing import NamedTuple

from jaxtyping import Int
from torch import Tensor


class TextBatch(NamedTuple):
    """Texts of different lengths without padding: all their tokens in one row.

    Attributes:
        tokens: Word numbers of all texts, one text after the other.
        lengths: How many of the tokens belong to each text; zero is allowed.
        label: Class of each text, or ``None`` where there is none (prediction).
        index: Position of each text in its dataset.
    """

    tokens: Int[Tensor, " N"]
    lengths: Int[Tensor, " B"]
    label: Int[Tensor, " B"] | None
    index: Int[Tensor, " B"]
