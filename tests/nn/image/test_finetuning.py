from functools import partial

import pytest
import torch

from lit_tasks.nn.image.backbone import Backbone
from lit_tasks.nn.image.classifier import LinearHead
from lit_tasks.nn.image.finetuning import Finetuning, build_optimizer

pytest.importorskip("timm")


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return Backbone(True, "test_resnet", "random", size=32)


def optimizer_for(backbone: Backbone, tuning: Finetuning | None) -> torch.optim.Optimizer:
    make = partial(torch.optim.AdamW, lr=0.1, weight_decay=0.5)
    return build_optimizer(make, LinearHead(backbone.out_features, 2), backbone, tuning)


def test_all_parameters_are_in_the_optimizer_from_the_start_once(backbone: Backbone) -> None:
    backbone.freeze()
    optimizer = optimizer_for(backbone, Finetuning(from_epoch=3, every=1))
    ours = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert len(ours) == len(set(ours)) == len(list(backbone.parameters())) + 2


def test_earlier_stages_learn_slower_and_norms_and_biases_do_not_decay(backbone: Backbone) -> None:
    optimizer = optimizer_for(backbone, Finetuning(lr_factor=0.5, layer_decay=0.8))
    stage_of = {id(p): i for i, s in enumerate(backbone.stage_parameters()) for _, p in s}
    last = len(backbone.stages()) - 1
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            assert group["weight_decay"] == (0.5 if parameter.ndim > 1 else 0.0)
            depth = last - stage_of[id(parameter)] if id(parameter) in stage_of else None
            share = 1.0 if depth is None else 0.5 * 0.8**depth
            assert group["lr"] == pytest.approx(0.1 * share)


def test_a_frozen_backbone_is_not_in_the_optimizer(backbone: Backbone) -> None:
    optimizer = optimizer_for(backbone, None)
    assert sum(len(group["params"]) for group in optimizer.param_groups) == 2
    few = optimizer_for(backbone, Finetuning(stages=1))
    assert 2 < sum(len(g["params"]) for g in few.param_groups) < len(list(backbone.parameters()))


def test_stages_begin_to_learn_one_after_the_other() -> None:
    tuning = Finetuning(from_epoch=2, every=3)
    assert [tuning.trained_stages(epoch, 3) for epoch in range(10)] == [
        0,
        0,
        1,
        1,
        1,
        2,
        2,
        2,
        3,
        3,
    ]
    assert Finetuning().trained_stages(0, 9) == 9
    assert Finetuning(stages=2, every=1).trained_stages(50, 9) == 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"every": -1}, "must not be negative, got 0 and -1"),
        ({"stages": 0}, "stages must be at least 1, got 0"),
        ({"layer_decay": 1.5}, "above 0 and at most 1, got 1.0 and 1.5"),
    ],
)
def test_what_cannot_be_meant_is_refused(options: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Finetuning(**options)  # type: ignore[arg-type]
