"""The check values and final losses that belong to the assignment, with weights on its scale.

They need ``../shared/data``: the images, and SqueezeNet 1.1 with activations as torchvision's.
"""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

from lit_tasks.data.style_pairs import StylePairsDataModule
from lit_tasks.functional.style.losses import (
    content_loss,
    gram_loss,
    gram_matrix,
    moments,
    total_variation,
)
from lit_tasks.nn.style.features import StyleFeatures
from lit_tasks.nn.style.objective import StyleObjective, off_scale
from lit_tasks.nn.style.stylization import Phase, Stylization

pytest.importorskip("torchvision")
ROOT = Path(__file__).parents[3]
DATA = ROOT.parent / "shared/data"
CALIBRATED = DATA / "weights/squeezenet1_1_calibrated.pth"
CAFFES = DATA / "weights/squeezenet1_1_imagenet.pth"
FINAL = {"starry_night": 9037, "the_scream": 9102, "composition_vii": 8834}  # of a plain loop

pytestmark = pytest.mark.skipif(
    not (CALIBRATED.is_file() and CAFFES.is_file()),
    reason=f"the weights are not in {CALIBRATED.parent}",
)


def settings(painting: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the options of a config's task, and its pair."""
    config = yaml.safe_load((ROOT / f"configs/style_{painting}.yaml").read_text())
    options = config["data"]["init_args"] | {"root": DATA / "style"}
    data = StylePairsDataModule(**options)
    data.setup("fit")
    return config["model"]["init_args"], data.pair(0)


def features(layers: list[str], weights: Path = CALIBRATED) -> StyleFeatures:
    return StyleFeatures(layers, "squeezenet1_1", weights, channels_last=False)


def test_the_published_check_values_hold() -> None:
    options, pair = settings("starry_night")
    network = features(["1", "3", "4", "5", "6", "7"])
    photograph, painting = (
        network.normalize(image[None] / 255) for image in (pair["content"], pair["styles"][0])
    )
    seen, painted = network(photograph), network(painting)
    nothing = network(torch.zeros_like(photograph))["3"]
    content = options["content"]["3"] * content_loss(seen["3"], nothing)
    assert content.item() == pytest.approx(32436.986, rel=1e-3)
    assert gram_matrix(painted["5"]).mean().item() == pytest.approx(0.13795, rel=1e-3)
    style = sum(
        (weight * gram_loss(moments(seen[layer]), moments(painted[layer])))
        for layer, weight in options["style"].items()
    )
    assert isinstance(style, Tensor)
    assert style.item() == pytest.approx(44512.67, rel=1e-3)
    variation = options["tv_weight"] * total_variation(photograph)
    assert variation.item() == pytest.approx(303.2237, rel=1e-3)


@pytest.mark.parametrize("painting", FINAL)
def test_weights_on_another_scale_are_noticed(painting: str) -> None:
    options, pair = settings(painting)
    said = []
    for weights in (CALIBRATED, CAFFES):
        network = features(list(options["content"]), weights)
        objective = StyleObjective(network, options["content"], {"3": 1.0})
        images = [network.normalize(p[None] / 255) for p in (pair["content"], *pair["styles"])]
        targets = objective.targets(images[0], images[1:], [1.0])
        said.append(off_scale(targets, options["expected_rms"]))
    assert said[0] == ""
    assert "features of layer 3 have a root mean square of 42.6 where" in said[1]


@pytest.mark.slow  # the 200 steps of each painting, ten seconds a painting
@pytest.mark.parametrize("painting", FINAL)
def test_the_configs_end_where_a_plain_loop_ends(painting: str) -> None:
    options, pair = settings(painting)
    network = features([*options["content"], *options["style"]])
    objective = StyleObjective(network, options["content"], options["style"], options["tv_weight"])
    phases = []
    for phase in options["phases"]:
        adam = phase.get("optimizer", {}).get("init_args")
        make = partial(torch.optim.Adam, **adam) if adam else None
        phases.append(Phase(phase["steps"], make, clamp=phase.get("clamp")))
    job = Stylization(objective, pair["content"], pair["styles"], [1.0], phases)
    for _ in range(job.steps):
        job.step()
    assert job.trace[-1].sum().item() == pytest.approx(FINAL[painting], rel=0.02)
