"""Learning from a score of whole sentences: self-critical sequence training."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from lit_tasks.nn.caption.captioner import END, START, Captioner
from lit_tasks.nn.caption.decoding import DecodingConstraints, greedy, sample_log_probs

Reward = Callable[[list[list[int]]], Float[Tensor, " R"]]


@dataclass(frozen=True)
class SelfCritical:
    """When and how a captioner learns from the score of what it writes.

    Attributes:
        from_epoch: First epoch of it; before, captions of people are learned word by word.
        samples: Sentences drawn for each image. One is compared with the greedy sentence
            (Rennie et al., 2017), several with the mean of the others (Luo, 2020).
        lr_factor: What the learning rate is multiplied by.
        end_word: Whether the reward counts the end word as a word, in what is written, in what
            people wrote and in the document frequencies (Rennie et al., appendix E). A sentence
            that had to be cut has none. Without it CIDEr-D comes out higher and sentences learn to
            end in "with a".
    """

    from_epoch: int = 10
    samples: int = 5
    lr_factor: float = 0.1
    end_word: bool = True

    def __post_init__(self) -> None:
        if self.from_epoch < 0 or self.samples < 1 or self.lr_factor <= 0:
            raise ValueError(
                "from_epoch must not be negative, samples at least 1 and lr_factor positive, got "
                f"{self.from_epoch}, {self.samples} and {self.lr_factor}"
            )

    @property
    def signature(self) -> str:
        """What is learned from, in the form of SacreEOS 1.0 (Hu et al. 2023, arXiv 2305.12254)."""
        mode = "STANDARD" if self.end_word else "NO<EOS>"
        base = "greedy" if self.samples == 1 else "average"
        return f"{mode}_wInit+Cider-D[n4,s6.0]+{base}[nspi{self.samples}]+1.0.2"


def self_critical_loss(
    captioner: Captioner,
    features: Tensor,
    samples: int,
    constraints: DecodingConstraints,
    reward: Reward,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Return a loss whose gradient is that of the expected reward, negated, and the mean reward.

    Args:
        captioner: In training mode: sentences are drawn, and their probabilities taken, under one
            and the same dropout; the greedy sentence comes without any, as at test time.
        features: Of the images.
        samples: Sentences drawn for each image.
        constraints: Which sentences may be written.
        reward: Scores sentences, ``samples`` about each image side by side.
    """
    count = len(features)
    uniforms = torch.rand(count, samples, constraints.max_words, device=features.device)
    drawn, log_probs = sample_log_probs(
        captioner, features, uniforms=uniforms, constraints=constraints
    )
    rewards = reward([words for rows in drawn.listed() for words in rows]).to(features.device)
    by_image = rewards.view(count, samples)
    if samples == 1:
        with _evaluating(captioner):
            usual = greedy(captioner, features, constraints)
        baseline = reward([rows[0] for rows in usual.listed()]).to(features.device).view(count, 1)
    else:
        others = by_image.sum(dim=1, keepdim=True) - by_image
        baseline = others / (samples - 1)
    advantage = (by_image - baseline).to(log_probs.dtype)
    return -(advantage * log_probs).sum() / max(1, count * samples), rewards.mean()


def ragged(sentences: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Return sentences between start and end words, one after the other, and their lengths."""
    words = [word for sentence in sentences for word in (START, *sentence, END)]
    lengths = [len(sentence) + 2 for sentence in sentences]
    return torch.tensor(words, device=device), torch.tensor(lengths, device=device)


@contextmanager
def _evaluating(captioner: object) -> Iterator[None]:
    """Put a captioner into evaluation mode inside the block, where it is a module."""
    if not isinstance(captioner, torch.nn.Module):
        yield
        return
    training = captioner.training
    captioner.eval()
    try:
        yield
    finally:
        captioner.train(training)
