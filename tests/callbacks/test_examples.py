"""The same few samples, predicted after every epoch."""

import sys
from pathlib import Path

import pytest
from csv_table import table
from lightning.pytorch import Callback, LightningModule, Trainer
from small_runs import IMAGES, ROOT, TEXTS, fit

from lit_tasks.__main__ import main


class StopBetweenEpochs(Callback):
    """Ends a run before its second epoch."""

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.current_epoch == 1:
            raise RuntimeError("stopped")


def test_the_same_samples_are_predicted_after_every_epoch() -> None:
    run = fit(*TEXTS, "--trainer.max_epochs=3", "--examples.rows=4", "--trainer.logger=false")
    rows = table(run / "examples.csv")
    assert [row["epoch"] for row in rows] == ["0"] * 4 + ["1"] * 4 + ["2"] * 4
    assert [row["sample"] for row in rows] == ["0", "1", "2", "3"] * 3
    assert len({row["text"] for row in rows}) == 4
    reviews = (ROOT / "tests/fixtures/text/reviews.csv").read_text()
    assert all(row["target"] in ("pos", "neg") and row["text"][:15] in reviews for row in rows)


def test_images_are_shown_with_what_was_predicted() -> None:
    run = fit(*IMAGES, "--trainer.max_epochs=2", "--trainer.logger=false")
    assert sorted(p.name for p in (run / "examples").iterdir()) == [
        "epoch_0000.png",
        "epoch_0001.png",
    ]
    assert {"file", "label", "target"} <= table(run / "examples.csv")[0].keys()


def test_a_run_resumed_between_epochs_shows_what_one_never_stopped_does() -> None:
    words = (*IMAGES, "--trainer.logger=false", "--figures=null", "--curves=null")
    words = (*words, "--trainer.max_epochs=2", "--data.batch_size=3")  # more than a sanity check
    whole = fit(*words)
    stopped = ("--run_dir=part", "--trainer.callbacks+=test_examples.StopBetweenEpochs")
    assert main(["fit", *words, *stopped]) == 1
    fit(*words, "--run_dir=part", "--resume=true")
    assert table(Path("part/examples.csv")) == table(whole / "examples.csv")


def test_a_predict_step_that_fails_ends_no_training(capfd: pytest.CaptureFixture[str]) -> None:
    code = (
        "from lit_tasks.tasks.text_classification import TextClassificationTask\n"
        "class Broken(TextClassificationTask):\n"
        "    def predict_step(self, batch, batch_idx):\n"
        "        raise KeyError('no words')\n"
    )
    Path("broken_task.py").write_text(code)
    sys.path.insert(0, str(Path.cwd()))
    try:
        with pytest.warns(UserWarning, match=r"predict_step failed with KeyError\('no words'\)"):
            run = fit(*TEXTS, "--model=broken_task.Broken", "--trainer.logger=false")
    finally:
        sys.path.pop(0)
    assert not (run / "examples.csv").exists()
