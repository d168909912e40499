"""What the command line asks of loggers: that ``metrics.csv`` is among them, folders, names."""

import inspect
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from lightning.pytorch.loggers import Logger

from lit_tasks.distributed.lightning_internals import renamed_metrics
from lit_tasks.loggers.csv import RunCSVLogger
from lit_tasks.named_classes import specs


def with_csv(loggers: Logger | Iterable[Logger] | bool | None) -> list[Logger] | Literal[False]:
    """Return the loggers and ours of ``metrics.csv``; none where they are switched off."""
    if not loggers:
        return False
    found = (
        [loggers] if isinstance(loggers, Logger) else list(loggers) if loggers is not True else []
    )
    ours = [] if any(isinstance(logger, RunCSVLogger) for logger in found) else [RunCSVLogger()]
    return [*ours, *found]


def fill_folders(settings: Any, folder: Path | None) -> list[Any]:
    """Give loggers that need a folder, such as TensorBoard's, that of the run if they have none.

    Args:
        settings: The trainer's loggers, as they were parsed.
        folder: The run's; an empty text stands for it before there is one, and in the config that
            is kept, which is not for one run.

    Returns:
        The arguments that were changed.
    """
    filled = []
    for spec in specs(settings):
        arguments = spec.get("init_args")
        has_none = arguments is not None and not arguments.get("save_dir", "elsewhere")
        if has_none and _needs_folder(spec["class_path"]):
            arguments["save_dir"] = "" if folder is None else str(folder)
            filled.append(arguments)
    return filled


def _needs_folder(class_path: str) -> bool:
    module, _, name = class_path.rpartition(".")
    found = getattr(sys.modules.get(module), name, None)  # the parser has imported it
    parameters = inspect.signature(found).parameters if isinstance(found, type) else {}
    return "save_dir" in parameters and parameters["save_dir"].default is inspect.Parameter.empty


@contextmanager
def after_training(loggers: Iterable[Logger]) -> Iterator[None]:
    """Call numbers ``best/val/...`` that would be one point more of the curve ``val/...``."""
    with renamed_metrics(loggers, _best):
        yield


def _best(name: str, value: Any) -> str:
    return f"best/{name}" if name.startswith("val/") and isinstance(value, float | int) else name
