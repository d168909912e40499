"""Texts as features that follow the order of words: word vectors, a recurrent layer, pooling.

Nothing is padded: words are put in packed order, and pooling reads the packed states in place.
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence

from lit_tasks.functional.ngrams import keep_tokens
from lit_tasks.functional.padded import padded_max, padded_mean, padded_softmax, padded_sum
from lit_tasks.functional.recurrent.packing import pack_ragged
from lit_tasks.nn.recurrent.choice import CellName, OwnCells, recurrent_layers
from lit_tasks.nn.text.embeddings import WordVectors

Pooling = Literal["last", "mean", "max", "concat", "attention"]


class RecurrentEncoder(nn.Module):
    """Word vectors through recurrent layers, pooled to one row for each text.

    Args:
        num_embeddings: Words in the vocabulary.
        cell: The recurrent layer: ``lstm``, ``rnn``, ``gru``, or the class path of an
            :class:`lit_tasks.nn.recurrent.OwnCell`.
        hidden_size: Features of the state, in each direction.
        num_layers: Layers on top of each other.
        bidirectional: Whether a second layer reads each text from its end.
        pooling: ``last`` state, ``mean`` or ``max`` over the words, all three (``concat``), or a
            mean weighted by learned ``attention``.
        word_dropout: Fraction of the words left out of each text while training.
        embedding_dropout: Fraction of the numbers of the word vectors set to zero while training.
        dropout: The same between layers.
        kwargs: Options of :class:`~lit_tasks.nn.text.embeddings.WordVectors`.
    """

    def __init__(
        self,
        num_embeddings: int,
        cell: CellName | OwnCells = "lstm",
        hidden_size: int = 128,
        num_layers: int = 1,
        bidirectional: bool = False,
        pooling: Pooling = "last",
        word_dropout: float = 0.0,
        embedding_dropout: float = 0.0,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        self.word_vectors = WordVectors(num_embeddings, **kwargs)
        self.recurrent = recurrent_layers(
            cell,
            self.word_vectors.out_features,
            hidden_size,
            num_layers=num_layers,
            bidirectional=bidirectional,
            dropout=dropout,
        )
        self.word_dropout = word_dropout
        self.embedding_dropout = nn.Dropout(embedding_dropout)
        self.pooling = pooling
        features = hidden_size * (2 if bidirectional else 1)
        self.attention = nn.Linear(features, 1) if pooling == "attention" else None
        self.out_features = features * (3 if pooling == "concat" else 1)

    def initialize(self, words: Sequence[str]) -> str:
        """Load the pretrained vectors of ``words`` and return how many there are."""
        return self.word_vectors.initialize(words)

    def forward(
        self, tokens: Int[Tensor, " N"], lengths: Int[Tensor, " B"]
    ) -> Float[Tensor, "B F"]:
        """Return the pooled states of each text, zeros for a text without words."""
        if self.training and self.word_dropout:
            keep = torch.rand(len(tokens), device=tokens.device) >= self.word_dropout
            tokens, lengths = keep_tokens(tokens, lengths, keep)
        if not len(tokens):
            return self.word_vectors.tables[0].new_zeros(len(lengths), self.out_features)
        token_index = torch.arange(len(tokens), device=tokens.device)
        packed = pack_ragged(torch.stack((tokens, token_index), dim=1), lengths)
        vectors = self.embedding_dropout(self.word_vectors(packed.data[:, 0]))
        output, state = self.recurrent(packed._replace(data=vectors))
        rows = torch.empty_like(token_index)
        rows[packed.data[:, 1]] = token_index  # the packed row of each word
        last = state[0] if isinstance(state, tuple) else state
        return self._pool(output, rows, lengths=lengths, state=last)

    def from_padded(
        self, tokens: Int[Tensor, "B T"], keep: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B F"]:
        """Return the pooled states of padded texts, ``keep`` saying which tokens are there."""
        vectors = self.word_vectors(tokens).transpose(0, 1)
        output, state = self.recurrent(vectors, lengths=keep.sum(dim=1))
        states = output.transpose(0, 1)
        directions = 2 if self.recurrent.bidirectional else 1
        last = state[0] if isinstance(state, tuple) else state
        last = torch.cat(tuple(last[-directions:]), dim=1)
        if self.pooling == "last":
            return last
        if self.attention is not None:
            weights = padded_softmax(self.attention(states)[:, :, 0], keep)
            return padded_sum(states * weights.unsqueeze(2), keep)
        mean, largest = padded_mean(states, keep), padded_max(states, keep)
        if self.pooling == "mean":
            return mean
        return largest if self.pooling == "max" else torch.cat((last, mean, largest), dim=1)

    def _pool(
        self,
        output: PackedSequence,
        rows: Int[Tensor, " N"],
        lengths: Int[Tensor, " B"],
        state: Float[Tensor, "L B H"],
    ) -> Float[Tensor, "B F"]:
        directions = 2 if self.recurrent.bidirectional else 1
        last = torch.cat(tuple(state[-directions:]), dim=1)
        offsets = lengths.cumsum(0) - lengths
        if self.pooling == "last":
            return last
        if self.pooling == "attention":
            assert self.attention is not None
            weights = softmax_by_text(self.attention(output.data)[rows, 0], lengths)
            return F.embedding_bag(
                rows, output.data, offsets, mode="sum", per_sample_weights=weights
            )
        # embedding_bag reads each text's rows where they are and gives zeros to an empty text.
        mean = F.embedding_bag(rows, output.data, offsets, mode="mean")
        if self.pooling == "mean":
            return mean
        maximum = F.embedding_bag(rows, output.data, offsets, mode="max")
        if self.pooling == "max":
            return maximum
        return torch.cat((last, mean, maximum), dim=1)


def softmax_by_text(scores: Float[Tensor, " N"], lengths: Int[Tensor, " B"]) -> Float[Tensor, " N"]:
    """Return the softmax over each text's own scores, one text after the other."""
    text = torch.arange(len(lengths), device=lengths.device).repeat_interleave(lengths)
    offsets = lengths.cumsum(0) - lengths
    token_index = torch.arange(len(scores), device=scores.device)
    with torch.no_grad():
        largest = F.embedding_bag(token_index, scores.unsqueeze(1), offsets, mode="max")[:, 0]
    weights = (scores - largest[text]).exp()
    totals = torch.zeros_like(largest).index_add(0, text, weights)
    return weights / totals[text]
