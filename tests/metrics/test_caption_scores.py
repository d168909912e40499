"""Scores of captions: pycocoevalcap is the oracle, and laws that it breaks elsewhere."""

import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from processes import run
from torchmetrics.text import BLEUScore

from lit_tasks.functional.caption.bleu import unigram_bleu
from lit_tasks.metrics.caption_reward import CiderReward
from lit_tasks.metrics.caption_scores import CaptionScores, caption_scores

WORDS = tuple("a the dog cat man woman red blue sits runs on in street table with two".split())  # noqa: SIM905
SENTENCE = st.lists(st.sampled_from(WORDS), min_size=1, max_size=12).map(" ".join)


def corpus(images: int, seed: int = 0, refs: int = 5) -> tuple[list[str], list[list[str]]]:
    """Sentences that share n-grams with their references, as a model's do."""
    draw = random.Random(seed)
    predictions, references = [], []
    for _ in range(images):
        told = draw.choices(WORDS, k=draw.randint(6, 13))
        several = []
        for _ in range(draw.randint(1, refs)):
            at = draw.randint(0, 3)
            several.append(" ".join(told[at:] + draw.choices(WORDS, k=draw.randint(0, 4))))
        references.append(several)
        predictions.append(" ".join(told[: draw.randint(2, 12)]))
    return predictions, references


def theirs(predictions: list[str], references: list[list[str]]) -> dict[str, float]:
    """What pycocoevalcap says of sentences that are cut into words already."""
    bleu = pytest.importorskip("pycocoevalcap.bleu.bleu").Bleu(4)
    cider = pytest.importorskip("pycocoevalcap.cider.cider").Cider()
    rouge = pytest.importorskip("pycocoevalcap.rouge.rouge").Rouge()
    gts = dict(enumerate(references))
    res = {i: [text] for i, text in enumerate(predictions)}
    scores = bleu.compute_score(gts, res, verbose=0)[0]
    found = {f"bleu{i + 1}": score for i, score in enumerate(scores)}
    found["cider_d"] = float(cider.compute_score(gts, res)[0])
    found["rouge_l"] = float(rouge.compute_score(gts, res)[0])
    return found


@pytest.mark.parametrize("images", [2, 5, 40])
@pytest.mark.parametrize("seed", range(5))
def test_scores_are_those_of_coco_caption(images: int, seed: int) -> None:
    texts = corpus(images, seed)
    ours = caption_scores(*texts)
    for name, value in theirs(*texts).items():
        assert ours[name] == pytest.approx(value, abs=1e-9), name


def test_scores_without_a_match_or_a_word_are_those_of_coco_caption() -> None:
    for predictions in (["x y z", "q"], ["a dog", "cat"], ["", "a cat"]):
        texts = predictions, [["a dog runs"], ["the cat", "a cat sits"]]
        ours = caption_scores(*texts)
        for name, value in theirs(*texts).items():
            assert ours[name] == pytest.approx(value, abs=1e-9), name


@given(st.lists(st.tuples(SENTENCE, st.lists(SENTENCE, min_size=1, max_size=4)), min_size=1))
def test_the_order_of_references_changes_nothing(rows: list[tuple[str, list[str]]]) -> None:
    predictions, references = [r[0] for r in rows], [r[1] for r in rows]
    first = caption_scores(predictions, references)
    second = caption_scores(predictions, [several[::-1] for several in references])
    del first["assignment_bleu_first"], second["assignment_bleu_first"]
    assert first == second


def test_on_a_tie_the_shorter_reference_counts() -> None:
    prediction, references = ["a a a a a"], ["b b b b", "a a a a a a"]
    for several in (references, references[::-1]):
        assert caption_scores(prediction, [several])["bleu1"] == pytest.approx(1, abs=1e-6)


def test_torchmetrics_agrees_where_shorter_references_come_first() -> None:
    predictions, references = corpus(60, seed=7)
    sorted_ = [sorted(several, key=lambda text: len(text.split())) for several in references]
    ours = caption_scores(predictions, references)
    for size in range(1, 5):
        expected = BLEUScore(n_gram=size)(predictions, sorted_)
        assert ours[f"bleu{size}"] == pytest.approx(float(expected), abs=1e-6)


def test_case_and_punctuation_do_not_count() -> None:
    tidy = caption_scores(["a dog on a street"], [["a dog on the street"]])
    assert caption_scores(["A dog, on a street."], [["a dog on the street !"]]) == tidy


