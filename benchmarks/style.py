"""Style transfer at equal seconds: the assignment's schedule against ours, on its own objective.

    python benchmarks/style.py --root FOLDER --weights FILE [--figures docs/figures] [PAINTING ...]

FOLDER has tubingen.jpg and the paintings, FILE torchvision's weights of SqueezeNet 1.1. Objective,
sizes and schedule are read from ``configs/style_<painting>.yaml``. One thread, processor time: the
schedule takes its seconds, then ours gets the same. Both images are judged by the assignment's
objective, as they are and as they are saved (8 bits a color).
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from PIL import Image

from lit_tasks.data.style_pairs import StylePairsDataModule
from lit_tasks.nn.style.features import StyleFeatures
from lit_tasks.nn.style.objective import StyleObjective
from lit_tasks.nn.style.stylization import Init, Phase, Stylization

CONFIGS = Path(__file__).parents[1] / "configs"
PAINTINGS = ["composition_vii", "the_scream", "starry_night"]
LBFGS = partial(
    torch.optim.LBFGS, max_iter=1, max_eval=25, history_size=20, line_search_fn="strong_wolfe"
)


def objective(options: dict[str, Any], weights: Path, channels_last: bool) -> StyleObjective:
    """Return the assignment's objective."""
    layers = list(dict.fromkeys([*options["content"], *options["style"]]))
    features = StyleFeatures(layers, "squeezenet1_1", weights, channels_last=channels_last)
    return StyleObjective(features, options["content"], options["style"], options["tv_weight"])


def schedule(options: dict[str, Any]) -> list[Phase]:
    """Return the assignment's schedule."""
    phases = []
    for phase in options["phases"]:
        adam = phase.get("optimizer")
        make = partial(torch.optim.Adam, **adam["init_args"]) if adam else None
        phases.append(Phase(phase["steps"], make, clamp=phase.get("clamp")))
    return phases


def seconds(work: Callable[[], object]) -> float:
    """Return the processor seconds of this thread that something takes."""
    start = time.thread_time()
    work()
    return time.thread_time() - start


def judged(job: Stylization, judge: StyleObjective, pair: dict[str, Any]) -> tuple[float, float]:
    """Return the assignment's loss of the pixels and of the saved image."""
    as_seen = [p[None] / 255 for p in (pair["content"], *pair["styles"])]
    content, *styles = (judge.features.normalize(colors) for colors in as_seen)
    targets = judge.targets(content, styles, pair["style_weights"])
    saved = judge.features.normalize(job.image()[None] / 255)
    return float(judge.losses(job.pixels, targets).sum()), float(judge.losses(saved, targets).sum())


def compare(painting: str, root: Path, weights: Path, figures: Path | None) -> str:
    """Return a line of the table."""
    config = yaml.safe_load((CONFIGS / f"style_{painting}.yaml").read_text())
    options, data = config["model"]["init_args"], config["data"]["init_args"]
    pairs = StylePairsDataModule(root=root, **data)
    pairs.setup("fit")
    pair = pairs.pair(0)
    plain, fast = objective(options, weights, False), objective(options, weights, True)

    def begin(judge: StyleObjective, phases: list[Phase], init: Init) -> Stylization:
        return Stylization(
            judge, pair["content"], pair["styles"], pair["style_weights"], phases, init=init
        )

    theirs = begin(plain, schedule(options), "content")
    budget = seconds(lambda: [theirs.step() for _ in range(theirs.steps)])
    start = time.thread_time()
    ours = begin(fast, [Phase(1000, LBFGS)], "matched")
    while time.thread_time() - start < budget:
        ours.step()
    (loss, saved), (our_loss, our_saved) = (judged(job, plain, pair) for job in (theirs, ours))
    if figures is not None:
        shown = [pair["content"], pair["styles"][0], theirs.image(), ours.image()]
        _strip(shown, figures / f"style_{painting}.jpg")
    return (
        f"| {painting} | {budget:.1f} | {loss:.4g} | {our_loss:.4g} | {our_loss / loss:.3f} "
        f"| {our_saved / saved:.3f} | {ours.done} |"
    )


def _strip(tensors: list[torch.Tensor], path: Path, height: int = 288) -> None:
    """Write images side by side."""
    images = []
    for pixels in tensors:
        image = Image.fromarray(np.ascontiguousarray(pixels.permute(1, 2, 0).numpy()))
        images.append(image.resize((image.width * height // image.height, height)))
    strip = Image.new("RGB", (sum(i.width + 6 for i in images) - 6, height), "white")
    left = 0
    for image in images:
        strip.paste(image, (left, 0))
        left += image.width + 6
    path.parent.mkdir(parents=True, exist_ok=True)
    strip.save(path, quality=82)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("paintings", nargs="*", default=PAINTINGS)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--figures", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print("| painting | seconds | assignment | ours | ratio | ratio, saved | our steps |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for painting in arguments.paintings:
        line = compare(painting, arguments.root, arguments.weights, arguments.figures)
        print(line, flush=True)


if __name__ == "__main__":
    main()
