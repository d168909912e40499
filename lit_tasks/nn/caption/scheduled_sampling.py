"""Parallel scheduled sampling."""

import torch
from jaxtyping import Int
from torch import Tensor

from lit_tasks.nn.caption.captioner import END, START, DecoderOutput


@torch.no_grad()
def scheduled_sampling_tokens(
    found: DecoderOutput, tokens: Int[Tensor, " N"], rate: float
) -> Int[Tensor, " N"]:
    """Return captions in which a fraction of the words is drawn from the model's probabilities.

    Each word is drawn after the true beginning of its caption, for all words at once, in place of
    one word after the other: scheduled sampling (Bengio et al., 2015) in its parallel form
    (Duckworth et al., 2019). Start and end words stay.

    Args:
        found: Output for the true captions; of an ensemble the first member's count.
        tokens: The true captions.
        rate: Probability that a word is replaced.
    """
    rows = len(tokens) - int((tokens == START).sum())
    target, token_index = found.target[:rows], found.token_index[:rows]
    logits = found.logits[:rows].detach().clone()
    logits[:, [START, END]] = -torch.inf
    sampled = torch.multinomial(logits.float().softmax(dim=1), 1).squeeze(1)
    replaced = (torch.rand(rows, device=tokens.device) < rate) & (target != END)
    return tokens.index_put((token_index[replaced],), sampled[replaced].to(tokens.dtype))
