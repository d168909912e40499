"""One process at a time writes into a run folder: a file there says who does."""

import json
import os
import secrets
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

NAME = "run.lock"
_BEAT = 30.0  # seconds between two signs of life
_SILENT = 600.0  # seconds without one, after which a process of another machine counts as dead


class FolderLock:
    """The file ``run.lock`` in a folder; it is there as long as its process writes there.

    It names host, process id and the start time of the process. On the same machine it counts for
    nothing once that process is gone, also when its id was given to another one. Of another machine
    nobody can tell, so the file is touched every half minute, and after ten minutes of silence it
    counts for nothing either. A job that torchrun or SLURM starts again may follow itself at once.

    Args:
        folder: The folder, which must exist.

    Raises:
        ValueError: Another process writes there; the sentence names it.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self._text = json.dumps(_this_process())
        while not _created(self.path, self._text):
            _remove_stale(self.path)
        self._ended = threading.Event()
        threading.Thread(target=self._show_life, name="run-lock", daemon=True).start()

    def release(self) -> None:
        """Remove the file, if it is still ours."""
        self._ended.set()
        if _read(self.path) == self._text:
            self.path.unlink(missing_ok=True)

    def _show_life(self) -> None:
        while not self._ended.wait(_BEAT) and _read(self.path) == self._text:
            with suppress(OSError):
                os.utime(self.path)


def is_free(folder: Path) -> bool:
    """Return whether no living process holds the lock of a folder."""
    text = _read(folder / NAME)
    return text is None or _is_stale(folder / NAME, text)


def _created(path: Path, text: str) -> bool:
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError:
        return False
    try:
        with os.fdopen(file, "w") as opened:
            opened.write(text)
    except OSError:  # the disk is full
        path.unlink(missing_ok=True)
        raise
    return True


def _remove_stale(path: Path) -> None:
    """Remove the lock of a process that is gone; one that another process made since is put back.

    Raises:
        ValueError: The process lives.
    """
    text = _read(path)
    if text is None:
        return
    if not _is_stale(path, text):
        raise ValueError(_sentence(path, text))
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with suppress(FileNotFoundError):  # another process was faster
        path.rename(aside)
        if _read(aside) != text:
            aside.rename(path)
        aside.unlink(missing_ok=True)


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None


def _is_stale(path: Path, text: str) -> bool:
    holder = _parsed(text)
    if holder.get("machine") == _machine() and isinstance(holder.get("pid"), int):
        return not _lives(holder["pid"], holder.get("started"))
    return holder.get("job") in _earlier_jobs() or _silent_for(path) > _SILENT


def _parsed(text: str) -> dict[str, Any]:
    """Return what a lock says; nothing of one that its process is just writing."""
    try:
        holder = json.loads(text)
    except ValueError:
        return {}
    return holder if isinstance(holder, dict) else {}


def _this_process() -> dict[str, Any]:
    pid = os.getpid()
    return {
        "host": socket.gethostname(),
        "machine": _machine(),
        "pid": pid,
        "started": _started(pid),
        "job": _job(),
    }


def _machine() -> str:
    """Return what is the same where process ids mean the same: each container has its own."""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    return socket.gethostname()


def _job() -> str | None:
    run, job = os.environ.get("TORCHELASTIC_RUN_ID", "none"), os.environ.get("SLURM_JOB_ID")
    if run != "none":
        return f"torchrun {run}"
    return f"slurm {job} {os.environ.get('SLURM_RESTART_COUNT', 0)}" if job else None


def _earlier_jobs() -> set[str]:
    """Return the names of jobs that have ended when this one, the same once more, starts."""
    name, _, restarts = (_job() or "").rpartition(" ")
    if name == "torchrun":  # its agents end all processes before they start new ones
        return {f"torchrun {restarts}"}
    return {f"{name} {number}" for number in range(int(restarts or 0))}


def _lives(pid: int, started: str | None) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        pass
    return started is None or _started(pid) in (None, started)


def _started(pid: int) -> str | None:
    """Return when a process started, where the system says so; ``gone`` if it only is listed."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return "gone" if words[0] in "ZX" else words[19]


def _silent_for(path: Path) -> float:
    """Return the seconds since the last sign of life, by the clock of the file system."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        beside.touch()
        return beside.stat().st_mtime - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
    finally:
        beside.unlink(missing_ok=True)


def _sentence(path: Path, text: str) -> str:
    holder = _parsed(text)
    who = f"process {holder.get('pid', 'unknown')} on {holder.get('host', 'an unknown host')}"
    return (
        f"{path.parent} is in use by {who}: wait for it or choose another folder; if that process "
        f"no longer exists, delete {path}"
    )
