"""Beam search for all images of a batch at once, without a loop over images or beams."""

from typing import NamedTuple

import torch
from torch import Tensor

from lit_tasks.nn.caption.captioner import END, START, Captioner
from lit_tasks.nn.caption.decoding import NEVER, DecodingConstraints, Sentences, greedy, normalized


class _Kept(NamedTuple):
    """Finished sentences, the best first; ``rank`` is minus infinity where there is none."""

    rank: Tensor  # (B, K)
    score: Tensor  # (B, K)
    lengths: Tensor  # (B, K)
    words: Tensor  # (B, K, T)

    def merged(self, other: "_Kept") -> "_Kept":
        """Return the best of both, as many as there are here."""
        joined = [torch.cat(pair, dim=1) for pair in zip(self, other, strict=True)]
        rank, indices = joined[0].topk(self.rank.shape[1], dim=1)
        score, lengths = (tensor.gather(1, indices) for tensor in joined[1:3])
        wide = indices.unsqueeze(2).expand(-1, -1, joined[3].shape[2])
        return _Kept(rank, score, lengths=lengths, words=joined[3].gather(1, wide))


@torch.no_grad()
def beam_search(
    captioner: Captioner,
    features: Tensor,
    num_beams: int = 5,
    constraints: DecodingConstraints = DecodingConstraints(),  # noqa: B008
    length_penalty: float = 0.7,
) -> Sentences:
    """Return the best sentences that a search over ``num_beams`` beginnings at a time finds.

    A sentence that ends among the ``num_beams`` best continuations is kept, and the search about an
    image ends when ``num_beams`` are kept; so one beam is
    :func:`~lit_tasks.nn.caption.decoding.greedy`. The greedy sentence is always among those
    compared: the result never ranks below it.

    Args:
        captioner: Writes.
        features: Of the images.
        num_beams: Beginnings that are continued.
        constraints: Which sentences may be written.
        length_penalty: Sentences are ranked by score divided by this power of their number of
            words; 0 favors short sentences, 1 ranks by the mean score of a word.
    """
    if num_beams < 1:
        raise ValueError(f"num_beams must be at least 1, got {num_beams}")
    first = greedy(captioner, features, constraints)
    if num_beams == 1 or not len(features):
        return first
    kept = _search(
        captioner, features, num_beams=num_beams, constraints=constraints, power=length_penalty
    )
    rank = normalized(first.score, first.lengths, length_penalty)
    better = rank > kept.rank[:, :1] + 1e-6  # otherwise it was found, or is not the best
    own = _padded(first.words, constraints.max_words)
    kept = kept.merged(
        _Kept(rank.masked_fill(~better, -torch.inf), first.score, lengths=first.lengths, words=own)
    )
    lengths = kept.lengths.masked_fill(kept.rank.isinf(), -1)
    longest = max(1, int(lengths.max()))
    return Sentences(kept.words[:, :, :longest], lengths, kept.score)


def _search(
    captioner: Captioner,
    features: Tensor,
    num_beams: int,
    constraints: DecodingConstraints,
    power: float,
) -> _Kept:
    batch, device = len(features), features.device
    image = torch.arange(batch, device=device)
    state = captioner.begin(features).rows(image.repeat_interleave(num_beams))
    kept = _Kept(
        torch.full((batch, num_beams), -torch.inf, device=device),
        torch.zeros(batch, num_beams, device=device),
        lengths=image.new_zeros(batch, num_beams),
        words=image.new_full((batch, num_beams, constraints.max_words), END),
    )
    live = torch.full((batch, num_beams), NEVER, device=device)
    live[:, 0] = 0  # all beginnings are the same: only one may be continued
    word = image.new_full((batch * num_beams,), START)
    written = image.new_zeros(batch, num_beams, 0)
    for step in range(constraints.max_words):
        log_probs, state = captioner.step(word, state)
        allowed = constraints.allowed(log_probs, written.flatten(0, 1))
        total = live.unsqueeze(2) + allowed.view(batch, num_beams, -1)
        best, indices = total.flatten(1).topk(2 * num_beams, dim=1)
        parent, words = indices // total.shape[2], indices % total.shape[2]
        before = written.gather(1, parent.unsqueeze(2).expand(-1, -1, step))
        ends = words == END
        new = ends & (best > NEVER / 2) & ~_full(kept)
        new[:, num_beams:] = False
        kept = kept.merged(
            _finished(best, before, real=new, power=power, longest=constraints.max_words)
        )
        live, chosen = best.masked_fill(ends, 2 * NEVER).topk(num_beams, dim=1)
        parent, words = parent.gather(1, chosen), words.gather(1, chosen)
        before = before.gather(1, chosen.unsqueeze(2).expand(-1, -1, step))
        written = torch.cat((before, words.unsqueeze(2)), dim=2)
        state = state.rows((parent + image.unsqueeze(1) * num_beams).flatten())
        word = words.flatten()
        if bool(_full(kept).all()):
            return kept
    log_probs, _ = captioner.step(word, state)
    live = live + log_probs[:, END].view(batch, num_beams)
    new = (live > NEVER / 2) & ~_full(kept)
    return kept.merged(
        _finished(live, written, real=new, power=power, longest=constraints.max_words)
    )


def _full(kept: _Kept) -> Tensor:
    """Tell about which images enough sentences are kept, ``(B, 1)``."""
    return ~kept.rank.isinf().any(dim=1, keepdim=True)


def _finished(score: Tensor, words: Tensor, real: Tensor, power: float, longest: int) -> _Kept:
    """Return sentences of the same length with their rank, those that are not ``real`` last."""
    length = words.shape[2]
    rank = normalized(score, length, power).masked_fill(~real, -torch.inf)
    lengths = torch.full_like(words[:, :, 0], length) if length else real.long() * 0
    return _Kept(rank, score, lengths=lengths, words=_padded(words, longest))


def _padded(words: Tensor, longest: int) -> Tensor:
    missing = words.new_full((*words.shape[:2], longest - words.shape[2]), END)
    return torch.cat((words, missing), dim=2)
