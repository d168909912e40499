"""What every decoder of captions has in common: what it reads and returns, and its state.

A captioner is any module with the three methods of :class:`Captioner`. Captions are ragged (the
words of all, one caption after the other) and are put in packed order, so nothing is padded.
"""

from collections.abc import Sequence
from math import isqrt
from typing import NamedTuple, Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from lit_tasks.functional.recurrent.packing import check_lengths, pack_ragged
from lit_tasks.nn.text.embeddings import WordVectors

START, END, UNKNOWN = 0, 1, 2
"""Numbers of the words that are not words (`lit_tasks.text.captions.SPECIAL`)."""


class State(NamedTuple):
    """What a captioner knows between two words.

    Attributes:
        fixed: What it keeps about each image, ``(B, ...)`` each.
        moving: What changes from word to word, ``(R, ...)`` each: one row a sentence. ``R`` is a
            multiple of ``B``, and sentences about the same image lie side by side.
    """

    fixed: tuple[Tensor, ...]
    moving: tuple[Tensor, ...]

    def rows(self, indices: Int[Tensor, " R"]) -> "State":
        """Return the state with other sentences in its rows."""
        return State(self.fixed, tuple(tensor[indices] for tensor in self.moving))


class DecoderOutput(NamedTuple):
    """Logits of all words after each word of given captions, in packed order.

    Attributes:
        logits: ``(N, V)``. An ensemble has one block of rows for each member.
        target: The word that comes next, ``(N,)``.
        sequence: Which caption each row belongs to, ``(N,)``.
        token_index: Where the next word stands in the given captions, ``(N,)``.
        attention: Where the decoder looked, ``(N, P)``; ``None`` without attention.
    """

    logits: Float[Tensor, "N V"]
    target: Int[Tensor, " N"]
    sequence: Int[Tensor, " N"]
    token_index: Int[Tensor, " N"]
    attention: Float[Tensor, "N P"] | None = None


class Captioner(Protocol):
    """A decoder: features of images in, logits of words out."""

    def begin(self, features: Tensor) -> State:
        """Return the state in front of the start word."""

    def step(self, words: Int[Tensor, " R"], state: State) -> tuple[Float[Tensor, "R V"], State]:
        """Return the logarithm of the probability of each word after ``words``, and the state."""

    def __call__(
        self, features: Tensor, tokens: Int[Tensor, " N"], lengths: Int[Tensor, " B"]
    ) -> DecoderOutput:
        """Return the logits of the words after each given word but the last of each caption."""


class TeacherForcingInputs(NamedTuple):
    """Captions in packed order: each word, and the word after it with its caption and place."""

    words: PackedSequence
    target: Int[Tensor, " N"]
    sequence: Int[Tensor, " N"]
    token_index: Int[Tensor, " N"]


def teacher_forcing_inputs(
    tokens: Int[Tensor, " N"], lengths: Int[Tensor, " B"]
) -> TeacherForcingInputs:
    """Return what is read and what should follow.

    Args:
        tokens: Words of all captions, each from its start word to its end word.
        lengths: Words of each, at least 2.

    Raises:
        ValueError: Lengths do not fit the tokens, or a caption has fewer than two words.
    """
    check_lengths(lengths, tokens.shape[0])
    if lengths.numel() and int(lengths.min()) < 2:
        raise ValueError(
            "a caption needs a start and an end word, so lengths must be at least 2, "
            f"got {int(lengths.min())}"
        )
    first = torch.zeros(len(tokens) + 1, dtype=torch.bool, device=tokens.device)
    first[0] = True
    first[lengths.cumsum(0)] = True
    whose = torch.arange(len(lengths), device=tokens.device).repeat_interleave(lengths - 1)
    token_index = torch.arange(len(tokens), device=tokens.device)[~first[:-1]]
    packed = pack_ragged(torch.stack((token_index, whose), dim=1), lengths - 1)
    token_index, whose = packed.data.unbind(dim=1)
    words = packed._replace(data=tokens[token_index - 1])
    return TeacherForcingInputs(words, tokens[token_index], sequence=whose, token_index=token_index)


_PRETRAINED_DIM = 50  # numbers of a pretrained word vector: those of glove-6b-50d


