"""Colors of one image in another: statistics of pixels, and luminance apart from hue."""

import torch
from jaxtyping import Float
from torch import Tensor

_LUMA = (0.299, 0.587, 0.114)  # of red, green and blue: ITU-R BT.601, as JPEG and PNG tools use


def color_statistics(
    colors: Float[Tensor, "1 3 H W"],
) -> tuple[Float[Tensor, " 3"], Float[Tensor, "3 3"]]:
    """Return mean and covariance of all pixels."""
    flat = colors.flatten(2)[0]
    mean = flat.mean(dim=1)
    centered = flat - mean[:, None]
    return mean, centered @ centered.T / flat.shape[1]


def match_colors(
    colors: Float[Tensor, "1 3 H W"], like: Float[Tensor, "1 3 _ _"], floor: float = 1e-5
) -> Float[Tensor, "1 3 H W"]:
    r"""Return an image with the mean and covariance of another's colors.

    :math:`x \mapsto T^{1/2} S^{-1/2} (x - m) + n`. Source: Gatys, Bethge, Hertzmann and Shechtman
    (2016), the variant with eigenvalue decompositions. ``floor`` keeps an image of one color
    from being divided by nothing.
    """
    mean, covariance = color_statistics(colors)
    wanted_mean, wanted = color_statistics(like)
    turn = _power(wanted, 0.5, floor) @ _power(covariance, -0.5, floor)
    centered = colors - mean.view(1, 3, 1, 1)
    return torch.einsum("dc,bchw->bdhw", turn, centered) + wanted_mean.view(1, 3, 1, 1)


def with_luma(
    colors: Float[Tensor, "1 3 H W"], light: Float[Tensor, "1 3 H W"]
) -> Float[Tensor, "1 3 H W"]:
    """Return the hue and saturation of one image with the luminance of another.

    Adding the same to all three channels changes luma and neither of the color differences.
    """
    weights = torch.tensor(_LUMA, dtype=colors.dtype, device=colors.device).view(1, 3, 1, 1)
    luma = [(weights * image).sum(dim=1, keepdim=True) for image in (light, colors)]
    return colors + luma[0] - luma[1]


def _power(matrix: Float[Tensor, "3 3"], exponent: float, floor: float) -> Float[Tensor, "3 3"]:
    values, vectors = torch.linalg.eigh(matrix)
    result: Tensor = vectors * values.clamp(min=floor) ** exponent @ vectors.T
    return result
