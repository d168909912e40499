from pathlib import Path

import pytest
import torch
from torch import nn

from lit_tasks.nn.recurrent import PeepholeLSTM
from lit_tasks.nn.text.embeddings import WordVectors
from lit_tasks.nn.text.encoders import (
    Bag,
    BagOfWords,
    MeanOfEmbeddings,
    MeanOfWordVectors,
    SparseLinear,
    log_count_ratios,
)
from lit_tasks.nn.text.recurrent_encoder import RecurrentEncoder, softmax_by_text

LENGTHS = torch.tensor([3, 0, 5, 1])
TOKENS = torch.tensor([1, 2, 1, 4, 4, 3, 2, 1, 0])
TEXTS = [text.tolist() for text in TOKENS.split(LENGTHS.tolist())]
VECTORS = "tests/fixtures/text/vectors.txt"
CELLS = {"rnn": "rnn", "lstm": "lstm", "gru": "gru", "own": PeepholeLSTM}
ENCODERS = {
    "mean": lambda: MeanOfEmbeddings(5, 3),
    "distinct": lambda: MeanOfEmbeddings(5, 3, distinct=True),
    "ngrams": lambda: MeanOfEmbeddings(5, 3, ngrams=3, buckets=50),
    "vectors": lambda: MeanOfWordVectors(5, VECTORS, 4, tune=True, trained_dim=2),
    **{
        f"{getattr(cell, '__name__', cell)}-{pooling}-{both}": lambda c=cell, p=pooling, b=both: (
            RecurrentEncoder(
                5,
                c,
                hidden_size=3,
                num_layers=2,
                bidirectional=b,
                pooling=p,
                vectors=None,
                embedding_dim=4,
            )
        )
        for cell in ("rnn", "lstm", "gru", PeepholeLSTM)
        for pooling in ("last", "mean", "max", "concat", "attention")
        for both in (False, True)
    },
}


@pytest.mark.parametrize("name", ENCODERS)
def test_a_text_has_the_same_features_in_any_company_and_order(name: str) -> None:
    torch.manual_seed(0)
    encoder = ENCODERS[name]().double().eval()
    together = encoder(TOKENS, LENGTHS)
    assert together.shape == (4, encoder.out_features)
    assert not together[1].any()  # a text without words
    parts = TOKENS.split(LENGTHS.tolist())
    alone = torch.cat([encoder(part, torch.tensor([len(part)])) for part in parts])
    torch.testing.assert_close(together, alone)
    order = [2, 3, 0, 1]
    shuffled = encoder(torch.cat([parts[i] for i in order]), LENGTHS[order])
    torch.testing.assert_close(shuffled, together[order])
    together.square().sum().backward()
    for key, parameter in encoder.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key


@pytest.mark.parametrize("name", ENCODERS)
def test_a_batch_of_empty_texts_has_features(name: str) -> None:
    encoder = ENCODERS[name]().train()
    features = encoder(torch.zeros(0, dtype=torch.int64), torch.tensor([0, 0]))
    assert torch.equal(features, torch.zeros(2, encoder.out_features))


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_the_last_and_pooled_states_are_those_of_torch(cell: str) -> None:
    torch.manual_seed(1)
    options = {"hidden_size": 3, "num_layers": 2, "bidirectional": True}
    encoder = RecurrentEncoder(
        5, cell, pooling="concat", vectors=None, embedding_dim=4, **options
    ).double()
    theirs = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}[cell](4, **options).double()
    theirs.load_state_dict(encoder.recurrent.state_dict())
    found = encoder(TOKENS, LENGTHS)
    for row, text in zip(found, TOKENS.split(LENGTHS.tolist()), strict=True):
        if len(text):
            output, state = theirs(encoder.word_vectors(text))
            h_n = state[0] if cell == "lstm" else state
            expected = torch.cat((h_n[-2], h_n[-1], output.mean(0), output.amax(0)))
            torch.testing.assert_close(row, expected)


def test_attention_is_a_softmax_within_each_text() -> None:
    scores = torch.randn(9, dtype=torch.float64) * 50
    weights = softmax_by_text(scores, LENGTHS).split(LENGTHS.tolist())
    parts = scores.split(LENGTHS.tolist())
    for weight, part in zip(weights, parts, strict=True):
        torch.testing.assert_close(weight, part.softmax(0))


@pytest.mark.parametrize("normalize", [False, True])
def test_a_bag_is_a_row_of_zeros_and_ones(normalize: bool) -> None:
    encoder = BagOfWords(5, normalize=normalize)
    head = encoder.make_head(2)
    nn.init.normal_(head.weight)
    rows = torch.zeros(4, 5)
    for row, text in zip(rows, TEXTS, strict=True):
        row[text] = 1 / max(1, len(set(text))) ** 0.5 if normalize else 1
    torch.testing.assert_close(head(encoder(TOKENS, LENGTHS)), rows @ head.weight + head.bias)


