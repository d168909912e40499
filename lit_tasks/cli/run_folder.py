"""One folder per run, chosen once, known to every process of the run.

``runs/<experiment>/<time>-<id>/`` holds everything that a run writes; ``runs/latest`` is a link to
the newest that trained. The folder is announced in the environment, because processes that
Lightning starts later run the same command again and must come to the same answer.
"""

import errno
import os
import secrets
import time
from contextlib import suppress
from pathlib import Path

from lightning.fabric.utilities.rank_zero import rank_zero_only

from lit_tasks.runs.lock import FolderLock

VARIABLE = "LIT_TASKS_RUN_DIR"
LATEST = "latest"
#: Where launchers other than torchrun, which sets RANK, say which process this is. Of a machine's
#: main process Lightning's own says the machine only.
_RANKS = (
    *("LOCAL_RANK", "NODE_RANK", "GROUP_RANK"),
    *("SLURM_PROCID", "JSM_NAMESPACE_RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK"),
)
_held: list[FolderLock] = []


def choose(runs: Path, experiment: str, run_dir: Path | None, resume: bool) -> Path:
    """Return the folder of this run; the process of rank 0 creates and locks it.

    Args:
        runs: Folder of all runs.
        experiment: Name that groups runs, one folder each under ``runs``.
        run_dir: The folder itself, when the user wants to name it.
        resume: Whether to go on in the newest run of the experiment that has a ``last.ckpt``.

    Raises:
        ValueError: The folder cannot be made, not be written into, or another run is using it.
    """
    if announced := os.environ.get(VARIABLE):
        return Path(announced)
    _check_name(experiment)
    chosen = run_dir or (newest_unfinished(runs / experiment) if resume else None)
    if chosen is not None:
        chosen = resolved(chosen).absolute()
        if is_first():
            _make(chosen)
    else:
        chosen = (_new_folder if is_first() else _new_name)((runs / experiment).absolute())
    if is_first():
        _held.append(FolderLock(chosen))
    os.environ[VARIABLE] = str(chosen)
    return chosen


def is_first() -> bool:
    """Return whether this is the process that writes, also before the processes have met."""
    if rank := os.environ.get("RANK"):
        return rank == "0"
    said = [os.environ[name] for name in _RANKS if name in os.environ]
    return all(rank == "0" for rank in said) and getattr(rank_zero_only, "rank", 0) == 0


def resolved(path: Path) -> Path:
    """Return a path with what ``runs/latest`` stands for in its place, for that will move."""
    links = [part for part in (path, *path.parents) if part.name == LATEST and part.is_symlink()]
    return path.resolve() if links else path


def current() -> Path:
    """Return the folder of this run; outside of a run, the working directory."""
    return announced() or Path(".")


def announced() -> Path | None:
    """Return the folder of this run, once there is one."""
    return Path(folder) if (folder := os.environ.get(VARIABLE)) else None


def forget() -> None:
    """Unlock the folder, so that the next run of this process gets one of its own."""
    os.environ.pop(VARIABLE, None)
    while _held:
        _held.pop().release()


def last_checkpoint(run_dir: Path) -> Path | None:
    """Return ``checkpoints/last.ckpt`` of a run, or ``None`` while there is none."""
    path = run_dir / "checkpoints" / "last.ckpt"
    return path if path.is_file() else None


def check_unused(run_dir: Path) -> None:
    """Refuse a folder where a run has left more than its configuration: metrics or weights.

    Raises:
        ValueError: It has.
    """
    files = ("metrics.csv", "results.json", "checkpoints/*.ckpt", "predictions/*")
    if any(True for pattern in files for _ in run_dir.glob(pattern)):
        raise ValueError(
            f"run_dir {run_dir} already holds a run; go on in it with --resume=true or choose "
            "another folder"
        )


def holds(run_dir: Path, path: Path | str | None) -> bool:
    """Return whether a file lies in a run's folder."""
    return path is not None and run_dir.absolute() in Path(path).absolute().parents


def newest_unfinished(experiment_dir: Path) -> Path | None:
    """Return the newest run of an experiment that can be resumed, or ``None``."""
    folders = [p for p in experiment_dir.glob("*") if last_checkpoint(p)]
    return max(
        folders, key=lambda p: (p / "checkpoints" / "last.ckpt").stat().st_mtime, default=None
    )


def link_latest(runs: Path, run_dir: Path) -> None:
    """Let ``runs/latest`` stand for a run, if it lies in ``runs``."""
    runs = runs.absolute()
    if runs not in run_dir.parents:
        return
    beside = runs / f".{LATEST}-{secrets.token_hex(4)}"
    try:
        beside.symlink_to(run_dir.relative_to(runs), target_is_directory=True)
        beside.replace(runs / LATEST)
    except OSError:  # a file system without links: the link is a comfort, not a need
        beside.unlink(missing_ok=True)


def _check_name(experiment: str) -> None:
    if experiment in ("", ".", "..", LATEST) or "/" in experiment or os.sep in experiment:
        raise ValueError(
            f"experiment must be the name of a folder in --runs, other than {LATEST!r}, and have "
            f"no separator, got {experiment!r}"
        )


def _make(folder: Path, exist_ok: bool = True) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=exist_ok)
        if not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
    except OSError as error:
        if error.errno == errno.ENOSPC or not (exist_ok or error.errno != errno.EEXIST):
            raise
        raise ValueError(
            f"nothing can be written into the run's folder {folder} ({error.strerror}): choose "
            "another with --run_dir, or another place for all runs with --runs"
        ) from error


def _new_folder(experiment_dir: Path) -> Path:
    while True:
        folder = _new_name(experiment_dir)
        with suppress(FileExistsError):  # another run of the same second
            _make(folder, exist_ok=False)
            return folder


def _new_name(experiment_dir: Path) -> Path:
    """Return a folder whose name sorts by time, and differs from those of the same second.

    Under torchrun the processes share no environment of ours: only the folder of rank 0 is made,
    and the others ask ``Trainer.log_dir``, which is broadcast.
    """
    return experiment_dir / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
