"""What a step of style transfer costs in ``lit-tasks fit`` against a loop written by hand.

    python benchmarks/style_overhead.py --root FOLDER --weights FILE [--rounds 3] [--steps 200]

The assignment's image (``configs/style_the_scream.yaml``) with all callbacks, CSV and W&B
offline, an image every 20 steps; medians of the processor time of single steps, runs in turn.
"""

import argparse
import os
import statistics
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import torchvision
import yaml
from lightning.pytorch import Callback, LightningModule, Trainer

from lit_tasks.__main__ import main as command
from lit_tasks.data.style_pairs import StylePairsDataModule

CONFIG = Path(__file__).parents[1] / "configs" / "style_the_scream.yaml"
WATCH: list[float] = []


class Watch(Callback):
    """Notes the processor time at every step."""

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Note the time."""
        WATCH.append(time.thread_time())


def ours(root: Path, weights: Path, steps: int) -> list[float]:
    """Return the seconds of each step of the command."""
    WATCH.clear()
    with tempfile.TemporaryDirectory() as folder:
        words = ["fit", f"--config={CONFIG}", f"--data.root={root}", f"--model.weights={weights}"]
        words += [f"--trainer.limit_train_batches={steps}", "--checkpoint=null"]
        words += [f"--run_dir={folder}", "--trainer.callbacks+=style_overhead.Watch"]
        assert command(words) == 0
    return [b - a for a, b in pairwise(WATCH)]


def by_hand(root: Path, weights: Path, steps: int) -> list[float]:
    """Return the seconds of each step of a plain loop."""
    config = yaml.safe_load(CONFIG.read_text())
    options = config["model"]["init_args"]
    pairs = StylePairsDataModule(root=root, **config["data"]["init_args"])
    pairs.setup("fit")
    pair = pairs.pair(0)
    net = torchvision.models.squeezenet1_1()
    net.load_state_dict(torch.load(weights, weights_only=True))
    layers = net.features[:8].eval().requires_grad_(False)
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    content, style = (
        ((p / 255 - mean) / std)[None].contiguous() for p in (pair["content"], *pair["styles"])
    )

    def features(image: torch.Tensor) -> dict[str, torch.Tensor]:
        found = {}
        for number, layer in enumerate(layers):
            image = layer(image)
            found[str(number)] = image
        return found

    def gram(f: torch.Tensor) -> torch.Tensor:
        flat = f.flatten(1).view(f.shape[1], -1)
        return flat @ flat.T / f.numel()

    with torch.no_grad():
        wanted, painted = features(content)["3"].clone(), features(style)
        grams = {layer: gram(painted[layer]) for layer in options["style"]}
    image = content.clone().requires_grad_()
    optimizer, stamps = torch.optim.Adam([image], lr=3.0), [time.thread_time()]
    for step in range(steps):
        if step < 190:
            image.data.clamp_(-1.5, 1.5)
        if step == 180:
            optimizer = torch.optim.Adam([image], lr=0.1)
        optimizer.zero_grad()
        found = features(image)
        loss = options["content"]["3"] * (found["3"] - wanted).square().sum()
        for layer, weight in options["style"].items():
            loss = loss + weight * (gram(found[layer]) - grams[layer]).square().sum()
        rows = (image[:, :, 1:] - image[:, :, :-1]).square().sum()
        columns = (image[:, :, :, 1:] - image[:, :, :, :-1]).square().sum()
        (loss + options["tv_weight"] * (rows + columns)).backward()
        optimizer.step()
        stamps.append(time.thread_time())
    return [b - a for a, b in pairwise(stamps)]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=200)
    arguments = parser.parse_args()
    os.environ |= {"WANDB_MODE": "offline"}
    torch.set_num_threads(1)
    times: dict[str, list[float]] = {"a loop by hand": [], "lit-tasks fit": []}
    for _ in range(arguments.rounds):
        times["a loop by hand"] += by_hand(arguments.root, arguments.weights, arguments.steps)
        times["lit-tasks fit"] += ours(arguments.root, arguments.weights, arguments.steps)
    base = statistics.median(times["a loop by hand"])
    print("| what | ms a step, median | mean | ratio of medians |\n| --- | --- | --- | --- |")
    for name, values in times.items():
        middle = statistics.median(values)
        mean = statistics.mean(values)
        print(f"| {name} | {1000 * middle:.1f} | {1000 * mean:.1f} | {middle / base:.3f} |")


if __name__ == "__main__":
    # The command imports Watch from this file by name: that module's WATCH is the one to read.
    import style_overhead

    style_overhead.main()
