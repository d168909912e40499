"""Draw every figure from hard inputs into one image, to look at.

``python benchmarks/figures_contact_sheet.py --folder=runs/contact_sheet``
Dollars, names of 60 letters, Chinese, 100 classes, images of all shapes, curves over decades,
one point alone, names that begin with ``_``. Writes figures.png and each figure beside it.
"""

import argparse
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from lit_tasks.plots import (
    attention_maps,
    class_bars,
    confusion_matrix,
    example_sheet,
    image_grid,
    learning_curves,
    loss_curves,
    overlaid_curves,
    reliability,
    save_figure,
)

LONG = [
    "Apple___Apple_scab",
    "Apple___Cedar_apple_rust",
    "Cherry_(including_sour)___Powdery_mildew",
    "Corn_(maize)___Cercospora_leaf_spot Gray_leaf_spot",
    "Tomato___Tomato_Yellow_Leaf_Curl_Virus",
]
HARD = [
    "Ba$$in",
    "Ke$$ha",
    r"a\$b",
    "蜜蜂 (bee)",
    "_hidden",
    "x^2_{3}",
    "двенадцать",
    "अंक",
    "50% #1",
]
CAPTIONS = [
    ("a $5 bill and a $10 bill", "50% off: $5 #1 and $10 on the price tag of a small market stall"),
    ("a man", "a man with a very long description " + "that goes on and on " * 12),
    ("", "一隻貓坐在桌子上"),
    ("a_word_without_any_break_that_is_longer_than_the_image_is_wide", "x"),
]
Drawn = Iterator[tuple[str, object]]


def images(count: int, random: np.random.Generator) -> list[np.ndarray]:
    """Return noise on color in several shapes, tall and wide ones among them."""
    shapes = [(40, 40), (20, 60), (60, 20), (30, 40)]
    return [
        (random.random((*shapes[i % 4], 3)) * 90 + random.random(3) * 160).astype(np.uint8)
        for i in range(count)
    ]


def matrices(random: np.random.Generator) -> Drawn:
    """Yield confusion matrices."""
    hundred = [f"{n}" for n in range(100)]
    for name, labels in (
        ("two", ["neg", "pos"]),
        ("long", LONG),
        ("hard", HARD),
        ("numbers", [f"{n}" for n in range(12)]),
        ("hundred", sorted(hundred)),
        ("imagenet", [f"n{n:08} a class of its own" for n in range(400)]),
    ):
        counts = random.integers(0, 9, (len(labels),) * 2) + np.diag(np.full(len(labels), 1200))
        yield f"confusion_{name}", confusion_matrix(counts, labels)


def classifiers(random: np.random.Generator) -> Drawn:
    """Yield what else is drawn of a classifier."""
    for name, labels in (("hard", HARD + LONG), ("hundred", [f"{n}" for n in range(100)])):
        precision, recall = random.random((2, len(labels))).tolist()
        samples = random.integers(0, 10_000, len(labels)).tolist()
        yield f"classes_{name}", class_bars(labels, precision, recall, samples=samples)
    sure = np.concatenate([random.random(300) ** 0.2, [1.0]])
    yield "reliability", reliability(sure, (random.random(301) < sure**2).astype(float))
    yield "reliability_one", reliability(np.array([0.8]), np.array([1.0]))
    titles = [f"{label} 0.{50 + i}" for i, label in enumerate(HARD + LONG)]
    titles = [t if i % 2 else f"{t}\nis {LONG[i % 5]}" for i, t in enumerate(titles)]
    files = [f"a/folder/of images/$file_{i}_{'x' * 5 * i}.jpg" for i in range(len(titles))]
    right = [bool(i % 2) for i in range(len(titles))]
    shown = images(len(titles), random)
    yield "predictions", image_grid(shown, titles, right, below=files)
    yield "one_image", image_grid(shown[:1], ["Ba$$in 0.98"], [True])
    yield "examples", example_sheet(shown[:8], titles[:8], [None, *right[:7]])


def captions(random: np.random.Generator) -> Drawn:
    """Yield what is drawn of a captioner."""
    titles = [f"generated: {own or '(nothing)'}\nhuman: {theirs}" for own, theirs in CAPTIONS]
    yield "captions", image_grid(images(4, random), titles, columns=4, lines=4)
    words = [own.split() or ["$"] for own, _ in CAPTIONS]
    weights = [random.random((len(w), 49)) ** 4 * (i + 1) / 49 for i, w in enumerate(words)]
    square = [image[:20, :20] for image in images(4, random)]
    yield "attention", attention_maps(square, words, weights)


def curves(random: np.random.Generator) -> Drawn:
    """Yield curves of a run, of several, and of style transfer."""
    steps = range(0, 400, 10)
    rows = []
    for at, step in enumerate(steps):
        row = {"step": float(step), "epoch": float(at // 4), "train/loss": 10.0 ** (2 - at / 8)}
        if at % 4 == 3:
            accuracy = 1 - 0.5 / (1 + at)
            row |= {"val/loss": 10.0 ** (1 - at / 12), "val/accuracy": accuracy}
            row |= {"val/accuracy_low": accuracy - 0.05, "val/accuracy_high": accuracy + 0.02}
            row |= {"val/f1_Ba$$in": random.random(), f"val/recall_{LONG[3]}": random.random()}
        rows.append(row)
    yield "curves", learning_curves(rows)
    yield "curves_apart", learning_curves(rows, apart=("loss",))
    yield "curves_one_point", learning_curves([{"step": 3, "epoch": 0, "val/loss": float("nan")}])
    runs = {f"{n}: model.init_args.lr=$1e-{n}, {'x' * 9 * n}": rows[n:] for n in range(12)}
    yield "compare", overlaid_curves({**runs, "_private": rows}, ["val/accuracy", "train/loss"])
    traces = {
        f"{label}__starry": (1e4 * 0.97 ** np.arange(200)) + n for n, label in enumerate(HARD)
    }
    yield "losses", loss_curves({name: values.tolist() for name, values in traces.items()})
    yield "losses_one", loss_curves({"loss": [1.0]})


def main() -> None:
    """Draw all figures and the sheet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("runs/contact_sheet"))
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    tiles = []
    for draw in (matrices, classifiers, captions, curves):
        for name, figure in draw(np.random.default_rng(0)):
            written = BytesIO()
            if isinstance(figure, Image.Image):
                figure.save(written, "PNG")
            else:
                save_figure(figure, written, dpi=80)  # type: ignore[arg-type]
            (folder / f"{name}.png").write_bytes(written.getvalue())
            tiles.append((name, Image.open(written).convert("RGB")))
    sheet(tiles).save(folder / "figures.png")
    print(f"{len(tiles)} figures in {folder}/figures.png")


def sheet(tiles: list[tuple[str, Image.Image]], across: int = 2400) -> Image.Image:
    """Return all figures in rows, none smaller than it was drawn unless it is wider than 1100."""
    places, x, y, tallest = [], 0, 0, 0
    for name, tile in tiles:
        tile.thumbnail((1100, 1000))
        if x + tile.width > across:
            x, y, tallest = 0, y + tallest + 30, 0
        places.append((name, tile, x, y))
        x, tallest = x + tile.width + 16, max(tallest, tile.height)
    found = Image.new("RGB", (across, y + tallest + 30), "white")
    draw = ImageDraw.Draw(found)
    for name, tile, left, top in places:
        draw.text((left + 4, top + 2), name, fill="purple")
        found.paste(tile, (left, top + 16))
        draw.rectangle((left, top, left + tile.width + 1, top + 17 + tile.height), outline="silver")
    return found


if __name__ == "__main__":
    main()
