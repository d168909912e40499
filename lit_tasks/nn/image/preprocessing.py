"""What a pretrained network wants to see: size, crop, interpolation and normalization."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

Interpolation = Literal["bilinear", "bicubic", "lanczos"]


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes the input of one network; it belongs to the network's weights.

    Attributes:
        size: Height and width of the input, in pixels.
        resize: Length of the image's shorter side before the middle is cut out.
        interpolation: How the image is resized.
        mean: Of each color channel, for values between 0 and 1.
        std: Of each color channel, for values between 0 and 1.
    """

    size: int = 224
    resize: int = 256
    interpolation: Interpolation = "bicubic"
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)

    def plain(self) -> dict[str, Any]:
        """Return the values as a checkpoint can hold them."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }

    @classmethod
    def from_plain(cls, values: dict[str, Any]) -> "Preprocessing":
        """Return what :meth:`plain` was called on."""
        triples = {name: tuple(values[name]) for name in ("mean", "std")}
        return cls(**{**values, **triples})
