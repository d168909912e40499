"""Figures of a classifier name the files of mistakes and have the bins of the calibration error."""

import numpy as np
import torch

from lit_tasks.metrics.calibration import BINS
from lit_tasks.tasks.classification_figures import drawn


def test_mistakes_name_their_files_and_classes() -> None:
    probability = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])
    target = torch.tensor([0, 1, 1])
    figures = drawn(
        probability,
        target,
        ["Ba$$in", "x" * 50],
        show=lambda indices: [np.zeros((4, 4, 3), np.uint8) for _ in indices],
        files=lambda indices: [f"{index}.jpg" for index in indices],
    )
    [axes] = figures["worst_mistakes"].axes
    assert axes.title.get_text().startswith("✗ Ba\\$\\$in 0.70\nis")
    assert [text.get_text() for text in axes.texts] == ["2.jpg"]
    below = [axes.texts[0].get_text() for axes in figures["predictions"].axes]
    assert below == ["0.jpg", "1.jpg", "2.jpg"]
    assert len(figures["reliability"].axes[1].patches) == BINS
