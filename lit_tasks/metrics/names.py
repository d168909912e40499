"""Names of metrics as they are logged: a stage, and what is measured."""

import re

_STAGE = re.compile(r"^(best/)?(train|val|test)/")


def without_stage(name: str) -> str:
    """Return what follows ``train/``, ``val/``, ``test/`` or ``best/val/`` in a metric's name."""
    return _STAGE.sub("", name)
