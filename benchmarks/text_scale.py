"""Rows per second and peak memory of a fit and a prediction on a large CSV file of texts.

    python benchmarks/text_scale.py [--rows 1000000] [--words 30] [--batch-size 512]

Writes made-up texts with Zipf's frequencies over 50,000 words, of which the first tells the label,
and runs `lit-tasks fit --config text_own` for one epoch, `lit-tasks predict` on the same file, and
both again, when reading is done. Each is a process of its own; its peak is the largest resident set
that the kernel saw, pages of memory-mapped files included.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

VOCABULARY, BLOCK = 50_000, 10_000


def write(path: Path, rows: int, words: int) -> None:
    draw = np.random.default_rng(0)
    names = np.array([f"word{i}" for i in range(VOCABULARY)])
    chance = 1 / np.arange(1, VOCABULARY + 1)
    with path.open("w") as file:
        file.write("text,label\n")
        for start in range(0, rows, BLOCK):
            drawn = names[draw.choice(VOCABULARY, (BLOCK, words - 1), p=chance / chance.sum())]
            for row, text in enumerate(drawn[: rows - start]):
                label = ("neg", "pos")[row % 2]
                file.write(f"{label}{row % 50} {' '.join(text)},{label}\n")


def measured(*words: str) -> tuple[float, float, float]:
    """Run the program; return its seconds, those of the processor, and its peak in MB."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "lit_tasks", *words]
    to_stderr = [(os.POSIX_SPAWN_DUP2, 2, 1)]  # stdout is the table's
    child = os.posix_spawn(sys.executable, command, os.environ, file_actions=to_stderr)
    _, status, usage = os.wait4(child, 0)
    if status:
        raise SystemExit(f"{' '.join(words)} ended with status {os.waitstatus_to_exitcode(status)}")
    seconds = time.perf_counter() - start
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--words", type=int, default=30)
    parser.add_argument("--batch-size", type=int, default=512)
    parser.add_argument("--folder", type=Path, help="where texts and runs are left")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        texts = folder / "texts.csv"
        write(texts, given.rows, given.words)
        print(f"{given.rows:,} rows, {texts.stat().st_size / 1e6:,.0f} MB")
        print("| command | seconds | of the processor | rows per second of it | peak MB |")
        print("| --- | --- | --- | --- | --- |")
        common = [f"--data.cache_dir={folder / 'cache'}", "--trainer.logger=false"]
        common.append(f"--data.batch_size={given.batch_size}")
        for what in ("from nothing", "again"):
            run = folder / what.replace(" ", "_")
            fit = ["fit", "--config=text_own", f"--data.train={texts}", "--trainer.max_epochs=1"]
            predict = ["predict", f"--ckpt_path={run}/fit/checkpoints/best.ckpt"]
            predict += [f"--data.predict={texts}"]
            for name, command in (("fit", fit), ("predict", predict)):
                seconds, busy, peak = measured(*command, f"--run_dir={run}/{name}", *common)
                numbers = f"{seconds:.0f} | {busy:.0f} | {given.rows / busy:,.0f} | {peak:,.0f}"
                print(f"| {name}, {what} | {numbers} |", flush=True)


if __name__ == "__main__":
    main()
