"""Ants and bees in folds over all 397 images, and logistic regression on the same features.

    python benchmarks/hymenoptera_folds.py [--data DATA] [--only frozen] [--folds 10]

The tutorial's 153 validation images are too few to tell configs apart, so all images are predicted,
each by a model that was trained on the other folds: ``lit-tasks fit`` with the shipped configs, a
folder of links for each fold. Files with the same content are in one fold. The peer is
scikit-learn's logistic regression on the pooled features that the frozen backbone makes of the
same images, standardized; its strength is scikit-learn's default, or chosen within each training
part. What was found is kept in docs/hymenoptera_folds.json, which benchmarks/results.py shows.
"""

import argparse
import csv
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lit_tasks.__main__ import main as lit_tasks
from lit_tasks.data.base.feature_cache import FeatureCache
from lit_tasks.data.base.image_dataset import ImageDataset
from lit_tasks.data.readers.images import ImageFiles, file_digests
from lit_tasks.nn.image.backbone import Backbone
from lit_tasks.statistics import mcnemar, wilson_interval

ROOT = Path(__file__).parents[1]
KEPT = ROOT / "docs" / "hymenoptera_folds.json"
CONFIGS = {"frozen": "image_hymenoptera_frozen", "fine-tuned": "image_hymenoptera_finetune"}
PEERS: dict[str, Callable[[], Any]] = {
    "logistic regression": lambda: LogisticRegression(max_iter=10_000),
    "logistic regression, strength chosen": lambda: GridSearchCV(
        LogisticRegression(max_iter=10_000), {"C": np.logspace(-6, 2, 9)}, cv=5
    ),
}
Fold = tuple[np.ndarray, np.ndarray]


def folds(paths: list[Path], labels: list[str], count: int) -> Iterator[Fold]:
    """Yield the images to train on and those to predict; each image is predicted once."""
    groups = np.unique(np.array(file_digests(paths)), return_inverse=True)[1]
    split = StratifiedGroupKFold(count, shuffle=True, random_state=0)
    yield from split.split(np.zeros((len(paths), 1)), labels, groups)


def ours(config: str, paths: list[Path], fold: Fold) -> np.ndarray:
    """Return which images of a fold a config finds right, trained on the others."""
    with tempfile.TemporaryDirectory() as folder:
        for name, rows in zip(("train", "val"), fold, strict=True):
            for row in rows:
                link = Path(folder, "images", name, paths[row].parent.name, f"{row}.jpg")
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(paths[row])
        words = ["fit", "--config", str(ROOT / "configs" / f"{config}.yaml")]
        words += [f"--data.root={folder}/images", "--data.counts=null", f"--run_dir={folder}/run"]
        if lit_tasks([*words, "--report=null", "--figures=null", "--curves=null"]):
            raise SystemExit(f"{config} failed")
        with Path(folder, "run", "samples_val.csv").open(newline="") as file:
            found = {Path(row["id"]).stem: float(row["accuracy"]) for row in csv.DictReader(file)}
    return np.array([found[str(row)] for row in fold[1]])


def features(paths: list[Path], labels: list[str]) -> np.ndarray:
    """Return the pooled features of all images by the backbone of the configs."""
    backbone = Backbone()
    images = ImageDataset(ImageFiles(paths, labels), None, backbone.preprocessing)
    return np.array(FeatureCache().features(backbone, images))


def kept(right: np.ndarray, count: int, seconds: float) -> dict[str, Any]:
    """Return what the file keeps of a method: its accuracy, interval, and each image."""
    correct = int(right.sum())
    return {
        "value": correct / len(right),
        "interval": wilson_interval(correct, len(right)),
        "folds": count,
        "seconds": round(seconds, 1),
        "wrong": [int(i) for i in np.flatnonzero(right == 0)],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=ROOT / "../shared/data")
    parser.add_argument("--only", default="", help="methods whose name begins so")
    parser.add_argument("--folds", type=int, default=10)
    options = parser.parse_args()
    os.environ.setdefault("WANDB_MODE", "disabled")
    torch.manual_seed(0)
    root = (options.data / "hymenoptera_data").resolve()
    paths = sorted(path for path in root.glob("*/*/*") if path.suffix in (".jpg", ".jpeg"))
    labels = [path.parent.name for path in paths]
    found = json.loads(KEPT.read_text()) if KEPT.is_file() else {}
    methods = [name for name in (*PEERS, *CONFIGS) if name.startswith(options.only)]
    values = features(paths, labels) if set(methods) & set(PEERS) else None
    for name in methods:
        start, right = time.perf_counter(), np.zeros(len(paths))
        for fold in folds(paths, labels, options.folds):
            train, held_out = fold
            if name in CONFIGS:
                right[held_out] = ours(CONFIGS[name], paths, fold)
                continue
            assert values is not None
            peer = make_pipeline(StandardScaler(), PEERS[name]())
            peer.fit(values[train], np.array(labels)[train])
            right[held_out] = peer.predict(values[held_out]) == np.array(labels)[held_out]
        found[name] = kept(right, options.folds, time.perf_counter() - start)
        print(f"{name}: {found[name]['value']:.4f} of {len(paths)}", flush=True)
        KEPT.write_text(json.dumps(found, indent=1) + "\n")
    for name in set(CONFIGS) & set(found):
        for peer in set(PEERS) & set(found):
            wrong, theirs = set(found[name]["wrong"]), set(found[peer]["wrong"])
            p = mcnemar(len(theirs - wrong), len(wrong - theirs))
            print(f"{name} against {peer}: {len(theirs)} - {len(wrong)} errors, p = {p:.3f}")


if __name__ == "__main__":
    main()
