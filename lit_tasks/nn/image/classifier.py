"""The layers behind a backbone: features to logits of classes."""

from collections.abc import Iterable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


class LinearHead(nn.Module):
    """Dropout and a linear layer on features of mean 0 and, all together, variance 1.

    The features keep their proportions: giving each one variance 1 made a worse classifier in
    cross-validation. The layer begins at zero: every class is equally probable, and nothing is
    drawn.

    Args:
        in_features: Number of features.
        out_features: Number of classes.
        dropout: Fraction of the features left out while training.

    Attributes:
        pretrained: Weight and bias of the classifier that :meth:`observe` begins with, if any.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, in_features: int, out_features: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(in_features))
        self.register_buffer("scale", torch.ones(()))
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(in_features, out_features)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)
        self.pretrained: tuple[Tensor, Tensor] | None = None

    def observe(
        self,
        samples: Iterable[tuple[Float[Tensor, "N F"], Int[Tensor, " N"]]],
        num_classes: int,
    ) -> None:
        """Measure the features of all training images, and begin with ``pretrained`` if given."""
        features, target = (torch.cat(tensors) for tensors in zip(*samples, strict=True))
        self.measure(features)
        if self.pretrained is not None:
            self.start_from(features, target, *self.pretrained)
            self.pretrained = None

    def measure(self, features: Float[Tensor, "N F"]) -> None:
        """Take mean and deviation of the features from the training images'."""
        exact = features.double()
        mean = exact.mean(dim=0)
        self.mean.copy_(mean)
        self.scale.copy_(1 / (exact - mean).square().mean().sqrt().clamp(min=1e-6))

    @torch.no_grad()
    def start_from(
        self,
        features: Float[Tensor, "N F"],
        target: Int[Tensor, " N"],
        weight: Float[Tensor, "K F"],
        bias: Float[Tensor, " K"],
    ) -> None:
        """Begin with what a pretrained classifier of ``K`` classes says about the features.

        Each class becomes a mean of the old classes: an old class counts as much as it is probable
        on images of the class, times the fraction of its probability that falls on this class.
        """
        old = (features @ weight.T + bias).double().softmax(dim=1)
        classes = self.linear.out_features
        of_class = torch.stack([old[target == c].mean(dim=0) for c in range(classes)])
        exclusive = of_class / of_class.sum(dim=0).clamp(min=1e-12)
        fraction = of_class * exclusive
        fraction = (fraction / fraction.sum(dim=1, keepdim=True)).to(weight.dtype)
        mean = self.mean.to(weight.dtype)
        self.linear.bias.copy_(fraction @ (bias + weight @ mean))
        self.linear.weight.copy_(fraction @ weight / self.scale)

    def forward(self, features: Float[Tensor, "B F"]) -> Float[Tensor, "B C"]:
        """Return the logits of the classes."""
        logits: Tensor = self.linear(self.dropout((features - self.mean) * self.scale))
        return logits
