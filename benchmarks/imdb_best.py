"""Self-training on IMDB: models fitted on its labels give labels to the 50,000 reviews without one.

    python benchmarks/results.py --only text_imdb_bow_ngrams
    python benchmarks/results.py --only text_imdb_lstm
    python benchmarks/imdb_best.py label --data data/imdb
    python benchmarks/results.py --only text_imdb_best
    python benchmarks/imdb_best.py average --out docs/imdb_best.json

``label`` writes the training reviews, and those without a label with the one that the mean of the
models' probabilities says, to ``train.parquet`` in ``runs/imdb_best``, and the reviews that the
models were validated on to ``val.parquet``. ``average`` reads what the runs said of each review of
the test split, and writes the accuracy of means of their probabilities.
"""

import argparse
import csv
import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import lit_tasks
from lit_tasks.data.imdb import ImdbDataModule
from lit_tasks.data.readers.text_files import Columns
from lit_tasks.data.text_files import file_source
from lit_tasks.protocols import Split

RUNS = Path("runs/results")
TEACHERS = ("text_imdb_bow_ngrams", "text_imdb_lstm")
MEANS = (TEACHERS, ("text_imdb_best", "text_imdb_lstm"))
_LABELS = np.array(["neg", "pos"])


def probabilities(runs: Sequence[Path], texts: Sequence[str]) -> np.ndarray:
    """Return the mean over fitted models of the probability that each text is positive."""
    found = []
    for run in runs:
        model = lit_tasks.load(run / "checkpoints" / "best.ckpt")
        rows = model.predict(texts, probabilities=True)
        found.append([float(row["p_pos"]) for row in rows])
    mean: np.ndarray = np.mean(found, axis=0)
    return mean


def without_label(folder: Path) -> Path:
    """Return the reviews without a label, of either layout."""
    return next(iter(sorted(folder.glob("unsupervised-*.parquet"))), folder / "train" / "unsup")


def labeled(data: ImdbDataModule, split: Split) -> pa.Table:
    """Return text and label of a split."""
    source = data.source(split)
    table = source.data.data.table.select(["text", "label"])
    return table if source.select is None else table.take(pa.array(source.select))


def label(folder: Path, runs: Sequence[Path], out: Path) -> None:
    """Write the training and validation texts of self-training."""
    start = time.perf_counter()
    path = without_label(folder)
    texts = file_source(path, None, columns=Columns(), split="predict", cache_dir=None).data
    positive = probabilities(runs, texts.data["text"].to_pylist())
    guessed = pa.array(_LABELS[(positive > 0.5).astype(int)])
    data = ImdbDataModule(folder, val_fraction=0.04)  # as the models' configs say
    train = labeled(data, "train")
    more = pa.table([texts.data["text"], guessed], names=["text", "label"]).cast(train.schema)
    out.mkdir(parents=True, exist_ok=True)
    pq.write_table(labeled(data, "val"), out / "val.parquet")
    pq.write_table(pa.concat_tables((train, more)), out / "train.parquet")
    print(
        f"{len(train):,} training reviews and {len(more):,} without a label, of which"
        f" {(positive > 0.5).mean():.1%} are positive: {time.perf_counter() - start:.0f} s"
    )


def said_of_test(run: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return how probably each test text is positive, as a run said, and whether it is."""
    with (run / "samples_test.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    probability = np.array([float(row["probability"]) for row in rows])
    said = np.array([row["prediction"] == "pos" for row in rows])
    target = np.array([row["target"] == "pos" for row in rows])
    return np.where(said, probability, 1 - probability), target


def average(runs: Sequence[Path]) -> float:
    """Return the accuracy of the mean of what runs said of the test split."""
    each = [said_of_test(run) for run in runs]
    target = each[0][1]
    if any(not np.array_equal(target, other) for _, other in each):
        raise SystemExit(f"{', '.join(map(str, runs))} were tested on different texts")
    mean = np.mean([positive for positive, _ in each], axis=0)
    return float(((mean > 0.5) == target).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("step", choices=["label", "average"])
    parser.add_argument("--data", type=Path, default=Path("data/imdb"))
    parser.add_argument("--runs", type=Path, default=RUNS, help="folder of the fitted runs")
    parser.add_argument("--out", type=Path, help="folder of label, JSON file of average")
    options = parser.parse_args()
    if options.step == "label":
        runs = [options.runs / name / "0" for name in TEACHERS]
        label(options.data, runs, options.out or Path("runs/imdb_best"))
        return
    found = {}
    for names in MEANS:
        runs = [options.runs / name / "0" for name in names]
        if all((run / "samples_test.csv").is_file() for run in runs):
            found[" and ".join(f"`{name}`" for name in names)] = round(average(runs), 4)
    print(json.dumps(found, indent=2))
    if options.out is not None:
        options.out.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
