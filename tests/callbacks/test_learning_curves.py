"""Curves of a run: drawn, summed up, and left by a run that is cut short."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import yaml
from csv_table import table
from PIL import Image
from small_runs import ROOT, fit


def test_curves_of_a_whole_fit_are_drawn_and_summed_up() -> None:
    run = fit("--config", "toy.yaml")
    assert min(Image.open(run / "figures/learning_curves.png").size) > 200
    results = json.loads((run / "results.json").read_text())
    points = [row for row in table(run / "metrics.csv") if row["val/loss"]]
    assert len(points) == 2  # what is found after training is not a point of the curve
    losses = [float(row["val/loss"]) for row in points]
    assert results["val/loss"]["best"]["value"] == min(losses)
    assert results["val/loss"]["last"] == {"value": losses[-1], "epoch": 1, "step": 11}


def test_curves_are_drawn_without_any_logger() -> None:
    run = fit("--config", "toy.yaml", "--trainer.logger=false")
    assert (run / "figures/learning_curves.png").is_file()
    assert json.loads((run / "results.json").read_text())["val/loss"]["last"]["epoch"] == 1


def test_an_interrupted_fit_leaves_its_curves() -> None:
    words = ["fit", "--config", "toy.yaml", "--trainer.max_epochs=100000", "--run_dir=cut"]
    words += ["--trainer.logger=lit_tasks.loggers.csv.RunCSVLogger"]
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    process = subprocess.Popen(
        [sys.executable, "-m", "lit_tasks", *words],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    rows: Path = Path("cut/metrics.csv")
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (rows.is_file() and "\n3," in rows.read_text()):
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    try:
        assert process.wait(60) != 0
    finally:
        process.kill()
    assert (rows.parent / "figures/learning_curves.png").is_file()
    last = json.loads((rows.parent / "results.json").read_text())["val/loss"]["last"]["epoch"]
    assert last >= 2  # the signal may come before the validation of epoch 3


def test_a_short_epoch_still_has_a_point_of_the_training_loss() -> None:
    content = yaml.safe_load(Path("toy.yaml").read_text())
    del content["trainer"]["log_every_n_steps"]
    Path("short.yaml").write_text(yaml.safe_dump(content))
    run = fit("--config", "short.yaml")
    steps = [row["step"] for row in table(run / "metrics.csv") if row["train/loss"]]
    assert steps == ["5", "11"]
