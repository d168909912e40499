"""The small parts of COCO and of Flickr8k that docs/results.md reports, from the published sets.

    python benchmarks/caption_parts.py coco --urls > coco.txt
    wget -x -nH -P coco -i coco.txt
    python benchmarks/caption_parts.py coco --source coco --out data/coco_captions
    python benchmarks/caption_parts.py flickr8k --source flickr8k --out data/flickr8k_captions

``--source`` of COCO has ``annotations/captions_{train,val}2017.json`` and the images below
``train2017/`` and ``val2017/``; that of Flickr8k has ``Flickr8k.token.txt`` and
``Flicker8k_Dataset/``. Which images belong to a part is in caption_parts.json; the split is ours,
of COCO's validation images most are for training. Images are made smaller, so that the shorter
side has 256 pixels.
"""

import argparse
import json
from collections import defaultdict
from itertools import chain
from pathlib import Path
from typing import Any

from PIL import Image
from rich.progress import track

PARTS: dict[str, dict[str, list[str]]] = json.loads(
    Path(__file__).with_suffix(".json").read_text(encoding="utf-8")
)
SIDE = 256
QUALITY = 90
URL = "http://images.cocodataset.org/"  # its certificate is not for this name

Split = dict[str, list[dict[str, Any]]]
"""Records of images and of annotations, as COCO has them."""


def coco(source: Path) -> dict[str, Split]:
    """Return COCO's own records of the images of each split of the part."""
    images: dict[str, dict[str, Any]] = {}
    written: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
    for name in ("train2017", "val2017"):
        text = (source / "annotations" / f"captions_{name}.json").read_text(encoding="utf-8")
        records = json.loads(text)
        images |= {f"{name}/{image['file_name']}": image for image in records["images"]}
        for annotation in records["annotations"]:
            written[annotation["image_id"]].append(annotation)
    found = {}
    for split, names in PARTS["coco"].items():
        chosen = [images[name] for name in names]
        captions = [
            annotation
            for image in chosen
            for annotation in sorted(written[image["id"]], key=lambda each: each["id"])
        ]
        found[split] = {"images": chosen, "annotations": captions}
    return found


def flickr8k(source: Path) -> dict[str, Split]:
    """Return records of the images of each split; ids are numbers of our own."""
    captions: defaultdict[str, list[str]] = defaultdict(list)
    with (source / "Flickr8k.token.txt").open(encoding="utf-8") as lines:
        for line in lines:
            key, _, caption = line.rstrip("\n").partition("\t")
            captions[key.partition("#")[0]].append(caption)
    ids = {name: i for i, name in enumerate(sorted(chain(*PARTS["flickr8k"].values())), start=1)}
    found: dict[str, Split] = {}
    number = 0
    for split, names in PARTS["flickr8k"].items():
        found[split] = {"images": [], "annotations": []}
        for name in names:
            found[split]["images"].append({"id": ids[name], "file_name": name})
            for caption in captions[name]:
                number += 1
                row = {"image_id": ids[name], "id": number, "caption": caption}
                found[split]["annotations"].append(row)
    return found


def reduced(source: Path, target: Path) -> tuple[int, int]:
    """Write an image with a shorter side of at most 256 pixels; return its width and height."""
    with Image.open(source) as image:
        if min(image.size) <= SIDE:
            target.write_bytes(source.read_bytes())
            return image.size
        width, height = (round(SIDE * side / min(image.size)) for side in image.size)
        smaller = image.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
        smaller.save(target, quality=QUALITY)
        return smaller.size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--urls", action="store_true", help="print where COCO's images are")
    parser.add_argument("--source", type=Path, help="folder of the published set")
    parser.add_argument("--out", type=Path, help="folder of the part")
    options = parser.parse_args()
    if options.urls:
        print(*(f"{URL}{name}" for name in chain(*PARTS["coco"].values())), sep="\n")
        return
    if options.source is None or options.out is None:
        parser.error("--source and --out are needed")
    splits = coco(options.source) if options.part == "coco" else flickr8k(options.source)
    for split, records in splits.items():
        folder, annotations = options.out / split, options.out / "annotations"
        for each in (folder, annotations):
            each.mkdir(parents=True, exist_ok=True)
        names = list(zip(PARTS[options.part][split], records["images"], strict=True))
        base = options.source / ("" if options.part == "coco" else "Flicker8k_Dataset")
        for name, image in track(names, description=split):
            width, height = reduced(base / name, folder / image["file_name"])
            image |= {"width": width, "height": height}
        text = json.dumps({"info": {}, "licenses": [], **records})
        (annotations / f"captions_{split}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
