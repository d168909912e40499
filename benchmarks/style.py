"""Style transfer at equal seconds: the assignment's schedule against others, on its own objective.

    python benchmarks/style.py --root FOLDER --weights FILE [--figures docs/figures] [PAINTING ...]

FOLDER has tubingen.jpg and the paintings, FILE weights of SqueezeNet 1.1 on the scale of
torchvision's (squeezenet1_1_calibrated.pth). Objective, sizes and schedule are read from
``configs/style_<painting>.yaml``. One thread, processor time: the schedule takes its seconds, then
each of ours gets the same; L-BFGS goes on to the floor. All are judged by the assignment's
objective, as they are and as they are saved (8 bits a color). The figure of a painting has a
caption under each image.
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
from PIL import Image, ImageDraw, ImageFont

from lit_tasks.data.style_pairs import StylePairsDataModule
from lit_tasks.nn.style.features import StyleFeatures
from lit_tasks.nn.style.objective import StyleObjective
from lit_tasks.nn.style.stylization import Init, Phase, Stylization

CONFIGS = Path(__file__).parents[1] / "configs"
GAP = 6  # pixels between images
PAINTINGS = ["composition_vii", "the_scream", "starry_night"]
FLOOR = 1000  # steps of L-BFGS
OURS: dict[str, tuple[Any, Init]] = {
    "Adam, lr 0.05": (partial(torch.optim.Adam, lr=0.05), "content"),
    "L-BFGS": (
        partial(torch.optim.LBFGS, max_iter=1, max_eval=25, line_search_fn="strong_wolfe"),
        "matched",
    ),
}


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


def race(job: Stylization, budget: float, goal: float) -> tuple[float, float]:
    """Let an image take its seconds; return those until the goal, and all of them."""
    reached, start = float("nan"), time.thread_time()
    while (now := time.thread_time() - start) < budget:
        loss = float(job.step().sum())
        if loss <= goal and not reached <= now:
            reached = now
    return reached, now


def compare(painting: str, root: Path, weights: Path, figures: Path | None) -> list[str]:
    """Return lines of the table."""
    config = yaml.safe_load((CONFIGS / f"style_{painting}.yaml").read_text())
    options, data = config["model"]["init_args"], config["data"]["init_args"]
    pairs = StylePairsDataModule(**{**data, "root": root})
    pairs.setup("fit")
    pair = pairs.pair(0)
    plain, fast = objective(options, weights, False), objective(options, weights, True)

    def begin(judge: StyleObjective, phases: list[Phase], init: Init) -> Stylization:
        return Stylization(
            judge, pair["content"], pair["styles"], pair["style_weights"], phases, init=init
        )

    theirs = begin(plain, schedule(options), "content")
    budget = seconds(lambda: [theirs.step() for _ in range(theirs.steps)])
    loss, saved = judged(theirs, plain, pair)
    lines = [f"| {painting} | assignment | {budget:.1f} | | {loss:.0f} | | | {theirs.done} |"]
    for name, (optimizer, init) in OURS.items():
        ours = begin(fast, [Phase(10 * FLOOR, optimizer)], init)
        reached, took = race(ours, budget, loss)
        found, rounded = judged(ours, plain, pair)
        shares = (
            f"{reached / budget:.3f} | {found:.0f} | {found / loss:.3f} | {rounded / saved:.3f}"
        )
        lines.append(f"| {painting} | {name} | {took:.1f} | {shares} | {ours.done} |")
        if figures is not None and name == next(iter(OURS)):
            panels = {
                "photograph": pair["content"],
                "painting": pair["styles"][0],
                f"the assignment's 200 steps: loss {loss:,.0f}": theirs.image(),
                f"{name}, in the same time: {found:,.0f}": ours.image(),
            }
            captioned(panels, figures / f"style_{painting}.jpg")
    while ours.done < FLOOR:
        ours.step()
    floor, _ = judged(ours, plain, pair)
    lines.append(f"| {painting} | floor | | | {floor:.0f} | {floor / loss:.3f} | | {ours.done} |")
    return lines


def captioned(panels: dict[str, torch.Tensor], path: Path, height: int = 288) -> None:
    """Write images side by side, each with its caption below."""
    images = []
    for pixels in panels.values():
        image = Image.fromarray(np.ascontiguousarray(pixels.permute(1, 2, 0).numpy()))
        size = (image.width * height // image.height, height)
        images.append(image.resize(size, Image.Resampling.LANCZOS))
    width = sum(image.width + GAP for image in images) - GAP
    strip, left = Image.new("RGB", (width, height + 24), "white"), 0
    draw, font = ImageDraw.Draw(strip), ImageFont.load_default(15)
    for caption, image in zip(panels, images, strict=True):
        strip.paste(image, (left, 0))
        middle = left + image.width / 2
        draw.text((middle, height + 4), caption, fill="black", font=font, anchor="ma")
        left += image.width + GAP
    path.parent.mkdir(parents=True, exist_ok=True)
    strip.save(path, quality=93, subsampling=0)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("paintings", nargs="*", default=PAINTINGS)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--figures", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    heads = ["painting", "what", "seconds", "until the assignment's loss, of its seconds"]
    heads += ["loss", "ratio", "ratio, saved", "steps"]
    print(f"| {' | '.join(heads)} |\n|{' --- |' * len(heads)}")
    for painting in arguments.paintings:
        for line in compare(painting, arguments.root, arguments.weights, arguments.figures):
            print(line, flush=True)


if __name__ == "__main__":
    main()
