"""Metrics of others, each where its package is there: METEOR, SPICE and CLIPScore."""

import os
import shutil
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

_CLIP = "openai/clip-vit-base-patch16"


class NotThereError(ValueError):
    """A metric cannot be computed here: says what it needs."""


def meteor(captions: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
    """Return METEOR 1.5 of each sentence, of pycocoevalcap, which runs Java.

    Args:
        captions: Words joined by blanks.
        references: The same of people.

    Raises:
        NotThereError: The package or Java is missing.
    """
    _needs_java("METEOR")
    from pycocoevalcap.meteor.meteor import Meteor  # type: ignore[import-untyped, unused-ignore]

    scorer = Meteor()
    try:
        _, each = scorer.compute_score(*_numbered(captions, references))
    finally:
        scorer.meteor_p.kill()
    return [float(value) for value in each]


def spice(captions: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
    """Return SPICE of each sentence, of pycocoevalcap: Java, and models that it downloads once.

    Raises:
        NotThereError: The package, Java or the models are missing, or Java failed.
    """
    _needs_java("SPICE")
    from pycocoevalcap.spice.spice import Spice  # type: ignore[import-untyped, unused-ignore]

    try:
        with (
            Path(os.devnull).open("w") as nothing,
            redirect_stdout(nothing),
            redirect_stderr(nothing),
        ):
            _, each = Spice().compute_score(*_numbered(captions, references))
    except Exception as error:
        raise NotThereError(
            f"SPICE was left out: pycocoevalcap failed ({type(error).__name__}: {error!s:.80}); it"
            " needs Java 8 and, the first time, the network for Stanford's models"
        ) from error
    return [float(found["All"]["f"]) for found in each]


def clip_score(captions: Sequence[str], files: Sequence[Path], model: str = _CLIP) -> list[float]:
    """Return CLIPScore of each sentence with its image, 0 to 100, of torchmetrics.

    Args:
        captions: The sentences as they are.
        files: The image of each.
        model: Name or folder of a CLIP of transformers.

    Raises:
        NotThereError: transformers or the weights are missing.
    """
    try:
        import numpy as np
        import torch
        from PIL import Image
        from torchmetrics.functional.multimodal import clip_score as score
        from transformers import CLIPModel, CLIPProcessor

        network = CLIPModel.from_pretrained(model), CLIPProcessor.from_pretrained(model)
        found = []
        for caption, file in zip(captions, files, strict=True):
            with Image.open(file) as image:
                pixels = np.asarray(image.convert("RGB"))
            tensor = torch.from_numpy(pixels.copy()).permute(2, 0, 1)
            value = score(tensor, caption, lambda: network)
            found.append(float(value))
    except (ImportError, ModuleNotFoundError, OSError) as error:
        if isinstance(error, OSError) and error.filename:
            raise
        raise NotThereError(
            f"CLIPScore was left out ({str(error).splitlines()[0]:.90}); it needs `pip install"
            " lit-tasks[scores]` and the weights of a CLIP, see --clip_model"
        ) from error
    return found


def _needs_java(name: str) -> None:
    try:
        import pycocoevalcap  # type: ignore[import-untyped, unused-ignore]  # noqa: F401
    except ModuleNotFoundError:
        raise NotThereError(
            f"{name} was left out: it needs `pip install lit-tasks[scores]` and Java"
        ) from None
    if shutil.which("java") is None:
        raise NotThereError(f"{name} was left out: there is no java; install a Java runtime")


def _numbered(
    captions: Sequence[str], references: Sequence[Sequence[str]]
) -> tuple[dict[int, list[str]], dict[int, list[str]]]:
    """Return references and captions as pycocoevalcap wants them, in this order."""
    return (
        {number: list(several) for number, several in enumerate(references)},
        {number: [caption] for number, caption in enumerate(captions)},
    )
