"""Run the tests as other machines would round: nothing may hang on the last digit of a product.

    python tests/rounding.py                     # the default run, six times
    python tests/rounding.py tests/nn tests/tasks

Matrix products go through MKL, element-wise kernels through torch's own: each has a switch for what
it takes the processor for. With the number of threads they make twelve machines, of which six meet
every pair of settings.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
MACHINES = [
    ("", "default", "1"),
    ("", "avx2", "2"),
    ("COMPATIBLE", "default", "2"),
    ("COMPATIBLE", "avx2", "1"),
    ("AVX2", "default", "1"),
    ("AVX2", "avx2", "2"),
]


def passes(products: str, kernels: str, threads: str, paths: list[str]) -> bool:
    """Return whether the tests pass with these settings."""
    environment = os.environ | {
        "ATEN_CPU_CAPABILITY": kernels,
        "OMP_NUM_THREADS": threads,
        "WANDB_MODE": "offline",
    }
    environment.pop("MKL_CBWR", None)
    if products:
        environment["MKL_CBWR"] = products
    words = [sys.executable, "-m", "pytest", "-q", "-n", "2", "-m", "not slow", *paths]
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True)
    print(f"MKL_CBWR={products or 'unset'} ATEN_CPU_CAPABILITY={kernels} threads={threads}:")
    print("\n".join(f"  {line}" for line in done.stdout.splitlines()[-12:]), flush=True)
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(sum(not passes(*machine, sys.argv[1:] or ["tests"]) for machine in MACHINES))
