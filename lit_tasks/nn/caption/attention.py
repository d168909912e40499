"""Soft-attention captioner over a feature map."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lit_tasks.nn.caption.captioner import (
    DecoderOutput,
    State,
    WordEmbedding,
    norm,
    position_waves,
    teacher_forcing_inputs,
)
from lit_tasks.nn.recurrent.cells import GRUCell, LSTMCell, RNNCell, init_forget_bias
from lit_tasks.nn.recurrent.choice import CellName

_CELLS = {"lstm": LSTMCell, "gru": GRUCell, "rnn": RNNCell}


class AttentionCaptioner(nn.Module):
    """Soft attention of Xu et al. (2015, *Show, Attend and Tell*) around a cell of our own.

    At every step the state gives each of ``P`` positions a weight; the weighted mean of their
    features, through a gate, goes into the cell beside the word. The first state, and an LSTM's
    first cell state, come from the mean of the map.

    Args:
        num_words: Words in the vocabulary.
        in_features: Features at each position.
        cell: The recurrent cell: ``lstm``, which the paper has, ``gru`` or ``rnn``.
        normalize: Whether each position's features get mean 0 and variance 1 first.
        positions: Sine waves of row and of column that stand beside each position's features, of 1,
            2, 4, ... half turns over a square map, so that above and below are told apart; none
            when 0. After Vaswani et al. (2017), in two dimensions.
        hidden_size: Features of the state.
        attention_size: Features in which state and positions are compared.
        context_size: Features of each position that the decoder reads, by a linear layer that
            the paper does not have; all of them when left out.
        image_dropout: Fraction of the map's features (the same at all positions) set to zero while
            training.
        word_dropout: Fraction of the numbers of word vectors set to zero while training.
        dropout: Fraction of the state's features left out in front of the scores while training.
        kwargs: Options of :class:`~lit_tasks.nn.caption.captioner.WordEmbedding`.
    """

    def __init__(
        self,
        num_words: int,
        in_features: int,
        cell: CellName = "lstm",
        normalize: bool = False,
        positions: int = 0,
        hidden_size: int = 512,
        attention_size: int = 256,
        context_size: int | None = None,
        image_dropout: float = 0.0,
        word_dropout: float = 0.0,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        self.words = WordEmbedding(num_words, dropout=word_dropout, **kwargs)
        embedding_dim = self.words.out_features
        self.norm = norm(in_features, normalize)
        self.positions = positions
        in_features += 4 * positions
        self.image_dropout = nn.Dropout1d(image_dropout)
        self.to_state = nn.Linear(in_features, hidden_size * (2 if cell == "lstm" else 1))
        width = context_size or in_features
        self.context = nn.Linear(in_features, width) if context_size else nn.Identity()
        self.of_position = nn.Linear(width, attention_size)
        self.of_state = nn.Linear(hidden_size, attention_size, bias=False)
        self.weight = nn.Linear(attention_size, 1, bias=False)
        self.gate = nn.Linear(hidden_size, width)
        self.cell = _CELLS[cell](embedding_dim + width, hidden_size)
        if cell == "lstm":
            init_forget_bias(self.cell)
        self.drop = nn.Dropout(dropout)
        self.of_hidden = nn.Linear(hidden_size, embedding_dim)
        self.of_context = nn.Linear(width, embedding_dim, bias=False)
        self.head = nn.Linear(embedding_dim, num_words)

    def initialize(self, words: Sequence[str]) -> str:
        """Load the pretrained vectors of ``words`` and return how many there are."""
        return self.words.initialize(words)

    def forward(
        self,
        features: Float[Tensor, "B P F"],
        tokens: Int[Tensor, " N"],
        lengths: Int[Tensor, " B"],
    ) -> DecoderOutput:
        """Return the logits of the words after each given word, and where the decoder looked."""
        words, target, sequence, token_index = teacher_forcing_inputs(tokens, lengths)
        state = self.begin(features)
        order = words.sorted_indices
        assert order is not None
        fixed = tuple(tensor[order] for tensor in state.fixed)
        moving = tuple(tensor[order] for tensor in state.moving)
        vectors, seen = self.words(words.data), []
        for rows in vectors.split(words.batch_sizes.tolist()):
            n = len(rows)
            # A sentence that has ended takes no part: those that go on stand in front.
            moving = tuple(tensor[:n] for tensor in moving)
            context, weights = self._look(moving[0], fixed[0][:n], fixed[1][:n])
            moving = self._next(torch.cat((rows, context), dim=1), moving)
            seen.append((moving[0], context, weights))
        hidden, contexts, attention = (torch.cat(parts) for parts in zip(*seen, strict=True))
        return DecoderOutput(
            self._logits(vectors, hidden, contexts),
            target,
            sequence=sequence,
            token_index=token_index,
            attention=attention,
        )

    def begin(self, features: Float[Tensor, "B P F"]) -> State:
        """Return the state in front of the start word."""
        if features.ndim != 3:
            raise ValueError(
                "attention needs a map of features (B, P, F), got shape "
                f"{tuple(features.shape)}: set the backbone's output to map"
            )
        # Dropout1d leaves out whole rows of (B, F, P): a feature, at all positions.
        features = self.image_dropout(self.norm(features).mT).mT
        if self.positions:
            features = torch.cat((features, position_waves(features, self.positions)), dim=2)
        moving = self.to_state(features.mean(dim=1)).tanh().split(self.cell.hidden_size, dim=1)
        context = self.context(features)
        return State((context, self.of_position(context)), moving)

    def step(self, words: Int[Tensor, " R"], state: State) -> tuple[Float[Tensor, "R V"], State]:
        """Return the logarithm of the probability of each word after ``words``, and the state."""
        vectors = self.words(words)
        context, _ = self._look(state.moving[0], *state.fixed)
        moving = self._next(torch.cat((vectors, context), dim=1), state.moving)
        logits = self._logits(vectors, moving[0], context)
        return logits.log_softmax(dim=1), state._replace(moving=moving)

    def _next(self, input: Tensor, moving: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return the states after one step of the cell."""
        if isinstance(self.cell, LSTMCell):
            h, c = self.cell(input, moving)
            return h, c
        return (self.cell(input, *moving),)

    def _look(self, h: Tensor, context: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
        """Return what is seen from each state, ``(R, C)``, and the weights, ``(R, P)``.

        Args:
            h: States; those that look at the same image lie side by side.
            context: Features of the images' positions, ``(B, P, C)``.
            keys: What the states are compared with, ``(B, P, A)``.
        """
        each = len(h) // max(1, len(context))
        asked = self.of_state(h).view(len(context), each, 1, -1)
        agreement = self.weight((asked + keys.unsqueeze(1)).tanh()).squeeze(-1)
        weights = agreement.softmax(dim=-1)
        seen = (weights @ context).flatten(0, 1)
        return self.gate(h).sigmoid() * seen, weights.flatten(0, 1)

    def _logits(self, vectors: Tensor, hidden: Tensor, context: Tensor) -> Tensor:
        """Return scores from word, state and context: the paper's deep output layer."""
        joined = vectors + self.of_hidden(self.drop(hidden)) + self.of_context(context)
        logits: Tensor = self.head(self.drop(joined.tanh()))
        return logits
