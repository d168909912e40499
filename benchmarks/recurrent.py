"""Time of our recurrent layers against torch.nn's, forward and backward, interleaved.

Run with ``python -m benchmarks.recurrent``; ``--quick`` takes seconds, ``--write`` puts the table
into docs/recurrent_speed.md and the figure of time against length into docs/figures.
A ratio is torch's median time divided by ours: above 1 ours is faster.
"""

import argparse
import math
import multiprocessing
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from lit_tasks.nn import LSTM, RNN

Shape = tuple[int, int, int, int]  # steps, batch, input, hidden
SHAPES: list[Shape] = [
    (16, 128, 256, 512),
    (128, 64, 50, 128),
    (256, 32, 50, 128),
    (512, 64, 50, 128),
]
QUICK: list[Shape] = [(16, 8, 16, 32), (64, 8, 16, 32)]


def layers(kind: str, shape: Shape) -> dict[str, nn.Module]:
    """Return torch's layer and ours, plain and with the compiled step, on the same weights."""
    theirs, ours = {"lstm": (nn.LSTM, LSTM), "rnn": (nn.RNN, RNN)}[kind]
    found: dict[str, nn.Module] = {"torch": theirs(*shape[2:])}
    for name in ("analytic", "auto"):
        layer = ours(*shape[2:], implementation=name)
        layer.load_state_dict(found["torch"].state_dict())
        found[name] = layer
    return found


