"""A trained task as files that run without this package: the model, and how texts are read."""

from pathlib import Path

from lightning.pytorch import LightningModule

from lit_tasks.protocols import ExportsOnnx, WritesTokenizer

TOKENIZER = "tokenizer.json"


def export_onnx(task: LightningModule, data: object, path: Path) -> list[Path]:
    """Write an ONNX file, and ``NAME.tokenizer.json`` beside it where the inputs are texts.

    Args:
        task: What was trained.
        data: The data module that it was trained with.
        path: The ONNX file, NAME.onnx.

    Returns:
        The files that were written.

    Raises:
        ValueError: The task has no such form, or the packages for it are not installed.
    """
    exporter = check_exports(task)
    path.parent.mkdir(parents=True, exist_ok=True)
    written = []
    if isinstance(data, WritesTokenizer):  # first, for it may be refused
        written.append(path.with_suffix(f".{TOKENIZER}"))
        data.write_tokenizer(written[0])
    exporter.export_onnx(path)
    return [path, *written]


def check_exports(task: LightningModule) -> ExportsOnnx:
    """Return the task as one that can be written.

    Raises:
        ValueError: It cannot.
    """
    if not isinstance(task, ExportsOnnx):
        raise ValueError(f"{type(task).__name__} offers no export to ONNX")
    return task
