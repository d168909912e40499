"""The sentence that agrees most with others: by hand, and of a beam against what is drawn."""

from math import exp, sqrt

import pytest
import torch

from lit_tasks.functional.caption.bleu import unigram_bleu
from lit_tasks.nn.caption.consensus import agreements, by_agreement
from lit_tasks.nn.caption.generation import CONSENSUS, GenerationConfig
from lit_tasks.nn.caption.recurrent import RecurrentCaptioner

OTHERS = [["a", "dog", "runs"], ["a", "dog"], ["a", "cat", "sits", "there"]]


@pytest.mark.parametrize(
    ("sentence", "of_words", "of_ngrams"),
    [
        (
            ["a", "dog"],
            (exp(1 - 3 / 2) + 1 + exp(1 - 4 / 2) / 2) / 3,
            (
                (2 / sqrt(2 * 3) + 1 / sqrt(2)) / 4 * exp(-1 / 72)
                + (1 + 1) / 4
                + 1 / sqrt(2 * 4) / 4 * exp(-4 / 72)
            )
            / 3,
        ),
        (
            ["a", "dog", "runs"],
            (1 + 2 / 3 + exp(1 - 4 / 3) / 3) / 3,
            (
                (1 + 1 + 1) / 4
                + (2 / sqrt(3 * 2) + 1 / sqrt(2)) / 4 * exp(-1 / 72)
                + 1 / sqrt(3 * 4) / 4 * exp(-1 / 72)
            )
            / 3,
        ),
        (
            ["a", "a", "a", "a"],  # four of one word count once, yet make the sentence's row long
            (1 / 4 + 1 / 4 + 1 / 4) / 3,
            (
                1 / (4 * sqrt(3)) / 4 * exp(-1 / 72)
                + 1 / (4 * sqrt(2)) / 4 * exp(-4 / 72)
                + 1 / (4 * sqrt(4)) / 4
            )
            / 3,
        ),
        ([], 0, 0),
    ],
)
def test_agreement_is_the_mean_precision_of_words_and_the_mean_cosine_of_ngrams(
    sentence: list[str], of_words: float, of_ngrams: float
) -> None:
    [found] = agreements([sentence], OTHERS)
    assert found == pytest.approx(of_words + of_ngrams)


def test_of_the_same_words_the_order_that_others_have_agrees_more() -> None:
    others = [["a", "dog", "runs", "home"], ["a", "dog", "sits"]]
    candidates = [["runs", "a", "home", "dog"], ["a", "dog", "runs", "home"]]
    assert sum(unigram_bleu(candidates[0], other) for other in others) == sum(
        unigram_bleu(candidates[1], other) for other in others
    )
    scrambled, straight = agreements(candidates, others)
    assert straight > scrambled


def test_without_others_a_beam_keeps_its_order() -> None:
    assert by_agreement([[3], [4, 5], [3, 4]], []) == [[3], [4, 5], [3, 4]]


@pytest.mark.parametrize("seed", range(3))
def test_a_beam_is_put_in_the_order_in_which_it_agrees_with_what_is_drawn(seed: int) -> None:
    torch.manual_seed(seed)
    model = RecurrentCaptioner(12, 5, embedding_dim=6, hidden_size=7).eval()
    features, index = torch.randn(4, 5), torch.tensor([7, 0, 3, 9])
    words = {"max_words": 6, "seed": seed}
    beam = GenerationConfig(num_beams=5, n_best=5, **words).several(model, features, index)
    drawn = GenerationConfig("sample", n_best=CONSENSUS, temperature=0.8, **words)
    found = GenerationConfig("consensus", num_beams=5, n_best=5, temperature=0.8, **words)
    others = drawn.several(model, features, index)
    ordered = found.several(model, features, index)
    assert ordered != beam
    for several, candidates, of_image in zip(ordered, beam, others, strict=True):
        assert sorted(several) == sorted(candidates)
        scores = agreements(several, of_image)
        assert scores == sorted(scores, reverse=True)
    assert found(model, features[2:3], index[2:3]) == [ordered[2][0]]  # whatever else is asked


def test_consensus_among_one_sentence_is_refused() -> None:
    with pytest.raises(ValueError, match=r"at least 2 with method consensus.*set it to 20"):
        GenerationConfig("consensus")
    with pytest.raises(ValueError, match="at most num_beams, got 4 and num_beams 3"):
        GenerationConfig("consensus", num_beams=3, n_best=4)
    assert GenerationConfig("consensus", num_beams=3).greedy() == GenerationConfig()
