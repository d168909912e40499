"""``lit-tasks sweep FILE.yaml``: the trials of a W&B sweep file, one after the other, locally.

Each trial is a process of its own with its values on the command line, so that all processes that
it starts see the same. Its folder says whether it is done; started again, a sweep goes on.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lit_tasks import bundled_configs
from lit_tasks.files import atomic_write, read_json, read_yaml
from lit_tasks.printable import printable
from lit_tasks.runs import compare
from lit_tasks.runs.command_line import OptionParser, answered
from lit_tasks.runs.lock import FolderLock
from lit_tasks.runs.result_entries import read_results
from lit_tasks.runs.search_space import Space, Trial, grid, random_trial, space

_INTERRUPTED, _TERMINATED = 130, 143  # the exit codes of a shell for SIGINT and SIGTERM
_RECORD = "trial.json"


@dataclass(frozen=True)
class Sweep:
    """A sweep file.

    Attributes:
        path: The file.
        name: What the sweep is called: its folder, and its group in W&B.
        method: ``grid`` or ``random``.
        command: Words of a trial's command; ``${args}`` stands for its values.
        parameters: What is tried.
        max_trials: Trials of a random search; none if the file does not say.
        metric: What trials are judged by, as results.json has it; none if the file does not say.
        goal: ``maximize`` or ``minimize`` it, likewise.
    """

    path: Path
    name: str
    method: str
    command: list[str]
    parameters: Space
    max_trials: int | None
    metric: str | None = None
    goal: str | None = None

    def trials(self, count: int | None, seed: int) -> list[Trial]:
        """Return what is to be tried.

        Raises:
            ValueError: Nobody said how many trials a random search has.
        """
        count = count or self.max_trials
        if self.method == "grid":
            return grid(self.parameters, str(self.path))[:count]
        if count is None:
            raise ValueError(f"{self.path}: a random search needs --trials N or run_cap: N")
        return [random_trial(self.parameters, number, seed) for number in range(count)]


def main(words: Sequence[str]) -> int:
    """Run a sweep and compare its trials; return the exit code."""
    return answered(lambda: _run(*_options(words)))


def _options(words: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    parser = OptionParser(
        prog="lit-tasks sweep",
        description="Run the grid or random search of a W&B sweep file without a server. Options"
        " that are not listed here go to every trial, such as --trainer.max_epochs=1.",
        allow_abbrev=False,
    )
    parser.add_argument("file", type=Path, help="a sweep file, as in configs/sweeps")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of all runs")
    parser.add_argument("--trials", type=int, help="how many trials at most")
    parser.add_argument("--seed", type=int, default=0, help="of a random search")
    parser.add_argument("--dry_run", action="store_true", help="print the commands only")
    options, more = parser.parse_known_args(list(words))
    if options.trials is not None and options.trials < 1:
        raise ValueError(f"trials must be at least 1, got {options.trials}")
    return options, more


def read(path: Path) -> Sweep:
    """Return a sweep file's content.

    Raises:
        ValueError: The file cannot be used; the sentence says why.
    """
    if not path.is_file():
        known = ", ".join(bundled_configs.names("", "sweeps"))
        raise ValueError(f"there is no sweep file {path}; give one of yours, or {known}")
    said = read_yaml(path)
    if not isinstance(said.get("parameters"), Mapping):
        raise ValueError(f"{path} must have parameters: a mapping of settings to what to try")
    method = said.get("method", "grid")
    if method not in ("grid", "random"):
        raise ValueError(
            f"{path}: method {method} needs W&B's server (`wandb sweep {path}`); locally it must be"
            " grid or random"
        )
    command = [str(word) for word in said.get("command") or ()]
    if "${args}" not in command or "fit" not in command:
        raise ValueError(
            f"{path} needs a command that runs `lit_tasks fit` and ends with ${{args}}"
        )
    name = _checked(str(said.get("name", path.stem)), path)
    parameters = space(said["parameters"], str(path))
    judged = said.get("metric")
    metric = dict(judged) if isinstance(judged, Mapping) else {}
    goal = metric.get("goal")
    if goal not in (None, "maximize", "minimize"):
        raise ValueError(f"{path}: the goal of metric must be maximize or minimize, got {goal!r}")
    named = None if "name" not in metric else str(metric["name"]).removeprefix("best/")
    return Sweep(
        path,
        name,
        method,
        command=command,
        parameters=parameters,
        max_trials=said.get("run_cap"),
        metric=named,
        goal=goal,
    )


def _checked(name: str, path: Path) -> str:
    if name in ("", ".", "..", "latest") or {"/", os.sep, "\0"} & set(name):
        raise ValueError(
            f"{path}: name must be the name of a folder in --runs, other than 'latest', and have no"
            f" separator, got {name!r}"
        )
    return name


def command_of(sweep: Sweep, trial: Trial) -> list[str]:
    """Return the words of a trial's command: those that W&B's agent would run."""
    stands_for = {
        "${env}": ["/usr/bin/env"],
        "${interpreter}": [sys.executable],
        "${program}": ["-m", "lit_tasks"],
        "${args}": [f"--{name}={value}" for name, value in trial.items()],
    }
    return [word for said in sweep.command for word in stands_for.get(said, [said])]


def _run(options: argparse.Namespace, more: list[str]) -> int:
    sweep = read(bundled_configs.found(options.file, "sweeps"))
    folder = options.runs / sweep.name
    trials = sweep.trials(options.trials, options.seed)
    if options.dry_run:
        for trial in trials:
            print(*command_of(sweep, trial), *more)
        return 0
    folder.mkdir(parents=True, exist_ok=True)
    lock = FolderLock(folder)
    try:
        failed = _try_all(sweep, trials, folder=folder, more=more)
    except _StoppedError as stopped:
        print(stopped, file=sys.stderr)
        return stopped.code
    finally:
        lock.release()
    compare.main([str(folder), *_by(sweep, folder)])
    if failed:
        print(
            f"lit-tasks: error: trials {failed} failed; started again, the same command tries"
            " them once more",
            file=sys.stderr,
        )
    return 1 if failed else 0


def _by(sweep: Sweep, folder: Path) -> list[str]:
    """Return the words that order a comparison by the sweep's metric, if any trial has it."""
    entries = [read_results(path) for path in folder.glob("*/results.json")]
    if sweep.metric is None or not any(sweep.metric in found for found in entries):
        return []
    return ["--by", sweep.metric, *(["--goal", sweep.goal] if sweep.goal else [])]


