"""A classifier of images as one ONNX file that says by itself how to use it."""

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from lit_tasks.nn.image.preprocessing import Preprocessing
from lit_tasks.nn.onnx_files import write_onnx


class StatedProbabilities(nn.Module):
    """Images to the probabilities that a trained classifier states.

    Args:
        backbone: Images, whole numbers up to 255, to features; normalizes them itself.
        head: Features to logits.
        temperature: What scores are divided by.
        several: Whether an image may have several classes, each with a probability of its own.
    """

    def __init__(
        self, backbone: nn.Module, head: nn.Module, temperature: float, several: bool = False
    ) -> None:
        super().__init__()
        self.backbone, self.head, self.temperature = backbone, head, temperature
        self.several = several

    def forward(self, image: UInt8[Tensor, "B 3 S S"]) -> Float[Tensor, "B C"]:
        """Return the probability of each class."""
        logits: Tensor = self.head(self.backbone(image))
        stated = logits / self.temperature
        return stated.sigmoid() if self.several else stated.softmax(dim=1)


def export_classifier(
    model: StatedProbabilities, labels: Sequence[str], preprocessing: Preprocessing, path: Path
) -> None:
    """Write the classifier to an ONNX file.

    Input ``image``: any number of images, red, green and blue, whole numbers from 0 to 255, already
    resized and cut; normalization, temperature and softmax (or sigmoid) are inside. Output
    ``probability``. The metadata holds ``labels`` and ``preprocessing`` (size, resize,
    interpolation) as JSON.

    Raises:
        ValueError: The packages for it are not installed.
    """
    size = preprocessing.size
    write_onnx(
        model,
        {"image": torch.zeros(2, 3, size, size, dtype=torch.uint8)},
        "probability",
        dynamic={"image": ["images"]},
        told={"labels": list(labels), "preprocessing": preprocessing.plain()},
        path=path,
    )
