"""Sentences per second of the bag of words, end to end, against a hand-written PyTorch loop.

    python benchmarks/bag_of_words.py --data ../shared/data/sentiment_sentences [--rounds 3]

All train on the same encoded sentences with the same model, optimizer and batch size: a plain loop,
Lightning's trainer with everything off (``barebones``), which says what its loop costs by itself,
and the whole default run (CSV, W&B offline, checkpoints). One thread and its processor time, the
fastest of some epochs of interleaved runs, since other work on a machine only slows them; reading
and encoding happen before the watch starts in all. What a step costs beside its computation does
not depend on the batch, so the ratios grow with it.
"""

import argparse
import os
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

os.environ |= {"OMP_NUM_THREADS": "1", "WANDB_MODE": "offline"}

import torch
from lightning.pytorch import Callback, Trainer

from lit_tasks.__main__ import main as lit_tasks
from lit_tasks.data.base.encoded_texts import collate
from lit_tasks.data.text_files import TextFilesDataModule
from lit_tasks.nn.text.encoders import BagOfWords
from lit_tasks.tasks.text_classification import TextClassificationTask
from lit_tasks.text.encoding import TextOptions

CONFIG = Path(__file__).parents[1] / "configs" / "text_sentences_bow.yaml"
WORDS_ALONE = tuple(
    f"--model.encoder.{option}" for option in ("ngrams=1", "buckets=0", "naive_bayes=0")
)
BATCHES = (64, 256, 1024)
EPOCHS = 4


class Watch(Callback):
    """Take the time of each training epoch."""

    seconds: ClassVar[list[float]] = []

    def on_train_epoch_start(self, trainer: Trainer, *args: Any) -> None:
        """Start."""
        Watch.seconds.append(0.0)
        self._start = time.thread_time()

    def on_train_batch_end(self, *args: Any) -> None:
        """Note the latest end of a batch."""
        Watch.seconds[-1] = time.thread_time() - self._start


def by_hand(data: TextFilesDataModule, batch_size: int) -> float:
    """Return the seconds of the fastest epoch of a plain loop over the same batches."""
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"  # as in a process without Lightning
    encoder = BagOfWords(len(data.vocabulary), normalize=True)
    head: Any = encoder.make_head(1)
    optimizer = torch.optim.Adam(head.parameters(), lr=0.03)
    rows: Any = data.train_dataloader().dataset
    seconds = []
    for _ in range(EPOCHS):
        start = time.thread_time()
        for indices in torch.randperm(len(rows)).split(batch_size):
            batch = collate(rows.__getitems__(indices.tolist()))
            optimizer.zero_grad()
            scores = head(encoder(batch.tokens, batch.lengths))[:, 0]
            assert batch.label is not None
            loss = torch.nn.functional.binary_cross_entropy_with_logits(scores, batch.label.float())
            loss.backward()
            optimizer.step()
        seconds.append(time.thread_time() - start)
    return min(seconds)


def barebones(data: TextFilesDataModule, batch_size: int) -> float:
    """Return the seconds of the fastest epoch of our task in Lightning's barebones trainer."""
    data.batch_size = batch_size
    encoder = partial(BagOfWords, normalize=True)
    task = TextClassificationTask(encoder, partial(torch.optim.Adam, lr=0.03))
    Watch.seconds.clear()
    trainer = Trainer(barebones=True, max_epochs=EPOCHS, accelerator="cpu", callbacks=[Watch()])
    trainer.fit(task, datamodule=data)
    return min(Watch.seconds)


def ours(train: Path, dev: Path, batch_size: int) -> float:
    """Return the seconds of the fastest epoch of the command line's default run."""
    import bag_of_words  # the module that the command line imports by this name

    bag_of_words.Watch.seconds.clear()
    with tempfile.TemporaryDirectory() as folder:
        words = ["fit", "--config", str(CONFIG), f"--data.train={train}", f"--data.val={dev}"]
        words += [f"--trainer.max_epochs={EPOCHS}", f"--run_dir={folder}/run"]
        words += [f"--data.batch_size={batch_size}", *WORDS_ALONE]
        if lit_tasks([*words, "--trainer.callbacks+=bag_of_words.Watch"]) != 0:
            raise SystemExit("the run failed")
    return min(bag_of_words.Watch.seconds)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parent))
    torch.set_num_threads(1)
    train, dev = arguments.data / "train.txt", arguments.data / "dev.txt"
    data = TextFilesDataModule(train, dev, text=TextOptions(split="space"))
    data.setup("fit")
    count = len(data.train_dataloader().dataset)  # type: ignore[arg-type]
    heads = ("batch", "plain PyTorch loop, sentences per second", "Trainer(barebones=True)")
    print(f"| {' | '.join((*heads, 'ratio', 'lit-tasks fit', 'ratio'))} |")
    print("| --- " * 6 + "|")
    for batch_size in BATCHES:
        plain, bare, whole = [], [], []
        for _ in range(arguments.rounds):
            plain.append(by_hand(data, batch_size))
            bare.append(barebones(data, batch_size))
            whole.append(ours(train, dev, batch_size))
        one, cells = min(plain), [str(batch_size), f"{count / min(plain):.0f}"]
        for other in (min(bare), min(whole)):
            cells += [f"{count / other:.0f}", f"{one / other:.2f}"]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
