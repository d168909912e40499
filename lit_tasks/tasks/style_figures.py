"""Figures of style transfer: images beside what they were made of, and how their losses fell."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, UInt8
from torch import Tensor

from lit_tasks.plots import image_grid, loss_curves
from lit_tasks.protocols import StyleData

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_IMAGES_SHOWN = 8  # pairs in a figure


def drawn(
    data: StyleData,
    finished: Mapping[int, UInt8[Tensor, "3 _ _"]],
    traces: Mapping[int, Float[Tensor, "S L"]],
) -> "dict[str, Figure]":
    """Return figures by name.

    Args:
        data: The data module: ``names`` of its pairs, and ``pair(index)``.
        finished: Finished images by the index of their pair.
        traces: The parts of the loss at each step, likewise.
    """
    images, titles = [], []
    for index in sorted(finished)[:_IMAGES_SHOWN]:
        pair = data.pair(index)
        images += [pixels(p) for p in (pair["content"], pair["styles"][0], finished[index])]
        content, _, style = pair["name"].partition("__")
        titles += [f"content\n{content}", f"style\n{style}", f"result\n{pair['name']}"]
    curves = {
        data.names[n]: traces[n].sum(dim=1).tolist() for n in sorted(finished)[:_IMAGES_SHOWN]
    }
    return {"images": image_grid(images, titles, columns=3), "losses": loss_curves(curves)}


def pixels(image: UInt8[Tensor, "3 H W"]) -> np.ndarray:
    """Return an image as plots want it, ``(H, W, 3)``."""
    found: np.ndarray = image.permute(1, 2, 0).cpu().numpy()
    return found
