"""``lit-tasks report RUN [RUN ...]``: from the files of run folders to one HTML file."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from lit_tasks.printable import printable
from lit_tasks.runs.command_line import OptionParser, answered
from lit_tasks.runs.folder import find, read
from lit_tasks.runs.report.page import page_of_run, page_of_runs, write_page

NAME = "report.html"


def main(words: Sequence[str]) -> int:
    """Write a report; return the exit code, after one sentence on stderr if it failed."""
    return answered(lambda: _run(words))


def options_of(words: Sequence[str]) -> argparse.Namespace:
    """Return the options of a command line.

    Raises:
        ValueError: They cannot be understood.
    """
    parser = OptionParser(
        prog="lit-tasks report",
        description="Write one HTML page about a run, or about several side by side. It needs no"
        " network and no script.",
    )
    parser.add_argument("runs", nargs="+", help="run folders, folders of runs, or globs")
    parser.add_argument(
        "--output",
        type=Path,
        help=f"the file (default: {NAME} in the folder of the run; of several, where you are)",
    )
    parser.add_argument("--metrics", nargs="+", default=(), help="of several: which to show")
    parser.add_argument("--by", metavar="METRIC", help="of several: number them by this metric")
    return parser.parse_args(list(words))


def _run(words: Sequence[str]) -> int:
    options = options_of(words)
    runs = [read(path) for path in find(options.runs)]
    if len(runs) == 1:
        path = write_report(runs[0].path, options.output)
    else:
        path = options.output or Path(NAME)
        write_page(page_of_runs(runs, options.metrics, options.by), path)
    print(printable(f"report: {path}"), file=sys.stderr)
    return 0


def write_report(folder: Path, path: Path | None = None) -> Path:
    """Write the page of a run, into its folder unless told otherwise; return where it is.

    Raises:
        ValueError: A file of the run cannot be understood, or another file is in the way.
    """
    path = path or folder / NAME
    write_page(page_of_run(read(folder)), path)
    return path
