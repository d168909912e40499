"""The assignment's BLEU of one sentence, by hand."""

from math import exp

import pytest

from lit_tasks.functional.caption.bleu import unigram_bleu


def test_a_sentence_that_is_too_long_loses_precision_alone() -> None:
    # Two of four words are there, and nothing is added for the two that are too many.
    assert unigram_bleu(["a", "dog", "x", "y"], ["a", "dog"]) == 0.5


def test_a_sentence_that_is_too_short_is_penalized() -> None:
    assert unigram_bleu(["a", "dog"], ["a", "dog", "x", "y"]) == pytest.approx(exp(1 - 4 / 2))