def inputs(shape: Shape, packed: bool) -> Tensor | PackedSequence:
    """Return a batch; packed, its lengths are spread evenly from an eighth to all of the steps."""
    steps, batch, size, _ = shape
    rows = torch.randn(steps, batch, size)
    if not packed:
        return rows
    return pack_padded_sequence(rows, torch.linspace(steps, max(1, steps // 8), batch).long())


def training_step(layer: nn.Module, input: Tensor | PackedSequence) -> Callable[[], None]:
    """Return a forward and backward pass."""

    def step() -> None:
        output, _ = layer(input)
        (output.data if isinstance(output, PackedSequence) else output).sum().backward()

    return step


def inference(layer: nn.Module, input: Tensor | PackedSequence) -> Callable[[], None]:
    """Return a forward pass that keeps nothing."""

    def step() -> None:
        with torch.no_grad():
            layer(input)

    return step


def medians(calls: dict[str, Callable[[], None]], repeats: int, warm: int = 1) -> dict[str, float]:
    """Return the median seconds of each call; they take turns, so a busy machine hits all."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(repeats + warm):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if turn >= warm:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def compare(
    kind: str, shape: Shape, form: str, repeats: int, learn: bool = True
) -> dict[str, float]:
    """Return the median seconds of torch's layer and ours."""
    torch.manual_seed(0)
    batch = inputs(shape, packed=form == "packed")
    make = training_step if learn else inference
    calls = {name: make(layer, batch) for name, layer in layers(kind, shape).items()}
    slow = learn and form == "packed" and shape[0] >= 512
    return medians(calls, min(repeats, 2) if slow else repeats, warm=0 if slow else 1)


def table(
    shapes: list[Shape], repeats: int, kinds: tuple[str, ...] = ("lstm", "rnn")
) -> tuple[list[str], dict[tuple[str, str, bool, Shape], dict[str, float]]]:
    """Return the lines of the table, printed as they come, and the seconds behind them."""
    lines = [
        "| layer | pass | form | T, batch, input, hidden "
        "| torch ms | analytic ms | ratio | auto ms | ratio |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    print(*lines, sep="\n", flush=True)
    found = {}
    for kind in kinds:
        for learn in (True, False):
            for form in ("packed", "rectangle"):
                for shape in shapes:
                    seconds = compare(kind, shape, form, repeats, learn)
                    found[kind, form, learn, shape] = seconds
                    cells = [f"{seconds['torch'] * 1e3:.1f}"]
                    for name in ("analytic", "auto"):
                        ratio = seconds["torch"] / seconds[name]
                        cells += [f"{seconds[name] * 1e3:.1f}", f"{ratio:.2f}"]
                    what = "forward + backward" if learn else "forward"
                    where = ", ".join(map(str, shape))
                    lines.append(f"| {kind} | {what} | {form} | {where} | {' | '.join(cells)} |")
                    print(lines[-1], flush=True)
    return lines, found


def summary(found: dict[tuple[str, str, bool, Shape], dict[str, float]]) -> list[str]:
    """Return the geometric means of the ratios, and how time grows with length."""
    lines = []
    for kind, form in (("lstm", "rectangle"), ("lstm", "packed"), ("rnn", "rectangle")):
        for name in ("analytic", "auto"):
            ratios = [
                math.log(seconds["torch"] / seconds[name])
                for (k, f, learn, _), seconds in found.items()
                if (k, f, learn) == (kind, form, True)
            ]
            mean = math.exp(sum(ratios) / len(ratios))
            lines.append(f"- {kind}, {form}, {name}: geometric mean of the ratios {mean:.2f}")
    return lines


def growth(lengths: list[int], repeats: int) -> dict[str, list[float]]:
    """Return the seconds of a packed LSTM's training step for each length, torch's and ours."""
    found: dict[str, list[float]] = {"torch": [], "auto": [], "analytic": []}
    for steps in lengths:
        seconds = compare("lstm", (steps, 64, 50, 128), "packed", repeats)
        for name, column in found.items():
            column.append(seconds[name])
    return found


def figure(lengths: list[int], found: dict[str, list[float]], path: Path) -> None:
    """Draw time against length, both axes in powers of two."""
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(6, 4), layout="constrained")
    axes = drawing.subplots()
    names = {"torch": "torch.nn.LSTM", "analytic": "ours, plain calls", "auto": "ours, auto"}
    for name, seconds in found.items():
        axes.plot(lengths, seconds, marker="o", label=names[name])
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(lengths, [str(steps) for steps in lengths])
    axes.set_xlabel("steps of the longest sequence (batch 64, input 50, hidden 128, packed)")
    axes.set_ylabel("forward + backward, seconds")
    axes.grid(alpha=0.3)
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    drawing.savefig(path, dpi=150)


def peak(name: str, shape: Shape, form: str) -> float:
    """Return by how many MiB one training step raises the memory of a fresh process (Linux)."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    layer = layers("lstm", shape)[name]
    training_step(layer, inputs((4, 2, *shape[2:]), packed=form == "packed"))()
    batch = inputs(shape, packed=form == "packed")
    Path("/proc/self/clear_refs").write_text("5")  # the highest mark starts anew from here
    before = _highest()
    training_step(layer, batch)()
    return (_highest() - before) / 1024


def _highest() -> int:
    """Return the highest resident memory since the mark was reset, in KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def memory(shapes: list[Shape]) -> list[str]:
    """Return a table of the memory of one training step, each in a process of its own."""
    lines = [
        "| form | T, batch, input, hidden | torch MiB | analytic MiB | auto MiB |",
        "| --- | --- | --- | --- | --- |",
    ]
    context = multiprocessing.get_context("spawn")
    for form in ("packed", "rectangle"):
        for shape in shapes:
            cells = []
            for name in ("torch", "analytic", "auto"):
                with context.Pool(1) as pool:
                    cells.append(f"{pool.apply(peak, (name, shape, form)):.0f}")
            lines.append(f"| {form} | {', '.join(map(str, shape))} | {' | '.join(cells)} |")
    print("", *lines, sep="\n", flush=True)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small shapes, few repeats")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--write", action="store_true", help="write docs/recurrent_speed.md")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    repeats = 3 if options.quick else options.repeats
    shapes = QUICK if options.quick else SHAPES
    lines, found = table(shapes, repeats)
    means = summary(found)
    print("", *means, sep="\n", flush=True)
    used = memory(shapes[-2:])
    lengths = [16, 32] if options.quick else [32, 64, 128, 256, 512]
    times = growth(lengths, min(repeats, 5))
    ratio = times["auto"][-1] / times["auto"][-3] if len(lengths) > 2 else math.nan
    grown = f"- packed LSTM, auto: time(512) / time(128) = {ratio:.2f}"
    print("", *([] if options.quick else [grown]), sep="\n")
    if options.write:
        docs = Path(__file__).parents[1] / "docs"
        figure(lengths, times, docs / "figures" / "recurrent_time.png")
        command = f"python -m benchmarks.recurrent --threads {options.threads} --write"
        about = (
            f"Made by `{command}` with torch {torch.__version__}, {options.threads} thread(s), "
            f"float32, {platform.machine()}; medians of interleaved runs in one process, other "
            "programs running beside it. A ratio is torch's time divided by ours. `analytic` is "
            "plain tensor calls; `auto` uses the compiled element-wise step, and torch's own "
            "kernel for an LSTM's rectangles without gradients. Packed lengths go evenly from T/8 "
            "to T. GPUs were not measured."
        )
        parts = ["# Speed of the recurrent layers", "", about, "", *lines, "", *means, grown, ""]
        parts += ["Memory that one training step of the LSTM adds:", "", *used, ""]
        parts += ["![time against length](figures/recurrent_time.png)", ""]
        (docs / "recurrent_speed.md").write_text("\n".join(parts))


if __name__ == "__main__":
    main()
