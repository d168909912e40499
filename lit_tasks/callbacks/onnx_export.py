"""The evaluated model as an ONNX file in the run folder."""

from typing import ClassVar

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info

from lit_tasks.distributed.run_dir import run_dir
from lit_tasks.onnx_export import check_exports, export_onnx
from lit_tasks.protocols import Command, attributes


class OnnxExport(Callback):
    """Write ``model.onnx`` after ``validate`` or ``test``; for texts ``model.tokenizer.json`` too.

    A task offers it by a method ``export_onnx(path)``. On the command line, ``validate`` and
    ``test`` do it with ``--trainer.callbacks+=lit_tasks.callbacks.onnx_export.OnnxExport``.

    Args:
        filename: Name of the file in the run folder.
    """

    commands: ClassVar[frozenset[Command]] = frozenset({"validate", "test"})
    display_only: ClassVar[bool] = True

    def __init__(self, filename: str = "model.onnx") -> None:
        self.filename = filename

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Agree on the run's folder; refuse what could not be written before it is evaluated."""
        check_exports(pl_module)
        run_dir(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the file, unless this is one of the validations within training."""
        if trainer.validating:
            self._write(trainer, pl_module)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the file."""
        self._write(trainer, pl_module)

    def _write(self, trainer: Trainer, pl_module: LightningModule) -> None:
        path = run_dir(trainer) / self.filename
        if trainer.is_global_zero:
            for written in export_onnx(pl_module, attributes(trainer).datamodule, path):
                rank_zero_info(f"ONNX model: {written}")
