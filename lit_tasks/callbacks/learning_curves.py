"""How training went: an image of all curves, and their best and last values."""

from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from lightning.pytorch import Callback, LightningModule, Trainer

from lit_tasks.callbacks.logger_media import show_image
from lit_tasks.callbacks.results import add_results
from lit_tasks.distributed.run_dir import run_dir
from lit_tasks.files import atomic_write
from lit_tasks.metrics.directions import directions
from lit_tasks.protocols import Command, HasUnlikeCurves, attributes
from lit_tasks.runs.curves import best_and_last, of_training, read_rows


class LearningCurves(Callback):
    """Draw ``figures/learning_curves.png`` at the end of every fit, also of an interrupted one.

    Losses and metrics come from the run's ``metrics.csv``, so that a resumed run is drawn from its
    beginning; without that file, from what validations found. ``results.json`` gets the
    last point of each curve, and the best one where the metric has a direction.

    Args:
        dpi: Dots per inch of the PNG file.
        axes: How many kinds of metrics are drawn at most.
    """

    commands: ClassVar[frozenset[Command]] = frozenset({"fit"})
    display_only: ClassVar[bool] = True

    def __init__(self, dpi: int = 120, axes: int = 6) -> None:
        self.dpi, self.axes = dpi, axes
        self._folder = Path()
        self._validated: list[dict[str, float]] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Remember the run's folder."""
        self._folder = run_dir(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep what a validation within training found."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking and trainer.is_global_zero:
            found = {name: float(value) for name, value in trainer.callback_metrics.items()}
            where = {"epoch": trainer.current_epoch, "step": trainer.global_step}
            self._validated.append({**where, **found})

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw and sum up."""
        self._finish(trainer, pl_module)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Draw what there is; whatever ended the run is what the user has to hear of."""
        if trainer.state.fn == "fit":
            with suppress(Exception):
                self._finish(trainer, pl_module)

    def _finish(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.is_global_zero or attributes(trainer).fast_dev_run:
            return
        rows = self._rows(trainer)
        if not any(name.startswith(("train/", "val/")) for row in rows for name in row):
            return
        add_results(self._folder, best_and_last(rows, directions(pl_module)))
        from lit_tasks.plots import learning_curves, save_figure

        apart = pl_module.unlike_in_training if isinstance(pl_module, HasUnlikeCurves) else ()
        path = self._folder / "figures" / "learning_curves.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as beside:
            save_figure(learning_curves(rows, self.axes, apart), beside, self.dpi)
        show_image(trainer, "learning_curves", path=path, step=trainer.global_step)

    def _rows(self, trainer: Trainer) -> list[dict[str, float]]:
        for logger in trainer.loggers:
            logger.save()
        path = self._folder / "metrics.csv"
        return of_training(read_rows(path)) if path.is_file() else self._validated

    def state_dict(self) -> dict[str, Any]:
        """Return what validations found, for a run that writes no file and is resumed."""
        return {"validated": self._validated}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with what the interrupted run found."""
        self._validated = list(state_dict["validated"])
