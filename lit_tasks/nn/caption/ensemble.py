"""Ensemble of captioners: the mean of their probabilities."""

from collections.abc import Callable, Sequence
from typing import cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lit_tasks.nn.caption.captioner import Captioner, DecoderOutput, State
from lit_tasks.protocols import InitializesFromWords


class CaptionerEnsemble(nn.Module):
    """Captioners that learn side by side and write together: their probabilities are averaged.

    They share nothing but the batches, so training them at once is training each alone.

    Args:
        num_words: Words in the vocabulary.
        in_features: Features of an image.
        member: Builds a captioner from the two; each starts from other random weights.
        members: How many.
    """

    def __init__(
        self,
        num_words: int,
        in_features: int,
        member: Callable[[int, int], nn.Module],
        members: int = 3,
    ) -> None:
        super().__init__()
        if members < 1:
            raise ValueError(f"members must be at least 1, got {members}")
        self.members = nn.ModuleList(member(num_words, in_features) for _ in range(members))

    def initialize(self, words: Sequence[str]) -> str:
        """Load the pretrained vectors of ``words`` and return how many there are."""
        known = [m for m in self.members if isinstance(m, InitializesFromWords)]
        said = [member.initialize(words) for member in known]
        return said[0] if said else ""

    def forward(
        self,
        features: Float[Tensor, "B ..."],
        tokens: Int[Tensor, " N"],
        lengths: Int[Tensor, " B"],
    ) -> DecoderOutput:
        """Return the members' logits, one block of rows after the other."""
        found: list[DecoderOutput] = [member(features, tokens, lengths) for member in self.members]
        maps = [each.attention for each in found if each.attention is not None]
        return DecoderOutput(
            torch.cat([each.logits for each in found]),
            torch.cat([each.target for each in found]),
            sequence=torch.cat([each.sequence for each in found]),
            token_index=torch.cat([each.token_index for each in found]),
            attention=torch.cat(maps) if maps else None,
        )

    def begin(self, features: Float[Tensor, "B ..."]) -> State:
        """Return the states of all members."""
        return _joined([member.begin(features) for member in self._captioners()])

    def step(self, words: Int[Tensor, " R"], state: State) -> tuple[Float[Tensor, "R V"], State]:
        """Return the logarithm of the mean probability of each word after ``words``."""
        found, states = [], []
        for member, own in zip(self._captioners(), self._parted(state), strict=True):
            log_probs, after = member.step(words, own)
            found.append(log_probs)
            states.append(after)
        mean = torch.stack(found).logsumexp(dim=0) - torch.tensor(float(len(found))).log()
        return mean, _joined(states)

    def _captioners(self) -> list[Captioner]:
        return [cast(Captioner, member) for member in self.members]

    def _parted(self, state: State) -> list[State]:
        count = len(self.members)
        fixed, moving = (len(part) // count for part in state)
        return [
            State(
                state.fixed[i * fixed : (i + 1) * fixed],
                state.moving[i * moving : (i + 1) * moving],
            )
            for i in range(count)
        ]


def _joined(states: Sequence[State]) -> State:
    return State(
        tuple(tensor for state in states for tensor in state.fixed),
        tuple(tensor for state in states for tensor in state.moving),
    )
