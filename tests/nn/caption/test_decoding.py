"""Decoding against brute force and one image at a time, and the laws of its options."""

from functools import partial
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from lit_tasks.nn.caption.attention import AttentionCaptioner
from lit_tasks.nn.caption.beam_search import beam_search
from lit_tasks.nn.caption.decoding import DecodingConstraints, Sentences, greedy, normalized, sample
from lit_tasks.nn.caption.recurrent import RecurrentCaptioner
from lit_tasks.nn.caption.transformer import TransformerCaptioner

FEATURES = 6


MAKE = {
    "pooled": partial(RecurrentCaptioner, embedding_dim=5, hidden_size=7),
    "attention": partial(AttentionCaptioner, embedding_dim=5, hidden_size=7, attention_size=4),
    "transformer": partial(
        TransformerCaptioner, hidden_size=8, num_heads=2, num_layers=2, feedforward_size=8
    ),
}


def captioner(seed: int, words: int = 9, scale: float = 3.0, kind: str = "pooled") -> nn.Module:
    torch.manual_seed(seed)
    model: nn.Module = MAKE[kind](words, FEATURES)
    for parameter in model.parameters():  # decided, but not always the same sentence
        parameter.data *= scale
    return model.double().eval()


def images(count: int, seed: int = 1, kind: str = "pooled") -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (count, FEATURES) if kind == "pooled" else (count, 4, FEATURES)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def score_of(model: nn.Module, image: Tensor, words: list[int]) -> float:
    state, total = model.begin(image[None]), 0.0
    for word, following in zip([0, *words], [*words, 1], strict=True):
        scores, state = model.step(torch.tensor([word]), state)
        total += scores[0, following].item()
    return total


def best_of_all(
    model: nn.Module, image: Tensor, constraints: DecodingConstraints, power: float
) -> list[int]:
    words = range(3, 6)
    sentences = [
        list(s)
        for n in range(constraints.min_words, constraints.max_words + 1)
        for s in product(words, repeat=n)
    ]
    return max(sentences, key=lambda s: score_of(model, image, s) / (len(s) + 1) ** power)


@pytest.mark.parametrize("power", [0.0, 0.7, 1.0])
@pytest.mark.parametrize(
    ("seed", "kind"), [(0, "pooled"), (1, "pooled"), (2, "transformer"), (3, "transformer")]
)
def test_a_wide_beam_finds_the_best_of_all_sentences(seed: int, kind: str, power: float) -> None:
    model, some = captioner(seed, words=6, kind=kind), images(3, kind=kind)
    constraints = DecodingConstraints(max_words=3, min_words=1)
    found = beam_search(model, some, num_beams=45, constraints=constraints, length_penalty=power)
    for image, rows, score in zip(some, found.listed(), found.score, strict=True):
        assert rows[0] == best_of_all(model, image, constraints, power)
        assert float(score[0]) == pytest.approx(score_of(model, image, rows[0]))


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 1000),
    num_beams=st.integers(1, 6),
    power=st.floats(0, 1.5),
    no_repeat_ngram_size=st.integers(0, 3),
    longest=st.integers(1, 8),
)
def test_a_beam_never_ranks_below_greedy_and_says_the_score_of_its_words(
    seed: int, num_beams: int, power: float, no_repeat_ngram_size: int, longest: int
) -> None:
    model, some = captioner(seed), images(4, seed)
    constraints = DecodingConstraints(max_words=longest, no_repeat_ngram_size=no_repeat_ngram_size)
    one, many = (
        greedy(model, some, constraints),
        beam_search(model, some, num_beams, constraints, power),
    )
    rank, base = (normalized(s.score, s.lengths, power)[:, 0] for s in (many, one))
    assert (rank >= base - 1e-6).all()
    for image, rows, scores in zip(some, many.listed(), many.score.tolist(), strict=True):
        for words, score in zip(rows, scores, strict=False):
            assert score == pytest.approx(score_of(model, image, words))
    ranks = normalized(many.score, many.lengths, power).masked_fill(many.lengths < 0, -1e9)
    assert (ranks.diff(dim=1) <= 1e-9).all()


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), no_repeat_ngram_size=st.integers(0, 3), power=st.floats(0, 1))
def test_a_beam_of_one_is_greedy(seed: int, no_repeat_ngram_size: int, power: float) -> None:
    model, some, constraints = (
        captioner(seed),
        images(5, seed),
        DecodingConstraints(9, no_repeat_ngram_size=no_repeat_ngram_size),
    )
    one, narrow = greedy(model, some, constraints), beam_search(model, some, 1, constraints, power)
    assert one.listed() == narrow.listed()
    torch.testing.assert_close(one.score, narrow.score)


@pytest.mark.parametrize("kind", MAKE)
@pytest.mark.parametrize("num_beams", [1, 2, 5])
def test_images_of_a_batch_are_described_as_each_alone(num_beams: int, kind: str) -> None:
    model, some = captioner(7, 20, kind=kind), images(6, kind=kind)
    together = beam_search(model, some, num_beams, DecodingConstraints(12))
    for number, image in enumerate(some):
        alone = beam_search(model, image[None], num_beams, DecodingConstraints(12))
        assert alone.listed()[0] == together.listed()[number]


def test_greedy_takes_the_most_probable_word_until_the_end_word() -> None:
    model = captioner(3)
    for image, (words,) in zip(
        images(6), greedy(model, images(6), DecodingConstraints(10)).listed(), strict=True
    ):
        state, word, expected = model.begin(image[None]), 0, []
        for _ in range(10):
            scores, state = model.step(torch.tensor([word]), state)
            scores[:, [0, 2]] = -torch.inf
            if not expected:
                scores[:, 1] = -torch.inf  # one word at least
            word = int(scores.argmax())
            if word == 1:
                break
            expected.append(word)
        assert words == expected


