"""N-grams as numbers of a fixed range, on a ragged row of texts."""

import torch
from jaxtyping import Bool, Int
from torch import Tensor

# Odd 64-bit constants with well mixed bits: the golden ratio, and MurmurHash3's finalizer.
_STEP = -0x61C8864680B583EB
_MIX = -0x00AE502812AA7333


def positions(lengths: Int[Tensor, " B"]) -> Int[Tensor, " N"]:
    """Return the place of each token within its own text: 0, 1, ..., for one text after another."""
    ends = lengths.cumsum(0)
    total = int(ends[-1]) if len(ends) else 0
    return torch.arange(total, device=lengths.device) - (ends - lengths).repeat_interleave(lengths)


def keep_tokens(
    tokens: Int[Tensor, " N"], lengths: Int[Tensor, " B"], keep: Bool[Tensor, " N"]
) -> tuple[Int[Tensor, " M"], Int[Tensor, " B"]]:
    """Return the tokens that stay and the new length of each text."""
    kept = torch.cat((keep.new_zeros(1, dtype=torch.int64), keep.cumsum(0)))
    ends = lengths.cumsum(0)
    return tokens[keep], kept[ends] - kept[ends - lengths]


def with_ngrams(
    tokens: Int[Tensor, " N"], lengths: Int[Tensor, " B"], longest: int, first: int, buckets: int
) -> tuple[Int[Tensor, " M"], Int[Tensor, " B"]]:
    """Return the tokens of each text together with its n-grams of 2 to ``longest`` tokens.

    An n-gram is hashed to a number from ``first`` to ``first + buckets - 1`` (fastText's hashing
    trick), so no list of n-grams is kept and different ones may share a number. No n-gram crosses
    from one text to the next, and its number depends on nothing but its words.

    Args:
        tokens: Token ids of all texts, one text after the other.
        lengths: Tokens of each text.
        longest: Longest n-gram; 1 returns the tokens alone.
        first: Number of the first bucket, usually the size of the vocabulary.
        buckets: How many numbers the n-grams share.
    """
    if longest == 1:
        return tokens, lengths
    place = positions(lengths)
    table = torch.stack(hashed_ngrams(tokens, longest, first=first, buckets=buckets), dim=1)
    exists = place.unsqueeze(1) >= torch.arange(longest, device=tokens.device)
    counts = lengths.unsqueeze(1) - torch.arange(longest, device=tokens.device)
    return table[exists], counts.clamp(min=0).sum(1)


def hashed_ngrams(
    tokens: Int[Tensor, "*B N"], longest: int, first: int, buckets: int
) -> list[Int[Tensor, "*B N"]]:
    """Return the tokens, and the number of the n-gram of each size that ends at each of them.

    What would reach beyond the first token has a number that means nothing.
    """
    features = [tokens]
    state = tokens * _STEP
    for size in range(2, longest + 1):
        # The n-gram that ends at position i is made of the one that ends at i - 1 and token i.
        shifted = torch.cat((torch.zeros_like(state[..., :1]), state[..., :-1]), dim=-1)
        state = (shifted ^ (shifted >> 29)) * _MIX + tokens * _STEP + size
        bucket = ((state ^ (state >> 32)) * _MIX >> 16) % buckets
        features.append(bucket + first)
    return features
