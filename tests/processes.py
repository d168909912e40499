"""Run one function in several processes that Lightning takes for those of torchrun.

The processes are forked from a server that has imported Lightning and done nothing else, so a
start costs hundredths of a second, and no thread of the test's own process is inherited.
"""

import multiprocessing
import os
import signal
import socket
import tempfile
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SERVER = multiprocessing.get_context("forkserver")
#: What a command of any task would import in each process, once for all of them.
PRELOADED = [
    "wandb.sdk.launch.inputs.internal",  # the first of all: lit_tasks/__main__.py says why
    "lit_tasks.cli",
    *(f"lit_tasks.{path.parent.name}.{path.stem}" for kind in ("tasks", "data", "callbacks", "nn")
      for path in sorted((ROOT / "lit_tasks" / kind).glob("[a-z]*.py"))),
    "datasets", "matplotlib.backends.backend_agg", "pandas", "timm", "torchmetrics.classification",
    "torchvision",
]  # fmt: skip
SERVER.set_forkserver_preload(PRELOADED)


def run(world: int, function: Callable[..., Any], *args: Any, seconds: float = 300) -> list[Any]:
    """Return what ``function(*args)`` returns on each of ``world`` processes.

    Raises:
        AssertionError: A process failed, or did not end in time; with all that they printed.
    """
    results, failures = outcomes(world, function, *args, seconds=seconds)
    assert not failures, "\n".join(f"rank {rank}:\n{text}" for rank, text in failures.items())
    return [results[rank] for rank in range(world)]


def outcomes(
    world: int, function: Callable[..., Any], *args: Any, seconds: float = 300
) -> tuple[dict[int, Any], dict[int, str]]:
    """Return the results of the processes that returned, and what the others printed."""
    port = _free_port()
    processes, ends, logs = [], {}, []
    with tempfile.TemporaryDirectory() as folder:
        for rank in range(world):
            receiver, sender = SERVER.Pipe(duplex=False)
            logs.append(Path(folder) / f"{rank}.txt")
            arguments = (sender, rank, world, port, logs[-1], function, args)
            process = SERVER.Process(target=_child, args=arguments)
            process.start()
            sender.close()
            processes.append(process)
            ends[receiver] = rank
        results, failures = _collect(ends, time.monotonic() + seconds)
        for process in processes:
            if failures:
                process.join(1)
            if process.is_alive():
                process.join(5 if process.pid and not failures else 0)
            if process.is_alive():
                process.kill()
                process.join()
        for rank in failures:
            failures[rank] += "\n" + (logs[rank].read_text() if logs[rank].exists() else "")
    return results, failures


def _collect(ends: dict[Connection, int], deadline: float) -> tuple[dict[int, Any], dict[int, str]]:
    results: dict[int, Any] = {}
    failures: dict[int, str] = {}
    while ends:
        ready = wait(list(ends), timeout=max(0, deadline - time.monotonic()))
        if not ready:
            return results, failures | dict.fromkeys(ends.values(), "no end in time")
        for end in ready:
            assert isinstance(end, Connection)
            rank = ends.pop(end)
            try:
                good, value = end.recv()
            except EOFError:
                good, value = False, "died without a word"
            (results if good else failures)[rank] = value
    return results, failures


def _child(
    sender: Connection,
    rank: int,
    world: int,
    port: int,
    log: Path,
    function: Callable[..., Any],
    args: tuple[Any, ...],
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    multiprocessing.set_start_method("fork", force=True)  # for the workers of data loaders
    with log.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    if world > 1:
        os.environ.update(
            RANK=str(rank),
            LOCAL_RANK=str(rank),
            WORLD_SIZE=str(world),
            LOCAL_WORLD_SIZE=str(world),
            GROUP_RANK="0",
            MASTER_ADDR="127.0.0.1",
            MASTER_PORT=str(port),
            TORCHELASTIC_RUN_ID="tests",
        )
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", 1)))
    try:
        sender.send((True, function(*args)))
    except BaseException:
        sender.send((False, traceback.format_exc()))
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
