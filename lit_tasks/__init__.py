"""Tasks and datasets as plugins for PyTorch Lightning, driven by YAML.

Nothing heavy is imported here, so that ``lit-tasks --help`` answers at once.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lit_tasks.predictor import Predictor, load

__all__ = ["Predictor", "load"]
__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """Import what Python programs ask for when they do; torch comes with it."""
    if name in __all__:
        from lit_tasks import predictor

        return getattr(predictor, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
