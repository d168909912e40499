"""One folder per run, chosen once, known to every process of the run.

``runs/<experiment>/<time>-<id>/`` holds everything that a run writes; ``runs/latest`` is a link to
the newest. The folder is announced in the environment, because processes that Lightning starts
later run the same command again and must come to the same answer.
"""

import errno
import os
import secrets
import time
from pathlib import Path

from lightning.fabric.utilities.rank_zero import rank_zero_only

VARIABLE = "LIT_TASKS_RUN_DIR"


def choose(runs: Path, experiment: str, run_dir: Path | None, resume: bool) -> Path:
    """Return the folder of this run; the process of rank 0 creates it and links ``latest`` to it.

    Args:
        runs: Folder of all runs.
        experiment: Name that groups runs, one folder each under ``runs``.
        run_dir: The folder itself, when the user wants to name it.
        resume: Whether to go on in the newest run of the experiment that has a ``last.ckpt``.

    Raises:
        ValueError: The folder cannot be made or not be written into.
    """
    if announced := os.environ.get(VARIABLE):
        return Path(announced)
    chosen = run_dir or (newest_unfinished(runs / experiment) if resume else None)
    chosen = (chosen or runs / experiment / _new_name()).absolute()
    os.environ[VARIABLE] = str(chosen)
    if getattr(rank_zero_only, "rank", 0) == 0:
        _make(chosen)
        if runs.absolute() in chosen.parents:
            _link_latest(runs.absolute(), chosen)
    return chosen


def current() -> Path:
    """Return the folder of this run; outside of a run, the working directory."""
    return Path(os.environ.get(VARIABLE, "."))


def forget() -> None:
    """End the announcement, so that the next run of this process gets a folder of its own."""
    os.environ.pop(VARIABLE, None)


def last_checkpoint(run_dir: Path) -> Path | None:
    """Return ``checkpoints/last.ckpt`` of a run, or ``None`` while there is none."""
    path = run_dir / "checkpoints" / "last.ckpt"
    return path if path.is_file() else None


def is_used(run_dir: Path) -> bool:
    """Return whether a run has left more than its configuration: figures or weights."""
    checkpoints = run_dir / "checkpoints"
    return (run_dir / "metrics.csv").exists() or any(checkpoints.glob("*.ckpt"))


def newest_unfinished(experiment_dir: Path) -> Path | None:
    """Return the newest run of an experiment that can be resumed, or ``None``."""
    folders = [p for p in experiment_dir.glob("*") if last_checkpoint(p)]
    return max(
        folders, key=lambda p: (p / "checkpoints" / "last.ckpt").stat().st_mtime, default=None
    )


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise
        raise ValueError(
            f"nothing can be written into the run's folder {folder} ({error.strerror}): choose "
            "another with --run_dir, or another place for all runs with --runs"
        ) from error


def _new_name() -> str:
    """Return a name that sorts by time; runs of the same second still get different ones.

    Under torchrun the processes share no environment of ours: only the folder of rank 0 is made,
    and the others ask ``Trainer.log_dir``, which is broadcast.
    """
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"


def _link_latest(runs: Path, run_dir: Path) -> None:
    beside = runs / f".latest-{secrets.token_hex(4)}"
    try:
        beside.symlink_to(run_dir.relative_to(runs), target_is_directory=True)
        beside.replace(runs / "latest")
    except OSError:  # a file system without links: the link is a comfort, not a need
        beside.unlink(missing_ok=True)
