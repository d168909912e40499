"""CPU time of our recurrent layers against torch.nn's, over a grid of sizes, interleaved.

Run with ``python -m benchmarks.recurrent``; ``--quick`` takes seconds, ``--write`` puts the tables
into docs/recurrent_speed.md and the figure of time against length into docs/figures.
A ratio is torch's time divided by ours, the median of runs that take turns: above 1 ours is faster.
"""

import argparse
import math
import multiprocessing
import platform
import statistics
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from lit_tasks import nn as ours

DOCS = Path(__file__).parents[1] / "docs"
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1, "LSTMCell": 4, "GRUCell": 3, "RNNCell": 1}


class Row(NamedTuple):
    """One case of the grid; a cell has one step."""

    kind: str
    steps: int
    batch: int
    inputs: int
    hidden: int
    form: str = "rectangle"
    learn: bool = True
    layers: int = 1
    ways: int = 1
    dtype: torch.dtype = torch.float32
    threads: int = 1


def grid() -> list[Row]:
    """Return the cases: each axis from small to large, around the sizes of texts and captions."""
    return [
        *(
            Row(kind, *size, form)
            for form in FORMS
            for kind, sizes in (("LSTM", SIZES), ("GRU", SIZES[::2]), ("RNN", SIZES[::2]))
            for size in sizes
        ),
        Row("LSTM", 256, 32, 50, 64, "packed"),
        Row("GRU", 256, 32, 50, 64, "packed"),
        Row("LSTM", 64, 32, 64, 64, layers=3, ways=2),
        Row("LSTM", 64, 32, 64, 64, "packed", layers=3, ways=2),
        Row("GRU", 64, 32, 64, 64, layers=3, ways=2),
        Row("RNN", 64, 32, 64, 64, layers=3, ways=2),
        *(Row(kind, 128, 32, 50, 128, learn=False) for kind in ("LSTM", "GRU", "RNN")),
        *(Row(kind, 128, 32, 50, 128, "packed", False) for kind in ("LSTM", "GRU", "RNN")),
        *(Row(kind, 128, 1, 50, 128, learn=False) for kind in ("LSTM", "GRU", "RNN")),
        *(Row(kind, 1, 64, 50, 128, learn=False) for kind in ("LSTM", "GRU", "RNN")),
        *(Row(kind, 128, 32, 50, 128, dtype=torch.float64) for kind in ("LSTM", "GRU", "RNN")),
        *(
            Row("LSTM", 64, 32, 128, 128, "rectangle", f, dtype=torch.bfloat16)
            for f in (True, False)
        ),
        Row("LSTM", 64, 32, 128, 128, "packed", dtype=torch.bfloat16),
        *(Row(kind, 1, b, 50, 128) for kind in CELLS for b in (1, 64)),
        *(Row(kind, 1, 64, 50, 128, learn=False) for kind in CELLS),
        *(Row(kind, 128, 32, 50, 128, threads=2) for kind in ("LSTM", "GRU", "RNN")),
        Row("LSTM", 16, 128, 256, 512, threads=2),
        Row("LSTM", 128, 32, 50, 128, "packed", threads=2),
    ]


FORMS = ("rectangle", "packed")
CELLS = ("LSTMCell", "GRUCell", "RNNCell")
#: Steps, batch, input, hidden.
SIZES = [
    (1, 1, 50, 128),
    (1, 64, 50, 128),
    (128, 1, 50, 128),
    (128, 32, 32, 32),
    (128, 32, 50, 128),
    (256, 32, 50, 128),
    (2000, 1, 16, 16),
    (2000, 8, 50, 128),
    (16, 128, 256, 512),
    (32, 32, 256, 1024),
]
QUICK = [
    Row("LSTM", 16, 8, 16, 32),
    Row("GRU", 16, 8, 16, 32, "packed"),
    Row("RNNCell", 1, 8, 16, 32),
    Row("RNN", 16, 8, 16, 32, learn=False),
]


def modules(row: Row) -> tuple[nn.Module, nn.Module]:
    """Return torch's layer or cell and ours, on the same weights."""
    options = {"num_layers": row.layers, "bidirectional": row.ways == 2}
    found = []
    for family in (nn, ours):
        kind = getattr(family, row.kind)
        extra = {} if row.kind.endswith("Cell") else options
        found.append(kind(row.inputs, row.hidden, dtype=row.dtype, **extra))
    found[1].load_state_dict(found[0].state_dict())
    return found[0], found[1]


