"""Figures of a captioner: its sentences above those of people, and where it looked."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from lit_tasks.metrics.caption_scores import CaptionPair
from lit_tasks.nn.caption.self_critical import ragged
from lit_tasks.plots import attention_maps, image_grid
from lit_tasks.printable import printable
from lit_tasks.protocols import (
    HasFeatureShape,
    HasImageIds,
    HasReferences,
    HasValidateOn,
    ShowsSamples,
    Split,
    required,
)
from lit_tasks.sampling import evenly_spread

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_IMAGES_SHOWN, _MAPS = 12, 4


def drawn(
    task: Any,
    data: object,
    stage: str,
    evaluated: Sequence[CaptionPair],
    scored: Callable[[], Mapping[str, Sequence[float]]],
) -> "dict[str, Figure]":
    """Return figures by name.

    Args:
        task: The captioning task: ``generate(image, index)``, ``features`` and ``captioner``.
        data: The data module; without ``shown(split, indices)`` no images are drawn.
        stage: ``val`` or ``test``.
        evaluated: What the evaluation found.
        scored: Returns the scores of each image, by name.
    """
    figures: dict[str, Figure] = {}
    if not evaluated or not isinstance(data, ShowsSamples) or not _has_images(task, data):
        return figures
    split: Split = "test" if stage == "test" else "val"
    if split == "val" and isinstance(data, HasValidateOn):
        split = data.validate_on
    some = [evaluated[i] for i in evenly_spread(len(evaluated), _IMAGES_SHOWN)]
    images = data.shown(split, [row.image_index for row in some])
    figures["captions"] = _gallery(images, some)
    figures |= _by_score(data, split, evaluated=evaluated, scores=scored())
    trained = _trained(task, data) if split != "train" else None
    if trained is not None:
        figures["captions_of_train"] = trained
    maps = _attention_figure(task, images[:_MAPS], [row.prediction for row in some[:_MAPS]])
    if maps is not None:
        figures["attention"] = maps
    return figures


def _by_score(
    data: ShowsSamples,
    split: Split,
    evaluated: Sequence[CaptionPair],
    scores: Mapping[str, Sequence[float]],
) -> "dict[str, Figure]":
    """Return the images whose captions have the best scores, and the worst; no image in both."""
    order = np.lexsort((scores["rouge_l"], scores["cider_d"]))[::-1].tolist()
    best = order[: min(_IMAGES_SHOWN, (len(order) + 1) // 2)]
    worst = order[len(best) :][::-1][:_IMAGES_SHOWN]
    names = data.image_ids(split) if isinstance(data, HasImageIds) else None
    figures = {}
    for name, places in (("best_captions", best), ("worst_captions", worst)):
        rows = [evaluated[place] for place in places]
        indices = [row.image_index for row in rows]
        below = [
            f"CIDEr-D {scores['cider_d'][at]:.2f}, {printable(str(names[i] if names else i))}"
            for i, at in zip(indices, places, strict=True)
        ]
        if rows:
            figures[name] = _gallery(data.shown(split, indices), rows, below)
    return figures


def _gallery(
    images: Sequence[np.ndarray], rows: Sequence[CaptionPair], below: Sequence[str] | None = None
) -> "Figure":
    """Return images under what was generated and, below it, what a person wrote."""
    titles = [
        f"generated: {row.prediction or '(nothing)'}\nhuman: {next(iter(row.references), '(none)')}"
        for row in rows
    ]
    return image_grid(images, titles, columns=4, lines=4, below=below)


def _trained(task: Any, data: ShowsSamples) -> "Figure | None":
    """Return the same for training images, where they are at hand."""
    try:
        references = required(data, HasReferences, task).references("train")
    except (TypeError, ValueError, OSError):
        return None
    indices = evenly_spread(len(references), _IMAGES_SHOWN)
    images = data.shown("train", indices)
    with torch.inference_mode():
        captions = task.generate(_batch(images, task.device), torch.tensor(indices))
    rows = [
        CaptionPair(index, caption, list(references[index]))
        for index, caption in zip(indices, captions, strict=True)
    ]
    return _gallery(images, rows)


def _attention_figure(
    task: Any, images: Sequence[np.ndarray], captions: Sequence[str]
) -> "Figure | None":
    """Return where the decoder looked at each word of its own sentences, if it does look."""
    token_id = {word: i for i, word in enumerate(task.hparams["words"])}
    sentences = [[token_id[word] for word in caption.split()] for caption in captions]
    tokens, lengths = ragged(sentences, task.device)
    with torch.inference_mode():
        features = task.features(_batch(images, task.device))
        found = task.captioner(features, tokens, lengths)
    if found.attention is None:
        return None
    once = len(tokens) - len(lengths)  # an ensemble's first member
    weights = found.attention[:once].cpu().numpy()
    order, sequence = found.token_index[:once].cpu().numpy(), found.sequence[:once].cpu().numpy()
    seen = []
    for i in range(len(sentences)):
        mine = np.flatnonzero(sequence == i)
        seen.append(weights[mine[np.argsort(order[mine])]])
    return attention_maps(images, [caption.split() for caption in captions], seen)


def _has_images(task: Any, data: object) -> bool:
    from_file = isinstance(data, HasFeatureShape) and data.feature_shape is not None
    return task.backbone is not None and not from_file


def _batch(images: Sequence[np.ndarray], device: torch.device) -> Tensor:
    return torch.stack([torch.from_numpy(p).permute(2, 0, 1) for p in images]).to(device)
