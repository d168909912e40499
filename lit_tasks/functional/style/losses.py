r"""What two images have in common as a deep network sees them: content, style, smoothness.

Features :math:`f` of a layer have :math:`C` channels at :math:`M = H W` positions. Style is what
is left when positions are forgotten: the first two moments of :math:`f` over positions. They are
means, so those of an image are the weighted means of those of its parts, and several styles are
blended by blending their moments.
"""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

Reduction = Literal["sum", "mean"]
_PART = 32_768  # positions that are added up in the features' own precision


class Moments(NamedTuple):
    """Means over all positions of a layer's features.

    Attributes:
        mean: Of every channel.
        second: Of the product of every two channels.
    """

    mean: Float[Tensor, "B C"]
    second: Float[Tensor, "B C C"]


def moments(features: Float[Tensor, "B C H W"]) -> Moments:
    r"""Return :math:`\frac1M \sum_p f_p` and :math:`\frac1M \sum_p f_p f_p^\top`, in double.

    Products are those of the features' precision, added up in double precision part by part: of
    350,000 positions of a large image, single precision would leave five digits.
    """
    if features.is_contiguous(memory_format=torch.channels_last) and features.shape[1] > 1:
        rows = features.permute(0, 2, 3, 1).flatten(1, 2)  # no copy, and no gradient is turned
    else:
        rows = features.flatten(2).mT
    first, second = _Sums.apply(rows)
    return Moments(first / rows.shape[1], second / rows.shape[1])


class _Sums(torch.autograd.Function):
    r"""The sums :math:`\sum_p x_p` and :math:`X^\top X` of rows, with their gradients in one pass.

    The gradient is :math:`\bar s + X (\bar S + \bar S^\top)`. Autograd would take two products
    for it, and write down both.
    """

    @staticmethod
    def forward(ctx: Any, rows: Float[Tensor, "B M C"]) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(rows)
        parts = rows.split(_PART, dim=1)
        first = torch.stack([part.sum(dim=1).double() for part in parts]).sum(dim=0)
        products = [torch.stack([x.mT @ x for x in part]).double() for part in parts]
        return first, torch.stack(products).sum(dim=0)

    @staticmethod
    def backward(ctx: Any, first: Tensor, second: Tensor) -> Tensor:
        [rows] = ctx.saved_tensors
        both = (second + second.mT).to(rows.dtype)
        if rows.mT.is_contiguous():  # the layout that the gradient is wanted in
            gradient: Tensor = torch.baddbmm(first[:, :, None].to(rows.dtype), both, rows.mT)
            return gradient.mT
        return torch.baddbmm(first[:, None, :].to(rows.dtype), rows, both)


def blend(parts: Sequence[Moments], weights: Sequence[float]) -> Moments:
    """Return the moments of a mixture: of all positions of several images, by their weights.

    For Gram matrices this has the same gradient as the weighted mean of the losses of each style.
    """
    pairs = [(weight / sum(weights), part) for weight, part in zip(weights, parts, strict=True)]
    mean = torch.stack([weight * part.mean for weight, part in pairs]).sum(dim=0)
    second = torch.stack([weight * part.second for weight, part in pairs]).sum(dim=0)
    return Moments(mean, second)


def content_loss(
    features: Float[Tensor, "B C H W"],
    target: Float[Tensor, "B C H W"],
    reduction: Reduction = "sum",
) -> Float[Tensor, " B"]:
    r"""Return :math:`\sum_{c,p} (f_{cp} - t_{cp})^2`, or its mean over :math:`c` and :math:`p`.

    Source: Gatys, Ecker and Bethge (2016), equation 1, who halve it. The assignment's is the sum,
    which grows with the image; style losses are means, so with the mean one weight holds for
    images of any size and all phases of coarse to fine.
    """
    squares = (features - target).square()
    return squares.sum(dim=(1, 2, 3)) if reduction == "sum" else squares.mean(dim=(1, 2, 3))


def gram_matrix(features: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C C"]:
    r"""Return :math:`G = \frac{1}{C M} \sum_p f_p f_p^\top`, the assignment's normalization.

    Source: Gatys, Ecker and Bethge (2016), equation 3, who do not divide here.
    """
    return (moments(features).second / features.shape[1]).to(features.dtype)


def gram_loss(found: Moments, target: Moments) -> Float[Tensor, " B"]:
    r"""Return :math:`\sum_{ij} (G_{ij} - A_{ij})^2` of the two Gram matrices.

    Source: Gatys, Ecker and Bethge (2016), equation 4. They divide sums by :math:`4 C^2 M^2`; with
    the Gram matrices divided by :math:`C M` each, this is four times theirs, and also holds where
    the two images have different sizes.
    """
    channels = found.mean.shape[1]
    return ((found.second - target.second) / channels).square().flatten(1).sum(dim=1)


def wasserstein_loss(found: Moments, target: Moments, floor: float = 1e-4) -> Float[Tensor, " B"]:
    r"""Return the squared Wasserstein distance of two normal distributions, a channel.

    .. math:: \frac1C \left( |m - n|^2
        + \operatorname{tr}(S + T - 2 (T^{1/2} S T^{1/2})^{1/2}) \right)

    for means :math:`m, n` and covariances :math:`S, T`: how far features have to be moved for the
    same mean and covariance. It grows with the features' square, the loss of Gram matrices with
    their fourth power, so strong channels count less here.
    Sources: Gelbrich (1990); crowsonkb/style-transfer-pytorch, which takes square roots by an
    iteration. Here they come from eigenvalues, whose sum is differentiable even where they are
    equal. Large traces are subtracted from one another, so moments should be in double precision,
    as :func:`moments` returns them.

    Args:
        found: Of the image.
        target: Of the style; no gradient flows into it.
        floor: Added to every variance, so that a channel that is nowhere active has a gradient.
    """
    channels = found.mean.shape[1]
    eye = floor * torch.eye(channels, dtype=found.mean.dtype, device=found.mean.device)
    source, wanted = _covariance(found) + eye, _covariance(target).detach() + eye
    values, vectors = torch.linalg.eigh(wanted)
    root = vectors * values.clamp(min=0).sqrt()[:, None, :] @ vectors.mT
    crossed = torch.linalg.eigvalsh(root @ source @ root)
    overlap = crossed.clamp(min=floor**2 / 4).sqrt().sum(dim=1)
    shift = (found.mean - target.mean.detach()).square().sum(dim=1)
    distance: Tensor = shift + _trace(source) + _trace(wanted) - 2 * overlap
    return distance / channels


def total_variation(image: Float[Tensor, "B C H W"]) -> Float[Tensor, " B"]:
    r"""Return :math:`\sum (x_{i+1,j} - x_{ij})^2 + \sum (x_{i,j+1} - x_{ij})^2` over all channels.

    Source: the assignment. Mahendran and Vedaldi (2015) raise it to a power, here 1; others
    take the mean. The sum of a smooth image stays what it is at another size: there are four times
    as many differences at twice the size, and their squares are a quarter.
    """
    down = image[:, :, 1:] - image[:, :, :-1]
    right = image[:, :, :, 1:] - image[:, :, :, :-1]
    return down.square().sum(dim=(1, 2, 3)) + right.square().sum(dim=(1, 2, 3))


def _covariance(of: Moments) -> Float[Tensor, "B C C"]:
    return of.second - of.mean[:, :, None] * of.mean[:, None, :]


def _trace(matrix: Float[Tensor, "B C C"]) -> Float[Tensor, " B"]:
    return matrix.diagonal(dim1=1, dim2=2).sum(dim=1)