def inputs(row: Row) -> Tensor | PackedSequence:
    """Return a batch; packed, its lengths are spread evenly from an eighth to all of the steps."""
    rows = torch.randn(row.steps, row.batch, row.inputs, dtype=row.dtype)
    if row.kind.endswith("Cell"):
        return rows[0]
    if row.form == "rectangle":
        return rows
    lengths = torch.linspace(row.steps, max(1, row.steps // 8), row.batch).long()
    return pack_padded_sequence(rows, lengths)


def call(module: nn.Module, input: Tensor | PackedSequence, learn: bool) -> Callable[[], None]:
    """Return a forward and backward pass, or a forward pass that keeps nothing."""

    def step() -> None:
        with torch.set_grad_enabled(learn):
            found = module(input)
            while isinstance(found, tuple) and not isinstance(found, PackedSequence):
                found = found[0]
            if learn:
                (found.data if isinstance(found, PackedSequence) else found).sum().backward()

    return step


def products(row: Row) -> Callable[[], None]:
    """Return the products of matrices alone that a pass consists of, one call for each."""
    wide = GATES[row.kind] * row.hidden
    data = inputs(row)
    sizes = [row.batch] * row.steps
    if isinstance(data, PackedSequence):
        sizes = data.batch_sizes.tolist()
    total = sum(sizes)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=row.dtype)

    x, h = draw(total, row.inputs), draw(row.batch, row.hidden)
    w_x, w_h = draw(wide, row.inputs), draw(wide, row.hidden)
    z, states = draw(total, wide), draw(total, row.hidden)
    right_x, right_h = w_x.t().contiguous(), w_h.t().contiguous()

    def run() -> None:
        torch.mm(x, right_x, out=z)
        for size in sizes:
            z[:size].addmm_(h[:size], right_h)
        if row.learn:
            for size in sizes:
                torch.mm(z[:size], w_h, out=h[:size])
            torch.mm(z.t(), x)
            torch.mm(z.t(), states)

    return run


def measure(row: Row, budget: float) -> dict[str, float]:
    """Return the median milliseconds of torch, ours and the products alone, and the ratios.

    Args:
        row: The case.
        budget: CPU seconds that it may take, about.
    """
    torch.manual_seed(0)
    torch.set_num_threads(row.threads)
    theirs, mine = modules(row)
    data = inputs(row)
    calls = {"torch": call(theirs, data, row.learn), "ours": call(mine, data, row.learn)}
    if row.layers * row.ways == 1 and row.dtype is not torch.bfloat16:
        calls["products"] = products(row)
    start = time.process_time()
    for function in calls.values():
        function()
    once = time.process_time() - start
    inner = max(1, math.ceil(0.006 / once))  # a clock of milliseconds is enough for that
    for function in calls.values():
        seconds(function, inner)
    spent, times = 0.0, list[dict[str, float]]()
    while len(times) < 5 or (spent < budget and len(times) < 60):
        times.append({name: seconds(function, inner) for name, function in calls.items()})
        spent += inner * sum(times[-1].values())
        if spent > 4 * budget and len(times) >= 3:
            break
    found = {name: 1e3 * statistics.median(t[name] for t in times) for name in calls}
    found["ratio"] = statistics.median(t["torch"] / t["ours"] for t in times)
    if "products" in calls:
        found["limit"] = statistics.median(t["torch"] / t["products"] for t in times)
    return found


def seconds(function: Callable[[], None], calls: int) -> float:
    """Return the CPU seconds of one call, the mean of several."""
    start = time.process_time()
    for _ in range(calls):
        function()
    return (time.process_time() - start) / calls


HEAD = [
    "| layer | pass | form | T, batch, input, hidden | layers, directions | type | threads "
    "| torch ms | ours ms | ratio | limit |",
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
]


def line(row: Row, found: dict[str, float]) -> str:
    """Return a line of the table."""
    limit = f"{found['limit']:.2f}" if "limit" in found else ""
    cells = [
        row.kind,
        "forward + backward" if row.learn else "forward",
        "" if row.kind.endswith("Cell") else row.form,
        f"{row.steps}, {row.batch}, {row.inputs}, {row.hidden}",
        f"{row.layers}, {row.ways}",
        str(row.dtype).removeprefix("torch."),
        str(row.threads),
        f"{found['torch']:.3g}",
        f"{found['ours']:.3g}",
        f"{found['ratio']:.2f}",
        limit,
    ]
    return f"| {' | '.join(cells)} |"


def mean(values: Iterable[float]) -> float:
    """Return the geometric mean."""
    return math.exp(statistics.mean(math.log(value) for value in values))


def summary(results: list[tuple[Row, dict[str, float]]]) -> list[str]:
    """Return the geometric means of the ratios by kind of row, and the worst row of each."""
    groups: dict[str, Callable[[Row], bool]] = {
        "training, rectangles": lambda r: r.learn and r.form == "rectangle" and not cell(r),
        "training, packed": lambda r: r.learn and r.form == "packed",
        "inference, rectangles": lambda r: not r.learn and r.form == "rectangle" and not cell(r),
        "inference, packed": lambda r: not r.learn and r.form == "packed",
        "cells": cell,
        "all": lambda r: True,
    }
    lines = [
        "| rows | how many | geometric mean | below 1.0 | worst | where |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, belongs in groups.items():
        own = [(row, found["ratio"]) for row, found in results if belongs(row)]
        if not own:
            continue
        worst, ratio = min(own, key=lambda pair: pair[1])
        below = sum(r < 1 for _, r in own)
        numbers = f"{len(own)} | {mean(r for _, r in own):.2f} | {below} | {ratio:.2f}"
        where = f"{worst.kind} {worst.steps}, {worst.batch}, {worst.inputs}, {worst.hidden}"
        lines.append(f"| {name} | {numbers} | {where} |")
    return lines


def cell(row: Row) -> bool:
    """Tell whether a row is of a cell."""
    return row.kind.endswith("Cell")


def growth(lengths: list[int], budget: float) -> dict[str, list[float]]:
    """Return the seconds of a packed LSTM's training step for each length, torch's and ours."""
    found: dict[str, list[float]] = {"torch": [], "ours": []}
    for steps in lengths:
        row = measure(Row("LSTM", steps, 64, 50, 128, "packed"), budget)
        for name, column in found.items():
            column.append(row[name] / 1e3)
    return found


def figure(lengths: list[int], found: dict[str, list[float]], path: Path) -> None:
    """Draw time against length, both axes in powers of two."""
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(6, 4), layout="constrained")
    axes = drawing.subplots()
    for name, label in {"torch": "torch.nn.LSTM", "ours": "lit_tasks.nn.LSTM"}.items():
        axes.plot(lengths, found[name], marker="o", label=label)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(lengths, [str(steps) for steps in lengths])
    axes.set_xlabel("steps of the longest sequence (batch 64, input 50, hidden 128, packed)")
    axes.set_ylabel("forward + backward, CPU seconds")
    axes.grid(alpha=0.3)
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    drawing.savefig(path, dpi=150)


def peak(name: str, row: Row) -> float:
    """Return by how many MiB one training step raises the memory of a fresh process (Linux)."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    layer = modules(row)[name == "ours"]
    call(layer, inputs(row._replace(steps=4, batch=2)), True)()
    data = inputs(row)
    Path("/proc/self/clear_refs").write_text("5")  # the highest mark starts anew from here
    before = _highest()
    call(layer, data, True)()
    return (_highest() - before) / 1024


def _highest() -> int:
    """Return the highest resident memory since the mark was reset, in KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(text.split()[1]) for text in lines if text.startswith("VmHWM"))


