"""A comparison in a terminal, as Markdown, as CSV or as JSON."""

import csv
import io
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from lit_tasks.printable import printable
from lit_tasks.runs.analysis import Comparison
from lit_tasks.runs.tables import tables

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


def as_markdown(comparison: Comparison) -> str:
    """Return Markdown tables."""
    parts = []
    for title, columns, rows in tables(comparison):
        lines = [columns, ["---"] * len(columns), *rows]
        escaped = (" | ".join(cell.replace("|", "\\|") for cell in line) for line in lines)
        parts.append("\n".join([f"**{title}**", "", *(f"| {line} |" for line in escaped)]))
    return "\n\n".join([*parts, *map(printable, comparison.notes)]) + "\n"


def as_csv(comparison: Comparison) -> str:
    """Return one row a run: its settings that differ and all its metrics."""
    results = [run.results for run in comparison.runs]
    fields = list(dict.fromkeys(key for entries in results for key in _flat(entries)))
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(map(_cell, ["run", *comparison.settings, *fields]))
    for number, name in enumerate(comparison.names):
        values = _flat(results[number])
        settings = [column[number] for column in comparison.settings.values()]
        cells = [name, *settings, *(values.get(key, "") for key in fields)]
        writer.writerow(map(_cell, cells))
    return file.getvalue()


def _cell(value: Any) -> Any:
    return printable(value) if isinstance(value, str) else value


def _flat(results: dict[str, dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for metric, entry in results.items():
        for key, value in entry.items():
            if key in ("best", "last"):
                found[f"{metric} {key}"] = value.get("value")
                if key == "best" and "epoch" in value:
                    found[f"{metric} best epoch"] = value["epoch"]
            elif key == "higher_is_better":
                continue
            elif key == "interval":
                found[f"{metric} low"], found[f"{metric} high"] = value
            else:
                found[metric if key == "value" else f"{metric} {key}"] = value
    return found


def as_json(comparison: Comparison) -> str:
    """Return everything, with the numbers as they are."""
    runs = [
        {
            "number": number,
            "name": name,
            "folder": str(comparison.runs[number - 1].path),
            "settings": {key: values[number - 1] for key, values in comparison.settings.items()},
            "results": comparison.runs[number - 1].results,
        }
        for number, name in enumerate(comparison.names, start=1)
    ]
    content = {
        "runs": runs,
        "groups": [
            {
                "runs": group.runs,
                "settings": group.settings,
                "metrics": {name: s._asdict() for name, s in group.metrics.items()},
            }
            for group in comparison.groups
        ],
        "pairs": [{**asdict(p), "difference": p.difference._asdict()} for p in comparison.pairs],
        "notes": comparison.notes,
    }
    return json.dumps(content, indent=2) + "\n"


def print_to(comparison: Comparison, console: "Console") -> None:
    """Print for people: readable at 80 columns, whatever the names and however many the runs."""
    from rich.markup import escape

    for title, columns, rows in tables(comparison, console.width):
        console.print(_rich(escape(title), columns, rows, console.width))
    for note in comparison.notes:
        console.print(printable(note), markup=False, highlight=False)


def _rich(title: str, columns: list[str], rows: list[list[str]], width: int) -> "Table":
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    others = sum(
        max([len(c), *(len(row[i]) for row in rows)]) + 2
        for i, c in enumerate(columns)
        if c not in ("run", "settings")
    )
    space = max(12, width - others - 6)
    if "settings" in columns:
        space = max(
            12, min(space // 2, max(len(row[1]) for row in rows) if len(columns) > 2 else space)
        )
    for column in columns:
        words = column in ("run", "settings")
        numeric = not words and column not in ("95 % interval", "runs")
        table.add_column(
            column,
            justify="right" if numeric else "left",
            no_wrap=column != "settings",
            overflow="fold",
        )
    for row in rows:
        cells = [_middle(c, space) if columns[i] == "run" else c for i, c in enumerate(row)]
        table.add_row(*(Text(cell) for cell in cells))
    return table


def _middle(text: str, space: int) -> str:
    """Return the text with its middle left out where it is too long: both ends tell."""
    if len(text) <= space:
        return text
    end = (space - 1) * 2 // 3
    return f"{text[: space - 1 - end]}…{text[-end:]}"
