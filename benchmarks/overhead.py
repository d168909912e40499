"""What the default run costs per step: progress bar, CSV, W&B offline and checkpoints.

    python benchmarks/overhead.py [--rounds 5] [--steps 1500]

The same tiny model in the default run of ``lit-tasks fit``, in ``Trainer(barebones=True)`` and in
a plain PyTorch loop; one thread, medians of interleaved runs in processes of their own.
"""

import argparse
import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
SKIP = 100


def plain(steps: int) -> float:
    """Return seconds per step of a hand-written loop over the same loader."""
    import torch
    from tiny import TinyData, network

    net = network()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    start = 0.0
    for number, (inputs, labels) in enumerate(TinyData(steps).train_dataloader(), start=1):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(inputs), labels).backward()
        optimizer.step()
        if number == SKIP:
            start = time.perf_counter()
    return (time.perf_counter() - start) / (steps - SKIP)


def barebones(steps: int) -> float:
    """Return seconds per step of Lightning's trainer with everything off."""
    from lightning.pytorch import Trainer
    from tiny import TinyData, TinyTask

    watch: list[float] = []

    class Timed(TinyTask):
        def on_train_batch_end(self, *args: object) -> None:
            watch.append(time.perf_counter())

    Timed.log = lambda *args, **kwargs: None  # type: ignore[method-assign]
    trainer = Trainer(barebones=True, max_epochs=1, accelerator="cpu")
    trainer.fit(Timed(), train_dataloaders=TinyData(steps).train_dataloader())
    return (watch[-1] - watch[SKIP]) / (len(watch) - 1 - SKIP)


def default(steps: int) -> float:
    """Return seconds per step of the default run of the command line."""
    import tiny

    from lit_tasks.__main__ import main

    watch: list[float] = []

    class Timed(tiny.TinyTask):
        def on_train_batch_end(self, *args: object) -> None:
            watch.append(time.perf_counter())

    tiny.TimedTask = Timed  # type: ignore[attr-defined]
    Timed.__module__, Timed.__qualname__, Timed.__name__ = "tiny", "TimedTask", "TimedTask"
    words = ["--model=tiny.TimedTask", "--data=tiny.TinyData", f"--data.steps={steps}"]
    words += ["--trainer.max_epochs=1", "--trainer.accelerator=cpu", "--checkpoint=null"]
    assert main(["fit", *words]) == 0
    return (watch[-1] - watch[SKIP]) / (len(watch) - 1 - SKIP)


def _child(run: Callable[[int], float], steps: int, path: str) -> None:
    import torch

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder, open(os.devnull, "w") as nowhere:
        os.chdir(folder)
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
        Path(path).write_text(json.dumps(run(steps)))
        os.chdir("/")


def measured(run: Callable[[int], float], steps: int) -> float:
    """Return the seconds per step of one run in a process of its own."""
    with tempfile.NamedTemporaryFile() as file:
        process = multiprocessing.get_context("spawn").Process(
            target=_child, args=(run, steps, file.name)
        )
        process.start()
        process.join()
        return float(json.loads(Path(file.name).read_text()))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=1500)
    arguments = parser.parse_args()
    os.environ |= {"OMP_NUM_THREADS": "1", "WANDB_MODE": "offline"}
    cases = {
        "plain PyTorch loop": plain,
        "Trainer(barebones=True)": barebones,
        "lit-tasks fit": default,
    }
    times: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(arguments.rounds):
        for name, run in cases.items():
            times[name].append(measured(run, arguments.steps))
    medians = {name: 1000 * statistics.median(values) for name, values in times.items()}
    print("| what | ms per step | over barebones |\n| --- | --- | --- |")
    for name, value in medians.items():
        print(f"| {name} | {value:.2f} | {value - medians['Trainer(barebones=True)']:+.2f} |")


if __name__ == "__main__":
    main()
