"""Streams: every sample once, in step, continued exactly."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from cases import TextClassifier, Texts, collate, trainer
from lightning.pytorch import LightningDataModule
from processes import outcomes, run
from test_exact_batches import each, flat
from test_resume import KeepEvery
from torch.utils.data import DataLoader, IterableDataset

from lit_tasks.distributed.last_checkpoint import LastCheckpoint
from lit_tasks.distributed.rng_state import RandomState


class Stream(IterableDataset[Any]):
    """The texts, in another order each epoch."""

    def __init__(self, samples: int) -> None:
        self.texts, self.epoch = Texts(samples), 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[Any]:
        order = list(range(len(self.texts)))
        random.Random(self.epoch).shuffle(order)
        return (self.texts[i] for i in order)


class StreamData(LightningDataModule):
    def __init__(self, samples: int, stream: Any = None, batch_size: int = 12) -> None:
        super().__init__()
        self.stream, self.batch_size = stream or Stream(samples), batch_size

    def train_dataloader(self) -> DataLoader[Any]:
        return DataLoader(dataset=self.stream, batch_size=self.batch_size, collate_fn=collate)

    val_dataloader = test_dataloader = train_dataloader


def fitted(folder: Path, samples: int, continues: bool = False) -> list[Any]:
    module = TextClassifier()
    saver = KeepEvery(folder, every_n_train_steps=1)
    runner = trainer(callbacks=[RandomState(), saver], enable_checkpointing=True)
    runner.fit(module, datamodule=StreamData(samples))
    metrics = {name: float(value) for name, value in runner.callback_metrics.items()}
    differences = []
    for path in sorted(folder.glob("*.kept")) if continues else ():
        again = TextClassifier()
        callbacks = [RandomState(), LastCheckpoint(folder / "again")]
        runner = trainer(callbacks=callbacks, enable_checkpointing=True)
        runner.fit(again, datamodule=StreamData(samples), ckpt_path=path, weights_only=True)
        if again.losses != module.losses[len(module.losses) - len(again.losses) :]:
            differences.append(path.name)
        if again.losses and again.weights() != module.weights():
            differences.append(f"{path.name} weights")
    return [module.weights(), metrics, module.seen, differences]


@pytest.mark.slow  # starts three groups of processes; test_a_stream_continues has two
def test_a_stream_teaches_the_same_on_any_number_of_processes(tmp_path: Path) -> None:
    """25 = 2 x 12 + 1: in the last step, all but one process repeat what they had."""
    cases = [(tmp_path / str(n), n) for n in (37, 25, 47)]
    [alone] = run(1, each, fitted, cases)
    for world in (2, 3):
        for rank in run(world, each, fitted, cases):
            for mine, expected in zip(rank, alone, strict=True):
                assert flat(mine[0]) == pytest.approx(flat(expected[0]), abs=1e-12)
                assert mine[1] == pytest.approx(expected[1], abs=1e-6)


@pytest.mark.parametrize("world", [1, 2])
def test_a_stream_continues_from_any_checkpoint(tmp_path: Path, world: int) -> None:
    for outcome in run(world, fitted, tmp_path, 37, True, seconds=400):
        assert outcome[3] == []
    assert len(list(tmp_path.glob("*.kept"))) >= 6


def fit_shards(folder: Path) -> list[list[int]]:
    from datasets import load_dataset

    files = [str(path) for path in sorted(folder.glob("*.parquet"))]
    data = load_dataset("parquet", data_files=files, split="train", streaming=True)
    data = data.map(lambda row: row | {"tokens": torch.tensor(row["tokens"])})
    data = data.shuffle(seed=3, buffer_size=10).map(_sample)
    module = TextClassifier()
    runner = trainer(max_epochs=1)
    runner.fit(module, datamodule=StreamData(0, _Rows(data)))
    return [float(runner.callback_metrics["val/samples"]), module.seen]


def _sample(row: dict[str, Any]) -> dict[str, Any]:
    return {"sample": (row["tokens"], row["label"], row["index"])}


class _Rows(IterableDataset[Any]):
    """Tuples of a Hugging Face stream, split as that splits itself."""

    def __init__(self, rows: Any) -> None:
        self.rows = rows

    def split_by_process(self, rank: int, world_size: int) -> "_Rows":
        from lit_tasks.distributed.stream_loader import split

        return _Rows(split(self.rows, rank, world_size))

    def __iter__(self) -> Iterator[Any]:
        for row in self.rows:
            tokens, label, index = row["sample"]
            yield torch.as_tensor(tokens), int(label), int(index)


@pytest.mark.slow  # a stream of two files takes ten seconds to start and to end
@pytest.mark.parametrize("world", [1, 2, 3])
def test_parquet_shards_are_read_once_on_any_number_of_processes(
    tmp_path: Path, world: int
) -> None:
    """Two shards: 40 and 13 rows, so one of two processes has nothing left long before."""
    from datasets import Dataset

    texts = Texts(53)
    samples = (texts[number] for number in range(53))
    rows = [{"tokens": t.tolist(), "label": label, "index": i} for t, label, i in samples]
    for number, part in enumerate((rows[:40], rows[40:])):
        Dataset.from_list(part).to_parquet(str(tmp_path / f"{number}.parquet"))
    ranks = run(world, fit_shards, tmp_path)
    assert {samples for samples, _ in ranks} == {53}
    seen = [i for _, batches in ranks for batch in batches for i in batch]
    assert set(seen) == set(range(53))
    assert len({len(batches) for _, batches in ranks}) == 1
    if world == 1:
        assert len(seen) == 53


def one_sample(samples: int) -> None:
    trainer().fit(TextClassifier(), datamodule=StreamData(samples))


def test_a_stream_with_nothing_for_a_process_says_so() -> None:
    _, failures = outcomes(2, one_sample, 1)
    assert len(failures) == 2
    assert all("it gives [1, 0] samples to 2 of them" in text for text in failures.values())


def small_batch() -> None:
    trainer().fit(TextClassifier(), datamodule=StreamData(9, batch_size=1))


def test_a_batch_smaller_than_the_processes_is_refused() -> None:
    _, failures = outcomes(2, small_batch)
    assert "1 samples cannot be shared by 2" in failures[0]
