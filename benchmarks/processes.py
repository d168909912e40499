"""Samples per second of two processes against one, one thread each, for every task.

    python benchmarks/processes.py --data ../shared/data [--rounds 3] [--only text] [--write]

Both read the same whole batches; runs with one process and runs with two take turns, and the
fastest of each count, since other work on a machine only slows them. On a machine that others use,
the clock says what two processes got of it: the processor's time, one process's a step over the
busier one's of two, says what they would get alone, but for the time in which they wait for each
other. ``--write`` puts the rows into docs/scaling.md. The load is that of the machine before a row
was measured.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "scaling.md"
_BEGIN, _END = "<!-- table of benchmarks/processes.py -->", "<!-- end of the table -->"
_FOLDER = "LIT_TASKS_CLOCK"


@dataclass(frozen=True)
class Case:
    """What is trained.

    Attributes:
        name: What the table calls it.
        config: Its file in ``configs/``.
        batch: Samples of the whole batch.
        steps: How many are made.
        words: More of the command; ``{data}`` is the folder of the data.
    """

    name: str
    config: str
    batch: int
    steps: int
    words: tuple[str, ...]


SENTENCES = tuple(
    f"--data.{part}={{data}}/sentiment_sentences/{name}.txt"
    for part, name in (("train", "train"), ("val", "dev"))
)
CAPTIONS = ("--data.root={data}/coco_captions",)
ANTS = ("--data.root={data}/hymenoptera_data", "--model.finetuning.from_epoch=0")
STYLE = (
    "--data.contents=[{data}/style/tubingen.jpg]",
    "--data.styles=[{data}/style/starry_night.jpg,{data}/style/the_scream.jpg]",
    "--data.image_size=192",
    "--data.style_size=192",
    "--trainer.callbacks=[]",
)
CASES = (
    Case("text: bag of words", "text_sentences_bow", 64, 400,
         (*SENTENCES, "--model.encoder.ngrams=1", "--model.encoder.naive_bayes=0")),
    Case("text: mean of embeddings", "text_sentences_mean", 128, 300, SENTENCES),
    Case("text: LSTM", "text_sentences_lstm", 64, 150, SENTENCES),
    Case("text: LSTM, batch of 256", "text_sentences_lstm", 256, 60, SENTENCES),
    Case("images: fine-tuning of all stages", "image_hymenoptera_finetune", 16, 12,
         (*ANTS, "--model.finetuning.every=0")),
    Case("images: the same, batch of 32", "image_hymenoptera_finetune", 32, 8,
         (*ANTS, "--model.finetuning.every=0")),
    Case("captions: ensemble of three LSTMs", "caption_coco_lstm", 32, 40, CAPTIONS),
    Case("captions: Transformer", "caption_coco_transformer", 32, 40, CAPTIONS),
    Case("style transfer: two pairs", "style_quickstart", 2, 40, STYLE),
)  # fmt: skip


class Clock(Callback):
    """Writes what a step took, by clock and by processor, in the later two thirds of a run."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, float]] = []

    def on_train_batch_end(self, *args: Any) -> None:
        """Note the end of a step."""
        self.seen.append((time.perf_counter(), time.process_time()))

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write, one file a process."""
        first = self.seen[len(self.seen) // 3 :]
        steps = len(first) - 1
        seconds = [(b - a) / steps for a, b in zip(first[0], first[-1], strict=True)]
        path = Path(os.environ[_FOLDER]) / f"{trainer.global_rank}.json"
        path.write_text(json.dumps(seconds))


def measured(case: Case, data: Path, processes: int) -> tuple[float, float]:
    """Return the seconds of a step: by the clock, and of the busiest processor."""
    words = [sys.executable, "-m", "lit_tasks", "fit"]
    words += ["--config", str(ROOT / "configs" / f"{case.config}.yaml")]
    words += [word.format(data=data) for word in case.words]
    words += [f"--data.batch_size={case.batch}", f"--trainer.limit_train_batches={case.steps}"]
    words += ["--trainer.accelerator=cpu", f"--trainer.devices={processes}"]
    words += ["--trainer.limit_val_batches=0", "--checkpoint=null", "--figures=null"]
    words += ["--trainer.callbacks+=processes.Clock", "--trainer.num_sanity_val_steps=0"]
    words += ["--report=null", "--curves=null"]
    if not case.config.startswith("style"):
        words += ["--trainer.max_epochs=-1", f"--trainer.max_steps={case.steps}"]
    with tempfile.TemporaryDirectory() as folder:
        path = os.pathsep.join([str(ROOT), str(Path(__file__).parent)])
        environment = {"OMP_NUM_THREADS": "1", "WANDB_MODE": "offline", "PYTHONPATH": path}
        done = subprocess.run(
            [*words, f"--run_dir={folder}/run"],
            env={**os.environ, **environment, _FOLDER: folder},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"{case.name} failed:\n{done.stderr[-3000:]}")
        each = [json.loads(p.read_text()) for p in sorted(Path(folder).glob("*.json"))]
    assert len(each) == processes
    return max(clock for clock, _ in each), max(processor for _, processor in each)


def row(case: Case, data: Path, rounds: int) -> str:
    """Return a case's line of the table."""
    one, two, load = [], [], os.getloadavg()[0]
    for _ in range(rounds):
        one.append(measured(case, data, 1))
        two.append(measured(case, data, 2))
    seconds = [[min(kind) for kind in zip(*each, strict=True)] for each in (one, two)]
    clock, processor = (a / b for a, b in zip(*seconds, strict=True))
    rates = [case.batch / fastest[0] for fastest in seconds]
    cells = [case.name, str(case.batch), *(f"{rate:.4g}" for rate in rates)]
    cells += [f"{clock:.2f}", f"{processor:.2f}", f"{load:.1f}"]
    line = f"| {' | '.join(cells)} |"
    print(line, flush=True)
    return line


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="cases whose name begins so")
    parser.add_argument("--write", action="store_true", help="put the table into the page")
    options = parser.parse_args()
    heads = [
        "what",
        "batch",
        "samples/s, one process",
        "two",
        "two over one, clock",
        "processor",
        "load",
    ]
    lines = [f"| {' | '.join(heads)} |", "| --- " + "| ---: " * (len(heads) - 1) + "|"]
    print(*lines, sep="\n", flush=True)
    cases = [case for case in CASES if case.name.startswith(options.only)]
    found = {case.name: row(case, options.data.resolve(), options.rounds) for case in cases}
    if options.write:
        before, rest = PAGE.read_text().split(_BEGIN)
        table, after = rest.split(_END)
        rows = [line for line in table.splitlines() if line.startswith("| ")]
        found = {line.split(" | ")[0][2:]: line for line in rows} | found
        lines += [found[case.name] for case in CASES if case.name in found]
        PAGE.write_text("\n".join([f"{before}{_BEGIN}", *lines, f"{_END}{after}"]))


if __name__ == "__main__":
    main()
