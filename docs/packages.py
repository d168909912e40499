"""Draw the packages of lit_tasks and who imports whom, as ``docs/figures/packages.svg``.

    python docs/packages.py

An arrow is at least one import, read from the code by grimp, which import-linter is built on. Rows
are the layers of the contract in ``pyproject.toml``; an arrow upward would break it.
"""

import tomllib
from pathlib import Path

import grimp
import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "docs" / "figures" / "packages.svg"
WIDTH, HEIGHT, GAP, STEP = 1.5, 0.5, 0.35, 1.25
COLORS = ["#dbe9f6", "#e3f1de", "#fdf0d5", "#f6e0e6", "#e8e3f3", "#ececec", "#f7f7f7"]


def contract() -> dict[str, list[str]]:
    """Return the contract about layers."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    [found] = [c for c in settings["tool"]["importlinter"]["contracts"] if c["type"] == "layers"]
    return found


def layers() -> list[list[str]]:
    """Return the packages, layer by layer from the top, as the contract names them."""
    return [[name.strip() for name in layer.split("|")] for layer in contract()["layers"]]


def imports(names: list[str]) -> set[tuple[str, str]]:
    """Return the pairs of packages of which the first imports from the second."""
    graph = grimp.build_graph("lit_tasks")
    types = contract()["ignore_imports"]  # named in annotations, and not imported
    owner = {module: name for name in names for module in (name, *graph.find_descendants(name))}
    return {
        (owner[module], owner[imported])
        for module in owner
        for imported in graph.find_modules_directly_imported_by(module)
        if imported in owner
        and owner[imported] != owner[module]
        and f"{module} -> {imported}" not in types
    }


def draw() -> Figure:
    """Return the drawing."""
    rows = layers()
    widest = max(len(row) for row in rows) * (WIDTH + GAP)
    figure = Figure(figsize=(widest * 0.8, len(rows) * STEP * 0.8))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-GAP, widest), ylim=(-len(rows) * STEP + 0.4, STEP * 0.7))
    axes.axis("off")
    places = {}
    for level, row in enumerate(rows):
        left = (widest - len(row) * (WIDTH + GAP)) / 2
        for column, name in enumerate(row):
            places[name] = left + column * (WIDTH + GAP), -level * STEP
            _box(axes, *places[name], name.removeprefix("lit_tasks."), COLORS[level % len(COLORS)])
    for first, second in sorted(imports(list(places))):
        _arrow(axes, places[first], places[second])
    return figure


def _box(axes: Axes, x: float, y: float, name: str, color: str) -> None:
    style = "round,pad=0.02,rounding_size=0.08"
    box = FancyBboxPatch((x, y), WIDTH, HEIGHT, boxstyle=style, fc=color, ec="#555555", lw=1)
    axes.add_patch(box)
    axes.text(x + WIDTH / 2, y + HEIGHT / 2, name, ha="center", va="center", fontsize=10, zorder=3)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    middle = WIDTH / 2
    arrow = FancyArrowPatch(
        (start[0] + middle, start[1]),
        (end[0] + middle, end[1] + HEIGHT),
        arrowstyle="-|>",
        mutation_scale=9,
        lw=0.7,
        color="#888888",
        zorder=0,
    )
    axes.add_patch(arrow)


if __name__ == "__main__":
    mpl.rcParams["svg.hashsalt"] = "lit_tasks"  # the same file at every run
    draw().savefig(TARGET, metadata={"Date": None})
