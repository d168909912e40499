"""Which part of a pretrained network learns when, and how fast."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.optim import Optimizer

from lit_tasks.nn.image.backbone import Backbone


@dataclass(frozen=True)
class Finetuning:
    """How a backbone is trained beside the head.

    Everything is a function of the epoch, so that a continued run needs to remember nothing, and
    all parameters are in the optimizer from the start, so that schedules never change shape.

    Attributes:
        from_epoch: First epoch in which the last stage is trained; before, only the head is.
        every: Epochs between a stage and the one in front of it; 0 trains all at once.
        stages: How many stages, from the last, are ever trained; all when left out.
        lr_factor: Learning rate of the last stage, as a multiple of the head's.
        layer_decay: What that is multiplied by for each stage further to the front.
        statistics: Whether batch normalization measures its statistics anew in trained stages.
    """

    from_epoch: int = 0
    every: int = 0
    stages: int | None = None
    lr_factor: float = 1.0
    layer_decay: float = 1.0
    statistics: bool = False

    def __post_init__(self) -> None:
        if self.from_epoch < 0 or self.every < 0:
            raise ValueError(
                f"from_epoch and every must not be negative, got {self.from_epoch} and {self.every}"
            )
        if self.stages is not None and self.stages < 1:
            raise ValueError(f"stages must be at least 1, got {self.stages}")
        if self.lr_factor <= 0 or not 0 < self.layer_decay <= 1:
            raise ValueError(
                "lr_factor must be positive and layer_decay above 0 and at most 1, "
                f"got {self.lr_factor} and {self.layer_decay}"
            )

    def trained_stages(self, epoch: int, total: int) -> int:
        """Return how many of ``total`` stages are trained in an epoch."""
        most = total if self.stages is None else min(self.stages, total)
        if epoch < self.from_epoch:
            return 0
        return most if self.every == 0 else min(most, 1 + (epoch - self.from_epoch) // self.every)


def build_optimizer(
    make: Callable[[Iterable[dict[str, Any]]], Optimizer],
    head: nn.Module,
    backbone: Backbone,
    finetuning: Finetuning | None,
) -> Optimizer:
    """Return an optimizer with a group per stage, norms and biases apart and without decay.

    Stages that are never trained are left out; those whose time has not come get no gradients.
    """
    groups = _halves(head.named_parameters(), 1.0)
    if finetuning is not None:
        stages = list(reversed(backbone.stage_parameters()))[: finetuning.stages]
        for depth, stage in enumerate(stages):
            groups += _halves(stage, finetuning.lr_factor * finetuning.layer_decay**depth)
    factors = [group.pop("factor") for group in groups]
    optimizer = make(groups)
    for group, factor in zip(optimizer.param_groups, factors, strict=True):
        group["lr"] *= factor
    return optimizer


def _halves(named: Iterable[tuple[str, nn.Parameter]], factor: float) -> list[dict[str, Any]]:
    """Return matrices and filters, then vectors, which are norms and biases."""
    parameters = [parameter for _, parameter in named]
    matrices = {"params": [p for p in parameters if p.ndim > 1], "factor": factor}
    vectors = {"params": [p for p in parameters if p.ndim <= 1], "factor": factor}
    return [g for g in (matrices, {**vectors, "weight_decay": 0.0}) if g["params"]]
