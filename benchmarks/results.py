"""Every experiment of the assignment end to end, then docs/results.md and the table in README.

    python benchmarks/results.py [--data FOLDER] [--only image] [--write]

Each run is a command of its own in ``runs/results/<config>/<seed>``; one that has its results is
not run again, so an interrupted evening goes on where it was. What the runs found is kept in
docs/results.json, so that a machine without the other runs, or without the data of some, leaves
their rows as they are. ``--write`` runs nothing. No number is typed: all come from the runs.
Settings were chosen on validation data.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import result_sources
from PIL import Image
from rich.progress import Progress

ROOT = Path(__file__).parents[1]
DATA = [ROOT / "data", ROOT / "../shared/data"]  # the first that is there
RUNS = ROOT / "runs" / "results"
PAGE = ROOT / "docs" / "results.md"
KEPT = ROOT / "docs" / "results.json"
FIGURES = ROOT / "docs" / "figures"
README = ROOT / "README.md"
_WIDTH = 900  # pixels of an image on the page
_BEGIN, _END = "<!-- results of benchmarks/results.py -->", "<!-- end of results -->"


@dataclass(frozen=True)
class Experiment:
    """A config on real data.

    Attributes:
        config: Its name.
        metrics: What the table shows of it.
        words: Further words of the command; ``{data}`` is the folder of the data.
        seeds: How many runs, with seeds from 0.
        cited: What the two write-ups report, see ``../shared/design/assignments.md``.
        before: Script and its words that make what all seeds read; once, and its time counts.
    """

    config: str
    metrics: tuple[str, ...]
    words: tuple[str, ...] = ()
    seeds: int = 1
    cited: str = ""
    before: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunFigure:
    """A figure of a run that the page shows.

    Attributes:
        config: Whose runs.
        name: Its name in ``figures/`` of the run folder.
        said: What it shows.
    """

    config: str
    name: str
    said: str


@dataclass(frozen=True)
class Part:
    """Experiments that share a table.

    Attributes:
        title: Heading.
        said: What a reader has to know, before the table.
        experiments: Its rows.
        others: Rows of others: who, and their results, from the file of a script.
        figure: What is shown below the table.
    """

    title: str
    said: str
    experiments: tuple[Experiment, ...]
    others: tuple[tuple[str, ...], ...] = ()
    figure: RunFigure | None = None


ANTS = ("--data.root={data}/hymenoptera_data",)
SENTENCES = tuple(
    f"--data.{part}={{data}}/sentiment_sentences/{name}.txt"
    for part, name in (("train", "train"), ("val", "dev"))
)
IMDB = ("--data.path={data}/imdb", "--test=true")
DEV, TEST = ("val/accuracy",), ("val/accuracy", "test/accuracy")
CAPTIONS = ("assignment_bleu", "bleu1", "bleu4", "cider_d", "rouge_l")
CAPTION_METRICS = tuple(f"val/{name}" for name in CAPTIONS)
COCO = ("--data.root={data}/coco_captions",)
FLICKR8K = ("--data.root={data}/flickr8k_captions",)
STYLE = (
    "--data.root={data}/style",
    "--model.weights={data}/weights/squeezenet1_1_calibrated.pth",
)
STYLE_METRICS = ("val/loss", "val/content_3", "val/variation")
VECTORS = "runs/imdb_vectors.bin"


def caption_baselines(name: str) -> tuple[tuple[str, ...], ...]:
    """Return rows of what `benchmarks/caption_baselines.py` wrote."""
    path = ROOT / "docs" / "caption_baselines.json"
    found = json.loads(path.read_text())[name] if path.is_file() else {}
    titles = {
        "constant": "baseline: one sentence for all",
        "nearest": "baseline: a caption of the nearest training image",
        "consensus": "baseline: consensus of the 15 nearest images' captions",
        "human": "people: each reference against the others",
    }
    return tuple(
        (titles[kind], *(f"{values[metric]:.4f}" for metric in CAPTIONS))
        for kind, values in found.items()
    )


def minutes(found: dict[str, Any]) -> str:
    """Return the median over the seeds of what the command took, with what ran before it."""
    return f"{round(found['seconds']) // 60}:{round(found['seconds']) % 60:02}"


def image_folds() -> tuple[tuple[str, ...], ...]:
    """Return rows of what `benchmarks/hymenoptera_folds.py` wrote."""
    path = ROOT / "docs" / "hymenoptera_folds.json"
    found = json.loads(path.read_text()) if path.is_file() else {}
    titles = {
        "frozen": "`configs/image_hymenoptera_frozen.yaml`",
        "fine-tuned": "`configs/image_hymenoptera_finetune.yaml`",
        "logistic regression": "scikit-learn's logistic regression on the frozen features",
        "logistic regression, strength chosen": "the same, its strength chosen on training parts",
    }
    rows = []
    for name, title in titles.items():
        if values := found.get(name):
            low, high = values["interval"]
            said = f"{title}: all 397 images in {values['folds']} folds"
            value = f"{values['value']:.4f} ({low:.4f} - {high:.4f})"
            rows.append((said, value, "", minutes(values)))
    return tuple(rows)


def text_peers(name: str, metrics: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """Return rows of what `benchmarks/peers_text.py` wrote."""
    path = ROOT / "docs" / "peers_text.json"
    found = json.loads(path.read_text())[name] if path.is_file() else {}
    return tuple(
        (
            f"{peer} ({values['setting']})",
            *(f"{values[metric]:.4f}" for metric in metrics),
            "",
            minutes(values),
        )
        for peer, values in found.items()
    )


def imdb_means() -> tuple[tuple[str, ...], ...]:
    """Return rows of what `benchmarks/imdb_best.py` wrote."""
    path = ROOT / "docs" / "imdb_best.json"
    rows = []
    for found in json.loads(path.read_text()) if path.is_file() else []:
        values = [run["value"] for run in found["runs"]]
        low, high = found["runs"][0]["interval"]
        said = f"{values[0]:.4f} ({low:.4f} - {high:.4f})"
        if len(values) > 1:
            said = f"{statistics.mean(values):.4f} ± {statistics.stdev(values):.4f}"
        rows.append((found["of"], "", said, str(len(values)), minutes(found)))
    return tuple(rows)


PARTS = (
    Part(
        "Transfer learning: ants and bees",
        "Last epoch on the 153 validation images, EfficientNet-Lite0. Its ImageNet weights know "
        "`ant` and `bee` among their 1000 classes, and `head_init: pretrained` uses what the last "
        "layer says about them: this is an easy set. So few images cannot tell configs apart; the "
        "rows in folds (`benchmarks/hymenoptera_folds.py`) predict each image by a model trained "
        "on the other folds (the frozen config's settings were chosen on the 244 training images; "
        "of the fine-tuned one two folds, since ten would take half an hour of a core).",
        (
            Experiment("image_hymenoptera_frozen", DEV, ANTS, 5, "0.9608 and 0.9542"),
            Experiment("image_hymenoptera_finetune", DEV, ANTS, 5, "0.9477 and 0.9346"),
        ),
        image_folds(),
        figure=RunFigure(
            "image_hymenoptera_frozen",
            "val_predictions.png",
            "Validation images with predicted class and probability",
        ),
    ),
    Part(
        "Text classification: sentences",
        "Accuracy on the assignment's dev set, best epoch on that set (its test set is not public; "
        "the write-ups' results are of it, so they are not directly comparable). The settings were "
        "chosen by models fitted on four fifths of the training sentences, on the other fifth and "
        "on dev: a look at new sentences will find a few thousandths less. Rows of others, chosen "
        "on dev too: `benchmarks/peers_text.py`.",
        tuple(
            Experiment(f"text_sentences_{name}", DEV, SENTENCES, seeds, cited)
            for name, seeds, cited in (
                ("bow", 5, "0.953 and 0.9458 (test)"),
                ("mean", 5, "0.950 (test)"),
                ("glove", 5, "0.932 (test)"),
                ("rnn", 3, "0.922 and 0.9223 (test)"),
                ("lstm", 3, "0.937 (test)"),
            )
        ),
        others=text_peers("sentences", DEV),
        figure=RunFigure(
            "text_sentences_mean",
            "learning_curves.png",
            "Learning curves of mean embeddings",
        ),
    ),
    Part(
        "Text classification: IMDB",
        "Validation is a part of the training reviews with films of its own, test the official "
        "25,000. Earlier versions of these configs had been run on the test split too, so these "
        "are not first looks: differences of a few thousandths mean nothing. The time of the LSTM "
        "counts its word vectors (`benchmarks/word_vectors.py`); that of `text_imdb_best.yaml` "
        "counts the labels that the n-gram bag and three LSTMs gave to the 50,000 reviews without "
        "one, of which the surest 60 % are used, but not these runs, which come before it "
        "(`benchmarks/imdb_best.py`); that of a mean is of all it needs, one after the other, and "
        "its seeds are the bag's, with the same labels and LSTMs. On 5,000 training "
        "reviews whose labels were kept back, the surest half or so of the given "
        "labels was worth more than all; an LSTM that learned from them too became better, but "
        "its mean with the bag did not, and labels of a second round did not help either. Rows of "
        "others: `benchmarks/peers_text.py`.",
        (
            *(
                Experiment(f"text_imdb_{name}", TEST, IMDB, 5)
                for name in ("bow", "bow_ngrams", "mean", "mean_ngrams", "glove")
            ),
            Experiment(
                "text_imdb_lstm",
                TEST,
                (*IMDB, f"--model.encoder.vectors={VECTORS}"),
                3,
                before=("benchmarks/word_vectors.py", "{data}/imdb", "--out", VECTORS),
            ),
            Experiment(
                "text_imdb_best",
                TEST,
                ("--data.test={data}/imdb/test-00000-of-00001.parquet",),
                3,
                before=("benchmarks/imdb_best.py", "label", "--data", "{data}/imdb"),
            ),
        ),
        (*imdb_means(), *text_peers("imdb", TEST)),
    ),
    Part(
        "Style transfer",
        "The assignment's three images, with weights on the scale of its published check values. "
        "Losses are of the finished image, in 8 bits a color; a plain loop's last losses are 9,037 "
        "(The Starry Night), 9,102 (The Scream) and 8,834 (Composition VII). Lower losses in less "
        "time: [style_transfer.md](style_transfer.md).",
        tuple(
            Experiment(f"style_{painting}", STYLE_METRICS, STYLE)
            for painting in ("starry_night", "the_scream", "composition_vii")
        ),
    ),
    Part(
        "Captioning: fifty captions by heart",
        "The assignment's first exercise: the 50 training images are looked at again, and a score "
        "of 1 means that every generated sentence is what was written.",
        tuple(
            Experiment(f"caption_memorize_{cell}", CAPTION_METRICS, COCO)
            for cell in ("rnn", "lstm")
        ),
    ),
    Part(
        "Captioning: the small part of COCO",
        "80 validation images, free decoding; `assignment_bleu` is the mean over references. "
        "The write-ups' results are of 1000 captions and images of COCO that are not here; the "
        "baselines, computed by `benchmarks/caption_baselines.py` on the same images, say what a "
        "score is worth: one sentence for all images passes the write-ups.",
        tuple(
            Experiment(f"caption_coco_{name}", CAPTION_METRICS, COCO, cited=cited)
            for name, cited in (
                ("1000_rnn", "0.2107"),
                ("1000_lstm", "0.2147"),
                ("rnn", ""),
                ("lstm", ""),
                ("transformer", ""),
            )
        ),
        caption_baselines("coco_captions"),
    ),
    Part(
        "Captioning: the small part of Flickr8k",
        "147 validation images, free decoding, last epoch; most settings were chosen on 150 of the "
        "training images.",
        tuple(
            Experiment(f"caption_flickr8k_{name}", CAPTION_METRICS, FLICKR8K)
            for name in ("lstm", "attention", "transformer")
        ),
        caption_baselines("flickr8k_captions"),
        RunFigure(
            "caption_flickr8k_lstm", "val_captions.png", "Generated captions above those of people"
        ),
    ),
    Part(
        "Captioning: synthetic scenes",
        "Combinations of shape, color and place that were never in training; for trying out. Seeds "
        "after the first find its features, whose computing is therefore not in the median time.",
        (
            Experiment(
                "caption_scenes_lstm",
                ("val/bleu4", "test/bleu4", "val/cider_d", "val/rouge_l"),
                seeds=3,
            ),
        ),
        figure=RunFigure(
            "caption_scenes_lstm",
            "test_captions.png",
            "Generated captions of unseen synthetic scenes",
        ),
    ),
)


def prepare(experiment: Experiment, data: Path) -> None:
    """Make what all runs of a config read, unless that was done."""
    timed = RUNS / experiment.config / "before.txt"
    if timed.is_file() or not experiment.before:
        return
    words = [word.format(data=data) for word in experiment.before]
    start = time.perf_counter()
    subprocess.run([sys.executable, *words], cwd=ROOT, check=True)
    timed.parent.mkdir(parents=True, exist_ok=True)
    timed.write_text(f"{time.perf_counter() - start:.1f}\n")


def run(experiment: Experiment, seed: int, data: Path, said: Any) -> None:
    """Fit a config unless that was done; what it prints goes to ``output.txt`` in its folder."""
    prepare(experiment, data)
    folder = RUNS / experiment.config / str(seed)
    if (folder / "results.json").is_file() and not (folder / "running").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "running").touch()
    words = [sys.executable, "-m", "lit_tasks", "fit"]
    words += ["--config", str(ROOT / "configs" / f"{experiment.config}.yaml")]
    words += [word.format(data=data) for word in experiment.words]
    words += [f"--seed_everything={seed}", f"--run_dir={folder}", "--resume=true"]
    said(f"{experiment.config}, seed {seed}")
    start = time.perf_counter()
    with (folder / "output.txt").open("a") as output:
        environment = {"WANDB_MODE": "disabled", **os.environ}
        code = subprocess.run(
            words, cwd=ROOT, env=environment, stdout=output, stderr=output, check=False
        ).returncode
    timed = folder / "seconds.txt"  # the sum over all parts of an interrupted run
    before = float(timed.read_text()) if timed.is_file() else 0.0
    timed.write_text(f"{before + time.perf_counter() - start:.1f}\n")
    if code:
        raise SystemExit(f"{experiment.config} failed with {code}: see {folder / 'output.txt'}")
    (folder / "running").unlink()


def entry(folder: Path, metric: str) -> dict[str, Any]:
    """Return what a run found, or nothing."""
    path = folder / "results.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    result: dict[str, Any] = found.get(metric, {})
    return result


def collected(folders: list[Path], metrics: tuple[str, ...]) -> dict[str, Any]:
    """Return what a config's runs found: means and standard deviations, or values and intervals."""
    found: dict[str, Any] = {}
    for metric in metrics:
        entries = [e for folder in folders if "value" in (e := entry(folder, metric))]
        values = [e["value"] for e in entries]
        if len(values) > 1:
            found[metric] = {"mean": statistics.mean(values), "deviation": statistics.stdev(values)}
        elif values:
            found[metric] = {"value": values[0], "interval": entries[0].get("interval")}
    times = [float((folder / "seconds.txt").read_text()) for folder in folders]
    before = folders[0].parent / "before.txt"
    seconds = statistics.median(times) + (float(before.read_text()) if before.is_file() else 0)
    return {"seeds": len(folders), "seconds": seconds, "metrics": found}


