"""How a run ends before its end: by a signal, by an error, or by an error of another process."""

import shlex
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from torch import distributed as dist

from lit_tasks.cli import run_folder
from lit_tasks.cli.record import shorter
from lit_tasks.printable import printable
from lit_tasks.torch_internals import process_store

INTERRUPTED, TERMINATED = 130, 143  # the exit codes of a shell for SIGINT and SIGTERM
_KEY = "lit_tasks/failure"
_PATIENCE = 5.0  # seconds that processes wait for each other's words


@contextmanager
def signals() -> Iterator[None]:
    """Let SIGTERM end this block as ``SystemExit``; give both signals back after it.

    Lightning ignores SIGINT from the first on, also for what a notebook does later.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGTERM, _leave)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(TERMINATED)


def code_of(stop: SystemExit) -> int:
    """Return the exit code; Lightning turns a KeyboardInterrupt into 1."""
    if isinstance(stop.__context__, KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(stop.code, str):
        print(f"lit-tasks: error: {printable(stop.code)}", file=sys.stderr)
        return 1
    return int(stop.code or 0)


def print_stopped(words: Sequence[str], code: int) -> None:
    """Print where the files of a run that a signal ended are, and which command goes on."""
    folder = run_folder.announced()
    if folder is None or code not in (INTERRUPTED, TERMINATED) or not run_folder.is_first():
        return
    what = "interrupted" if code == INTERRUPTED else "terminated"
    print(printable(f"{what}; run folder: {shorter(folder)}"), file=sys.stderr)
    print(f"{_how(words)}:\n  {printable(command_to_go_on(words))}", file=sys.stderr)


def _how(words: Sequence[str]) -> str:
    folder = run_folder.announced()
    if words[0] == "fit" and folder is not None and run_folder.last_checkpoint(folder) is None:
        return "there is no last.ckpt yet, so this begins again"
    return "go on with" if words[0] in ("fit", "predict") else "once more"


def command_to_go_on(words: Sequence[str]) -> str:
    """Return the command that goes on in the folder of this run."""
    command, *flags = words
    kept = []
    rest = iter(flags)
    for word in rest:
        name, equals, _ = word.partition("=")
        if name not in ("--run_dir", "--resume"):
            kept.append(word)
        elif not equals:
            next(rest, None)
    new = [f"--run_dir={shorter(folder)}"] if (folder := run_folder.announced()) else []
    new += ["--resume=true"] if command == "fit" else []
    return shlex.join(["lit-tasks", command, *kept, *new])


def shared(error: BaseException, sentence: str, words: Sequence[str]) -> str:
    """Return what this process should say: its own reason, or that of the one that failed first.

    An error of one process ends the others with "connection closed by peer". The reason is passed
    on through the store by which they found each other.
    """
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return sentence
    is_own = not _is_lost_connection(error)
    with suppress(RuntimeError):  # the process that keeps the store is gone
        store: Any = process_store()
        if is_own:
            _tell(store, f"process {dist.get_rank()}: {sentence}")
        elif told := _heard(store):
            return told
    if is_own:
        return sentence
    return (
        f"another process of this run ended, see what it said or whether it was killed; "
        f"{_how(words)}: {command_to_go_on(words)}"
    )


def _is_lost_connection(error: BaseException) -> bool:
    signs = ("gloo", "nccl", "by peer", "broken pipe", "connection", "c10d", "socket")
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(sign in text for sign in signs)


def _tell(store: Any, sentence: str) -> None:
    """Leave a sentence for the others, and wait a moment for them if the store is ours."""
    world = dist.get_world_size()
    store.compare_set(_KEY, "", sentence)
    heard = store.add(f"{_KEY}/heard", 1)
    if dist.get_rank() > 0 or dist.get_backend() != "gloo":
        return
    dist.destroy_process_group()  # others that wait for this process wait no longer
    deadline = time.monotonic() + _PATIENCE
    while heard < world and time.monotonic() < deadline:
        time.sleep(0.05)
        heard = store.add(f"{_KEY}/heard", 0)


def _heard(store: Any) -> str:
    deadline = time.monotonic() + 1
    while not store.check([_KEY]):
        if time.monotonic() > deadline:
            return ""
        time.sleep(0.05)
    store.add(f"{_KEY}/heard", 1)
    return str(store.get(_KEY).decode())
