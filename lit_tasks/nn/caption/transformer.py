"""Transformer captioner: attention over the words so far and over the image's positions."""

from collections.abc import Sequence
from typing import cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from lit_tasks.nn.caption.captioner import (
    DecoderOutput,
    State,
    WordEmbedding,
    norm,
    position_waves,
    teacher_forcing_inputs,
)


class TransformerCaptioner(nn.Module):
    """Decoder of Vaswani et al. (2017, *Attention Is All You Need*) over an image's features.

    The layers are :class:`torch.nn.TransformerDecoderLayer`, normalized in front of each part
    (Xiong et al. 2020). Pooled features are a map of one position. While sentences are written,
    the keys and values of words and image are kept, so that a step costs what one word costs; its
    result is that of the whole sequence.

    Args:
        num_words: Words in the vocabulary.
        in_features: Features at each position.
        normalize: Whether each position's features get mean 0 and variance 1 first.
        positions: Sine waves of row and of column beside each position's features, as in
            :class:`~lit_tasks.nn.caption.AttentionCaptioner`; without them a Transformer cannot
            tell above from below. None when 0.
        vectors: Pretrained word vectors to begin with (``glove-6b-50d``, a GloVe file).
        hidden_size: Features of each word, and of each position as the decoder reads it.
        num_heads: Heads of attention, which share out the features.
        num_layers: Decoder layers.
        feedforward_size: Features inside a layer's feed-forward part.
        image_dropout: Fraction of the map's features (the same at all positions) set to zero while
            training.
        word_dropout: Fraction of the numbers of word vectors set to zero while training.
        dropout: Fraction left out inside the layers and in front of the logits while training.
    """

    def __init__(
        self,
        num_words: int,
        in_features: int,
        normalize: bool = False,
        positions: int = 0,
        vectors: str | None = None,
        hidden_size: int = 512,
        num_heads: int = 8,
        num_layers: int = 3,
        feedforward_size: int = 2048,
        image_dropout: float = 0.0,
        word_dropout: float = 0.0,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if num_heads < 1 or hidden_size % num_heads or hidden_size % 2:
            raise ValueError(
                "hidden_size must be even and a multiple of num_heads, got "
                f"{hidden_size} and {num_heads}"
            )
        if num_layers < 1:
            raise ValueError(f"num_layers must be at least 1, got {num_layers}")
        self.words = WordEmbedding(num_words, hidden_size, vectors, dropout=word_dropout)
        self.norm = norm(in_features, normalize)
        self.positions, self.hidden_size = positions, hidden_size
        self.image_dropout = nn.Dropout1d(image_dropout)
        self.memory = nn.Linear(in_features + 4 * positions, hidden_size)
        layer = nn.TransformerDecoderLayer(
            hidden_size, num_heads, feedforward_size, dropout, batch_first=True, norm_first=True
        )
        self.decoder = nn.TransformerDecoder(layer, num_layers)
        for weight in self.decoder.parameters():  # the layers are copies: draw each anew
            if weight.ndim > 1:
                nn.init.xavier_uniform_(weight)
        self.head = nn.Sequential(
            nn.LayerNorm(hidden_size), nn.Dropout(dropout), nn.Linear(hidden_size, num_words)
        )

    def initialize(self, words: Sequence[str]) -> str:
        """Load the pretrained vectors of ``words`` and return how many there are."""
        return self.words.initialize(words)

    def forward(
        self,
        features: Float[Tensor, "B ..."],
        tokens: Int[Tensor, " N"],
        lengths: Int[Tensor, " B"],
    ) -> DecoderOutput:
        """Return the logits of the words after each given word, and where the last layer looked.

        Where it looked is the mean over its heads; ``None`` while training and for pooled features.
        """
        words, target, sequence, token_index = teacher_forcing_inputs(tokens, lengths)
        memory = self._memory(features)
        steps = torch.arange(len(words.batch_sizes), device=tokens.device)
        step = steps.repeat_interleave(words.batch_sizes.to(tokens.device))
        vectors = self.words(words.data)
        vectors = vectors + self._waves(len(steps), vectors)[step]
        # Behind a caption stand zeros: a word looks back only, so none of its words sees them.
        x = vectors.new_zeros(len(lengths), len(steps), self.hidden_size)
        x = x.index_put((sequence, step), vectors)
        causal = nn.Transformer.generate_square_subsequent_mask(
            len(steps), device=x.device, dtype=x.dtype
        )
        attention = None
        for layer in self._layers():
            before = x
            x = layer(x, memory, tgt_mask=causal, tgt_is_causal=True)
        if not self.training and memory.shape[1] > 1:
            attention = _looked_at(layer, before, memory=memory, causal=causal)[sequence, step]
        logits = self.head(x[sequence, step])
        return DecoderOutput(
            logits, target, sequence=sequence, token_index=token_index, attention=attention
        )

    def begin(self, features: Float[Tensor, "B ..."]) -> State:
        """Return the state in front of the start word: keys and values of the image, no words."""
        memory = self._memory(features)
        fixed = [kept for layer in self._layers() for kept in _keys(layer.multihead_attn, memory)]
        no_words = memory[:, :0]
        moving = [kept for layer in self._layers() for kept in _keys(layer.self_attn, no_words)]
        return State(tuple(fixed), tuple(moving))

    def step(self, words: Int[Tensor, " R"], state: State) -> tuple[Float[Tensor, "R V"], State]:
        """Return the logarithm of the probability of each word after ``words``, and the state."""
        written = state.moving[0].shape[2]
        vectors = self.words(words)
        x = (vectors + self._waves(written + 1, vectors)[-1]).unsqueeze(1)
        moving: list[Tensor] = []
        for number, layer in enumerate(self._layers()):
            kept, seen = (part[2 * number : 2 * number + 2] for part in (state.moving, state.fixed))
            normed = layer.norm1(x)
            new = _keys(layer.self_attn, normed)
            own = [torch.cat(pair, dim=2) for pair in zip(kept, new, strict=True)]
            x = x + layer.dropout1(_attend(layer.self_attn, normed, keys=own[0], values=own[1]))
            # Sentences about the same image ask it side by side.
            asked = layer.norm2(x).view(len(seen[0]), -1, self.hidden_size)
            looked = _attend(layer.multihead_attn, asked, keys=seen[0], values=seen[1])
            x = x + layer.dropout2(looked.view_as(x))
            inner = layer.dropout(layer.activation(layer.linear1(layer.norm3(x))))
            x = x + layer.dropout3(layer.linear2(inner))
            moving += own
        logits: Tensor = self.head(x.squeeze(1))
        return logits.log_softmax(dim=1), state._replace(moving=tuple(moving))

    def _layers(self) -> list[nn.TransformerDecoderLayer]:
        return [cast(nn.TransformerDecoderLayer, layer) for layer in self.decoder.layers]

    def _memory(self, features: Tensor) -> Float[Tensor, "B P D"]:
        """Return the image as the decoder reads it."""
        if features.ndim == 2:
            features = features.unsqueeze(1)
        # Dropout1d leaves out whole rows of (B, F, P): a feature, at all positions.
        features = self.image_dropout(self.norm(features).mT).mT
        if self.positions:
            features = torch.cat((features, position_waves(features, self.positions)), dim=2)
        memory: Tensor = self.memory(features)
        return memory

    def _waves(self, count: int, like: Tensor) -> Float[Tensor, "T D"]:
        """Return sine and cosine of each place in a sentence, as in section 3.5 of the paper."""
        places = torch.arange(count, device=like.device, dtype=torch.float64)
        half = torch.arange(self.hidden_size // 2, device=like.device, dtype=torch.float64)
        angles = places[:, None] / 10000 ** (2 * half / self.hidden_size)
        return torch.stack((angles.sin(), angles.cos()), dim=2).flatten(1).to(like.dtype)


def _projected(attention: nn.MultiheadAttention, x: Tensor, part: int) -> Float[Tensor, "R H T d"]:
    """Return queries (part 0), keys (1) or values (2) of each head."""
    weight, bias = attention.in_proj_weight, attention.in_proj_bias
    rows = slice(part * attention.embed_dim, (part + 1) * attention.embed_dim)
    projected: Tensor = F.linear(x, weight[rows], bias[rows])
    heads: Tensor = projected.unflatten(2, (attention.num_heads, -1)).transpose(1, 2)
    return heads


def _keys(attention: nn.MultiheadAttention, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return keys and values of each head, ``(R, H, T, d)`` each."""
    return _projected(attention, x, 1), _projected(attention, x, 2)


def _attend(attention: nn.MultiheadAttention, x: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Return what ``x``, ``(R, T, D)``, finds among keys and values."""
    found = F.scaled_dot_product_attention(
        _projected(attention, x, 0),
        keys,
        values,
        dropout_p=attention.dropout if attention.training else 0.0,
    )
    joined: Tensor = attention.out_proj(found.transpose(1, 2).flatten(2))
    return joined


def _looked_at(
    layer: nn.TransformerDecoderLayer, x: Tensor, memory: Tensor, causal: Tensor
) -> Float[Tensor, "B T P"]:
    """Return the weights with which a layer in evaluation mode looks at each position."""
    normed = layer.norm1(x)
    own, _ = layer.self_attn(normed, normed, normed, attn_mask=causal, need_weights=False)
    _, weights = layer.multihead_attn(layer.norm2(x + own), memory, memory, need_weights=True)
    assert isinstance(weights, Tensor)
    return weights
