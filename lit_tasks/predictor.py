"""A checkpoint in one's own script: ``lit_tasks.load("best.ckpt").predict(...)``."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.fabric.utilities import move_data_to_device
from lightning.pytorch import LightningDataModule, LightningModule
from PIL import Image
from torch import Tensor

from lit_tasks import checkpoint
from lit_tasks.checked_loading import CheckedLoading, load_checked
from lit_tasks.files import atomic_write
from lit_tasks.jsonargparse_internals import imported
from lit_tasks.onnx_export import export_onnx
from lit_tasks.protocols import MakesImages, ReadsInputs, Row, StatesProbabilities
from lit_tasks.trust import CheckedParser, Trust


class Predictor:
    """A trained task that predicts what a program holds.

    Attributes:
        task: The LightningModule, in evaluation mode.
        data: The data module that the checkpoint was trained with, which reads the inputs.
    """

    def __init__(self, task: LightningModule, data: LightningDataModule | None) -> None:
        self.task, self.data = task, data

    def predict(
        self,
        inputs: Any,
        *,
        probabilities: bool = False,
        batch_size: int | None = None,
        folder: Path | str = "painted",
    ) -> list[Row]:
        """Return the rows that ``lit-tasks predict`` writes to predictions.csv, in input order.

        Texts get ``id``, ``label`` and ``probability``; images ``id``, ``file`` and the most
        probable labels, or a ``caption``; photographs to paint the ``file`` of the painted image.

        Args:
            inputs: One input or an iterable of them. A text is a ``str``, and a ``Path`` a file of
                texts in any format that ``--data.predict`` takes. An image is a path, a
                ``PIL.Image``, an array ``(H, W, 3)`` or a tensor ``(3, H, W)``; a folder stands
                for the images in it.
            probabilities: Whether a classifier's rows have ``p_LABEL`` for every label.
            batch_size: Inputs that are predicted at once; as in training if none.
            folder: Where painted images are written; nothing there is overwritten.

        Raises:
            TypeError: An input is of another kind, or the data module reads none.
            ValueError: An input cannot be used; the sentence names it.
        """
        options: Any = {"probabilities": probabilities, "batch_size": batch_size, "folder": folder}
        return list(self.rows(inputs, **options))

    def rows(
        self,
        inputs: Any,
        *,
        probabilities: bool = False,
        batch_size: int | None = None,
        folder: Path | str = "painted",
    ) -> Iterator[Row]:
        """Yield what :meth:`predict` returns, a batch at a time, for more than a memory holds."""
        if batch_size is not None and batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        if not isinstance(self.data, ReadsInputs):
            kind = "no data module" if self.data is None else type(self.data).__name__
            raise TypeError(
                f"the checkpoint was trained with {kind}, which cannot read inputs"
                " (lit_tasks.protocols.ReadsInputs): use lit-tasks predict"
            )
        if probabilities and not isinstance(self.task, StatesProbabilities):
            raise ValueError(f"{type(self.task).__name__} states no probabilities of classes")
        given = [inputs] if _is_one(inputs) else inputs
        batches = self.data.input_batches(given, self.task, batch_size)
        for number, (beginnings, batch) in enumerate(batches):
            with torch.inference_mode(), _stated(self.task, probabilities):
                batch = move_data_to_device(batch, self.task.device)
                rows = self.task.predict_step(batch, number)
            found = [{**head, **row} for head, row in zip(beginnings, rows, strict=True)]
            if isinstance(self.task, MakesImages):
                found = [
                    {**row, "file": str(_save(self.task.image_of(index), Path(folder), row["id"]))}
                    for row, index in zip(found, batch.index.tolist(), strict=True)
                ]
            yield from found

    def export_onnx(self, path: Path | str) -> list[Path]:
        """Write an ONNX file, and for texts ``NAME.tokenizer.json`` beside it; return both paths.

        Raises:
            ValueError: The task has no such form, or the packages for it are not installed.
        """
        return export_onnx(self.task, self.data, Path(path))

    def __repr__(self) -> str:
        """Return what it is, and the labels that it knows."""
        labels = self.task.hparams.get("labels")
        return f"Predictor({type(self.task).__name__}{f', labels {labels}' if labels else ''})"


def load(
    path: Path | str, trusted_modules: Iterable[str] = (), device: str | None = None
) -> Predictor:
    """Return what a checkpoint was trained for, ready to predict; no code of the file is run.

    Args:
        path: The checkpoint, as in ``runs/latest/checkpoints/best.ckpt``.
        trusted_modules: Modules of others whose classes the file may name.
        device: Where to compute; a GPU if there is one, else the CPU.

    Raises:
        ValueError: The file is no checkpoint, or names a class that is not trusted.
    """
    path = Path(path)
    content = checkpoint.load(path)
    sections = checkpoint.as_config(content, path)
    if "model" not in sections:
        raise ValueError(
            f"{path} does not say what it is a checkpoint of: call load_from_checkpoint of its task"
        )
    trust = Trust(path, trusted_modules)
    parser = CheckedParser(exit_on_error=False)
    parser.add_subclass_arguments(LightningModule, "model", fail_untyped=False)
    parser.add_subclass_arguments(LightningDataModule, "data", fail_untyped=False, required=False)
    trust.check(parser, sections)
    task, data = (_loaded(path, sections.get(key), trust) for key in ("model", "data"))
    task.to(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    return Predictor(task.eval(), data)


def _loaded(path: Path, section: dict[str, Any] | None, trust: Trust) -> Any:
    if section is None:
        return None
    cls = imported(section["class_path"], with_check=False)  # checked by now
    if issubclass(cls, CheckedLoading):
        return cls.load_from_checkpoint(path, trusted_modules=trust.modules)
    return load_checked(cls, cls.load_from_checkpoint, source=path, trust=trust)


@contextmanager
def _stated(task: LightningModule, probabilities: bool) -> Iterator[None]:
    """Let a classifier state all probabilities meanwhile."""
    if not isinstance(task, StatesProbabilities):
        yield
        return
    before, task.all_probabilities = task.all_probabilities, probabilities
    try:
        yield
    finally:
        task.all_probabilities = before


def _is_one(inputs: Any) -> bool:
    """Return whether this is one input, not several."""
    if isinstance(inputs, np.ndarray):
        return inputs.dtype.kind not in "OUS" and inputs.ndim < 4
    if isinstance(inputs, Tensor):
        return inputs.ndim < 4
    return isinstance(inputs, str | bytes | PathLike | Image.Image) or not isinstance(
        inputs, Iterable
    )


def _save(image: np.ndarray, folder: Path, name: str) -> Path:
    """Write an image under its name, or the next one that is free."""
    folder.mkdir(parents=True, exist_ok=True)
    names = (f"{name}.png" if number == 1 else f"{name}-{number}.png" for number in range(1, 10**6))
    path = next(folder / each for each in names if not (folder / each).exists())
    with atomic_write(path) as beside:
        Image.fromarray(image).save(beside, format="png")
    return path
