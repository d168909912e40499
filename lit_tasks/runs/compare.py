"""``lit-tasks compare RUN RUN ...``: runs side by side, from their folders alone."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from lit_tasks.printable import printable
from lit_tasks.runs import formats
from lit_tasks.runs.analysis import Comparison, Pair, compare
from lit_tasks.runs.command_line import OptionParser, answered
from lit_tasks.runs.folder import find, read

_MAX_SETTINGS = 3  # settings that fit into the legend of an image


def main(words: Sequence[str]) -> int:
    """Print a comparison; return the exit code, after one sentence on stderr if it failed."""
    return answered(lambda: _run(_options(words)))


def _options(words: Sequence[str]) -> argparse.Namespace:
    parser = OptionParser(
        prog="lit-tasks compare",
        description="Compare runs by the files in their folders. Repetitions with other seeds are"
        " grouped; runs that were tested on the same samples are compared sample by sample.",
    )
    parser.add_argument("runs", nargs="+", help="run folders, folders of runs, or globs")
    parser.add_argument("--metrics", nargs="+", default=(), help="which metrics to show")
    parser.add_argument(
        "--over",
        nargs="+",
        default=("seed_everything",),
        help="settings that only repeat an experiment (default: seed_everything)",
    )
    parser.add_argument(
        "--against", type=int, default=1, help="number of the run to pair the others with"
    )
    parser.add_argument(
        "--by", metavar="METRIC", help="number the runs by this metric, and name the best"
    )
    parser.add_argument(
        "--goal", choices=("maximize", "minimize"), help="of --by, where no run declares it"
    )
    formats = ("table", "markdown", "latex", "csv", "json")
    parser.add_argument("--format", choices=formats, default="table")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="draw the curves, overlaid")
    return parser.parse_args(list(words))


def _run(options: argparse.Namespace) -> int:
    runs = [read(path) for path in find(options.runs)]
    comparison = compare(
        runs,
        options.metrics,
        over=options.over,
        against=options.against,
        by=options.by,
        goal=options.goal,
    )
    printed = {
        "markdown": formats.as_markdown,
        "latex": formats.as_latex,
        "csv": formats.as_csv,
        "json": formats.as_json,
    }
    if options.format in printed:
        sys.stdout.write(printed[options.format](comparison))
    else:
        print_table(comparison)
    if options.plot is not None:
        plot(comparison, options.plot)
        print(printable(f"curves: {options.plot}"), file=sys.stderr)
    return 0


def print_table(comparison: Comparison) -> None:
    """Print a comparison to the terminal."""
    from rich.console import Console

    piped = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    console = Console(width=120 if piped else None)
    formats.print_to(comparison, console)
    if comparison.best is not None:
        print(printable(best_line(comparison)))


def best_line(comparison: Comparison) -> str:
    """Return which run is the best, what its settings are, and how far it is ahead."""
    best = comparison.best
    assert best is not None
    said = [f"{key}={values[best.run - 1]}" for key, values in comparison.settings.items()]
    line = f"best by {best.metric}: run {best.run} ({comparison.names[best.run - 1]})"
    line += f" with {', '.join(said)}" if said else ""
    line += f", {best.value:.4f}"
    if best.interval is not None:
        line += " ({:.4f}-{:.4f})".format(*best.interval)
    if best.ahead is not None:
        line += f", {best.ahead:.4f} better than run {best.next}"
        kind = best.metric.rpartition("/")[2]
        pairs = [p for p in comparison.pairs if p.metric == kind and p.run == best.next]
        line += f" (p {pairs[0].difference.p:.2g})" if pairs and comparison_is_paired(pairs) else ""
    return line


def comparison_is_paired(pairs: Sequence[Pair]) -> bool:
    """Return whether differences are to the best run, which has number 1."""
    return all(pair.against == 1 for pair in pairs)


def plot(comparison: Comparison, path: Path) -> None:
    """Draw the curves of all runs into one image.

    Raises:
        ValueError: No run has a curve of what is compared.
    """
    from lit_tasks.plots import overlaid_curves, save_figure
    from lit_tasks.runs.curves import curve_names, of_training

    rows = {
        _label(comparison, number): of_training(run.rows())
        for number, run in enumerate(comparison.runs)
    }
    known = list(dict.fromkeys(n for r in rows.values() for n in curve_names(r)))
    wanted = [name for name in comparison.metrics if name in known]
    if "train/loss" in known and "train/loss" not in wanted:
        wanted.insert(0, "train/loss")
    if not wanted:
        raise ValueError("there is nothing to plot: no run has a curve in its metrics.csv")
    figure = overlaid_curves(rows, wanted)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_figure(figure, path, format=path.suffix.removeprefix(".") or "png")


def _label(comparison: Comparison, index: int) -> str:
    """Return a run's number with its settings, or with its name where they are many or none."""
    settings = [f"{key}={values[index]}" for key, values in comparison.settings.items()]
    told = ", ".join(settings) if 0 < len(settings) <= _MAX_SETTINGS else comparison.names[index]
    return printable(f"{index + 1}: {told}")
