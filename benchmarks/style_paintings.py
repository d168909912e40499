"""The images of docs/style_transfer.md at 512 pixels, what they cost, and a sheet of them.

    python benchmarks/style_paintings.py [--data ../shared/data] [--runs runs/paintings] [IMAGE ...]

``configs/style_painting.yaml`` paints Tuebingen like three paintings and an animal like one,
``configs/style_quickstart.yaml`` what packages carry. Each is a command of its own, one thread; a
run folder that has its image is not run again. Prints processor seconds and peak memory, with
what Python and torch take, and writes ``docs/figures/style_painting*.jpg`` and
``style_quickstart.jpg``.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).parents[1]
FIGURES = ROOT / "docs" / "figures"
BEAR = "coco_captions/train2017/000000000285.jpg"  # COCO, license 4: CC BY 2.0
PAINTINGS = {
    "starry_night": "Van Gogh, The Starry Night",
    "the_scream": "Munch, The Scream",
    "composition_vii": "Kandinsky, Composition VII",
}
LARGE = "tubingen-starry_night"  # 512 pixels, the others half of that in a quarter of the time
HEIGHT, GAP, CAPTION = 320, 8, 26  # pixels of the sheet


def words_of(name: str, data: Path) -> list[str]:
    """Return the words of the command that makes an image."""
    if name == "quickstart":
        return ["--config", str(ROOT / "configs/style_quickstart.yaml")]
    photo, _, painting = name.rpartition("-")
    words = ["--config", str(ROOT / "configs/style_painting.yaml")]
    words += [f"--model.weights={data / 'weights/vgg19_features_to_conv3_1.pth'}"]
    words += [f"--data.root={data / 'style'}", f"--data.styles={painting}.jpg"]
    if painting != "starry_night" or photo == "bear":
        words.append("--model.content={relu3_1: 1.5}")
    if name != LARGE:
        words += ["--data.image_size=256", "--data.style_size=320"]
    return [*words, f"--data.contents={data / BEAR}"] if photo == "bear" else words


def made(name: str, data: Path, runs: Path) -> tuple[Path, dict[str, float]]:
    """Return the image and its cost; make it unless that was done."""
    folder, cost = runs / name, runs / f"{name}.json"
    if not cost.is_file():
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "WANDB_MODE": "disabled"}
        words = [sys.executable, "-m", "lit_tasks", "fit", *words_of(name, data)]
        child = subprocess.Popen([*words, f"--run_dir={folder}"], cwd=ROOT, env=environment)
        _, status, used = os.wait4(child.pid, 0)
        if status:
            raise SystemExit(f"{name} failed: see {folder}")
        seconds, peak = used.ru_utime + used.ru_stime, used.ru_maxrss / 2**20
        cost.write_text(json.dumps({"seconds": seconds, "gigabytes": peak}))
    [image] = (path for path in (folder / "images").glob("*.png") if "_loss" not in path.name)
    return image, json.loads(cost.read_text())


def sheet(rows: list[list[tuple[Path, str]]], path: Path) -> None:
    """Write rows of images, each with its caption below."""
    font, lines = ImageFont.load_default(16), []
    for row in rows:
        images = []
        for file, _ in row:
            with Image.open(file) as opened:
                size = (opened.width * HEIGHT // opened.height, HEIGHT)
                images.append(opened.convert("RGB").resize(size, Image.Resampling.LANCZOS))
        line = Image.new(
            "RGB", (sum(i.width + GAP for i in images) - GAP, HEIGHT + CAPTION), "white"
        )
        left, draw = 0, ImageDraw.Draw(line)
        for image, (_, caption) in zip(images, row, strict=True):
            line.paste(image, (left, 0))
            place = (left + image.width / 2, HEIGHT + 4)
            draw.text(place, caption, fill="black", font=font, anchor="ma")
            left += image.width + GAP
        lines.append(line)
    whole = Image.new(
        "RGB", (max(i.width for i in lines), sum(i.height + GAP for i in lines)), "white"
    )
    top = 0
    for line in lines:
        whole.paste(line, (0, top))
        top += line.height + GAP
    whole.save(path, quality=93, subsampling=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", nargs="*", help="make these only, and no sheet")
    parser.add_argument("--data", type=Path, default=ROOT / "../shared/data")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "paintings")
    options = parser.parse_args()
    data, runs = options.data.resolve(), options.runs.resolve()
    runs.mkdir(parents=True, exist_ok=True)
    names = [*(f"tubingen-{painting}" for painting in PAINTINGS), "bear-starry_night", "quickstart"]
    print("| image | processor seconds | peak, GB |\n| --- | --- | --- |")
    images = {}
    for name in options.images or names:
        images[name], cost = made(name, data, runs)
        print(f"| {name} | {cost['seconds']:.0f} | {cost['gigabytes']:.2f} |", flush=True)
    if options.images:
        return
    rows = [[(data / "style/tubingen.jpg", "photograph"), (data / BEAR, "photograph")]]
    rows[0].append((images["bear-starry_night"], "the bear like The Starry Night"))
    for painting, caption in PAINTINGS.items():
        rows.append([(data / f"style/{painting}.jpg", caption)])
        rows[-1].append(
            (images[f"tubingen-{painting}"], f"Tuebingen like {caption.split(', ')[1]}")
        )
    sheet(rows, FIGURES / "style_painting.jpg")
    sheet(
        [[(images["quickstart"], "style_quickstart: what packages carry")]],
        FIGURES / "style_quickstart.jpg",
    )
    with Image.open(images["tubingen-starry_night"]) as image:
        image.convert("RGB").save(FIGURES / "style_starry_night_512.jpg", quality=93, subsampling=0)


if __name__ == "__main__":
    main()