def keep() -> None:
    """Put what the runs of this machine found in the place of what was kept of these configs."""
    found = kept()
    for part in PARTS:
        for experiment in part.experiments:
            if folders := folders_of(experiment.config):
                found[experiment.config] = collected(folders, experiment.metrics)
    KEPT.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")


def kept() -> dict[str, Any]:
    """Return what is known of each config: its number of seeds, seconds and metrics."""
    found: dict[str, Any] = json.loads(KEPT.read_text()) if KEPT.is_file() else {}
    return found


def cell(found: dict[str, Any], metric: str) -> str:
    """Return mean and standard deviation over the seeds, or the one value with its interval."""
    known = found["metrics"].get(metric)
    if not known:
        return ""
    if "mean" in known:
        return f"{known['mean']:.4f} ± {known['deviation']:.4f}"
    low, high = known["interval"] or (0, 0)
    interval = f" ({low:.4f} - {high:.4f})" if low != high else ""
    return f"{known['value']:.4f}{interval}"


def missing(experiment: Experiment, data: Path) -> list[Path]:
    """Return the files and folders that an experiment reads and that are not there."""
    named = [
        word.partition("=")[2].format(data=data) for word in experiment.words if "{data}" in word
    ]
    return [path for path in map(Path, named) if not path.exists()]


