"""What a command costs before it does anything: CPU seconds against importing Lightning alone.

    python benchmarks/startup.py [--rounds 5]

Prints medians of interleaved runs. ``fit`` is the default run (CSV, W&B offline, checkpoints) of
a tiny model, until its first step.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

FIT = """\
from lit_tasks.__main__ import main
main(["fit", "--model=tiny.TinyTask", "--data=tiny.TinyData", "--data.steps=2",
      "--trainer.max_steps=2", "--trainer.accelerator=cpu",
      "--trainer.callbacks+=tiny.StopAtFirstStep", "--checkpoint=null"])
"""
NO_WANDB = FIT.replace('"--checkpoint=null"', '"--checkpoint=null", "--trainer.logger=false"')
IMPORT = "import time, lightning.pytorch; print('cpu', time.process_time())"
HELP = (
    "import time; from lit_tasks.__main__ import main; main([]); print('cpu', time.process_time())"
)
CASES = {
    "import lightning.pytorch": IMPORT,
    "lit-tasks --help": HELP,
    "fit, until the first step": FIT,
    "the same without loggers": NO_WANDB,
}


def cpu_seconds(code: str) -> float:
    """Return the CPU seconds that the program reports as its own."""
    here = Path(__file__).parent
    path = os.pathsep.join((str(here), str(here.parent)))
    environment = {
        **os.environ,
        "PYTHONPATH": path,
        "OMP_NUM_THREADS": "1",
        "WANDB_MODE": "offline",
    }
    with tempfile.TemporaryDirectory() as folder:
        output = subprocess.run(
            [sys.executable, "-c", code],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    return float(output.split("cpu ")[-1].split()[0])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    times = {name: [] for name in CASES}  # type: dict[str, list[float]]
    for _ in range(rounds):
        for name, code in CASES.items():
            times[name].append(cpu_seconds(code))
    base = statistics.median(times["import lightning.pytorch"])
    print("| what | CPU seconds | ratio |\n| --- | --- | --- |")
    for name, values in times.items():
        median = statistics.median(values)
        print(f"| {name} | {median:.2f} | {median / base:.2f} |")


if __name__ == "__main__":
    main()
