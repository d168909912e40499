"""Self-training on IMDB: models fitted on its labels give labels to the 50,000 reviews without one.

    python benchmarks/results.py --only text_imdb_bow_ngrams
    python benchmarks/results.py --only text_imdb_lstm
    python benchmarks/imdb_best.py label --data data/imdb
    python benchmarks/results.py --only text_imdb_best
    python benchmarks/imdb_best.py average --out docs/imdb_best.json

``label`` writes the training reviews, and the surest of those without a label with the one that the
mean of the models' probabilities says, to ``train.parquet`` in ``runs/imdb_best``, and the reviews
that the models were validated on to ``val.parquet``. ``average`` reads what the runs said of each
review of the test split, and writes the accuracy of means of their probabilities, and the seconds
of everything that a mean needs. The fraction of the reviews and the weight of the bag lie between
those that were best on 5,000 training reviews with films of their own, of which models fitted on
the other 20,000 (with one LSTM) were asked: fractions of 0.5 and 0.7, and a bag of weight 1.5 to 4.
"""

import argparse
import csv
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import lit_tasks
from lit_tasks.data.imdb import ImdbDataModule
from lit_tasks.data.readers.text_files import Columns
from lit_tasks.data.text_files import file_source
from lit_tasks.protocols import Split
from lit_tasks.statistics import wilson_interval

RUNS = Path("runs/results")
FRACTION = 0.6  # many of the others are neither positive nor negative, as no labeled review is


@dataclass(frozen=True)
class Member:
    """What a config adds to a mean.

    Attributes:
        config: Its name.
        seeds: How many runs are averaged before.
        weight: How much their mean weighs.
        first: Seed of the first run.
    """

    config: str
    seeds: int = 1
    weight: int = 1
    first: int = 0

    def runs(self, folder: Path) -> list[Path]:
        """Return the run folders."""
        seeds = range(self.first, self.first + self.seeds)
        return [folder / self.config / str(seed) for seed in seeds]

    def __str__(self) -> str:
        """Return how the page of results names it."""
        notes = [f"{self.seeds} seeds"] if self.seeds > 1 else []
        notes += [f"weight {self.weight}"] if self.weight > 1 else []
        return " ".join([f"`{self.config}`", *([f"({', '.join(notes)})"] if notes else [])])


LSTM = Member("text_imdb_lstm", seeds=3)
TEACHERS = (Member("text_imdb_bow_ngrams"), LSTM)
BEST = tuple((Member("text_imdb_best", weight=2, first=seed), LSTM) for seed in range(3))
MEANS = {(TEACHERS,): TEACHERS, BEST: (*TEACHERS, *BEST[0])}
"""Of what a mean is taken, by seed, and what one needs: the labels, too, were made by models."""
Said = Callable[[Path], np.ndarray]
_LABELS = np.array(["neg", "pos"])


def weighted(members: Sequence[Member], folder: Path, said: Said) -> np.ndarray:
    """Return the mean over members of the probabilities that ``said`` returns for a run folder."""
    found = [np.mean([said(run) for run in member.runs(folder)], axis=0) for member in members]
    mean: np.ndarray = np.average(found, axis=0, weights=[member.weight for member in members])
    return mean


def probabilities(run: Path, texts: Sequence[str]) -> np.ndarray:
    """Return how probably each text is positive, as a fitted model says."""
    model = lit_tasks.load(run / "checkpoints" / "best.ckpt")
    return np.array([float(r["p_pos"]) for r in model.predict(texts, probabilities=True)])


def without_label(folder: Path) -> Path:
    """Return the reviews without a label, of either layout."""
    return next(iter(sorted(folder.glob("unsupervised-*.parquet"))), folder / "train" / "unsup")


def labeled(data: ImdbDataModule, split: Split) -> pa.Table:
    """Return text and label of a split."""
    source = data.source(split)
    table = source.data.data.table.select(["text", "label"])
    return table if source.select is None else table.take(pa.array(source.select))


