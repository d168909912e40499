"""Learning from a score of whole sentences: self-critical sequence training."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from lit_tasks.nn.caption.captioner import END, START, UNKNOWN, Captioner
from lit_tasks.nn.caption.decoding import NEVER, DecodingConstraints, greedy, sample

Reward = Callable[[list[list[int]]], Float[Tensor, " R"]]


@dataclass(frozen=True)
class SelfCritical:
    """When and how a captioner learns from the score of what it writes.

    Attributes:
        from_epoch: First epoch of it; before, captions of people are learned word by word.
        samples: Sentences drawn for each image. One is compared with the greedy sentence
            (Rennie et al., 2017), several with the mean of the others (Luo, 2020).
        lr_factor: What the learning rate is multiplied by.
    """

    from_epoch: int = 10
    samples: int = 5
    lr_factor: float = 0.1

    def __post_init__(self) -> None:
        if self.from_epoch < 0 or self.samples < 1 or self.lr_factor <= 0:
            raise ValueError(
                "from_epoch must not be negative, samples at least 1 and lr_factor positive, got "
                f"{self.from_epoch}, {self.samples} and {self.lr_factor}"
            )


def self_critical_loss(
    captioner: Captioner,
    features: Tensor,
    samples: int,
    constraints: DecodingConstraints,
    reward: Reward,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Return a loss whose gradient is that of the expected reward, negated, and the mean reward.

    Args:
        captioner: In training mode; sentences are drawn without its dropout.
        features: Of the images.
        samples: Sentences drawn for each image.
        constraints: Which sentences may be written.
        reward: Scores sentences, ``samples`` about each image side by side.
    """
    device, count = features.device, len(features)
    with _evaluating(captioner):
        uniforms = torch.rand(count, samples, constraints.max_words, device=device)
        sampled = sample(captioner, features, uniforms, constraints)
        usual = greedy(captioner, features, constraints) if samples == 1 else None
    sentences = [words for rows in sampled.listed() for words in rows]
    rewards = reward(sentences).to(device)
    if usual is not None:
        baseline = reward([rows[0] for rows in usual.listed()]).to(device)
    else:
        by_image = rewards.view(count, samples)
        others = by_image.sum(dim=1, keepdim=True) - by_image
        baseline = (others / (samples - 1)).flatten()
    tokens, lengths = ragged(sentences, device)
    found = captioner(features.repeat_interleave(samples, dim=0), tokens, lengths)
    logits = found.logits.clone()
    logits[:, [START] if constraints.allow_unk else [START, UNKNOWN]] = NEVER
    chosen = logits.log_softmax(dim=1).gather(1, found.target.unsqueeze(1)).squeeze(1)
    # A sentence of the longest length was not asked whether it wants to end.
    cut = (found.target == END) & (lengths[found.sequence] == constraints.max_words + 2)
    advantage = (rewards - baseline).to(chosen.dtype)[found.sequence].masked_fill(cut, 0)
    return -(advantage * chosen).sum() / max(1, len(sentences)), rewards.mean()


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