def test_naive_bayes_factors_are_ratios_of_smoothed_frequencies() -> None:
    label = torch.tensor([1, 0, 1, 0])
    encoder = BagOfWords(5, naive_bayes=0.5)
    head = encoder.make_head(1)
    head.observe([(encoder(TOKENS, LENGTHS), label)], num_classes=2)
    counts = [[sum(w in TEXTS[i] for i in c) + 0.5 for w in range(5)] for c in ([1, 3], [0, 2])]
    p, q = (torch.tensor(c) / sum(c) for c in (counts[1], counts[0]))
    torch.testing.assert_close(head.scale[:, 0], (p / q).log())
    nn.init.ones_(head.weight)
    score = head(encoder(TOKENS, LENGTHS))[0, 0]
    torch.testing.assert_close(score, (p / q).log()[[1, 2]].sum())


def test_with_more_classes_each_is_compared_with_all_others() -> None:
    counts = torch.tensor([[3.0, 0.0], [1.0, 2.0], [0.0, 5.0]])
    ratios = log_count_ratios(counts, 1.0, 3)
    own, rest = (counts + 1)[1], (counts + 1)[0] + (counts + 1)[2]
    torch.testing.assert_close(ratios[:, 1], ((own / own.sum()) / (rest / rest.sum())).log())


def test_a_word_counts_once_when_asked() -> None:
    encoder = MeanOfEmbeddings(5, 3, distinct=True)
    rows = [encoder.embedding.weight[sorted(set(text))].mean(0) for text in TEXTS if text]
    found = encoder(TOKENS, LENGTHS)
    torch.testing.assert_close(found[[0, 2, 3]], torch.stack(rows))


def test_dropout_keeps_the_expected_score() -> None:
    torch.manual_seed(0)
    encoder = BagOfWords(1000, dropout=0.4).train()
    head = encoder.make_head(1)
    nn.init.ones_(head.weight)
    tokens, lengths = torch.arange(1000).repeat(40), torch.full((40,), 1000)
    assert head(encoder(tokens, lengths)).mean().item() == pytest.approx(1000, rel=0.01)


def test_runs_of_words_need_buckets() -> None:
    with pytest.raises(ValueError, match=r"ngrams 2 needs buckets .*, got 0"):
        BagOfWords(5, ngrams=2)
    with pytest.raises(ValueError, match="ngrams must be at least 1, got 0"):
        MeanOfEmbeddings(5, ngrams=0)


@pytest.mark.parametrize("tune", [True, False])
def test_vectors_are_loaded_by_word_and_move_only_when_tuned(tune: bool) -> None:
    first, *_ = Path(VECTORS).read_text().splitlines()
    word, *numbers = first.split()
    table = WordVectors(3, 4, VECTORS, tune, trained_dim=2)
    report = table.initialize(["<unk>", word, "qqqq"])
    assert "1 of 3 words (33.3%)" in report
    wanted = torch.tensor([[0.0] * 4, [float(n) for n in numbers], [0.0] * 4])
    torch.testing.assert_close(table.pretrained.detach(), wanted)
    optimizer = torch.optim.SGD(table.parameters(), lr=1.0)
    table(torch.tensor([1])).sum().backward()
    optimizer.step()
    assert torch.equal(table.pretrained.detach(), wanted) != tune
    assert "pretrained" in table.state_dict()  # a checkpoint needs no vector file


def test_of_several_labels_each_is_compared_with_its_absence() -> None:
    bag = Bag(torch.tensor([0, 1, 2, 0, 3, 1]), torch.tensor([2, 0, 3, 1]))
    labels = torch.tensor([[True, False], [True, True], [False, True], [True, True]])
    several = SparseLinear(4, 2, naive_bayes=0.5)
    several.observe([(bag, labels)], 2)
    assert several.scale is not None
    for number, label in enumerate(labels.T):
        one = SparseLinear(4, 1, naive_bayes=0.5)
        one.observe([(bag, label.long())], 2)
        assert one.scale is not None
        torch.testing.assert_close(several.scale[:, number], one.scale[:, 0])


@pytest.mark.parametrize("num_outputs", [1, 2, 5])
def test_factors_multiply_the_weights_of_every_output(num_outputs: int) -> None:
    encoder = BagOfWords(7, naive_bayes=0.3, normalize=True)
    head = encoder.make_head(num_outputs)
    torch.nn.init.normal_(head.weight)
    head.scale.copy_(torch.randn(7, num_outputs))
    bag = encoder(torch.tensor([1, 4, 4, 6, 2]), torch.tensor([3, 0, 2]))
    rows = torch.zeros(3, 7)
    rows[[0, 0, 2, 2], [1, 4, 6, 2]] = 1
    size = rows.sum(dim=1, keepdim=True).clamp(min=1).sqrt()
    wanted = rows @ (head.weight * head.scale) / size + head.bias
    torch.testing.assert_close(head(bag), wanted)
