"""Ants and bees over several seeds: the last epoch's accuracy on the 153 validation images.

    python benchmarks/hymenoptera.py --root FOLDER [--seeds 5] [--out table.md] [CONFIG ...]

Runs every config as a command of its own and prints a table with mean, standard deviation, and the
seconds of a whole command. ``configs/image_hymenoptera_resnet18.yaml`` needs the internet.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CONFIGS = Path(__file__).parents[1] / "configs"
DEFAULT = ["image_hymenoptera_frozen", "image_hymenoptera_finetune"]


def run(config: str, root: Path, seed: int) -> tuple[float, float, float]:
    """Return accuracy, calibration error and seconds of one run."""
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "-m", "lit_tasks", "fit", f"--config={CONFIGS / config}.yaml"]
        words += [f"--data.root={root}", f"--seed_everything={seed}", f"--run_dir={folder}"]
        began = time.perf_counter()
        environment = {**os.environ, "WANDB_MODE": "disabled"}
        subprocess.run(words, check=True, env=environment, capture_output=True)
        seconds = time.perf_counter() - began
        results = json.loads((Path(folder) / "results.json").read_text())
    found = [float(results[name]["value"]) for name in ("val/accuracy", "val/calibration_error")]
    return found[0], found[1], seconds


def row(config: str, found: list[tuple[float, float, float]]) -> str:
    """Return a line of the table."""
    accuracy, calibration, seconds = (list(values) for values in zip(*found, strict=True))
    deviation = statistics.stdev(accuracy) if len(accuracy) > 1 else 0.0
    images = ", ".join(f"{round(153 * share)}" for share in accuracy)
    return (
        f"| {config} | {statistics.mean(accuracy):.4f} | {deviation:.4f} | {images} "
        f"| {statistics.mean(calibration):.3f} | {statistics.mean(seconds):.0f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("configs", nargs="*", default=DEFAULT)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="file that the table is written to")
    options = parser.parse_args()
    lines = [
        "| config | accuracy | sd | right of 153, each seed | calibration error | seconds |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    print("\n".join(lines), flush=True)
    for config in options.configs:
        found = [run(config, options.root, seed) for seed in range(options.seeds)]
        lines.append(row(config, found))
        print(lines[-1], flush=True)
    if options.out is not None:
        options.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
