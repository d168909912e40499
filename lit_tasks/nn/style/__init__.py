"""Images optimized for content and style."""

from lit_tasks.nn.style.features import StyleFeatures
from lit_tasks.nn.style.objective import StyleObjective
from lit_tasks.nn.style.stylization import Phase, Stylization

__all__ = ["Phase", "StyleFeatures", "StyleObjective", "Stylization"]
