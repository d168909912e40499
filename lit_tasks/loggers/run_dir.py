"""Where the loggers of a run write when nobody says so."""

import os
from pathlib import Path


def announced() -> Path:
    """Return the run's folder as the command line announces it; else the working directory."""
    return Path(os.environ.get("LIT_TASKS_RUN_DIR", "."))
