"""What describing images is worth without a model that describes them, and among people.

    python benchmarks/caption_baselines.py [--data DATA] [--out docs/caption_baselines.json]

Four rows for the validation images of each set, beside which a captioner's results belong:

- constant: one training caption for all images, the one with the best assignment BLEU on the
  training images (its own left out);
- nearest: the first caption of the training image whose features (EfficientNet-Lite0, pooled)
  have the largest cosine;
- consensus: of all captions of the 15 nearest, the one that is closest to the others by CIDEr-D
  (Devlin et al. 2015);
- human: each caption of an image against its others, mean over both. Against fewer references
  BLEU-4, CIDEr-D and ROUGE-L are lower, so for a person they are a lower bound.

Nothing is chosen on the validation images.
"""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from lit_tasks.data.base.caption_dataset import CaptionedImages
from lit_tasks.data.base.feature_cache import FeatureCache
from lit_tasks.data.base.image_dataset import ImageDataset
from lit_tasks.data.coco_captions import CocoCaptionsDataModule
from lit_tasks.functional.caption.cider import DocumentFrequencies, cider_d, weighted
from lit_tasks.metrics.caption_scores import caption_scores
from lit_tasks.nn.image.backbone import Backbone
from lit_tasks.text.captions import caption_words

SETS = ("flickr8k_captions", "coco_captions")
METRICS = (
    "assignment_bleu", "assignment_bleu_first", "bleu1", "bleu2", "bleu3", "bleu4", "cider_d",
    "rouge_l",
)  # fmt: skip
NEIGHBORS = 15


def constant(train: CaptionedImages) -> str:
    """Return the training caption that is the best description of all other training images."""
    texts = [[caption_words(text) for text in several] for several in train.sentences]
    number = {word: i for i, word in enumerate({w for s in texts for t in s for w in t})}
    rows = [(image, words) for image, several in enumerate(texts) for words in several]
    counts = np.zeros((len(number), len(rows)), dtype=np.float32)
    for row, (_, words) in enumerate(rows):
        for word in words:
            counts[number[word], row] += 1
    lengths, images = counts.sum(0), np.array([image for image, _ in rows])
    scores = []
    for row, (image, words) in enumerate(rows):
        places = np.flatnonzero(counts[:, row])
        shared = np.minimum(counts[places], counts[places, row][:, None]).sum(0)
        bleu = shared / len(words) * np.exp(np.minimum(0, 1 - lengths / len(words)))
        scores.append(float(bleu[images != image].mean()))
    return " ".join(rows[int(np.argmax(scores))][1])


def nearest(train: np.ndarray, val: np.ndarray) -> np.ndarray:
    """Return the training images by falling cosine, a row for each validation image."""
    first, second = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (train, val))
    order: np.ndarray = np.argsort(-(second @ first.T), axis=1, kind="stable")
    return order


def consensus(captions: Sequence[str], frequencies: DocumentFrequencies) -> str:
    """Return the caption that is closest to the others."""
    vectors = [weighted(caption_words(text), frequencies) for text in captions]
    scores = [cider_d(v, [*vectors[:i], *vectors[i + 1 :]]) for i, v in enumerate(vectors)]
    return captions[int(np.argmax(scores))]


def among_people(references: Sequence[Sequence[str]]) -> dict[str, float]:
    """Return the scores of each caption against the others of its image."""
    turns = min(map(len, references))
    each = []
    for turn in range(turns):
        others = [[t for i, t in enumerate(several) if i != turn] for several in references]
        each.append(caption_scores([several[turn] for several in references], others))
    found = {name: float(np.mean([scores[name] for scores in each])) for name in METRICS}
    return found | {"assignment_bleu_first": found["assignment_bleu"]}  # no caption is the first


def table(root: Path, backbone: Backbone, cache: Path | None) -> dict[str, dict[str, float]]:
    """Return the scores of all rows for one set."""
    data = CocoCaptionsDataModule(root)
    train, val = data.captioned("train"), data.captioned("val")
    features = [
        FeatureCache(cache).features(
            backbone, ImageDataset(part.images, None, backbone.preprocessing)
        )
        for part in (train, val)
    ]
    order = nearest(*features)
    words = [[caption_words(text) for text in several] for several in train.sentences]
    frequencies = DocumentFrequencies.count(words)
    near = [
        [text for i in row[:NEIGHBORS].tolist() for text in train.sentences[i]] for row in order
    ]
    told = {
        "constant": [constant(train)] * len(val.ids),
        "nearest": [train.sentences[i][0] for i in order[:, 0].tolist()],
        "consensus": [consensus(captions, frequencies) for captions in near],
    }
    print(f"constant: {told['constant'][0]}")
    found = {name: caption_scores(texts, val.sentences) for name, texts in told.items()}
    kept = {name: {key: scores[key] for key in METRICS} for name, scores in found.items()}
    return kept | {"human": among_people(val.sentences)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--cache", type=Path, help="folder of the features")
    parser.add_argument("--out", type=Path, help="JSON file of the results")
    options = parser.parse_args()
    torch.manual_seed(0)
    backbone = Backbone()
    found = {}
    for name in SETS:
        start = time.perf_counter()
        found[name] = table(options.data / name, backbone, options.cache)
        print(f"\n{name} ({time.perf_counter() - start:.0f} s)\n\n| | {' | '.join(METRICS)} |")
        print("| --- |" + " --- |" * len(METRICS))
        for row, scores in found[name].items():
            print(f"| {row} | " + " | ".join(f"{scores[m]:.4f}" for m in METRICS) + " |")
        print()
    if options.out is not None:
        rounded = {
            name: {row: {m: round(v, 6) for m, v in scores.items()} for row, scores in rows.items()}
            for name, rows in found.items()
        }
        options.out.write_text(json.dumps(rounded, indent=2) + "\n")


if __name__ == "__main__":
    main()
