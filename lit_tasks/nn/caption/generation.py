"""How a captioner's sentence is chosen: greedily, by beam search, by consensus, or at random."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lit_tasks.nn.caption.beam_search import beam_search
from lit_tasks.nn.caption.captioner import Captioner
from lit_tasks.nn.caption.consensus import by_agreement
from lit_tasks.nn.caption.decoding import DecodingConstraints, check_sampling, sample

Method = Literal["beam", "consensus", "sample"]

CONSENSUS = 50
"""Sentences about an image that are drawn to compare those of a beam with."""


@dataclass(frozen=True)
class GenerationConfig:
    """How one sentence about each image is written.

    Args:
        method: ``beam`` search; ``consensus``, which takes of a beam's sentences the one that has
            most words and n-grams in common with 50 that are drawn at random; or a
            ``sample``, one drawn.
        num_beams: Beginnings that a beam search continues; 1 is greedy. Consensus wants more: 20.
        length_penalty: Sentences of a beam are ranked by score over this power of their length.
        max_words: Longest sentence.
        min_words: Shortest sentence.
        allow_unk: Whether the word for unknown words may be written.
        no_repeat_ngram_size: n-grams of this size may not come twice; 0 allows all.
        temperature: Scores are divided by it before drawing: below 1 is safer.
        top_k: Draw among so many of the best words; 0 is all.
        top_p: Draw among the best words that together have this probability.
        seed: Decides what is drawn, for every image by its place in the data set.
        n_best: Sentences about each image that ``predict`` writes, the best first: of a beam or
            by consensus at most ``num_beams``, or so many samples.
    """

    method: Method = "beam"
    num_beams: int = 1
    length_penalty: float = 0.7
    max_words: int = 30
    min_words: int = 1
    allow_unk: bool = False
    no_repeat_ngram_size: int = 0
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0
    n_best: int = 1

    def __post_init__(self) -> None:
        if self.num_beams < 1:
            raise ValueError(f"num_beams must be at least 1, got {self.num_beams}")
        if self.method == "consensus" and self.num_beams == 1:
            raise ValueError(
                "num_beams must be at least 2 with method consensus, which chooses among so many"
                " sentences, got 1: set it to 20"
            )
        if self.n_best < 1 or (self.method != "sample" and self.n_best > self.num_beams):
            raise ValueError(
                "n_best must be at least 1 and, of a beam, at most num_beams, got "
                f"{self.n_best} and num_beams {self.num_beams}"
            )
        check_sampling(self.temperature, self.top_k, self.top_p)
        _ = self.constraints

    @property
    def constraints(self) -> DecodingConstraints:
        """Which sentences may be written."""
        return DecodingConstraints(
            self.max_words,
            self.min_words,
            allow_unk=self.allow_unk,
            no_repeat_ngram_size=self.no_repeat_ngram_size,
        )

    def greedy(self) -> "GenerationConfig":
        """Return the same constraints without a search."""
        return replace(self, method="beam", num_beams=1, n_best=1)

    def __call__(
        self, captioner: Captioner, features: Tensor, index: Int[Tensor, " B"]
    ) -> list[list[int]]:
        """Return the words of a sentence about each image.

        Args:
            captioner: Writes.
            features: Of the images.
            index: Place of each image in its data set: what is drawn depends on it.
        """
        return [several[0] for several in self.several(captioner, features, index)]

    def several(
        self, captioner: Captioner, features: Tensor, index: Int[Tensor, " B"]
    ) -> list[list[list[int]]]:
        """Return the words of ``n_best`` sentences about each image, fewer where there are none."""
        if self.method == "sample":
            drawn = self._drawn(captioner, features, index, each=self.n_best)
            return [rows[: self.n_best] for rows in drawn]
        found = beam_search(
            captioner,
            features,
            num_beams=self.num_beams,
            constraints=self.constraints,
            length_penalty=self.length_penalty,
        ).listed()
        if self.method == "consensus":
            drawn = self._drawn(captioner, features, index, each=CONSENSUS)
            found = [by_agreement(*pair) for pair in zip(found, drawn, strict=True)]
        return [rows[: self.n_best] for rows in found]

    def _drawn(
        self, captioner: Captioner, features: Tensor, index: Int[Tensor, " B"], each: int
    ) -> list[list[list[int]]]:
        """Return the words of sentences drawn about each image."""
        numbers = uniforms(self.seed, index.tolist(), each=each, words=self.max_words)
        return sample(
            captioner,
            features,
            numbers.to(features.device),
            constraints=self.constraints,
            temperature=self.temperature,
            top_k=self.top_k,
            top_p=self.top_p,
        ).listed()


def uniforms(seed: int, index: Sequence[int], each: int, words: int) -> Float[Tensor, "B K T"]:
    """Return numbers between 0 and 1 that depend on the seed and each image's place alone."""
    rows = []
    for i in index:
        generator = torch.Generator().manual_seed(seed * 1_000_003 + i)
        rows.append(torch.rand(each, words, generator=generator))
    return torch.stack(rows) if rows else torch.zeros(0, each, words)
