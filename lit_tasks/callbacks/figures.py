"""Images of what a task found, in the run folder and in loggers that show images."""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn

from lit_tasks.callbacks.logger_media import show_image
from lit_tasks.distributed.run_dir import run_dir
from lit_tasks.files import atomic_write
from lit_tasks.protocols import Command, HasFigures

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class FigureWriter(Callback):
    """Draw what the task offers after ``validate`` and ``test``.

    A task offers figures by a method ``figures(stage) -> dict[str, Figure]``, called on every
    process once the metrics are computed. They go to ``figures/<stage>_<name>.png``.

    Args:
        dpi: Dots per inch of the PNG files.
    """

    commands: ClassVar[frozenset[Command]] = frozenset({"validate", "test"})
    display_only: ClassVar[bool] = True

    def __init__(self, dpi: int = 120) -> None:
        self.dpi = dpi

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Agree on the run's folder."""
        run_dir(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw, unless this is one of the validations within training."""
        if trainer.state.fn == TrainerFn.VALIDATING:
            self._draw(trainer, pl_module, "val")

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw."""
        self._draw(trainer, pl_module, "test")

    def _draw(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if not isinstance(pl_module, HasFigures):
            return
        figures = pl_module.figures(stage)
        folder = run_dir(trainer) / "figures"
        if not trainer.is_global_zero:
            return
        folder.mkdir(parents=True, exist_ok=True)
        for name, figure in figures.items():
            self._write(trainer, folder / f"{stage}_{name}.png", figure)

    def _write(self, trainer: Trainer, path: Path, figure: "Figure") -> None:
        from lit_tasks.plots import save_figure

        with atomic_write(path) as beside:
            save_figure(figure, beside, self.dpi)
        show_image(trainer, path.stem.replace("_", "/", 1), path=path, step=trainer.global_step)
