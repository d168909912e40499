"""Learning from own words and from scores of whole sentences, against enumeration."""

from itertools import product

import pytest
import torch
from torch import Tensor, nn

from lit_tasks.nn.caption.decoding import DecodingConstraints
from lit_tasks.nn.caption.ensemble import CaptionerEnsemble
from lit_tasks.nn.caption.recurrent import RecurrentCaptioner
from lit_tasks.nn.caption.scheduled_sampling import scheduled_sampling_tokens
from lit_tasks.nn.caption.self_critical import SelfCritical, ragged, self_critical_loss

FEATURES, WORDS = 4, 6
CONSTRAINTS = DecodingConstraints(max_words=2, min_words=0)


def captioner(seed: int = 0) -> RecurrentCaptioner:
    torch.manual_seed(seed)
    model = RecurrentCaptioner(WORDS, FEATURES, embedding_dim=3, hidden_size=4).double()
    for parameter in model.parameters():
        parameter.data *= 2
    return model


def image(count: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, FEATURES, generator=generator, dtype=torch.float64)


def worth(words: list[int]) -> float:
    return sum({3: 1.0, 4: 0.3, 5: -0.5}.get(word, 0.0) for word in words) + 0.1 * len(words)


def reward(sentences: list[list[int]]) -> Tensor:
    return torch.tensor([worth(words) for words in sentences], dtype=torch.float64)


def expected_reward(model: RecurrentCaptioner, times: int = 1) -> Tensor:
    """The exact mean over all sentences; a sentence of the longest length has to end.

    ``times`` is how often each is looked at, which matters where something is dropped.
    """
    counts = range(CONSTRAINTS.max_words + 1)
    sentences = [list(words) for n in counts for words in product(range(3, WORDS), repeat=n)]
    tokens, lengths = ragged(sentences * times, torch.device("cpu"))
    found = model(image().expand(len(lengths), -1), tokens, lengths)
    logits = found.logits.clone()
    logits[:, [0, 2]] = -1e9  # never drawn
    logarithm = logits.log_softmax(1).gather(1, found.target[:, None])[:, 0]
    forced = (found.target == 1) & (lengths[found.sequence] == CONSTRAINTS.max_words + 2)
    logarithm = logarithm.masked_fill(forced, 0)
    each = torch.zeros(len(lengths), dtype=torch.float64).index_add(0, found.sequence, logarithm)
    return (each.exp() * reward(sentences * times)).sum() / times


@pytest.mark.parametrize("samples", [1, 4])
def test_the_gradient_is_that_of_the_expected_reward(samples: int) -> None:
    model = captioner()
    weights = list(model.parameters())
    exact = torch.autograd.grad(-expected_reward(model), weights)
    torch.manual_seed(5)
    times = 40000 // samples
    loss, mean = self_critical_loss(model, image().expand(times, -1), samples, CONSTRAINTS, reward)
    found = torch.autograd.grad(loss, weights)
    assert float(mean) == pytest.approx(float(expected_reward(model).detach()), abs=0.02)
    exact_row, row = (torch.cat([g.flatten() for g in gs]) for gs in (exact, found))
    assert float(torch.cosine_similarity(exact_row, row, dim=0)) > 0.99
    assert float(row.norm() / exact_row.norm()) == pytest.approx(1, abs=0.05)


def test_sentences_and_their_probabilities_come_from_the_same_dropout() -> None:
    # Dropout is a part of the policy: the gradient is that of the reward expected over sentences
    # and over what is dropped. Drawn without dropout and scored with it, it points elsewhere.
    model = captioner()
    model.head[0].p = 0.6
    model.train()
    weights = list(model.parameters())
    torch.manual_seed(2)
    exact = torch.autograd.grad(-expected_reward(model, 3000), weights)
    times = 20000
    loss, _ = self_critical_loss(model, image().expand(times, -1), 2, CONSTRAINTS, reward)
    found = torch.autograd.grad(loss, weights)
    exact_row, row = (torch.cat([g.flatten() for g in gs]) for gs in (exact, found))
    assert float(torch.cosine_similarity(exact_row, row, dim=0)) > 0.98
    assert float(row.norm() / exact_row.norm()) == pytest.approx(1, abs=0.1)


def test_the_greedy_sentence_of_the_baseline_comes_without_dropout() -> None:
    model = captioner()
    model.train()
    seen = []
    hook = model.head[0].register_forward_pre_hook(lambda module, _: seen.append(module.training))
    self_critical_loss(model, image(3), 1, CONSTRAINTS, reward)
    hook.remove()
    assert seen[0]
    assert not seen[-1]
    assert model.training


@pytest.mark.parametrize("end_word", [True, False])
def test_what_is_learned_from_is_said_as_sacreeos_says_it(end_word: bool) -> None:
    mode = "STANDARD" if end_word else "NO<EOS>"
    several, one = SelfCritical(samples=5, end_word=end_word), SelfCritical(1, 1, 1, end_word)
    assert several.signature == f"{mode}_wInit+Cider-D[n4,s6.0]+average[nspi5]+1.0.2"
    assert one.signature == f"{mode}_wInit+Cider-D[n4,s6.0]+greedy[nspi1]+1.0.2"


def test_a_captioner_learns_to_write_what_is_rewarded() -> None:
    model = captioner(3)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    means = []
    torch.manual_seed(0)
    for _ in range(60):
        optimizer.zero_grad()
        loss, mean = self_critical_loss(model, image(8), 4, CONSTRAINTS, reward)
        loss.backward()
        optimizer.step()
        means.append(float(mean))
    best = worth([3, 3])
    assert means[0] < 0.6 * best < 0.95 * best < means[-1]


def captions() -> tuple[Tensor, Tensor]:
    return ragged([[2, 3, 4], [5], [3, 3, 2, 2, 5]], torch.device("cpu"))


@pytest.mark.parametrize("members", [0, 2])
def test_own_words_take_the_place_of_words_only(members: int) -> None:
    model: nn.Module = captioner()
    if members:
        model = CaptionerEnsemble(WORDS, FEATURES, lambda *_: captioner(), members)
    tokens, lengths = captions()
    found = model(image(3), tokens, lengths)
    assert scheduled_sampling_tokens(found, tokens, 0.0).tolist() == tokens.tolist()
    torch.manual_seed(0)
    drawn = torch.stack([scheduled_sampling_tokens(found, tokens, 1.0) for _ in range(2000)])
    special = (tokens == 0) | (tokens == 1)
    assert (drawn[:, special] == tokens[special]).all()
    assert not ((drawn[:, ~special] == 0) | (drawn[:, ~special] == 1)).any()
    alone = captioner()(image(3), tokens, lengths)
    scores = alone.logits.clone()
    scores[:, :2] = -torch.inf
    for row in range(len(alone.target)):
        if alone.target[row] == 1:
            continue
        shares = torch.bincount(drawn[:, alone.token_index[row]], minlength=WORDS) / 2000
        torch.testing.assert_close(shares.double(), scores[row].softmax(0), atol=0.05, rtol=0)


def test_half_of_the_words_are_replaced_at_a_rate_of_a_half() -> None:
    tokens, lengths = ragged([[2] * 4000], torch.device("cpu"))
    found = captioner()(image(), tokens, lengths)
    scores = torch.zeros_like(found.logits)
    scores[:, 5] = 50.0
    changed = scheduled_sampling_tokens(found._replace(logits=scores), tokens, 0.5)
    assert float((changed == 5).double().mean()) == pytest.approx(0.5, abs=0.05)


def test_numbers_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="samples at least 1 and lr_factor positive, got 3, 0"):
        SelfCritical(3, 0)
