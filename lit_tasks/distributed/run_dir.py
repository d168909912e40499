"""The one folder of a run, which all processes agree on once."""

from pathlib import Path
from weakref import WeakKeyDictionary

from lightning.pytorch import Trainer

_AGREED: WeakKeyDictionary[Trainer, Path] = WeakKeyDictionary()


def run_dir(trainer: Trainer) -> Path:
    """Return the folder where a run writes: the first logger's, else ``default_root_dir``.

    ``trainer.log_dir`` is a broadcast: all processes wait until each has asked. This function asks
    once, so whoever uses it calls it in ``setup``, which all processes come to together; from then
    on it is a look-up, and a process may ask alone.
    """
    if trainer not in _AGREED:
        _AGREED[trainer] = Path(trainer.log_dir or trainer.default_root_dir)
    return _AGREED[trainer]
