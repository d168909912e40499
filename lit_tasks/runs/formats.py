"""A comparison in a terminal, as Markdown, LaTeX, CSV or JSON."""

import csv
import io
import json
import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from lit_tasks.printable import printable
from lit_tasks.runs.analysis import Comparison
from lit_tasks.runs.tables import tables

_WORDS = ("run", "settings")  # columns that may be folded
_MARGIN = 3  # characters between two columns
_FOLDED = 12  # characters that such a column has at least
_LATEX = {sign: f"\\{sign}" for sign in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}

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


def as_latex(comparison: Comparison) -> str:
    """Return a table of LaTeX for each, with the rules of the package booktabs."""
    parts = ["% \\usepackage{booktabs}"]
    for title, columns, rows in tables(comparison):
        words = ["l" if column in (*_WORDS, "95 % interval", "runs") else "r" for column in columns]
        lines = [
            "\\begin{table}",
            f"  \\caption{{{_latex(title)}}}",
            f"  \\begin{{tabular}}{{{''.join(words)}}}",
            "    \\toprule",
            f"    {_latex_row(columns)}",
            "    \\midrule",
            *(f"    {_latex_row(row)}" for row in rows),
            "    \\bottomrule",
            "  \\end{tabular}",
            "\\end{table}",
        ]
        parts.append("\n".join(lines))
    return "\n\n".join([*parts, *(f"% {printable(note)}" for note in comparison.notes)]) + "\n"


def _latex_row(cells: list[str]) -> str:
    return " & ".join(map(_latex, cells)) + " \\\\"


def _latex(text: str) -> str:
    return "".join(_LATEX.get(sign, sign) for sign in text)


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
        "best": None if comparison.best is None else asdict(comparison.best),
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

    width = console.width
    for title, columns, rows in tables(comparison, width):
        table, needed = _rich(escape(title), columns, rows=rows, width=width)
        console.width = max(width, needed)
        console.print(table, crop=False)
        console.width = width
    for note in comparison.notes:
        console.print(printable(note), markup=False, highlight=False)


def _rich(title: str, columns: list[str], rows: list[list[str]], width: int) -> "tuple[Table, int]":
    """Return a table in which words are folded and numbers are whole, and the columns it takes.

    Where the terminal is too narrow for the numbers alone, the table is wider, and the terminal
    breaks its lines: no digit is left out.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    longest = [
        max(len(text) for text in (column, *(row[at] for row in rows)))
        for at, column in enumerate(columns)
    ]
    worded = [at for at, column in enumerate(columns) if column in _WORDS]
    rest = width - _MARGIN * (len(columns) + 1)
    rest -= sum(size for at, size in enumerate(longest) if at not in worded)
    space = _shared(rest, [longest[at] for at in worded])
    fits = dict(zip(worded, space, strict=True))
    needed = width - rest + sum(space)
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
    )
    for at, column in enumerate(columns):
        numeric = at not in fits and column not in ("95 % interval", "runs")
        table.add_column(column, justify="right" if numeric else "left", no_wrap=True)
    for row in rows:
        cells = [folded(cell, fits[at]) if at in fits else cell for at, cell in enumerate(row)]
        table.add_row(*map(Text, cells))
    return table, needed


def _shared(space: int, sizes: list[int]) -> list[int]:
    """Return the width of each column of words; none has more than it needs, or under 12."""
    widths: list[int] = []
    for at in sorted(range(len(sizes)), key=sizes.__getitem__):
        left = max(0, space - sum(widths)) // (len(sizes) - len(widths))
        widths.append(max(min(sizes[at], _FOLDED), min(sizes[at], left)))
    order = sorted(range(len(sizes)), key=sizes.__getitem__)
    return [widths[order.index(at)] for at in range(len(sizes))]


def folded(text: str, width: int) -> str:
    """Return the text in lines of at most ``width``: broken at spaces, else behind ``/ - _``."""
    lines = [""]
    for word in re.findall(r"\S+\s*|\s+", text):
        pieces = [word] if len(word.rstrip()) <= width else re.findall(r"[^/_-]*[/_-]*", word)
        for piece in pieces:
            for start in range(0, len(piece), width):
                part = piece[start : start + width]
                if len(lines[-1]) + len(part.rstrip()) > width:
                    lines.append("")
                lines[-1] += part
    return "\n".join(line.rstrip() for line in lines)
