"""``lit-tasks score captions.json references.json``."""

import argparse
import csv
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lit_tasks.files import atomic_write, not_there
from lit_tasks.functional.caption.scores import CAPTION_METRICS, corpus_scores, image_scores
from lit_tasks.printable import printable
from lit_tasks.runs.command_line import OptionParser, answered
from lit_tasks.scoring.inputs import Scored, matched
from lit_tasks.scoring.others import NotThereError, clip_score, meteor, spice
from lit_tasks.text.captions import SPECIAL, caption_words

_SPECIAL = frozenset(word.lower() for word in SPECIAL)
_OTHERS = ("meteor", "spice", "clip_score")


def main(words: Sequence[str]) -> int:
    """Print scores; return the exit code, after one sentence on stderr if it failed."""
    return answered(lambda: _run(_options(words)))


def _options(words: Sequence[str]) -> argparse.Namespace:
    parser = OptionParser(
        prog="lit-tasks score",
        description="Score captions of any model with the metrics of COCO's evaluation. Images are"
        " matched by id or file name; those without a caption are left out and counted.",
    )
    parser.add_argument(
        "captions",
        type=Path,
        help="one caption an image: captions.json or predictions.csv of `lit-tasks predict`, COCO's"
        " results format, JSON Lines, or a table with the columns image_id (or file) and caption",
    )
    parser.add_argument(
        "references",
        type=Path,
        help="COCO's annotations, Karpathy's dataset_coco.json, or any file that"
        " CaptionFilesDataModule reads",
    )
    parser.add_argument(
        "--also",
        nargs="+",
        choices=_OTHERS,
        default=[],
        help="metrics of others, with `pip install lit-tasks[scores]`: meteor and spice need Java,"
        " clip_score needs --images and the weights of a CLIP",
    )
    parser.add_argument("--images", type=Path, metavar="FOLDER", help="images for clip_score")
    parser.add_argument(
        "--clip_model",
        default="openai/clip-vit-base-patch16",
        help="name or folder of the CLIP for clip_score (default: openai/clip-vit-base-patch16)",
    )
    parser.add_argument(
        "--per_image",
        type=Path,
        metavar="FILE.csv",
        help="write each image's caption, references and scores",
    )
    parser.add_argument("--format", choices=("table", "csv", "json"), default="table")
    options = parser.parse_args(list(words))
    if "clip_score" in options.also and options.images is None:
        parser.error("clip_score needs --images, the folder of the images")
    return options


def _run(options: argparse.Namespace) -> int:
    scored = matched(options.captions, options.references)
    ours = [caption_words(text) for text in scored.captions]
    theirs = [[caption_words(text) for text in several] for several in scored.references]
    found = corpus_scores(ours, theirs, intervals=True, unspoken=_SPECIAL)
    each = image_scores(ours, theirs, unspoken=_SPECIAL)
    for name in options.also:
        try:
            each[name] = _other(name, scored, ours=ours, theirs=theirs, options=options)
        except NotThereError as error:
            print(f"lit-tasks: {printable(str(error))}", file=sys.stderr)
            continue
        low, high = _interval(each[name])
        found |= {name: float(np.mean(each[name])), f"{name}_low": low, f"{name}_high": high}
    if scored.left_out:
        total = scored.left_out + len(scored.ids)
        print(
            f"lit-tasks: {scored.left_out:,} of {total:,} images with references have no caption"
            " and do not count",
            file=sys.stderr,
        )
    if options.per_image is not None:
        _write(options.per_image, scored, each)
        print(f"scores of each image: {printable(str(options.per_image))}", file=sys.stderr)
    names = [name for name in (*CAPTION_METRICS, *_OTHERS) if name in found]
    _print(options.format, names, found)
    return 0


def _other(
    name: str,
    scored: Scored,
    ours: Sequence[Sequence[str]],
    theirs: Sequence[Sequence[Sequence[str]]],
    options: argparse.Namespace,
) -> list[float]:
    """Return each image's value of a metric of others."""
    if name == "clip_score":
        files = [_image(options.images, image) for image in scored.ids]
        return clip_score(scored.captions, files, options.clip_model)
    captions = [" ".join(words) for words in ours]
    references = [[" ".join(words) for words in several] for several in theirs]
    return (meteor if name == "meteor" else spice)(captions, references)


def _image(folder: Path, name: str) -> Path:
    """Return the image that an id or file name stands for."""
    number = f"{int(name):012}" if name.isdecimal() else name
    endings = ("", ".jpg", ".jpeg", ".png")
    tried = [folder / f"{stem}{ending}" for stem in (name, number) for ending in endings]
    there = next((path for path in tried if path.is_file()), None)
    if there is None:
        raise not_there(folder, f"there is no image {name} in {folder}; give --images its folder")
    return there


def _interval(values: Sequence[float]) -> tuple[float, float]:
    """Return an interval of 95 % for the mean, from resampling images."""
    total = len(values)
    times = np.random.default_rng(0).multinomial(total, [1 / total] * total, size=1000)
    low, high = np.percentile(times @ np.array(values) / total, (2.5, 97.5)).tolist()
    return low, high


def _write(path: Path, scored: Scored, each: dict[str, list[float]]) -> None:
    """Write a table with a row an image; its references stand in a list of JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as beside, beside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["image_id", "caption", "references", *each])
        rows = zip(scored.ids, scored.captions, scored.references, *each.values(), strict=True)
        for image, caption, references, *values in rows:
            said = json.dumps(references, ensure_ascii=False)
            writer.writerow([image, caption, said, *(f"{value:.6g}" for value in values)])


def _print(format: str, names: Sequence[str], found: dict[str, float]) -> None:
    rows = [(name, found[name], found[f"{name}_low"], found[f"{name}_high"]) for name in names]
    if format == "json":
        values = {name: {"value": v, "interval": [low, high]} for name, v, low, high in rows}
        print(json.dumps({"samples": int(found["samples"]), **values}, indent=2))
    elif format == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(["metric", "value", "low", "high", "samples"])
        writer.writerows([*row, int(found["samples"])] for row in rows)
    else:
        print(f"{int(found['samples']):,} images; intervals of 95 % from resampling images")
        for name, value, low, high in rows:
            print(f"{name:<21}  {value:8.4f}  ({low:.4f} - {high:.4f})")
