"""Texts as features without regard to order: bag of words and mean of embeddings.

An encoder takes a ragged batch (all words in one row, plus lengths) and returns one row a text. It
may have ``initialize(words)``, called once before training with the word of each number; it returns
a sentence to report. It may have ``make_head(num_outputs)`` when :class:`torch.nn.Linear` does not
fit its features; such a head may have ``observe``, called once with all training texts. Encoder and
head may have ``from_padded``, the same in operations that ONNX has: of a rectangle of tokens.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from lit_tasks.functional.ngrams import keep_tokens, with_ngrams
from lit_tasks.functional.padded import padded_distinct, padded_mean, padded_ngrams, padded_sum
from lit_tasks.nn.text.embeddings import WordVectors


class Bag(NamedTuple):
    """Which features each text has, ragged; a feature stands once in a text.

    Attributes:
        features: Feature numbers of all texts, one text after the other.
        lengths: Features of each text.
        gain: Factor that makes up for the features left out by dropout.
    """

    features: Int[Tensor, " N"]
    lengths: Int[Tensor, " B"]
    gain: float = 1.0


class PaddedBag(NamedTuple):
    """The same as a rectangle.

    Attributes:
        features: Feature numbers of each text.
        keep: Which of them it has.
    """

    features: Int[Tensor, "B M"]
    keep: Bool[Tensor, "B M"]


class BagOfWords(nn.Module):
    """The set of words (and n-grams) of a text: a row of zeros and ones, kept sparse.

    Args:
        num_embeddings: Words in the vocabulary.
        ngrams: Longest n-gram that is a feature; 1 is words alone.
        buckets: Numbers that the n-grams share by hashing; needed for ``ngrams`` above 1.
        naive_bayes: Scale every feature by its log-count ratio in the training texts, as NB-SVM
            does (Wang and Manning, 2012); the value is their smoothing count, 0 does not scale.
        dropout: Fraction of the features left out of each text while training.
        normalize: Divide each row by the square root of its number of features, so that long
            texts are not more certain than short ones.
    """

    def __init__(
        self,
        num_embeddings: int,
        ngrams: int = 1,
        buckets: int = 0,
        naive_bayes: float = 0.0,
        dropout: float = 0.0,
        normalize: bool = False,
    ) -> None:
        super().__init__()
        _check_ngrams(ngrams, buckets)
        self.num_embeddings, self.ngrams, self.buckets = num_embeddings, ngrams, buckets
        self.naive_bayes, self.dropout, self.normalize = naive_bayes, dropout, normalize
        self.out_features = num_embeddings + (buckets if ngrams > 1 else 0)

    def forward(self, tokens: Int[Tensor, " N"], lengths: Int[Tensor, " B"]) -> Bag:
        """Return the features of each text."""
        features, lengths = with_ngrams(
            tokens, lengths, longest=self.ngrams, first=self.num_embeddings, buckets=self.buckets
        )
        features, lengths = _distinct(features, lengths, self.out_features)
        gain = 1 / (1 - self.dropout) if self.training else 1.0
        return Bag(*_drop(features, lengths, rate=self.dropout, training=self.training), gain)

    def from_padded(self, tokens: Int[Tensor, "B T"], keep: Bool[Tensor, "B T"]) -> PaddedBag:
        """Return the features of padded texts, ``keep`` saying which tokens are there."""
        size = self.num_embeddings
        found = padded_ngrams(tokens, keep, longest=self.ngrams, first=size, buckets=self.buckets)
        return PaddedBag(*padded_distinct(*found))

    def make_head(self, num_outputs: int) -> "SparseLinear":
        """Return the linear layer that takes these sparse rows."""
        return SparseLinear(
            self.out_features, num_outputs, naive_bayes=self.naive_bayes, normalize=self.normalize
        )


class SparseLinear(nn.Module):
    """:class:`torch.nn.Linear` on rows of zeros and ones that are given by their ones.

    Args:
        in_features: Number of features.
        out_features: Number of outputs.
        naive_bayes: Smoothing count of the factor of each feature (:func:`log_count_ratios`), which
            :meth:`observe` sets; 0 for no factors.
        normalize: Whether a row is divided by the square root of its number of ones.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        naive_bayes: float = 0.0,
        normalize: bool = False,
    ) -> None:
        super().__init__()
        self.naive_bayes, self.normalize = naive_bayes, normalize
        # A linear model has no symmetry to break, and features never seen in training stay silent.
        self.weight = nn.Parameter(torch.zeros(in_features, out_features))
        self.bias = nn.Parameter(torch.zeros(out_features))
        self.scale = None
        if naive_bayes:  # not a buffer: DDP sends buffers in every step
            ones = torch.ones(in_features, out_features)
            self.scale = nn.Parameter(ones, requires_grad=False)

    @torch.no_grad()
    def observe(self, bags: Iterable[tuple[Bag, Int[Tensor, " B"]]], num_classes: int) -> None:
        """Set the factors from all training texts and their classes.

        Where a text may have several labels (``label`` of shape ``(B, C)``), each label is compared
        with its absence.
        """
        if self.scale is None:
            return
        width = len(self.scale)
        counts, total, several = torch.zeros(num_classes, width), torch.zeros(width), False
        for bag, label in bags:
            several = label.ndim > 1
            ones = torch.ones(len(bag.features))
            if not several:
                flat = label.repeat_interleave(bag.lengths) * width + bag.features
                counts.view(-1).index_add_(0, flat, ones)
                continue
            total.index_add_(0, bag.features, ones)
            for there, has_label in zip(counts, label.T, strict=True):
                kept = has_label.repeat_interleave(bag.lengths)
                there.index_add_(0, bag.features[kept], ones[kept])
        if several:
            pairs = (torch.stack((total - there, there)) for there in counts)
            ratios = [log_count_ratios(pair, self.naive_bayes, num_outputs=1) for pair in pairs]
            self.scale.copy_(torch.cat(ratios, dim=1))
        else:
            self.scale.copy_(log_count_ratios(counts, self.naive_bayes, self.scale.shape[1]))

    def forward(self, bag: Bag) -> Float[Tensor, "B F"]:
        """Return the sum of the weights of each text's features, and the bias."""
        offsets = bag.lengths.cumsum(0) - bag.lengths
        if self.scale is None:
            total = F.embedding_bag(bag.features, self.weight, offsets, mode="sum")
        else:
            total = self._scaled_sum(bag.features, offsets, self.scale)
        if self.normalize:
            total = total / bag.lengths.clamp(min=1).sqrt().unsqueeze(1)
        return total * bag.gain + self.bias

    def from_padded(self, bag: PaddedBag) -> Float[Tensor, "B F"]:
        """Return the same of a bag that is a rectangle."""
        weight = self.weight if self.scale is None else self.weight * self.scale
        total = padded_sum(F.embedding(bag.features, weight), bag.keep)
        if self.normalize:
            total = total / bag.keep.sum(dim=1, keepdim=True).clamp(min=1).sqrt()
        return total + self.bias

    def _scaled_sum(
        self, features: Int[Tensor, " N"], offsets: Int[Tensor, " B"], scale: Tensor
    ) -> Float[Tensor, "B F"]:
        if scale.shape[1] > 1:  # embedding_bag knows one factor for each feature alone
            return F.embedding_bag(features, self.weight * scale, offsets, mode="sum")
        return F.embedding_bag(
            features, self.weight, offsets, mode="sum", per_sample_weights=scale[features, 0]
        )


