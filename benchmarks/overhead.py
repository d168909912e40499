"""What the default run costs per step: progress bar, CSV, W&B offline and checkpoints.

    python benchmarks/overhead.py [--rounds 5] [--steps 1500]

The same tiny model in the default run of ``lit-tasks fit``, in ``Trainer(barebones=True)`` and in
a plain PyTorch loop; one thread, medians of interleaved runs in processes of their own. Processor
time is what to compare on a machine that others use, the clock what a step takes on one of one's
own.
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
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
SKIP = 100


@dataclass
class Watch:
    """What the clock and the processor showed after each step."""

    clock: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)

    def step(self) -> None:
        """Note the end of a step."""
        self.clock.append(time.perf_counter())
        self.processor.append(time.process_time())

    def seconds(self) -> tuple[float, float]:
        """Return the seconds of a step by both, without the first steps."""
        steps = len(self.clock) - 1 - SKIP
        return tuple((x[-1] - x[SKIP]) / steps for x in (self.clock, self.processor))  # type: ignore[return-value]


def plain(steps: int) -> Watch:
    """Train in a hand-written loop over the same loader."""
    import torch
    from tiny import TinyData, network

    net = network()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    watch = Watch()
    for inputs, labels in TinyData(steps).train_dataloader():
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(inputs), labels).backward()
        optimizer.step()
        watch.step()
    return watch


def barebones(steps: int) -> Watch:
    """Train in Lightning's trainer with everything off."""
    from lightning.pytorch import Trainer
    from tiny import TinyData, TinyTask

    watch = Watch()

    class Timed(TinyTask):
        def on_train_batch_end(self, *args: object) -> None:
            watch.step()

    Timed.log = lambda *args, **kwargs: None  # type: ignore[method-assign]
    trainer = Trainer(barebones=True, max_epochs=1, accelerator="cpu")
    trainer.fit(Timed(), train_dataloaders=TinyData(steps).train_dataloader())
    return watch


def default(steps: int) -> Watch:
    """Train in the default run of the command line."""
    import tiny

    from lit_tasks.__main__ import main

    watch = Watch()

    class Timed(tiny.TinyTask):
        def on_train_batch_end(self, *args: object) -> None:
            watch.step()

    tiny.TimedTask = Timed  # type: ignore[attr-defined]
    Timed.__module__, Timed.__qualname__, Timed.__name__ = "tiny", "TimedTask", "TimedTask"
    words = ["--model=tiny.TimedTask", "--data=tiny.TinyData", f"--data.steps={steps}"]
    words += ["--trainer.max_epochs=1", "--trainer.accelerator=cpu", "--checkpoint=null"]
    assert main(["fit", *words]) == 0
    return watch


def _child(run: Callable[[int], Watch], steps: int, path: str) -> None:
    import torch

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder, open(os.devnull, "w") as nowhere:
        os.chdir(folder)
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
        Path(path).write_text(json.dumps(run(steps).seconds()))
        os.chdir("/")


def measured(run: Callable[[int], Watch], steps: int) -> list[float]:
    """Return the seconds per step of one run in a process of its own, by clock and processor."""
    with tempfile.NamedTemporaryFile() as file:
        process = multiprocessing.get_context("spawn").Process(
            target=_child, args=(run, steps, file.name)
        )
        process.start()
        process.join()
        seconds: list[float] = json.loads(Path(file.name).read_text())
        return seconds


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
    times: dict[str, list[list[float]]] = {name: [] for name in cases}
    for _ in range(arguments.rounds):
        for name, run in cases.items():
            times[name].append(measured(run, arguments.steps))
    medians = {
        name: [1000 * statistics.median(kind) for kind in zip(*rounds, strict=True)]
        for name, rounds in times.items()
    }
    bare = medians["Trainer(barebones=True)"]
    print("| what | ms per step | over barebones | processor ms | over barebones |")
    print("| --- | --- | --- | --- | --- |")
    for name, (clock, processor) in medians.items():
        clocked, processed = clock - bare[0], processor - bare[1]
        print(f"| {name} | {clock:.2f} | {clocked:+.2f} | {processor:.2f} | {processed:+.2f} |")


if __name__ == "__main__":
    main()
