"""Kill runs at random moments, continue them, and compare with runs that nobody killed.

    python benchmarks/kills.py                 # 200 kills
    python benchmarks/kills.py --kills 20 --seed 3

Every task is fitted and predicts with; the killed process is any of one or two; the signal is
SIGKILL, SIGTERM or SIGINT; the moment is a step of training, a batch of a validation, the time
between fit and test, a batch of a prediction, the merging of its files, or anything within a sweep.
The same command with ``--resume=true`` must then leave the files of a run that was never killed:
tables, results, predictions and images byte for byte, and equal tensors in the checkpoints. The
models and data are those of the tests, a few kilobytes each.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "benchmarks")]

processes: Any = import_module("processes")  # that of the tests, which stand in no package

CONFIGS = {
    "text": "quickstart",
    "frozen image": "image_hymenoptera_frozen",
    "fine-tuned image": "image_hymenoptera_finetune",
    "caption": "caption_coco_1000_lstm",
    "style": "style_starry_night",
}
MOMENTS = ("step", "validation", "between fit and test", "predict", "merge")
SIGNALS = ("SIGKILL", "SIGTERM", "SIGINT")
COMPARED = ("*.csv", "results.json", "predictions/*.*", "images/*.png", "images/*.json")
LEFT_OUT = ("monitor.csv",)  # what a run's speed was
OF_CHECKPOINT = ("state_dict", "optimizer_states", "lr_schedulers", "global_step", "epoch")


class Kill(Callback):
    """Counts the moments of a kind, and sends its process a signal at one of them.

    Args:
        moment: Of which kind.
        at: At which one of them, counted from 1; 0 only counts.
        signal_name: What is sent.
        rank: To which process.
        counts: Beginning of the files that the counts are written to, one a process.
    """

    def __init__(
        self,
        moment: str = "",
        at: int = 0,
        signal_name: str = "SIGKILL",
        rank: int = 0,
        counts: str = "",
    ) -> None:
        self.moment, self.at, self.signal_name, self.rank = moment, at, signal_name, rank
        self.counts, self.seen = counts, Counter[str]()

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Look into the merging of predictions, too."""
        from lit_tasks.callbacks.predictions import parts as prediction_parts

        if hasattr(prediction_parts, "plain_ordered"):
            return
        plain = prediction_parts._ordered
        prediction_parts.plain_ordered = plain  # type: ignore[attr-defined]

        def watched(folder: Path, ids: Any, digits: int | None) -> Iterator[dict[str, Any]]:
            for row in plain(folder, ids, digits):
                self._see("merge", trainer)
                yield row

        prediction_parts._ordered = watched

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        """Count a step."""
        self._see("step", trainer)

    def on_validation_batch_end(self, trainer: Trainer, *_: Any) -> None:
        """Count a batch of a validation during the fit, or of the one after it."""
        fitting = trainer.state.fn == "fit"
        self._see("validation" if fitting else "between fit and test", trainer)

    def on_test_batch_end(self, trainer: Trainer, *_: Any) -> None:
        """Count a batch of the test after the fit."""
        self._see("between fit and test", trainer)

    def on_predict_batch_end(self, trainer: Trainer, *_: Any) -> None:
        """Count a batch of a prediction."""
        self._see("predict", trainer)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write the counts down."""
        if self.counts:
            Path(f"{self.counts}-{trainer.global_rank}.json").write_text(json.dumps(self.seen))

    def _see(self, moment: str, trainer: Trainer) -> None:
        self.seen[moment] += 1
        here = (moment, self.seen[moment], trainer.global_rank) == (
            self.moment,
            self.at,
            self.rank,
        )
        if here:
            os.kill(os.getpid(), getattr(signal, self.signal_name))
            if self.signal_name == "SIGINT":
                time.sleep(0.05)  # lets Python raise it here


class Case(NamedTuple):
    """One kill: of what, on how many processes, when, by which signal, of which process."""

    kind: str
    world: int
    moment: str
    signal_name: str
    rank: int


def command(words: list[str]) -> int:
    """Run one command of ours in a process that the tests' server forked."""
    from lit_tasks.__main__ import main

    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT / "benchmarks"))
    os.environ["WANDB_MODE"] = "disabled"
    world = os.environ.get("WORLD_SIZE", 1)
    return main([*words, "--trainer.accelerator=cpu", f"--trainer.devices={world}"])


