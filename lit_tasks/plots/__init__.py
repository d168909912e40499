"""Numbers in, matplotlib figure out: nothing here knows a logger, a task or a screen."""

from lit_tasks.plots.classification import class_bars, confusion_matrix, reliability
from lit_tasks.plots.curves import learning_curves, loss_curves, overlaid_curves
from lit_tasks.plots.images import attention_maps, example_sheet, image_grid
from lit_tasks.plots.names import save_figure

__all__ = [
    "attention_maps",
    "class_bars",
    "confusion_matrix",
    "example_sheet",
    "image_grid",
    "learning_curves",
    "loss_curves",
    "overlaid_curves",
    "reliability",
    "save_figure",
]
