import torch
from hypothesis import given
from hypothesis import strategies as st

from lit_tasks.functional.ngrams import keep_tokens, positions, with_ngrams

TEXTS = st.lists(st.lists(st.integers(0, 50), max_size=6), max_size=5)


def ragged(texts: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    flat = [token for text in texts for token in text]
    return torch.tensor(flat, dtype=torch.int64), torch.tensor([len(t) for t in texts]).long()


def rows(tokens: torch.Tensor, lengths: torch.Tensor) -> list[list[int]]:
    return [part.tolist() for part in tokens.split(lengths.tolist())]


@given(texts=TEXTS, longest=st.integers(1, 4))
def test_a_text_has_its_tokens_and_every_run_inside_it(
    texts: list[list[int]], longest: int
) -> None:
    tokens, lengths = ragged(texts)
    features, counts = with_ngrams(tokens, lengths, longest, first=100, buckets=1 << 40)
    for text, found in zip(texts, rows(features, counts), strict=True):
        assert [f for f in found if f < 100] == text
        sizes = [n for n in range(2, longest + 1) if n <= len(text)]
        runs = [tuple(text[i : i + n]) for n in sizes for i in range(len(text) - n + 1)]
        hashed = [f for f in found if f >= 100]
        assert len(hashed) == len(runs)
        assert len(set(hashed)) == len(set(runs))


@given(texts=TEXTS)
def test_a_text_has_the_same_features_in_any_company(texts: list[list[int]]) -> None:
    together = rows(*with_ngrams(*ragged(texts), 3, 100, 1 << 20))
    alone = [with_ngrams(*ragged([text]), 3, 100, 1 << 20)[0].tolist() for text in texts]
    assert together == alone


def test_hashes_fill_the_buckets_as_chance_would() -> None:
    pairs = torch.cartesian_prod(torch.arange(300), torch.arange(300)).flatten()
    features, _ = with_ngrams(pairs, torch.full((90_000,), 2), 2, first=300, buckets=1 << 16)
    hashed = features[features >= 300]
    assert int(hashed.max()) < 300 + (1 << 16)
    expected = (1 << 16) * (1 - (1 - 1 / (1 << 16)) ** 90_000)
    assert abs(len(hashed.unique()) / expected - 1) < 0.01


@given(texts=TEXTS, data=st.data())
def test_keeping_some_tokens_keeps_them_in_their_texts(
    texts: list[list[int]], data: st.DataObject
) -> None:
    tokens, lengths = ragged(texts)
    keep = data.draw(st.lists(st.booleans(), min_size=len(tokens), max_size=len(tokens)))
    kept = rows(*keep_tokens(tokens, lengths, torch.tensor(keep, dtype=torch.bool)))
    marks = iter(keep)
    assert kept == [[token for token in text if next(marks)] for text in texts]


def test_positions_start_again_in_every_text() -> None:
    assert positions(torch.tensor([2, 0, 3])).tolist() == [0, 1, 0, 1, 2]