def runs(words: list[int], length: int) -> list[tuple[int, ...]]:
    return [tuple(words[i : i + length]) for i in range(len(words) - length + 1)]


@pytest.mark.parametrize("length", [1, 2, 3])
def test_no_run_of_words_comes_twice_where_that_is_ruled_out(length: int) -> None:
    constraints, repeated = DecodingConstraints(12, min_words=6, no_repeat_ngram_size=length), 0
    for seed in range(8):
        model = captioner(seed, words=12)
        for found in (
            greedy(model, images(5), constraints),
            beam_search(model, images(5), 3, constraints),
        ):
            for words in (row for rows in found.listed() for row in rows):
                assert len(set(runs(words, length))) == len(runs(words, length))
        free = greedy(model, images(5), DecodingConstraints(12, min_words=6)).listed()
        repeated += sum(len(set(runs(w, length))) < len(runs(w, length)) for (w,) in free)
    assert repeated  # otherwise the rule had nothing to do


def test_unknown_and_start_are_never_written_and_lengths_are_kept() -> None:
    constraints, free = DecodingConstraints(7, min_words=3), DecodingConstraints(7, allow_unk=True)
    unknown = 0
    for seed in range(10):
        model = captioner(seed, words=5)
        uniforms = torch.rand(5, 4, 7, generator=torch.Generator().manual_seed(seed))
        written = (
            greedy(model, images(5), constraints),
            beam_search(model, images(5), 3, constraints),
            sample(model, images(5), uniforms, constraints),
        )
        for words in (row for found in written for rows in found.listed() for row in rows):
            assert not {0, 1, 2} & set(words)
            assert 3 <= len(words) <= 7
        unknown += sum(2 in words for (words,) in greedy(model, images(5), free).listed())
    assert unknown


def test_what_is_drawn_depends_on_the_images_own_numbers_alone() -> None:
    model, some = captioner(5), images(6)
    uniforms = torch.rand(6, 3, 10, generator=torch.Generator().manual_seed(2))
    together = sample(
        model, some, uniforms, DecodingConstraints(10), temperature=1.3, top_k=5, top_p=0.9
    )
    order = [4, 0, 5]
    some_of_them = sample(model, some[order], uniforms[order], DecodingConstraints(10), 1.3, 5, 0.9)
    assert [together.listed()[i] for i in order] == some_of_them.listed()


def first_words(found: Sentences, words: int) -> Tensor:
    return torch.bincount(found.words[0, :, 0], minlength=words) / found.words.shape[1]


@pytest.mark.parametrize(
    ("temperature", "top_k", "top_p"), [(1.0, 0, 1.0), (0.6, 0, 1.0), (1.5, 3, 1.0), (1.0, 0, 0.7)]
)
def test_words_are_drawn_with_their_probabilities(
    temperature: float, top_k: int, top_p: float
) -> None:
    model, image = captioner(2, scale=1.5), images(1)
    even = ((torch.arange(20000) + 0.5) / 20000).view(1, -1, 1)
    found = sample(model, image, even, DecodingConstraints(1), temperature, top_k, top_p)
    scores, _ = model.step(torch.tensor([0]), model.begin(image))
    scores[:, [0, 1, 2]] = -torch.inf
    expected = (scores[0] / temperature).softmax(0)
    falling = expected.sort(descending=True)
    kept = top_k or len(expected)
    before = falling.values.cumsum(0) - falling.values
    kept = min(kept, int((before < top_p).sum()))
    expected[falling.indices[kept:]] = 0
    expected /= expected.sum()
    torch.testing.assert_close(first_words(found, 9).double(), expected, atol=2e-4, rtol=0)


def test_drawing_among_one_word_is_greedy() -> None:
    model = captioner(6)
    uniforms = torch.rand(5, 2, 10)
    expected = [
        [words, words] for (words,) in greedy(model, images(5), DecodingConstraints(10)).listed()
    ]
    assert sample(model, images(5), uniforms, DecodingConstraints(10), top_k=1).listed() == expected
    assert (
        sample(model, images(5), uniforms, DecodingConstraints(10), temperature=1e-4).listed()
        == expected
    )


def test_no_images_give_no_sentences() -> None:
    assert beam_search(captioner(0), images(0), 3).listed() == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_words": 0}, "max_words must be at least 1"),
        ({"max_words": 3, "min_words": 4}, "min_words between 0 and max_words, got max_words 3"),
        ({"no_repeat_ngram_size": -1}, "no_repeat_ngram_size must not be negative, got -1"),
    ],
)
def test_rules_that_no_sentence_can_keep_are_refused(options: dict[str, int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        DecodingConstraints(**options)


def test_numbers_by_which_nothing_can_be_drawn_are_refused() -> None:
    with pytest.raises(ValueError, match=r"temperature must be positive.*got 0.0, 0 and 1.0"):
        sample(
            captioner(0), images(1), torch.rand(1, 1, 5), DecodingConstraints(5), temperature=0.0
        )
    with pytest.raises(ValueError, match="uniforms must decide 30 words"):
        sample(captioner(0), images(1), torch.rand(1, 1, 5))
    with pytest.raises(ValueError, match="num_beams must be at least 1, got 0"):
        beam_search(captioner(0), images(1), 0)