def fit_words(kind: str, run_dir: Path) -> list[str]:
    """Return the command that fits a kind, with a checkpoint at every other step."""
    name = CONFIGS[kind]
    words = ["fit", "--config", f"configs/{name}.yaml", "--config", f"tests/configs/{name}.yaml"]
    words += [f"--run_dir={run_dir}", "--trainer.log_every_n_steps=1", "--test=true"]
    words += ["--last_checkpoint.every_n_train_steps=2"]
    return words if kind == "style" else [*words, "--trainer.max_epochs=3"]


def predict_words(kind: str, run_dir: Path, checkpoint: Path) -> list[str]:
    """Return the command that predicts with a checkpoint."""
    name = CONFIGS[kind]
    words = ["predict", "--config", f"configs/{name}.yaml", "--config"]
    return [
        *words,
        f"tests/configs/{name}.yaml",
        f"--ckpt_path={checkpoint}",
        f"--run_dir={run_dir}",
    ]


def watched(words: list[str], **options: Any) -> list[str]:
    """Return a command with the callback that kills."""
    given = [f"--trainer.callbacks.{name}={value}" for name, value in options.items()]
    return [*words, "--trainer.callbacks+=kills.Kill", *given]


class References:
    """Runs that nobody killed, made when they are first asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fit(self, kind: str, world: int) -> Path:
        """Return the folder of a finished fit."""
        return self._made(self._place(kind, world, "fit"), world, fit_words, kind)

    def predict(self, kind: str, world: int) -> Path:
        """Return the folder of a finished prediction."""
        checkpoint = self.fit(kind, world) / "checkpoints" / "best.ckpt"
        return self._made(
            self._place(kind, world, "predict"), world, predict_words, kind, checkpoint
        )

    def _place(self, kind: str, world: int, what: str) -> Path:
        return self.folder / f"{kind.replace(' ', '-')}-{world}-{what}"

    def _made(self, place: Path, world: int, words_of: Any, kind: str, *more: Path) -> Path:
        if not place.exists():
            words = watched(words_of(kind, place, *more), counts=f"{place}-counts")
            codes = processes.run(world, command, words, seconds=600)
            assert codes == [0] * world, codes
        return place


def differences(found: Path, expected: Path) -> list[str]:
    """Return the files of two runs that differ, or that only one of them has."""
    names = {
        str(path.relative_to(folder))
        for folder in (found, expected)
        for pattern in COMPARED
        for path in folder.glob(pattern)
        if path.name not in LEFT_OUT
    }
    wrong = [name for name in sorted(names) if _content(found / name) != _content(expected / name)]
    for path in sorted((expected / "checkpoints").glob("*.ckpt")):
        other = found / "checkpoints" / path.name
        if not (other.is_file() and _same_tensors(other, path)):
            wrong.append(f"checkpoints/{path.name}")
    return wrong


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _same_tensors(one: Path, other: Path) -> bool:
    first, second = (torch.load(path, weights_only=True) for path in (one, other))
    try:
        for key in OF_CHECKPOINT:
            torch.testing.assert_close(first[key], second[key], rtol=0, atol=0)
    except AssertionError:
        return False
    return True


def kill_and_continue(case: Case, references: References, draw: random.Random) -> list[str]:
    """Return what differs between a run that was killed and continued and one that was not."""
    predicting = case.moment in ("predict", "merge")
    expected = (references.predict if predicting else references.fit)(case.kind, case.world)
    rank, most = case.rank, _count(expected, case.rank, case.moment)
    if not most:  # another process has all batches of so few samples, or merges for both
        rank, most = 0, _count(expected, 0, case.moment)
    assert most, f"{case.kind} has no moment {case.moment!r}"
    with tempfile.TemporaryDirectory() as folder:
        run_dir = Path(folder) / "run"
        checkpoint = references.fit(case.kind, case.world) / "checkpoints" / "best.ckpt"
        words = (
            predict_words(case.kind, run_dir, checkpoint)
            if predicting
            else fit_words(case.kind, run_dir)
        )
        at = draw.randint(1, most)
        kill = {"moment": case.moment, "at": at, "signal_name": case.signal_name, "rank": rank}
        codes, _ = processes.outcomes(case.world, command, watched(words, **kill), seconds=300)
        if codes and all(code == 0 for code in codes.values()) and len(codes) == case.world:
            return ["was not killed"]
        again = words if predicting else [*words, "--resume=true"]
        codes, failures = processes.outcomes(case.world, command, again, seconds=300)
        if failures or any(codes.values()):
            return [f"did not continue: {codes} {failures}"[-1500:]]
        return differences(run_dir, expected)


def _count(reference: Path, rank: int, moment: str) -> int:
    counts = json.loads(Path(f"{reference}-counts-{rank}.json").read_text())
    return int(counts.get(moment, 0))


def kill_sweep(draw: random.Random, signal_name: str, folder: Path) -> list[str]:
    """Return what differs between a sweep that was killed and begun again and one that was not."""
    space = {"name": "mine", "command": {"config": "quickstart"}}
    words = [sys.executable, "-m", "lit_tasks", "sweep", str(folder / "sweep.yaml")]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "WANDB_MODE": "disabled"}
    overlay = ROOT / "tests/configs/quickstart.yaml"
    content = {
        "name": space["name"],
        "method": "grid",
        "metric": {"name": "val/loss", "goal": "minimize"},
        "parameters": {"model.optimizer.lr": {"values": [0.01, 0.02]}},
        "command": [
            "${env}", "${interpreter}", "-m", "lit_tasks", "fit", "--config",
            str(ROOT / "configs/quickstart.yaml"), "--config", str(overlay), "${args}",
        ],
    }  # fmt: skip
    (folder / "sweep.yaml").write_text(json.dumps(content))
    whole, cut = folder / "whole", folder / "cut"
    if not whole.exists():
        started = time.monotonic()
        done = [*words, f"--runs={whole}"]
        subprocess.run(done, cwd=ROOT, env=environment, check=True, capture_output=True)
        (folder / "seconds.txt").write_text(str(time.monotonic() - started))
    seconds = float((folder / "seconds.txt").read_text())
    shutil.rmtree(cut, ignore_errors=True)
    process = subprocess.Popen(
        [*words, f"--runs={cut}"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    time.sleep(draw.uniform(0.1, 0.9) * seconds)
    os.killpg(process.pid, getattr(signal, signal_name))
    process.wait(60)
    done = [*words, f"--runs={cut}"]
    again = subprocess.run(done, cwd=ROOT, env=environment, check=False, capture_output=True)
    if again.returncode:
        return [f"did not continue: {again.stderr.decode()[-500:]}"]
    return [
        f"{trial.name}/{name}"
        for trial in sorted((whole / "mine").iterdir())
        if trial.is_dir()
        for name in differences(cut / "mine" / trial.name, trial)
    ]


def cases(count: int, draw: random.Random) -> Iterator[Case]:
    """Yield so many kills, every combination of kind, moment and signal about equally often."""
    combinations = [
        (kind, moment, name) for kind in CONFIGS for moment in MOMENTS for name in SIGNALS
    ]
    for number in range(count):
        if number % len(combinations) == 0:
            draw.shuffle(combinations)
        kind, moment, name = combinations[number % len(combinations)]
        world = draw.choice((1, 2))
        yield Case(kind, world, moment, name, draw.randrange(world))


def main() -> int:
    """Kill, count and report; return the number of runs that were not as if never killed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--sweeps", type=int, default=9, help="how many of them within a sweep")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    draw = random.Random(options.seed)
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        references = References(Path(folder))
        todo: list[Any] = list(cases(options.kills - options.sweeps, draw))
        todo += [SIGNALS[n % len(SIGNALS)] for n in range(options.sweeps)]
        for number, case in enumerate(todo, start=1):
            if isinstance(case, Case):
                wrong = kill_and_continue(case, references, draw)
            else:
                wrong = kill_sweep(draw, case, Path(folder))
            failed += bool(wrong)
            what = " ".join(map(str, case)) if isinstance(case, Case) else f"sweep {case}"
            print(f"{number:4} {what}: {'; '.join(wrong) or 'equal'}", flush=True)
    print(f"{len(todo) - failed} of {len(todo)} continued as if never killed")
    return failed


if __name__ == "__main__":
    sys.exit(min(main(), 125))