def folders_of(config: str) -> list[Path]:
    """Return the folders of a config's finished runs."""
    folders = sorted((RUNS / config).glob("[0-9]*"))
    return [
        folder
        for folder in folders
        if (folder / "results.json").is_file() and not (folder / "running").exists()
    ]


def table(part: Part) -> list[str]:
    """Return the lines of a part's table."""
    metrics = list(dict.fromkeys(m for e in part.experiments for m in e.metrics))
    heads = ["what", *metrics, "seeds", "min:s", "write-ups"]
    rows, known = [], kept()
    for experiment in part.experiments:
        found = known.get(experiment.config)
        cells = [cell(found, metric) for metric in metrics] if found else ["not run"]
        cells += [""] * (len(metrics) - len(cells))
        took = [str(found["seeds"]), minutes(found)] if found else ["", ""]
        rows.append([f"`configs/{experiment.config}.yaml`", *cells, *took, experiment.cited])
    rows += [[*other, *[""] * (len(heads) - len(other))] for other in part.others]
    return markdown(heads, rows)


def command(part: Part) -> str:
    """Return how a row of a part's table is made."""
    words = [word.format(data="data") for word in part.experiments[0].words]
    whole = " ".join(("lit-tasks fit --config FILE", *words, "--seed_everything=SEED"))
    return f"Command: `{whole}`"


