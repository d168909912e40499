"""What captioning costs: a training step, a beam search, and the start of a second run.

    python -m benchmarks.captioning [--rounds 9] [--images 256] [--root flickr8k_captions]

Prints three ratios and fails (exit code 1) below the lines that the README claims:

- a training step of the decoder on our LSTM against the same model on torch.nn.LSTM, on the same
  weights and captions, in turn (median time of torch's by ours, at least 1.0);
- a beam search of width 5 over all images at once against one image at a time (at least 10);
- with ``--root``, the seconds from the command of a second default run (CSV, W&B offline) until its
  first training step (at most 10; features are cached by the first run).
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lit_tasks.nn.caption.beam_search import beam_search
from lit_tasks.nn.caption.decoding import DecodingConstraints
from lit_tasks.nn.caption.recurrent import RecurrentCaptioner

FEATURES, WORDS, BATCH, LENGTHS = 1280, 2000, 64, (8, 17)


def captions() -> tuple[Tensor, Tensor]:
    """Return a batch of captions of random words and of lengths as in COCO."""
    lengths = torch.randint(*LENGTHS, (BATCH,))
    rows = [torch.randint(3, WORDS, (int(n) - 2,)).tolist() for n in lengths]
    return torch.tensor([word for row in rows for word in (0, *row, 1)]), lengths


def training_step(model: nn.Module) -> Callable[[], None]:
    """Return a forward and backward pass over one batch."""
    features = torch.randn(BATCH, FEATURES)
    tokens, lengths = captions()

    def step() -> None:
        found = model(features, tokens, lengths)
        F.cross_entropy(found.logits, found.target, reduction="sum").div(BATCH).backward()
        model.zero_grad()

    return step


def captioners(hidden: int) -> tuple[RecurrentCaptioner, RecurrentCaptioner]:
    """Return the assignment's model on torch's LSTM and on ours, with the same weights."""
    theirs, ours = (RecurrentCaptioner(WORDS, FEATURES, hidden_size=hidden) for _ in range(2))
    layer = nn.LSTM(256, hidden)
    layer.load_state_dict(theirs.recurrent.state_dict())
    theirs.recurrent = layer  # type: ignore[assignment] # it has all that the captioner asks for
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def in_turn(steps: list[Callable[[], None]], rounds: int) -> list[float]:
    """Return the median seconds of each, measured in turn so that a busy machine hurts all."""
    times: list[list[float]] = [[] for _ in steps]
    for number in range(rounds + 2):
        for step, found in zip(steps, times, strict=True):
            start = time.perf_counter()
            step()
            if number >= 2:
                found.append(time.perf_counter() - start)
    return [statistics.median(found) for found in times]


def train(rounds: int) -> float:
    """Print and return how many times as fast our training step is."""
    theirs, ours = captioners(512)
    torch.manual_seed(0)
    steps = []
    for model in (theirs, ours):
        torch.manual_seed(0)
        steps.append(training_step(model))
    torchs, mine = in_turn(steps, rounds)
    print(
        f"training step, {BATCH} captions, state 512, {WORDS} words: torch.nn.LSTM "
        f"{torchs * 1e3:.1f} ms, ours {mine * 1e3:.1f} ms, ratio {torchs / mine:.2f} (line 1.0)"
    )
    return torchs / mine


def search(images: int) -> float:
    """Print and return how many times as fast a batched beam search is."""
    torch.manual_seed(0)
    model = RecurrentCaptioner(WORDS, FEATURES).eval()
    features = torch.randn(images, FEATURES)
    constraints = DecodingConstraints(max_words=16, min_words=8)
    start = time.perf_counter()
    together = beam_search(model, features, 5, constraints).listed()
    middle = time.perf_counter()
    alone = [beam_search(model, image, 5, constraints).listed()[0] for image in features.split(1)]
    end = time.perf_counter()
    assert together == alone, "batched and single searches must find the same sentences"
    ratio = (end - middle) / (middle - start)
    print(
        f"beam of 5 over {images} images: at once {middle - start:.2f} s, one at a time "
        f"{end - middle:.2f} s, ratio {ratio:.1f} (line 10)"
    )
    return ratio


def second_start(root: Path) -> float:
    """Print and return the seconds from the command to a second run's first training step."""
    here = Path(__file__).parent
    path = os.pathsep.join((str(here), str(here.parent)))
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable, "-m", "lit_tasks", "fit",
            "--config=configs/caption_flickr8k_lstm.yaml", f"--data.root={root}",
            f"--data.cache_dir={folder}/features", "--trainer.callbacks+=tiny.StopAtFirstStep",
        ]  # fmt: skip
        times, cpu = [], []
        for run in ("first", "second"):
            start = time.perf_counter()
            output = subprocess.run(
                [*command, f"--run_dir={folder}/{run}"],
                check=True,
                capture_output=True,
                text=True,
                cwd=here.parent,
                env={**os.environ, "PYTHONPATH": path, "WANDB_MODE": "offline"},
            ).stdout
            times.append(time.perf_counter() - start)
            cpu.append(float(output.split("cpu ")[-1].split()[0]))
    print(
        f"caption_flickr8k_lstm, from command to first step: first run {times[0]:.1f} s "
        f"({cpu[0]:.1f} s of CPU), second {times[1]:.1f} s ({cpu[1]:.1f} s of CPU; line 10)"
    )
    return times[1]


def main() -> int:
    """Measure and compare with the lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--root", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"torch {torch.__version__}, {options.threads} thread(s)")
    passed = train(options.rounds) >= 1
    passed &= search(options.images) >= 10
    if options.root is not None:
        passed &= second_start(options.root.resolve()) <= 10
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
