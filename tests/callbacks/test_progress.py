"""One kept line an epoch, on a terminal and in a pipe, and what stands in it."""

import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from toy_task import ToyData, ToyTask

from lit_tasks.callbacks.epoch_lines import Pace, clock, done, epoch_of, number
from lit_tasks.callbacks.progress import Progress

LINE = re.compile(
    r"epoch (\d+)/(\d+)  train/loss (\d\.\d{4})  val/loss (\d\.\d{4})( \(best\))?  (\d:\d\d)(, .*)?"
)


class Rising(ToyTask):
    """Its validation loss falls once, and then rises."""

    values = iter(())

    def on_validation_epoch_end(self) -> None:
        if not self.trainer.sanity_checking:
            self.log_dict({"val/loss": next(self.values), "val/accuracy": 0.5})


def fit(folder: Path, values: list[float], epochs: int, **options: Any) -> Trainer:
    task = Rising()
    task.values = iter(values)
    trainer = Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_model_summary=False,
        log_every_n_steps=1,
        default_root_dir=folder,
        callbacks=[
            Progress(seconds=options.pop("seconds", 10.0)),
            ModelCheckpoint(folder, monitor="val/loss", save_last=True),
        ],
        **{key: value for key, value in options.items() if key != "ckpt_path"},
    )
    trainer.fit(task, ToyData(), ckpt_path=options.get("ckpt_path"), weights_only=False)
    return trainer


def epoch_lines(text: str) -> list[re.Match[str]]:
    found = [LINE.search(line) for line in re.split(r"[\r\n]", text)]
    return [match for match in found if match]


def test_a_pipe_gets_one_line_an_epoch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit(tmp_path, [0.5, 0.3, 0.4], 3)
    printed = capsys.readouterr()
    assert "Rising: 20 parameters, all of them trained" in printed.err
    lines = epoch_lines(printed.err)
    assert [(m[1], m[2]) for m in lines] == [("1", "3"), ("2", "3"), ("3", "3")]
    assert [m[4] for m in lines] == ["0.5000", "0.3000", "0.4000"]
    assert [bool(m[5]) for m in lines] == [True, True, False]
    assert [bool(m[7]) for m in lines] == [True, True, False]  # time left, until none is
    assert "batch" not in printed.err  # nothing within an epoch that takes no time


def test_a_terminal_keeps_the_same_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    fit(tmp_path, [0.5, 0.6], 2)
    printed = capsys.readouterr()
    kept = [line for line in printed.out.split("\n") if LINE.search(line)]
    assert len(kept) == 2
    bars = printed.out + printed.err
    assert re.search(r"epoch 2/2:.*train/loss=\d\.\d{4}.*val/loss=0\.5000.*time=0:\d\d", bars)
    assert "Epoch 0" not in bars


def test_a_resumed_run_knows_the_best_value(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit(tmp_path, [0.2], 1)
    capsys.readouterr()
    fit(tmp_path, [0.3, 0.1], 3, ckpt_path=tmp_path / "last.ckpt")
    lines = epoch_lines(capsys.readouterr().err)
    assert [(m[1], bool(m[5])) for m in lines] == [("2", False), ("3", True)]


def test_a_long_epoch_shows_its_batches_and_its_validations(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit(tmp_path, [0.5, 0.4], 1, seconds=0.0, val_check_interval=3, num_sanity_val_steps=0)
    printed = capsys.readouterr().err
    assert re.search(r"epoch 1/1, batch 2/6  train/loss \d", printed)
    assert re.search(r"epoch 1/1, batch 3/6  train/loss .* val/loss 0\.5000 \(best\)", printed)
    assert len(epoch_lines(printed)) == 1


def test_a_batch_shows_its_own_loss_until_a_mean_is_logged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(task: Any, batch: Any, batch_idx: int) -> torch.Tensor:
        return task.net(batch[0]).square().mean()

    monkeypatch.setattr(Rising, "training_step", silent)
    fit(tmp_path, [0.5], 1, seconds=0.0)
    assert re.search(r"epoch 1/1, batch 2/6  loss \d\.\d{4}  ", capsys.readouterr().err)


def test_a_prediction_says_how_far_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer = Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, callbacks=[Progress(0.0)]
    )
    trainer.predict(ToyTask(), ToyData())
    assert re.search(r"predict: batch 6/6  0:0\d", capsys.readouterr().err)


def trainer_at(epoch: int, epochs: int | None, step: int = 0, steps: int = -1) -> Any:
    return SimpleNamespace(
        current_epoch=epoch, max_epochs=epochs, global_step=step, max_steps=steps
    )


def test_the_limit_that_ends_first_counts() -> None:
    assert done(trainer_at(1, 4), 0.5) == 1.5 / 4
    assert done(trainer_at(1, 4, step=90, steps=100), 0.5) == 0.9
    assert done(trainer_at(7, -1), 0.5) == 0.0


def test_the_epoch_is_counted_from_one_and_steps_where_they_end_the_run() -> None:
    assert epoch_of(trainer_at(2, 10)) == "epoch  3/10"
    assert epoch_of(trainer_at(0, -1, step=5, steps=20)) == "epoch 1, step 5/20"


def test_time_left_is_of_what_this_session_did(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0.0, 100.0, 130.0])
    monkeypatch.setattr("time.monotonic", lambda: next(times))
    pace = Pace()
    pace.begin(trainer_at(5, 10))  # resumed: half of it was done before
    assert pace(trainer_at(6, 10), 0.0) == "0:30, 2:00 left"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0:00"), (59.6, "1:00"), (3661, "1:01:01")], ids=str
)
def test_a_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.41, "0.4100"), (0.0, "0.0000"), (2e-5, "2e-05"), (1234567.0, "1.23e+06"),
     (float("nan"), "nan"), (float("inf"), "inf")],
    ids=str,
)  # fmt: skip
def test_numbers_keep_their_digits(value: float, text: str) -> None:
    assert number(value) == text


def test_the_first_metric_of_which_more_is_better_is_shown() -> None:
    from lit_tasks.callbacks.epoch_lines import shown_metrics

    checkpoint = SimpleNamespace()
    trainer: Any = SimpleNamespace(
        callback_metrics={
            "train/loss": torch.tensor(1.0),
            "val/accuracy": torch.tensor(0.5),
            "val/accuracy_low": torch.tensor(0.4),
            "val/loss": torch.tensor(2.0),
        },
        checkpoint_callbacks=[checkpoint],
    )
    task: Any = ToyTask()
    task.__class__ = type("Told", (ToyTask,), {"higher_is_better": {"accuracy": True}})
    assert list(shown_metrics(trainer, task)) == ["train/loss", "val/loss", "val/accuracy"]
