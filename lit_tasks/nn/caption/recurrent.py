"""Sentences from pooled features of an image, through recurrent layers of our own."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from lit_tasks.nn.caption.captioner import (
    DecoderOutput,
    FeaturePooling,
    State,
    WordEmbedding,
    norm,
    teacher_forcing_inputs,
)
from lit_tasks.nn.recurrent.choice import CellName, OwnCells, num_states, recurrent_layers

Image = Literal["state", "first", "always"]


class RecurrentCaptioner(nn.Module):
    """An image becomes a state, then words go in and logits of the next word come out.

    With ``image: state`` this is the assignment's model (features, a linear layer, h_0; an LSTM
    starts from a zero cell), with ``first`` that of Vinyals et al. (2015, *Show and Tell*).

    Args:
        num_words: Words in the vocabulary.
        in_features: Features of an image.
        cell: The recurrent layer: ``lstm``, ``rnn``, ``gru``, or the class path of an
            :class:`lit_tasks.nn.recurrent.OwnCell`, whose further states start as zeros.
        image: Where the image goes in: the first ``state``; the ``first`` input, in front of the
            start word; or ``always``: the first state, and beside every word.
        normalize: Whether each image's (or position's) features get mean 0 and variance 1 first.
        grid: A map of features is averaged over ``grid * grid`` cells that go in side by side, so
            that places are told apart; 0 takes the mean over all positions.
        cell_features: Features that each cell keeps.
        hidden_size: Features of the state.
        num_layers: Layers on top of each other.
        image_dropout: Fraction of the image's features set to zero while training.
        word_dropout: Fraction of the numbers of word vectors set to zero while training.
        dropout: Fraction of the state's features left out in front of the scores while training.
        kwargs: Options of :class:`~lit_tasks.nn.caption.captioner.WordEmbedding`.
    """

    def __init__(
        self,
        num_words: int,
        in_features: int,
        cell: CellName | OwnCells = "lstm",
        image: Image = "state",
        normalize: bool = False,
        grid: int = 0,
        cell_features: int = 32,
        hidden_size: int = 512,
        num_layers: int = 1,
        image_dropout: float = 0.0,
        word_dropout: float = 0.0,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        self.image = image
        self.words = WordEmbedding(num_words, dropout=word_dropout, **kwargs)
        embedding_dim = self.words.out_features
        self.norm = norm(in_features, normalize)
        self.pooled = FeaturePooling(in_features, grid, cell_features)
        in_features = self.pooled.out_features
        self.image_dropout = nn.Dropout(image_dropout)
        states = num_layers * hidden_size
        self.to_state = nn.Linear(in_features, states) if image != "first" else None
        both = image == "always" and cell == "lstm"
        self.to_cell = nn.Linear(in_features, states) if both else None
        self.to_input = nn.Linear(in_features, embedding_dim) if image != "state" else None
        inputs = embedding_dim * (2 if image == "always" else 1)
        self.recurrent = recurrent_layers(cell, inputs, hidden_size, num_layers=num_layers)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(hidden_size, num_words))

    def initialize(self, words: Sequence[str]) -> str:
        """Load the pretrained vectors of ``words`` and return how many there are."""
        return self.words.initialize(words)

    def forward(
        self,
        features: Float[Tensor, "B ..."],
        tokens: Int[Tensor, " N"],
        lengths: Int[Tensor, " B"],
    ) -> DecoderOutput:
        """Return the logits of the words after each given word but the last of each caption."""
        words, target, sequence, token_index = teacher_forcing_inputs(tokens, lengths)
        state = self.begin(features)
        vectors = self.words(words.data)
        if state.fixed:
            vectors = torch.cat((vectors, state.fixed[0][sequence]), dim=1)
        output, _ = self.recurrent(words._replace(data=vectors), self._hx(state))
        assert isinstance(output, PackedSequence)
        return DecoderOutput(
            self.head(output.data), target, sequence=sequence, token_index=token_index
        )

    def begin(self, features: Float[Tensor, "B ..."]) -> State:
        """Return the state in front of the start word."""
        features = self.image_dropout(self.pooled(self.norm(features)))
        shape = (len(features), self.recurrent.num_layers, self.recurrent.hidden_size)
        zeros = features.new_zeros(shape)
        first = zeros if self.to_state is None else self.to_state(features).view(shape)
        others = [zeros] * (num_states(self.recurrent) - 1)
        state = State((), (first, *others))
        if self.to_input is None:
            return state
        seen = self.to_input(features)
        if self.image == "first":
            return self._moved(seen, state)[1]
        if self.to_cell is not None:
            others = [self.to_cell(features).view(shape)]
        states = [first, *others]
        return State((seen.tanh(),), tuple(tensor.tanh() for tensor in states))

    def step(self, words: Int[Tensor, " R"], state: State) -> tuple[Float[Tensor, "R V"], State]:
        """Return the logarithm of the probability of each word after ``words``, and the state."""
        vectors = self.words(words)
        if state.fixed:
            (seen,) = state.fixed
            each = len(words) // len(seen)
            vectors = torch.cat((vectors, seen.repeat_interleave(each, dim=0)), dim=1)
        hidden, state = self._moved(vectors, state)
        logits: Tensor = self.head(hidden)
        return logits.log_softmax(dim=1), state

    def _moved(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the last layer's state and all states, one step on."""
        output, after = self.recurrent(inputs.unsqueeze(0), self._hx(state))
        assert isinstance(output, Tensor)
        states = after if isinstance(after, tuple) else (after,)
        moving = tuple(tensor.transpose(0, 1) for tensor in states)
        return output[0], state._replace(moving=moving)

    def _hx(self, state: State) -> Tensor | tuple[Tensor, ...]:
        """Return the state as the recurrent layer wants it: layers first."""
        found = tuple(tensor.transpose(0, 1).contiguous() for tensor in state.moving)
        return found if len(found) > 1 else found[0]
