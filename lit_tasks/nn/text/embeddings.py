"""A vector for every word: pretrained (frozen or tuned), trained from scratch, or both."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from lit_tasks.text.vectors import load_vectors


class WordVectors(nn.Module):
    """Tables of word vectors side by side.

    Args:
        num_embeddings: Words in the vocabulary.
        embedding_dim: Numbers of each pretrained vector.
        vectors: Where the pretrained vectors come from (``glove-6b-50d``, a GloVe text file or zip,
            a ``.vec`` file); ``None`` for vectors trained from scratch alone.
        tune: Whether the pretrained vectors are trained further.
        trained_dim: Numbers of a second vector, trained from scratch, beside the pretrained one.
        init_std: Standard deviation of what is trained from scratch, before training.

    Attributes:
        out_features: Numbers of the whole vector of a word.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int = 50,
        vectors: str | None = "glove-6b-50d",
        tune: bool = True,
        trained_dim: int = 0,
        init_std: float = 0.1,
    ) -> None:
        super().__init__()
        self.vectors, self.embedding_dim = vectors, embedding_dim
        trained_dim = trained_dim if vectors else trained_dim + embedding_dim
        self.trained = None
        if trained_dim:
            self.trained = nn.Parameter(torch.empty(num_embeddings, trained_dim))
            nn.init.normal_(self.trained, std=init_std)
        self.pretrained = None
        if vectors:  # not a buffer where it is frozen: DDP sends buffers in every step
            table = torch.zeros(num_embeddings, embedding_dim)
            self.pretrained = nn.Parameter(table, requires_grad=tune)
        self.out_features = trained_dim + (embedding_dim if vectors else 0)

    def initialize(self, words: Sequence[str]) -> str:
        """Load the pretrained vectors of ``words`` (by number) and return how many there are."""
        if self.vectors is None or self.pretrained is None:
            return ""
        rows, found = load_vectors(self.vectors, words, self.embedding_dim)
        with torch.no_grad():
            self.pretrained.copy_(torch.from_numpy(rows))
        fraction = found.mean() if len(found) else 0.0
        return (
            f"word vectors {self.vectors}: {int(found.sum()):,} of {len(words):,} words "
            f"({fraction:.1%}) have one, the others start at zero"
        )

    @property
    def tables(self) -> list[Tensor]:
        """The tables, each ``(num_embeddings, its width)``."""
        return [table for table in (self.pretrained, self.trained) if table is not None]

    def forward(self, tokens: Int[Tensor, "*N"]) -> Float[Tensor, "*N F"]:
        """Return the vector of each token."""
        return torch.cat([F.embedding(tokens, table) for table in self.tables], dim=-1)

    def mean(self, tokens: Int[Tensor, " N"], lengths: Int[Tensor, " B"]) -> Float[Tensor, "B F"]:
        """Return the mean vector of each text, zeros for a text without words."""
        offsets = lengths.cumsum(0) - lengths
        bags = [F.embedding_bag(tokens, table, offsets, mode="mean") for table in self.tables]
        return torch.cat(bags, dim=1)