class MeanOfEmbeddings(nn.Module):
    """The mean of a trained vector for every word (and n-gram): fastText's features.

    Args:
        num_embeddings: Words in the vocabulary.
        embedding_dim: Numbers of each vector.
        ngrams: Longest n-gram with a vector of its own; 1 is words alone.
        buckets: Vectors that the n-grams share by hashing; needed for ``ngrams`` above 1.
        distinct: Whether a word counts once in a text, however often it stands there.
        word_dropout: Fraction of the words and n-grams left out of each text while training.
        init_std: Standard deviation of the vectors before training.
        sparse: Whether gradients hold the rows of a batch alone: much faster for large tables, with
            an optimizer that knows them (``torch.optim.Adagrad``, ``torch.optim.SGD``).
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int = 100,
        ngrams: int = 1,
        buckets: int = 0,
        distinct: bool = False,
        word_dropout: float = 0.0,
        init_std: float = 0.1,
        sparse: bool = False,
    ) -> None:
        super().__init__()
        _check_ngrams(ngrams, buckets)
        self.num_embeddings, self.ngrams, self.buckets = num_embeddings, ngrams, buckets
        self.distinct, self.word_dropout = distinct, word_dropout
        rows = num_embeddings + (buckets if ngrams > 1 else 0)
        self.embedding = nn.EmbeddingBag(rows, embedding_dim, mode="mean", sparse=sparse)
        nn.init.normal_(self.embedding.weight, std=init_std)
        self.out_features = embedding_dim

    def forward(
        self, tokens: Int[Tensor, " N"], lengths: Int[Tensor, " B"]
    ) -> Float[Tensor, "B F"]:
        """Return the mean of each text, zeros for a text without words."""
        features, lengths = with_ngrams(
            tokens, lengths, longest=self.ngrams, first=self.num_embeddings, buckets=self.buckets
        )
        if self.distinct:
            features, lengths = _distinct(features, lengths, self.embedding.num_embeddings)
        features, lengths = _drop(features, lengths, rate=self.word_dropout, training=self.training)
        mean: Tensor = self.embedding(features, lengths.cumsum(0) - lengths)
        return mean

    def from_padded(
        self, tokens: Int[Tensor, "B T"], keep: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B F"]:
        """Return the mean of padded texts, ``keep`` saying which tokens are there."""
        size = self.num_embeddings
        features, keep = padded_ngrams(
            tokens, keep, longest=self.ngrams, first=size, buckets=self.buckets
        )
        if self.distinct:
            features, keep = padded_distinct(features, keep)
        return padded_mean(F.embedding(features, self.embedding.weight), keep)


class MeanOfWordVectors(nn.Module):
    """The mean of pretrained word vectors, frozen or tuned, with trained ones beside them if asked.

    Args:
        num_embeddings: Words in the vocabulary.
        vectors: ``glove-6b-50d``, or a GloVe text file or zip, or a ``.vec`` file.
        embedding_dim: Numbers of each pretrained vector.
        tune: Whether the pretrained vectors are trained further.
        trained_dim: Numbers of a second vector, trained from scratch, beside the pretrained one.
        word_dropout: Fraction of the words left out of each text while training.
    """

    def __init__(
        self,
        num_embeddings: int,
        vectors: str = "glove-6b-50d",
        embedding_dim: int = 50,
        tune: bool = False,
        trained_dim: int = 0,
        word_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.word_vectors = WordVectors(
            num_embeddings, embedding_dim, vectors=vectors, tune=tune, trained_dim=trained_dim
        )
        self.word_dropout = word_dropout
        self.out_features = self.word_vectors.out_features

    def initialize(self, words: Sequence[str]) -> str:
        """Load the pretrained vectors of ``words`` and return how many there are."""
        return self.word_vectors.initialize(words)

    def forward(
        self, tokens: Int[Tensor, " N"], lengths: Int[Tensor, " B"]
    ) -> Float[Tensor, "B F"]:
        """Return the mean of each text, zeros for a text without words."""
        return self.word_vectors.mean(
            *_drop(tokens, lengths, rate=self.word_dropout, training=self.training)
        )

    def from_padded(
        self, tokens: Int[Tensor, "B T"], keep: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B F"]:
        """Return the mean of padded texts, ``keep`` saying which tokens are there."""
        return padded_mean(self.word_vectors(tokens), keep)


def log_count_ratios(
    counts: Float[Tensor, "C F"], smoothing: float, num_outputs: int
) -> Float[Tensor, "F O"]:
    """Return the log ratio of each feature's frequency in a class to that in the other classes.

    ``counts`` are the texts of each class that have the feature. One output compares the second of
    two classes with the first. Source: Wang and Manning (2012), equation 1.
    """
    smoothed = counts + smoothing
    classes = smoothed[1:] if num_outputs == 1 else smoothed
    others = smoothed.sum(0) - classes
    ratio = (classes / classes.sum(1, keepdim=True)) / (others / others.sum(1, keepdim=True))
    return ratio.log().T.contiguous()


def _check_ngrams(ngrams: int, buckets: int) -> None:
    if ngrams < 1:
        raise ValueError(f"ngrams must be at least 1, got {ngrams}")
    if ngrams > 1 and buckets < 1:
        raise ValueError(f"ngrams {ngrams} needs buckets to hash n-grams into, got {buckets}")


def _distinct(
    features: Int[Tensor, " N"], lengths: Int[Tensor, " B"], num_features: int
) -> tuple[Int[Tensor, " M"], Int[Tensor, " B"]]:
    """Keep each feature once in a text."""
    text = torch.arange(len(lengths), device=lengths.device).repeat_interleave(lengths)
    key = torch.unique(text * num_features + features)
    count = torch.bincount(key.div(num_features, rounding_mode="floor"), minlength=len(lengths))
    return key % num_features, count


def _drop(
    tokens: Int[Tensor, " N"], lengths: Int[Tensor, " B"], rate: float, training: bool
) -> tuple[Int[Tensor, " M"], Int[Tensor, " B"]]:
    if not training or rate == 0:
        return tokens, lengths
    return keep_tokens(tokens, lengths, torch.rand(len(tokens), device=tokens.device) >= rate)
