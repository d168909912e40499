"""Sentences from a captioner, many images at once: greedy, drawn at random, or by beam search.

Scores are sums of logarithms of probabilities, the end word's included: a sentence of the longest
length has to end. Constraints change which words are allowed; the probabilities of the others keep
their values.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lit_tasks.nn.caption.captioner import END, START, UNKNOWN, Captioner, State

NEVER = -1e9
"""Score of a word that is not allowed: finite, so that differences stay numbers."""


@dataclass(frozen=True)
class DecodingConstraints:
    """Which sentences may be written.

    Args:
        max_words: Longest sentence, without start and end word.
        min_words: Shortest sentence.
        allow_unk: Whether the word for unknown words may be written.
        no_repeat_ngram_size: n-grams of this size may not come twice; 0 allows all.
    """

    max_words: int = 30
    min_words: int = 1
    allow_unk: bool = False
    no_repeat_ngram_size: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.min_words <= self.max_words or self.max_words < 1:
            raise ValueError(
                "max_words must be at least 1 and min_words between 0 and max_words, got "
                f"max_words {self.max_words} and min_words {self.min_words}"
            )
        if self.no_repeat_ngram_size < 0:
            raise ValueError(
                f"no_repeat_ngram_size must not be negative, got {self.no_repeat_ngram_size}"
            )

    def allowed(
        self, log_probs: Float[Tensor, "R V"], written: Int[Tensor, "R T"]
    ) -> Float[Tensor, "R V"]:
        """Return the scores with those of words that may not come next made hopeless."""
        log_probs = log_probs.clone()
        log_probs[:, START] = NEVER
        if not self.allow_unk:
            log_probs[:, UNKNOWN] = NEVER
        if written.shape[1] < self.min_words:
            log_probs[:, END] = NEVER
        if self.no_repeat_ngram_size and written.shape[1] >= self.no_repeat_ngram_size:
            windows = written.unfold(1, self.no_repeat_ngram_size, 1)
            before = written[:, written.shape[1] - self.no_repeat_ngram_size + 1 :].unsqueeze(1)
            again = (windows[..., :-1] == before).all(dim=2)
            # Where nothing is repeated the start word is banned once more, which it is anyway.
            log_probs.scatter_(1, torch.where(again, windows[..., -1], START), NEVER)
        return log_probs


class Sentences(NamedTuple):
    """``K`` sentences about each of ``B`` images, the best first.

    Attributes:
        words: Their words without start word, ``(B, K, T)``; behind a sentence stands END.
        lengths: Words of each, without the end word; -1 where there is no such sentence.
        score: Sum of the logarithms of the probabilities, the end word's included.
    """

    words: Int[Tensor, "B K T"]
    lengths: Int[Tensor, "B K"]
    score: Float[Tensor, "B K"]

    def listed(self) -> list[list[list[int]]]:
        """Return the words of each sentence about each image."""
        return [
            [words[:n] for words, n in zip(rows, lengths, strict=True) if n >= 0]
            for rows, lengths in zip(self.words.tolist(), self.lengths.tolist(), strict=True)
        ]


def normalized(
    score: Float[Tensor, "..."], words: Int[Tensor, "..."] | int, power: float
) -> Float[Tensor, "..."]:
    """Return scores divided by a power of the number of words, the end word counted."""
    if power == 0:
        return score
    if isinstance(words, int):
        return score / float((words + 1) ** power)
    counted: Tensor = (words.clamp(min=0) + 1).to(score.dtype)
    return torch.div(score, counted.pow(power))


@torch.no_grad()
def greedy(
    captioner: Captioner, features: Tensor, constraints: DecodingConstraints = DecodingConstraints()
) -> Sentences:
    """Return the sentence that takes the most probable word each time."""
    found, _ = _write(
        captioner,
        features,
        constraints=constraints,
        each=1,
        choose=lambda log_probs, _: log_probs.argmax(dim=1),
    )
    return found


@torch.no_grad()
def sample(
    captioner: Captioner,
    features: Tensor,
    uniforms: Float[Tensor, "B K T"],
    constraints: DecodingConstraints = DecodingConstraints(),
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
) -> Sentences:
    """Return sentences drawn at random, in the order in which they were drawn.

    Args:
        captioner: Writes.
        features: Of the images.
        uniforms: Numbers between 0 and 1 that decide: for each image, sentence and word. The same
            numbers give the same sentences, whatever else is in the batch.
        constraints: Which sentences may be written.
        temperature: Scores are divided by it: below 1 is safer, above 1 more daring.
        top_k: Draw among so many of the best words; 0 is all.
        top_p: Draw among the best words that together have this probability.

    Raises:
        ValueError: A number is out of its range.
    """
    check_sampling(temperature, top_k, top_p)
    choose = _choice(uniforms, constraints, temperature=temperature, top_k=top_k, top_p=top_p)
    return _write(
        captioner, features, constraints=constraints, each=uniforms.shape[1], choose=choose
    )[0]


def sample_log_probs(
    captioner: Captioner,
    features: Tensor,
    uniforms: Float[Tensor, "B K T"],
    constraints: DecodingConstraints = DecodingConstraints(),
) -> tuple[Sentences, Float[Tensor, "B K"]]:
    """Return sentences drawn at random and the logarithm of the probability that each was drawn.

    The latter has a gradient, and comes from the very states that the words were drawn from: in
    training mode from the same dropout. It is that of the choices that were made: among the words
    that were allowed, and without the end word of a sentence of the longest length, which was not
    asked whether it wants to end.

    Args:
        captioner: Writes.
        features: Of the images.
        uniforms: Numbers between 0 and 1 that decide, as in :func:`sample`.
        constraints: Which sentences may be written.
    """
    choose = _choice(uniforms, constraints)
    return _write(
        captioner, features, constraints=constraints, each=uniforms.shape[1], choose=choose
    )


def _choice(
    uniforms: Float[Tensor, "B K T"],
    constraints: DecodingConstraints,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
) -> Callable[[Tensor, int], Tensor]:
    """Return what draws a word from the logarithms of probabilities of each row."""
    if uniforms.shape[2] < constraints.max_words:
        raise ValueError(
            f"uniforms must decide {constraints.max_words} words (max_words), "
            f"got {uniforms.shape[2]}"
        )
    each = uniforms.flatten(0, 1)

    @torch.no_grad()
    def choose(log_probs: Tensor, step: int) -> Tensor:
        probability, words = (log_probs / temperature).softmax(dim=1).sort(1, descending=True)
        if top_k:
            probability = probability[:, :top_k]
        total = probability.cumsum(dim=1)
        # A word stays when those before it have not reached top_p; the first always does.
        probability = probability.masked_fill(total - probability >= top_p, 0)
        total = probability.double().cumsum(dim=1)
        wanted = each[:, step, None].double() * total[:, -1:]
        rank = torch.searchsorted(total, wanted, right=True)
        last = (probability > 0).sum(dim=1, keepdim=True) - 1
        return words.gather(1, torch.minimum(rank, last)).squeeze(1)

    return choose


def check_sampling(temperature: float, top_k: int, top_p: float) -> None:
    """Refuse numbers by which nothing can be drawn."""
    if temperature <= 0 or top_k < 0 or not 0 < top_p <= 1:
        raise ValueError(
            "temperature must be positive, top_k not negative and top_p above 0 and at most 1, "
            f"got {temperature}, {top_k} and {top_p}"
        )


def _write(
    captioner: Captioner,
    features: Tensor,
    constraints: DecodingConstraints,
    each: int,
    choose: Callable[[Tensor, int], Tensor],
) -> tuple[Sentences, Tensor]:
    """Write word by word; ``choose`` takes scores ``(B * each, V)`` and the number of the word.

    Beside the sentences comes the logarithm of the probability of the choices, ``(B, each)``,
    where gradients are wanted.
    """
    state = captioner.begin(features)
    count = len(features) * each
    rows = torch.arange(len(features), device=features.device).repeat_interleave(each)
    state = state.rows(rows)
    written = rows.new_zeros(count, 0)
    word, going = rows.new_full((count,), START), rows.new_ones(count, dtype=torch.bool)
    total, lengths = torch.zeros(count, device=features.device), rows.new_zeros(count)
    chosen = torch.zeros(count, device=features.device)
    for step in range(constraints.max_words):
        if not going.any():
            break
        log_probs, state = captioner.step(word, state)
        allowed = constraints.allowed(log_probs, written)
        word = choose(allowed, step).masked_fill(~going, END)
        found = log_probs.gather(1, word.unsqueeze(1)).squeeze(1)
        total = total + found.masked_fill(~going, 0)
        if torch.is_grad_enabled():
            among = allowed.log_softmax(dim=1).gather(1, word.unsqueeze(1)).squeeze(1)
            chosen = chosen + among.masked_fill(~going, 0)
        going = going & (word != END)
        lengths = lengths + going
        written = torch.cat((written, word.unsqueeze(1)), dim=1)
    if going.any():
        total = total + _ending(captioner, word, state).masked_fill(~going, 0)
    shape = (len(features), each)
    words = written.view(*shape, written.shape[1])
    return Sentences(words, lengths.view(shape), total.view(shape)), chosen.view(shape)


def _ending(captioner: Captioner, word: Tensor, state: State) -> Tensor:
    """Return the score of the end word, which a sentence of the longest length must take."""
    log_probs, _ = captioner.step(word, state)
    return log_probs[:, END]