def surest(positive: np.ndarray, fraction: float) -> np.ndarray:
    """Return which texts have the most certain probabilities, in order."""
    kept = np.argsort(-np.abs(positive - 0.5), kind="stable")[: round(len(positive) * fraction)]
    return np.sort(kept)


def label(folder: Path, runs: Path, out: Path) -> None:
    """Write the training and validation texts of self-training.

    Args:
        folder: IMDB's.
        runs: Where the runs of the fitted models are.
        out: Where the files are written.
    """
    start = time.perf_counter()
    path = without_label(folder)
    source = file_source(path, None, columns=Columns(), split="predict", cache_dir=None)
    texts = source.data.data["text"]
    listed = texts.to_pylist()
    positive = weighted(TEACHERS, runs, lambda run: probabilities(run, listed))
    kept = surest(positive, FRACTION)
    guessed = pa.array(_LABELS[(positive[kept] > 0.5).astype(int)])
    data = ImdbDataModule(folder, val_fraction=0.04)  # as the models' configs say
    train = labeled(data, "train")
    columns = [texts.take(pa.array(kept)), guessed]
    more = pa.table(columns, names=["text", "label"]).cast(train.schema)
    out.mkdir(parents=True, exist_ok=True)
    pq.write_table(labeled(data, "val"), out / "val.parquet")
    pq.write_table(pa.concat_tables((train, more)), out / "train.parquet")
    print(
        f"{len(train):,} training reviews and the {len(more):,} surest of {len(texts):,} without a"
        f" label, of which {(positive[kept] > 0.5).mean():.1%} are positive:"
        f" {time.perf_counter() - start:.0f} s"
    )


def said_of_test(run: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return how probably each test text is positive, as a run said, and whether it is."""
    with (run / "samples_test.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    probability = np.array([float(row["probability"]) for row in rows])
    said = np.array([row["prediction"] == "pos" for row in rows])
    target = np.array([row["target"] == "pos" for row in rows])
    return np.where(said, probability, 1 - probability), target


def average(members: Sequence[Member], folder: Path) -> dict[str, Any]:
    """Return the accuracy of the mean of what runs said of the test split, and its interval."""
    runs = [run for member in members for run in member.runs(folder)]
    target = said_of_test(runs[0])[1]
    if any(not np.array_equal(target, said_of_test(run)[1]) for run in runs):
        raise SystemExit(f"{', '.join(map(str, runs))} were tested on different texts")
    right = (weighted(members, folder, lambda run: said_of_test(run)[0]) > 0.5) == target
    low, high = wilson_interval(int(right.sum()), len(right))
    return {
        "value": round(float(right.mean()), 4),
        "interval": [round(low, 4), round(high, 4)],
    }


def seconds(members: Sequence[Member], folder: Path) -> float:
    """Return what runs took, each once, and what was done before them."""
    runs = {run for member in members for run in member.runs(folder)}
    files = [run / "seconds.txt" for run in runs]
    files += [
        path for run in {run.parent for run in runs} if (path := run / "before.txt").is_file()
    ]
    return sum(float(file.read_text()) for file in files)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("step", choices=["label", "average"])
    parser.add_argument("--data", type=Path, default=Path("data/imdb"))
    parser.add_argument("--runs", type=Path, default=RUNS, help="folder of the fitted runs")
    parser.add_argument("--out", type=Path, help="folder of label, JSON file of average")
    options = parser.parse_args()
    if options.step == "label":
        label(options.data, options.runs, options.out or Path("runs/imdb_best"))
        return
    found = []
    for means, needed in MEANS.items():
        runs = [run for members in means for member in members for run in member.runs(options.runs)]
        if all((run / "samples_test.csv").is_file() for run in runs):
            found.append(
                {
                    "of": f"mean of {' and '.join(map(str, means[0]))}",
                    "runs": [average(members, options.runs) for members in means],
                    "seconds": round(seconds(needed, options.runs), 1),
                }
            )
    print(json.dumps(found, indent=2))
    if options.out is not None:
        options.out.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
