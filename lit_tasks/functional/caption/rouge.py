"""ROUGE-L: the longest common subsequence of a sentence and its references.

Sources: Lin and Hovey (2004); ``rouge.py`` of coco-caption, which takes the best precision and the
best recall over the references, be they of different references.
"""

from collections.abc import Sequence

_BETA_SQUARED = 1.2**2


def longest_common(first: Sequence[str], second: Sequence[str]) -> int:
    """Return the length of the longest common subsequence."""
    row = [0] * (len(second) + 1)
    for word in first:
        before = 0
        for column, other in enumerate(second, start=1):
            kept = row[column]
            row[column] = before + 1 if word == other else max(kept, row[column - 1])
            before = kept
    return row[-1]


def rouge_l(prediction: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Return the score of one sentence, 0 to 1; their mean is that of a corpus."""
    lengths = [longest_common(prediction, reference) for reference in references]
    precision = max(lengths) / max(1, len(prediction))
    recall = max(n / max(1, len(r)) for n, r in zip(lengths, references, strict=True))
    if precision == 0 or recall == 0:
        return 0.0
    return (1 + _BETA_SQUARED) * precision * recall / (recall + _BETA_SQUARED * precision)