def summary() -> list[str]:
    """Return the README's table: what the write-ups report as well, ours beside theirs."""
    rows, known = [], kept()
    for part in PARTS:
        for experiment in part.experiments:
            if experiment.cited and (found := known.get(experiment.config)):
                ours = cell(found, experiment.metrics[0])
                seeds = f" ({found['seeds']} seeds)" if found["seeds"] > 1 else ""
                rows.append([f"`{experiment.config}`", f"{ours}{seeds}", experiment.cited])
    return markdown(["config", "ours", "write-ups"], rows)


def markdown(heads: list[str], rows: list[list[str]]) -> list[str]:
    """Return the lines of a table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def shown(figure: RunFigure | None) -> list[str]:
    """Copy a figure of the first run that has it into the docs, small; return the page's lines."""
    if figure is None:
        return []
    path = FIGURES / f"results_{figure.config}.jpg"
    figures = [folder / "figures" / figure.name for folder in folders_of(figure.config)]
    if made := [found for found in figures if found.is_file()]:
        with Image.open(made[0]) as image:
            image.thumbnail((_WIDTH, 2 * _WIDTH))
            image.convert("RGB").save(path, quality=80)
    return ["", f"![{figure.said}](figures/{path.name})"] if path.is_file() else []


def page() -> str:
    """Return docs/results.md."""
    lines = [
        "# Results",
        "",
        "Made by `make results` (`python benchmarks/results.py`): a row is the command below its",
        "table with the file named, once for each seed from 0. Rows whose data are absent stay as",
        "they are, and the command names them; [below](#the-data) is how to get the data. One",
        "run has its 95 % interval (Wilson), several have mean and standard deviation over seeds.",
        "Times are on two cores that other work shared.",
    ]
    for part in PARTS:
        lines += ["", f"## {part.title}", "", part.said, "", *table(part), "", command(part)]
        lines += shown(part.figure)
    lines += ["", *result_sources.lines()]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    there = next((folder for folder in DATA if folder.is_dir()), DATA[0])
    parser.add_argument("--data", type=Path, default=there, help="data/, or ../shared/data")
    parser.add_argument("--only", default="", help="run configs whose name begins so")
    parser.add_argument("--write", action="store_true", help="write the page, run nothing")
    options = parser.parse_args()
    runs = [
        (experiment, seed)
        for part in PARTS
        for experiment in part.experiments
        for seed in range(experiment.seeds)
        if experiment.config.startswith(options.only) and not options.write
    ]
    data = options.data.resolve()
    absent = {e.config: gone for e, _ in runs if (gone := missing(e, data))}
    for config, paths in absent.items():
        print(f"{config} is not run: there is no {' and no '.join(map(str, paths))}")
    runs = [(experiment, seed) for experiment, seed in runs if experiment.config not in absent]
    with Progress() as progress:
        bar = progress.add_task("experiments", total=len(runs))
        for experiment, seed in runs:
            run(
                experiment,
                seed,
                data,
                lambda text: progress.update(bar, description=text),
            )
            progress.advance(bar)
    keep()
    PAGE.write_text(page())
    before, rest = README.read_text().split(_BEGIN)
    table_there = "\n".join(["", "", *summary(), "", ""])
    README.write_text(f"{before}{_BEGIN}{table_there}{_END}{rest.split(_END)[1]}")
    progress.console.print(f"wrote {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
