"""What a fit leaves for people: curves, examples, samples, speed; in files and in any logger."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from csv_table import table
from lightning.pytorch import Callback, LightningModule, Trainer
from PIL import Image

from lit_tasks.__main__ import main

ROOT = Path(__file__).parents[2]
TEXTS = [
    *("--config", str(ROOT / "configs/quickstart.yaml")),
    *("--config", str(ROOT / "tests/configs/quickstart.yaml")),
    f"--data.path={ROOT}/tests/fixtures/text/reviews.csv",
]
IMAGES = [
    *("--config", str(ROOT / "configs/image_scenes_frozen.yaml")),
    *("--config", str(ROOT / "tests/configs/image_scenes_frozen.yaml")),
]


class StopBetweenEpochs(Callback):
    """Ends a run before its second epoch."""

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.current_epoch == 1:
            raise RuntimeError("stopped")


def fit(*words: str) -> Path:
    assert main(["fit", *words]) == 0
    return Path("runs/latest").resolve()


def wandb_records(run: Path) -> list[dict[str, Any]]:
    """Return what an offline run's file holds, read back by W&B's own reader."""
    pytest.importorskip("wandb", minversion="0.31", reason="its reader of offline runs is new")
    (folder,) = (run / "wandb").glob("offline-run-*")
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(folder)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [json.loads(line) for line in lines.splitlines()]


def wandb_summary(run: Path) -> dict[str, Any]:
    pytest.importorskip("wandb", minversion="0.31", reason="its reader of offline runs is new")
    (folder,) = (run / "wandb").glob("offline-run-*")
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--summary", "--json", str(folder)]
    found: dict[str, Any] = json.loads(
        subprocess.run(command, capture_output=True, text=True, check=True).stdout
    )
    return found


def test_an_offline_run_holds_configuration_history_summary_and_media(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = fit(*TEXTS, "--trainer.max_epochs=3")
    (folder,) = (run / "wandb").glob("offline-run-*")
    assert f"wandb sync runs/quickstart/{run.name}/wandb/{folder.name}" in capsys.readouterr().err

    found = wandb_summary(run)
    assert found["config"]["model.init_args.encoder.init_args.ngrams"] == 2
    results = json.loads((run / "results.json").read_text())
    summary = found["summary"]
    for name, aim in (("val/accuracy", "max"), ("val/loss", "min")):
        assert summary[name][aim] == pytest.approx(results[name]["best"]["value"])
        assert summary[name]["last"] == pytest.approx(results[name]["last"]["value"])
        assert summary[f"best/{name}"] == pytest.approx(results[name]["value"])
    assert summary["test/accuracy"] == pytest.approx(results["test/accuracy"]["value"])

    text = json.dumps(wandb_records(run))
    for name in ("train/loss", "lr/Adam", "speed/samples_per_second", "val/examples"):
        assert name in text
    media = {p.parent.name + "/" + p.name for p in folder.glob("files/media/**/*") if p.is_file()}
    assert sum(name.startswith("val/examples") for name in media) == 3  # one an epoch
    assert any("learning_curves" in name for name in media)


def test_curves_of_a_whole_fit_are_drawn_and_summed_up() -> None:
    run = fit("--config", "toy.yaml")
    assert min(Image.open(run / "figures/learning_curves.png").size) > 200
    results = json.loads((run / "results.json").read_text())
    points = [row for row in table(run / "metrics.csv") if row["val/loss"]]
    assert len(points) == 2  # what is found after training is no point of the curve
    losses = [float(row["val/loss"]) for row in points]
    assert results["val/loss"]["best"]["value"] == min(losses)
    assert results["val/loss"]["last"] == {"value": losses[-1], "epoch": 1, "step": 11}


def test_curves_are_drawn_without_any_logger() -> None:
    run = fit("--config", "toy.yaml", "--trainer.logger=false")
    assert (run / "figures/learning_curves.png").is_file()
    assert json.loads((run / "results.json").read_text())["val/loss"]["last"]["epoch"] == 1


def test_an_interrupted_fit_leaves_its_curves() -> None:
    words = ["fit", "--config", "toy.yaml", "--trainer.max_epochs=100000", "--run_dir=cut"]
    words += ["--trainer.logger=lit_tasks.loggers.csv.RunCSVLogger"]
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    process = subprocess.Popen(
        [sys.executable, "-m", "lit_tasks", *words],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    rows: Path = Path("cut/metrics.csv")
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (rows.is_file() and "\n3," in rows.read_text()):
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    try:
        assert process.wait(60) != 0
    finally:
        process.kill()
    assert (rows.parent / "figures/learning_curves.png").is_file()
    last = json.loads((rows.parent / "results.json").read_text())["val/loss"]["last"]["epoch"]
    assert last >= 2  # the signal may come before the validation of epoch 3


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
    stopped = ("--run_dir=part", "--trainer.callbacks+=test_run_record.StopBetweenEpochs")
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


def test_each_test_sample_is_written_with_its_own_id_and_score() -> None:
    run = fit(*TEXTS, "--trainer.logger=false")
    rows, results = table(run / "samples_test.csv"), json.loads((run / "results.json").read_text())
    assert len(rows) == results["test/accuracy"]["samples"]
    for name in ("accuracy", "loss"):
        mean = sum(float(row[name]) for row in rows) / len(rows)
        assert mean == pytest.approx(results[f"test/{name}"]["value"], abs=1e-5)
    reviews = table(ROOT / "tests/fixtures/text/reviews.csv")
    imdb = [row for row in reviews if row["source"] == "imdb"]
    names = {"0": "neg", "1": "pos"}
    for row in rows:  # the id is the row in the file
        label = imdb[int(row["id"])]["label"]
        assert row["target"] == names.get(label, label)


def test_gradient_norms_and_processes_are_measured_on_request() -> None:
    plain = fit("--config", "toy.yaml", "--trainer.logger=lit_tasks.loggers.csv.RunCSVLogger")
    assert "gradient/norm" not in table(plain / "metrics.csv")[0]
    assert table(plain / "monitor.csv")[0].keys() == {"epoch", "step", "speed/samples_per_second"}
    words = ["--monitor.gradient_norm=true", "--monitor.processes=true"]
    run = fit("--config", "toy.yaml", "--trainer.logger=lit_tasks.loggers.csv.RunCSVLogger", *words)
    norms = [row["gradient/norm"] for row in table(run / "metrics.csv") if row["gradient/norm"]]
    assert len(norms) == 12
    assert all(float(norm) > 0 for norm in norms)
    assert float(table(run / "monitor.csv")[-1]["system/peak_memory_mb_rank0"]) > 100
    assert not any(name.startswith(("speed", "system")) for name in table(run / "metrics.csv")[0])


def test_a_short_epoch_still_has_a_point_of_the_training_loss() -> None:
    content = yaml.safe_load(Path("toy.yaml").read_text())
    del content["trainer"]["log_every_n_steps"]
    Path("short.yaml").write_text(yaml.safe_dump(content))
    run = fit("--config", "short.yaml")
    steps = [row["step"] for row in table(run / "metrics.csv") if row["train/loss"]]
    assert steps == ["5", "11"]


def test_a_resumed_run_continues_the_same_wandb_run_and_the_same_tables() -> None:
    whole = fit(*TEXTS, "--trainer.max_epochs=3", "--trainer.logger=false")
    fit(*TEXTS, "--trainer.max_epochs=2", "--run_dir=runs/part", "--test=false")
    fit(*TEXTS, "--trainer.max_epochs=3", "--run_dir=runs/part", "--resume=true", "--test=false")
    ids = {p.name.rpartition("-")[2] for p in Path("runs/part/wandb").glob("offline-run-*")}
    assert len(ids) == 1
    first, again = table(whole / "examples.csv"), table(Path("runs/part/examples.csv"))
    assert [(r["epoch"], r["sample"]) for r in again] == [(r["epoch"], r["sample"]) for r in first]


def test_tensorboard_gets_images_tables_and_configuration() -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = fit(
        *TEXTS,
        *("--trainer.logger=lightning.pytorch.loggers.TensorBoardLogger",),
        *("--trainer.logger.save_dir=board", "--trainer.max_epochs=2"),
    )
    assert (run / "metrics.csv").is_file()  # beside whatever logger
    (folder,) = {path.parent for path in Path("board").rglob("events.*")}
    events = EventAccumulator(str(folder), size_guidance={"images": 0, "tensors": 0})
    events.Reload()
    assert {"learning_curves", "test/confusion_matrix"} <= set(events.Tags()["images"])
    assert "val/examples/text_summary" in events.Tags()["tensors"]
    (first, *_) = events.Tensors("val/examples/text_summary")
    assert "| sample | text |" in first.tensor_proto.string_val[0].decode()
    assert len(events.Scalars("val/accuracy")) == 2
    settings = yaml.safe_load((folder / "hparams.yaml").read_text())
    assert settings["model.init_args.encoder.init_args.ngrams"] == 2


def test_a_logger_that_shows_nothing_says_so_once(refusal: Callable[..., str]) -> None:
    code = (
        "from lightning.pytorch.loggers import Logger\n"
        "class Numbers(Logger):\n"
        "    name, version = 'numbers', 0\n"
        "    def log_metrics(self, metrics, step=None): pass\n"
        "    def log_hyperparams(self, params, *args, **kwargs): pass\n"
    )
    Path("numbers_logger.py").write_text(code)
    sys.path.insert(0, str(Path.cwd()))
    try:
        with pytest.warns(UserWarning, match="Numbers cannot show") as said:
            fit(*TEXTS, "--trainer.max_epochs=3", "--trainer.logger=numbers_logger.Numbers")
    finally:
        sys.path.pop(0)
    texts = sorted(str(w.message) for w in said if "cannot show" in str(w.message))
    assert [text.partition(":")[0] for text in texts] == [
        "Numbers cannot show images",
        "Numbers cannot show tables",
    ]


def test_mlflow_gets_images_tables_and_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow", reason="heavy, and no part of the dev extra")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    where = Path.cwd() / "flow"
    fit(
        *TEXTS,
        *("--trainer.logger=lightning.pytorch.loggers.MLFlowLogger",),
        *(f"--trainer.logger.tracking_uri=file:{where}", "--trainer.max_epochs=2"),
    )
    found = {str(path.relative_to(path.parents[1])) for path in where.rglob("*") if path.is_file()}
    assert {"figures/learning_curves.png", "figures/test_confusion_matrix.png"} <= found
    assert sum(name.startswith("tables/val_examples") for name in found) == 2
    assert "params/model.init_args.encoder.init_args.ngrams" in found
    assert {"val/accuracy", "test/accuracy"} <= found
