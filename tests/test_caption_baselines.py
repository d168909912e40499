"""The baselines that a captioner is compared with are what they say they are."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lit_tasks.data.base.caption_dataset import CaptionedImages
from lit_tasks.data.readers.images import ImageFiles
from lit_tasks.functional.caption.bleu import unigram_bleu
from lit_tasks.functional.caption.cider import DocumentFrequencies
from lit_tasks.metrics.caption_scores import caption_scores

PATH = Path(__file__).parents[1] / "benchmarks/caption_baselines.py"
SENTENCES = [
    ["a dog runs on grass", "the dog runs"],
    ["a dog runs fast", "a brown dog on the grass"],
    ["two cats sleep", "cats on a sofa"],
    ["a dog and a cat", "a cat runs to a dog on grass"],
]


@pytest.fixture(scope="module")
def baselines() -> Any:
    pytest.importorskip("timm")
    spec = importlib.util.spec_from_file_location("caption_baselines", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_constant_caption_is_the_best_for_the_other_training_images(baselines: Any) -> None:
    def worth(image: int, caption: str) -> float:
        others = [t for i, several in enumerate(SENTENCES) if i != image for t in several]
        return float(np.mean([unigram_bleu(caption.split(), o.split()) for o in others]))

    scores = {t: worth(i, t) for i, several in enumerate(SENTENCES) for t in several}
    train = CaptionedImages(ImageFiles([]), range(4), SENTENCES)
    assert baselines.constant(train) == max(scores, key=lambda text: scores[text])


def test_the_consensus_is_one_of_the_many_that_agree(baselines: Any) -> None:
    captions = ["a dog runs on grass", "a dog runs on the grass", "two cats sleep", "a red bus"]
    words = [[text.split() for text in several] for several in SENTENCES]
    assert baselines.consensus(captions, DocumentFrequencies.count(words)) in captions[:2]


def test_the_nearest_image_is_that_of_the_smallest_angle(baselines: Any) -> None:
    train = np.array([[1.0, 0.0], [5.0, 5.0], [0.0, 0.1]])
    assert baselines.nearest(train, np.array([[0.0, 9.0], [1.0, 0.9]])).tolist() == [
        [2, 1, 0],
        [1, 0, 2],
    ]


def test_people_are_judged_by_the_captions_of_the_others(baselines: Any) -> None:
    found = baselines.among_people(SENTENCES)
    first, second = ([several[turn] for several in SENTENCES] for turn in (0, 1))
    each = [
        caption_scores(a, [[text] for text in b])["cider_d"]
        for a, b in ((first, second), (second, first))
    ]
    assert found["cider_d"] == pytest.approx(np.mean(each))