class _StoppedError(Exception):
    """A signal ended a trial, and the sweep with it."""

    def __init__(self, number: int, code: int) -> None:
        what = "interrupted" if code == _INTERRUPTED else "terminated"
        super().__init__(f"{what} in trial {number}; the same command goes on there")
        self.code = code


def _try_all(sweep: Sweep, trials: Sequence[Trial], folder: Path, more: list[str]) -> list[int]:
    """Run the trials that are not done; return the numbers of those that failed."""
    failed = []
    for number, trial in enumerate(trials, start=1):
        trial_folder = folder / f"{number:03}"
        said = printable(", ".join(f"{name}={value}" for name, value in trial.items()))
        if _is_done(trial_folder, trial):
            print(f"trial {number} of {len(trials)} is done: {said}", file=sys.stderr)
            continue
        print(f"trial {number} of {len(trials)}: {said}", file=sys.stderr)
        code = _try(sweep, trial, trial_folder=trial_folder, more=more)
        if code in (_INTERRUPTED, _TERMINATED):
            raise _StoppedError(number, code)
        if code and number == 1:
            raise ValueError(f"the first trial failed with exit code {code}: see what it printed")
        failed += [number] if code else []
    return failed


def _is_done(trial_folder: Path, trial: Trial) -> bool:
    """Return whether a trial is done.

    Raises:
        ValueError: Its folder holds a trial with other values, or anything else.
    """
    if not trial_folder.exists() or not any(trial_folder.iterdir()):
        return False
    known = _recorded(trial_folder / _RECORD)
    if known is None:
        raise ValueError(
            f"{trial_folder} is not a trial of this sweep, for it has no {_RECORD} of one: give the"
            " sweep another name, or choose another --runs"
        )
    if known["values"] != json.loads(json.dumps(trial)):
        raise ValueError(
            f"{trial_folder} holds a trial with other values, {known['values']}: the sweep file has"
            " changed; give it another name, or choose another --runs"
        )
    return bool(known["exit_code"] == 0)


def _recorded(path: Path) -> dict[str, Any] | None:
    """Return what a trial's record says, if it is one."""
    try:
        known = read_json(path)
    except (OSError, ValueError):
        return None
    return known if isinstance(known, dict) and {"values", "exit_code"} <= set(known) else None


def _try(sweep: Sweep, trial: Trial, trial_folder: Path, more: list[str]) -> int:
    """Run a trial, from its last checkpoint where it was interrupted; return its exit code."""
    if (trial_folder / _RECORD).exists() and not (
        trial_folder / "checkpoints" / "last.ckpt"
    ).is_file():
        FolderLock(trial_folder).release()  # refuses the folder of a trial that still runs
        shutil.rmtree(trial_folder)  # interrupted before anything could be continued
    trial_folder.mkdir(parents=True, exist_ok=True)
    _note(trial_folder, trial, None)
    words = [*command_of(sweep, trial), *more, f"--run_dir={trial_folder}", "--resume=true"]
    surroundings = {k: v for k, v in os.environ.items() if k != "LIT_TASKS_RUN_DIR"}
    process = subprocess.Popen(words, env={**surroundings, "WANDB_RUN_GROUP": sweep.name})
    with _passed_on(process):
        try:
            code = process.wait()
        except KeyboardInterrupt:  # the trial gets it too, and saves what it has
            process.wait()
            return _INTERRUPTED
    if code in (-signal.SIGINT, -signal.SIGTERM):
        code = 128 - code
    if code not in (_INTERRUPTED, _TERMINATED):
        _note(trial_folder, trial, code)
    return code


@contextmanager
def _passed_on(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Pass SIGTERM on to a process, which saves what it has, and go on waiting for it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda number, frame: process.terminate())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _note(trial_folder: Path, trial: Trial, code: int | None) -> None:
    with atomic_write(trial_folder / _RECORD) as beside:
        beside.write_text(json.dumps({"values": trial, "exit_code": code}, indent=2) + "\n")