def memory(rows: list[Row]) -> list[str]:
    """Return a table of the memory of one training step, each in a process of its own."""
    lines = [
        "| layer | form | T, batch, input, hidden | torch MiB | ours MiB |",
        "| --- | --- | --- | --- | --- |",
    ]
    context = multiprocessing.get_context("spawn")
    for row in rows:
        found = []
        for name in ("torch", "ours"):
            with context.Pool(1) as pool:
                found.append(f"{pool.apply(peak, (name, row)):.0f}")
        where = f"{row.steps}, {row.batch}, {row.inputs}, {row.hidden}"
        lines.append(f"| {row.kind} | {row.form} | {where} | {' | '.join(found)} |")
    print("", *lines, sep="\n", flush=True)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, little time")
    parser.add_argument("--budget", type=float, default=4.0, help="CPU seconds of a row, about")
    parser.add_argument("--write", action="store_true", help="write docs/recurrent_speed.md")
    options = parser.parse_args()
    budget = 0.2 if options.quick else options.budget
    print(*HEAD, sep="\n", flush=True)
    results = []
    for row in QUICK if options.quick else grid():
        results.append((row, measure(row, budget)))
        print(line(*results[-1]), flush=True)
    lines = [line(row, found) for row, found in results]
    means = summary(results)
    print("", *means, sep="\n", flush=True)
    forms = [Row(kind, 256, 32, 50, 128, form) for kind in ("LSTM", "GRU", "RNN") for form in FORMS]
    used = memory([Row("LSTM", 16, 8, 16, 32)] if options.quick else forms)
    lengths = [16, 32] if options.quick else [32, 64, 128, 256]
    times = growth(lengths, budget)
    if options.write:
        figure(lengths, times, DOCS / "figures" / "recurrent_time.png")
        (DOCS / "recurrent_speed.md").write_text(page(lines, means, used))


def page(lines: list[str], means: list[str], used: list[str]) -> str:
    """Return the page of the documentation."""
    about = (
        f"Made by `python -m benchmarks.recurrent --write` with torch {torch.__version__} on "
        f"{platform.machine()}: CPU time of the process, medians of runs that take turns in it, "
        "other programs running beside it. A ratio is torch's time divided by ours: above 1 ours "
        "is faster. The limit is torch's time divided by that of its products of matrices alone, "
        "called from Python one by one: with the same products nobody could be faster by more. On "
        "one thread ours are faster than those (`products.h`), and a compiled loop calls them "
        "faster, so a ratio may be above its limit. Packed lengths go evenly from T/8 to T, at the "
        "sizes of the rectangles. GPUs were not measured. Two threads were measured on two cores "
        "that other programs kept busy; waiting for one another counts as CPU time there, so those "
        "rows say little."
    )
    parts = ["# Speed of the recurrent layers", "", about, "", *means, "", *HEAD, *lines, ""]
    parts += ["Memory that one training step adds:", "", *used, ""]
    parts += ["![time against length](figures/recurrent_time.png)", ""]
    return "\n".join(parts)


if __name__ == "__main__":
    main()
