"""The page: one HTML file that asks nothing of a network, and needs no script."""

import time
from collections.abc import Sequence
from pathlib import Path

from lit_tasks import __version__
from lit_tasks.files import atomic_write
from lit_tasks.printable import printable
from lit_tasks.runs.analysis import compare
from lit_tasks.runs.compare import best_line
from lit_tasks.runs.folder import Run
from lit_tasks.runs.report import sections
from lit_tasks.runs.settings import short_value
from lit_tasks.runs.tables import tables

#: What a page of ours begins with: a file that does not is never replaced.
MARK = "<!doctype html>\n<!-- lit-tasks report -->"


def write_page(content: str, path: Path) -> None:
    """Write a page; an older one is replaced, another file is not.

    Raises:
        ValueError: There is another file.
    """
    if path.exists() and not _is_ours(path):
        raise ValueError(f"{path} is there and is no report: name another file with --output")
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as beside:
        beside.write_text(content, encoding="utf-8")


def _is_ours(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(MARK)) == MARK.encode()


def page_of_run(run: Run) -> str:
    """Return the page of one run."""
    found, left = sections.figures(run)
    about = [
        (what, short_value(run.settings[f"{what}.class_path"]))
        for what in ("model", "data")
        if f"{what}.class_path" in run.settings
    ]
    return _rendered(
        "run.html",
        title=printable(f"{run.path.parent.name}/{run.path.name}"),
        about=[(what, printable(name)) for what, name in about],
        headline=sections.headline(run),
        results=sections.results(run),
        charts=sections.charts({run.path.name: run.rows()}),
        confusion=sections.confusion(run),
        mistakes=sections.mistakes(run),
        captions=sections.captions(run),
        examples=sections.examples(run),
        figures=found,
        figures_left=left,
        settings=sections.settings(run),
        environment=sections.environment(run),
    )


def page_of_runs(runs: Sequence[Run], metrics: Sequence[str] = (), by: str | None = None) -> str:
    """Return the page of several runs: what differs, curves overlaid, paired differences."""
    comparison = compare(runs, metrics, by=by)
    shown = [
        (title, sections.Table.of(columns, rows)) for title, columns, rows in tables(comparison)
    ]
    names = [f"{at}: {name}" for at, name in enumerate(comparison.names, start=1)]
    rows = {name: run.rows() for name, run in zip(names, comparison.runs, strict=True)}
    return _rendered(
        "runs.html",
        title=f"{len(runs)} runs",
        best=None if comparison.best is None else printable(best_line(comparison)),
        tables=shown,
        charts=sections.charts(rows),
        notes=[printable(note) for note in comparison.notes],
        settings=[
            (printable(name), sections.settings(run))
            for name, run in zip(names, comparison.runs, strict=True)
        ],
    )


def _rendered(template: str, **values: object) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made = {"version": __version__, "made": time.strftime("%Y-%m-%d %H:%M")}
    body = environment.get_template(template).render(**values, **made)
    return f"{MARK}\n{body}\n"
