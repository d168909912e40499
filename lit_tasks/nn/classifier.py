"""The layers behind a backbone: features to scores of classes."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class LinearHead(nn.Module):
    """Dropout and a linear layer on features of mean 0 and variance 1, where they were measured.

    The layer begins at zero: every class is equally probable, and nothing is drawn.

    Args:
        in_features: Number of features.
        out_features: Number of classes.
        dropout: Share of the features left out while training.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, in_features: int, out_features: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(in_features))
        self.register_buffer("scale", torch.ones(in_features))
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(in_features, out_features)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def measure(self, features: Float[Tensor, "N F"]) -> None:
        """Take mean and deviation of the features from the training images'."""
        exact = features.double()
        self.mean.copy_(exact.mean(dim=0))
        self.scale.copy_(1 / exact.std(dim=0, correction=0).clamp(min=1e-6))

    def forward(self, features: Float[Tensor, "B F"]) -> Float[Tensor, "B C"]:
        """Return the scores of the classes before softmax."""
        scores: Tensor = self.linear(self.dropout((features - self.mean) * self.scale))
        return scores
