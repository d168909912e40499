"""Training images mixed with others of their batch: mixup and CutMix."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Shaped
from torch import Tensor


@dataclass(frozen=True)
class Mixing:
    """Each batch is mixed in one way; with both strengths above 0, in one of the two at random.

    Args:
        mixup: Strength (alpha) of mixing images pairwise (Zhang et al. 2018); 0 is off.
        cutmix: Strength (alpha) of pasting parts of images into others (Yun et al. 2019); 0 is
            off.
    """

    mixup: float = 0.0
    cutmix: float = 0.0

    def __post_init__(self) -> None:
        """Refuse strengths that are none.

        Raises:
            ValueError: A strength is negative.
        """
        for name, alpha in (("mixup", self.mixup), ("cutmix", self.cutmix)):
            if not alpha >= 0:
                raise ValueError(f"{name} must be at least 0, got {alpha}: 0 is off")

    def __bool__(self) -> bool:
        """Whether anything is mixed."""
        return bool(self.mixup or self.cutmix)

    def __call__(
        self, image: Shaped[Tensor, "B 3 H W"], label: Shaped[Tensor, "B ..."], num_classes: int
    ) -> tuple[Float[Tensor, "B 3 H W"], Float[Tensor, "B C"]]:
        """Return images mixed with others of the batch, and weights of the classes.

        Args:
            image: Colors from 0 to 255.
            label: Numbers of the classes, or for each class whether the image has it.
            num_classes: How many classes there are.
        """
        from torchvision.transforms import v2  # type: ignore[import-untyped, unused-ignore]

        kinds = ((v2.MixUp, self.mixup), (v2.CutMix, self.cutmix))
        default = torch.get_default_dtype()  # bfloat16 with precision=bf16-true: draws no weights
        torch.set_default_dtype(torch.promote_types(default, torch.float32))
        try:
            mixes = [kind(alpha=alpha, num_classes=num_classes) for kind, alpha in kinds if alpha]
            mix = mixes[int(torch.randint(len(mixes), ()))]
            mixed, weights = mix(image.float() / 255, label if label.ndim == 1 else label.float())
        finally:
            torch.set_default_dtype(default)
        return mixed, weights.to(default)
