"""A run folder as numbers: its settings, its results, and how it did on each sample."""

import glob
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lit_tasks.files import read_yaml
from lit_tasks.metrics.names import without_stage
from lit_tasks.printable import printable
from lit_tasks.runs.curves import Row, best_and_last, read_rows
from lit_tasks.runs.result_entries import read_results
from lit_tasks.runs.sample_tables import read_samples
from lit_tasks.runs.settings import flat

_CHECKPOINT = "checkpoint.init_args"
_FILES = ("config.yaml", "metrics.csv", "results.json")


@dataclass(frozen=True)
class Run:
    """What a run folder holds.

    Attributes:
        path: The folder.
        settings: The resolved configuration, flat.
        results: For each metric ``value`` (of the best checkpoint) with ``interval`` and
            ``samples``, the ``best`` and ``last`` points of its curve, and whether
            ``higher_is_better``; what there is.
    """

    path: Path
    settings: dict[str, Any] = field(default_factory=dict)
    results: dict[str, dict[str, Any]] = field(default_factory=dict)

    def rows(self) -> list[Row]:
        """Return the rows of ``metrics.csv``; none if there is no such file."""
        path = self.path / "metrics.csv"
        return read_rows(path) if path.is_file() else []

    def samples(self, stage: str) -> dict[str, dict[str, str]]:
        """Return what was written of each sample of ``val`` or ``test``, by id."""
        path = self.path / f"samples_{stage}.csv"
        return read_samples(path) if path.is_file() else {}


def find(words: Sequence[str]) -> list[Path]:
    """Return the run folders that folders or globs name, each once, in the order given.

    A folder that is not a run itself stands for the runs in it, also two levels below. What is
    not a run and holds none is skipped, with one line on stderr.

    Raises:
        ValueError: A word names nothing, or none names a run.
    """
    found: dict[Path, Path] = {}
    skipped: list[Path] = []
    for word in words:
        given = [Path(word)] if Path(word).exists() else [Path(p) for p in sorted(glob.glob(word))]
        if not given:
            raise ValueError(f"there is no folder {word}; give run folders, such as runs/latest")
        for path in given:
            runs = _runs_at(path)
            skipped += [] if runs else [path]
            for run in runs:
                found.setdefault(run.resolve(), run)
    if not found:
        raise ValueError(
            f"{words[0]} is not a run folder and holds none: a run has {', '.join(_FILES[:-1])} or"
            f" {_FILES[-1]}"
        )
    if skipped:
        more = f" and {len(skipped) - 1} more" if len(skipped) > 1 else ""
        print(printable(f"skipped, since it is not a run: {skipped[0]}{more}"), file=sys.stderr)
    return list(found.values())


def _runs_at(path: Path) -> list[Path]:
    if _is_run(path):
        return [path]
    if not path.is_dir() or _is_of_run(path):
        return []
    levels: Iterable[str] = ("*", "*/*")
    for level in levels:
        if runs := sorted(p for p in path.glob(level) if not p.is_symlink() and _is_run(p)):
            return runs
    return []


def _is_of_run(path: Path) -> bool:
    """Return whether a run made a folder: W&B keeps a config.yaml of its own two levels below."""
    return path.name == "wandb" and _is_run(path.absolute().parent)


def _is_run(path: Path) -> bool:
    return any((path / name).is_file() for name in _FILES)


def read(path: Path) -> Run:
    """Return a run; best and last values come from the curves where nobody summed them up.

    Raises:
        ValueError: A file cannot be understood; the sentence names file and line.
        OSError: A file cannot be read.
    """
    config, results = path / "config.yaml", read_results(path / "results.json")
    settings = flat(read_yaml(config)) if config.is_file() else {}
    if not any("last" in entry for entry in results.values()):
        for name, points in _from_curves(path, settings).items():
            results[name] = {**points, **results.get(name, {})}
    return Run(path, settings, results)


def _from_curves(path: Path, settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return points of the curves; only what the checkpoint monitors has a known direction."""
    metrics, directions = path / "metrics.csv", {}
    if monitor := settings.get(f"{_CHECKPOINT}.monitor"):
        directions[without_stage(str(monitor))] = settings.get(f"{_CHECKPOINT}.mode") == "max"
    return best_and_last(read_rows(metrics), directions) if metrics.is_file() else {}