class WordEmbedding(nn.Module):
    """Word vectors with dropout.

    Args:
        num_words: Words in the vocabulary.
        embedding_dim: Numbers of each word's vector.
        vectors: Pretrained word vectors (``glove-6b-50d``, a GloVe file) to begin with, as the
            first numbers of each vector.
        dropout: Fraction of the numbers set to zero while training.
    """

    def __init__(
        self,
        num_words: int,
        embedding_dim: int = 256,
        vectors: str | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if vectors is not None and embedding_dim < _PRETRAINED_DIM:
            raise ValueError(
                f"embedding_dim must be at least the {_PRETRAINED_DIM} numbers of {vectors}, "
                f"got {embedding_dim}"
            )
        known = _PRETRAINED_DIM if vectors else 0
        self.table = (
            WordVectors(
                num_words, known or embedding_dim, vectors, trained_dim=embedding_dim - known
            )
            if vectors
            else WordVectors(num_words, embedding_dim, None)
        )
        self.dropout = nn.Dropout(dropout)
        self.out_features: int = self.table.out_features

    def initialize(self, words: Sequence[str]) -> str:
        """Load the pretrained vectors of ``words`` and return how many there are."""
        return self.table.initialize(words)

    def forward(self, words: Int[Tensor, " N"]) -> Float[Tensor, "N E"]:
        """Return the vector of each word."""
        vectors: Tensor = self.dropout(self.table(words))
        return vectors


def norm(in_features: int, wanted: bool) -> nn.Module:
    """Return what gives each image's (or position's) features mean 0 and variance 1, if wanted."""
    return nn.LayerNorm(in_features, elementwise_affine=False) if wanted else nn.Identity()


def position_waves(features: Float[Tensor, "B P F"], waves: int) -> Float[Tensor, "B P W"]:
    """Return sine and cosine of row and column of each position of a square map, ``4 * waves``.

    The waves make 1, 2, 4, ... half turns over the map: after Vaswani et al. (2017), in two
    dimensions.

    Raises:
        ValueError: The map is not square.
    """
    side = isqrt(features.shape[1])
    if side**2 != features.shape[1]:
        raise ValueError(
            f"positions needs a square map, got {features.shape[1]} positions: set it to 0"
        )
    turns = torch.pi * 2.0 ** torch.arange(waves, device=features.device)
    middles = (torch.arange(side, device=features.device) + 0.5) / side
    angles = middles[:, None] * turns
    found = torch.cat((angles.sin(), angles.cos()), dim=1).to(features.dtype)
    rows, columns = found[:, None].expand(-1, side, -1), found[None].expand(side, -1, -1)
    return torch.cat((rows, columns), dim=2).flatten(0, 1).expand(len(features), -1, -1)


class FeaturePooling(nn.Module):
    """One row of features an image: pooled features as they are, a map in one of two ways.

    Args:
        in_features: Features at each position.
        grid: Without it a map becomes its mean, which says what there is. With it the map, whose
            positions form a square, is averaged over a square of ``grid * grid`` cells, each
            keeps a few features, and all cells go in side by side, which says where as well.
        cell_features: How many features a cell keeps.

    Attributes:
        out_features: Features in the row.
    """

    def __init__(self, in_features: int, grid: int = 0, cell_features: int = 32) -> None:
        super().__init__()
        self.grid = grid
        self.reduce = nn.Linear(in_features, cell_features) if grid else None
        self.out_features = grid * grid * cell_features if grid else in_features

    def forward(self, features: Float[Tensor, "B ..."]) -> Float[Tensor, "B F"]:
        """Return a row for each image."""
        if self.reduce is None:
            return features.mean(dim=1) if features.ndim == 3 else features
        if features.ndim != 3 or isqrt(features.shape[1]) ** 2 != features.shape[1]:
            raise ValueError(
                "grid needs a square map of features (B, P, F), got shape "
                f"{tuple(features.shape)}: set the backbone's output to map, or grid to 0"
            )
        side = isqrt(features.shape[1])
        kept = self.reduce(features).mT.unflatten(2, (side, side))
        row: Tensor = nn.functional.adaptive_avg_pool2d(kept, self.grid).flatten(1)
        return row
