"""What a batch holds: one NamedTuple per kind of supervision.

Every batch carries ``index``, the position of each sample in its dataset. Predictions are put
back into input order by it, on any number of processes, and an error can name the sample.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple, TypeVar

from jaxtyping import Bool, Float, Int, Num
from torch import Tensor

T = TypeVar("T")


class TextBatch(NamedTuple):
    """Texts of different lengths without padding: all their tokens in one row.

    Attributes:
        tokens: Token ids of all texts, one text after the other.
        lengths: How many of the tokens belong to each text; zero is allowed.
        label: Class of each text, or which labels it has, ``(B, C)``, where it may have several;
            ``None`` where there is none (prediction).
        index: Position of each text in its dataset.
    """

    tokens: Int[Tensor, " N"]
    lengths: Int[Tensor, " B"]
    label: Int[Tensor, " B"] | Bool[Tensor, "B C"] | None
    index: Int[Tensor, " B"]  # type: ignore[assignment] # tuple.index goes


class ImageBatch(NamedTuple):
    """Images of one size.

    Attributes:
        image: Red, green and blue, whole numbers from 0 to 255 or fractions from 0 to 1.
        label: Class of each image, or which labels it has, ``(B, C)``, where it may have several;
            ``None`` where there is none (prediction).
        index: Position of each image in its dataset.
    """

    image: Num[Tensor, "B 3 H W"]
    label: Int[Tensor, " B"] | Bool[Tensor, "B C"] | None
    index: Int[Tensor, " B"]  # type: ignore[assignment] # tuple.index goes


class FeatureBatch(NamedTuple):
    """What a frozen network made of images, computed once.

    Attributes:
        features: Features of each image.
        label: Class of each image, or which labels it has, ``(B, C)``, where it may have several;
            ``None`` where there is none (prediction).
        index: Position of each image in its dataset.
    """

    features: Float[Tensor, "B F"]
    label: Int[Tensor, " B"] | Bool[Tensor, "B C"] | None
    index: Int[Tensor, " B"]  # type: ignore[assignment] # tuple.index goes


class CaptionBatch(NamedTuple):
    """Images, or what a frozen network made of them, with sentences about them.

    Attributes:
        image: Images ``(B, 3, H, W)``, pooled features ``(B, F)`` or maps of features
            ``(B, P, F)`` at ``P`` positions.
        tokens: Token ids of all captions, one caption after the other, each from its start
            word to its end word, or ``None`` where there are none (prediction).
        lengths: How many of the tokens belong to each image.
        references: Evaluation only: all sentences that people wrote about each image.
        index: Position of each sample in its dataset.
    """

    image: Num[Tensor, "B ..."]
    tokens: Int[Tensor, " N"] | None
    lengths: Int[Tensor, " B"] | None
    references: list[list[str]] | None
    index: Int[Tensor, " B"]  # type: ignore[assignment] # tuple.index goes


class StyleRegion(NamedTuple):
    """Where a region lies, in whole numbers up to 255.

    Attributes:
        content: In the photograph.
        styles: In each painting.
    """

    content: Num[Tensor, "H W"]
    styles: list[Num[Tensor, "_ _"]]


class StyleBatch(NamedTuple):
    """Pairs of images: what is to be seen, and how it is to be painted.

    Attributes:
        content: Each pair's photograph, whole numbers up to 255; sizes differ. ``None`` where only
            finished images are asked for (prediction).
        styles: Each pair's paintings, one or several.
        style_weights: How much each of them counts.
        names: What each pair is called.
        slot: Position of each pair among those that are worked on at the same time, over all
            processes.
        index: Position of each pair in its dataset.
        init: The image that each pair's starts from, or ``None`` where none is given.
        regions: The regions of each pair, often none.
    """

    content: list[Num[Tensor, "3 H W"]] | None
    styles: list[list[Num[Tensor, "3 H W"]]] | None
    style_weights: list[list[float]]
    names: list[str]
    slot: list[int]
    index: Int[Tensor, " B"]  # type: ignore[assignment] # tuple.index goes
    init: Sequence[Num[Tensor, "3 H W"] | None] = ()
    regions: Sequence[Sequence[StyleRegion]] = ()


def in_batches(samples: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield samples in lists of ``size`` and the rest; no more than one list is held at a time."""
    rest = iter(samples)
    while batch := list(islice(rest, size)):
        yield batch