def test_the_assignments_bleu_is_the_mean_over_single_references() -> None:
    # Three of four words are there; the reference has six: times exp(1 - 6 / 4).
    assert unigram_bleu(["a", "dog", "a", "x"], ["a", "b", "dog", "d", "a", "f"]) == pytest.approx(
        0.75 * 2.718281828459045 ** (1 - 6 / 4)
    )
    references = [["a dog runs", "x"]]
    found = caption_scores(["a dog <UNK>"], references)
    assert found["assignment_bleu_first"] == pytest.approx(2.718281828459045 ** (1 - 3 / 2))
    assert found["assignment_bleu"] == found["assignment_bleu_first"] / 2
    assert unigram_bleu([], ["a"]) == 0


def evaluated(rank: int, world: int, batch: int = 3) -> dict[str, float]:
    predictions, references = corpus(7, seed=3)
    metric = CaptionScores()
    for begin in range(0, 7, batch):
        rows = list(range(begin, min(begin + batch, 7)))[rank::world]
        if rows:
            texts = [predictions[i] for i in rows], [references[i] for i in rows]
            metric.update(torch.tensor(rows), *texts)
    return metric.compute()


def alone_or_together() -> dict[str, float]:
    import os

    import torch.distributed as dist

    world = int(os.environ.get("WORLD_SIZE", 1))
    if world > 1:
        dist.init_process_group("gloo")
    batch = 3 if world < 3 else 2  # of three processes one never has an image
    return evaluated(int(os.environ.get("RANK", 0)), world, batch)


@pytest.mark.slow  # test_every_task compares them as well
def test_the_scores_are_the_same_to_the_last_bit_on_any_number_of_processes() -> None:
    expected = caption_scores(*corpus(7, seed=3))
    for world in (1, 2, 3):
        assert run(world, alone_or_together, seconds=100) == [expected] * world


@pytest.mark.filterwarnings("ignore:The ``compute`` method of metric")
def test_an_image_counts_once_and_reset_forgets() -> None:
    predictions, references = corpus(4)
    metric = CaptionScores()
    assert metric.compute() == {"samples": 0}
    for rows in ([3, 1], [0, 1], [2]):
        texts = [predictions[i] for i in rows], [references[i] for i in rows]
        metric.update(torch.tensor(rows), *texts)
    assert metric.compute() == caption_scores(predictions, references)
    assert [row.prediction for row in metric.described()] == predictions
    metric.reset()
    assert metric.compute() == {"samples": 0}
    with pytest.raises(ValueError, match="image 5 has no reference"):
        metric.update(torch.tensor([5]), ["a"], [[]])


def test_intervals_hold_the_value_and_narrow_with_more_images() -> None:
    widths = []
    for images in (20, 320):
        found = caption_scores(*corpus(images), intervals=True)
        for name in ("bleu1", "bleu4", "cider_d", "rouge_l", "assignment_bleu"):
            assert found[f"{name}_low"] < found[name] < found[f"{name}_high"]
        widths.append(found["bleu1_high"] - found["bleu1_low"])
    assert widths[1] < widths[0] / 2


@pytest.mark.parametrize("end_word", [True, False])
def test_a_reward_is_the_mean_score_where_frequencies_are_of_the_same_references(
    end_word: bool,
) -> None:
    predictions, references = corpus(30)
    rewards = CiderReward(references, end_word=end_word)(predictions, references)
    assert rewards.shape == (30,)
    end = " stop" if end_word else ""  # any word that nobody else writes
    ended = [text + end for text in predictions], [[t + end for t in r] for r in references]
    assert float(rewards.double().mean()) == pytest.approx(theirs(*ended)["cider_d"], abs=1e-6)


def test_hanging_words_pay_less_where_the_end_word_counts_and_a_cut_sentence_has_none() -> None:
    references = [["a dog runs on grass", "a dog on grass"], ["a cat sits", "the cat sat down"]]
    said, hanging = "a dog on grass", "a dog on grass with a"
    counted = CiderReward(references)
    whole, hung, cut = (
        float(counted([text], references[:1], ended=[end]))
        for text, end in ((said, True), (hanging, True), (said, False))
    )
    without = CiderReward(references, end_word=False)
    plain, hung_plain = (float(without([text], references[:1])) for text in (said, hanging))
    assert cut < whole
    assert hung / whole < hung_plain / plain
