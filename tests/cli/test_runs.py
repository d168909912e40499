"""Whole commands on the toy task: where things land, what is recorded, what can be resumed."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import wandb
import yaml
from csv_table import table

from lit_tasks.__main__ import main


def fit(*words: str) -> Path:
    assert main(["fit", "--config", "toy.yaml", *words]) == 0
    return Path("runs/latest").resolve()


def rows(run: Path) -> list[dict[str, str]]:
    return table(run / "metrics.csv")


def contents(run: Path) -> dict[Path, bytes]:
    """Return all files but W&B's own logs, when its service has written down the rest."""
    wandb.teardown()
    return {p: p.read_bytes() for p in run.rglob("*") if p.is_file() and p.suffix != ".log"}


def test_a_run_leaves_everything_in_its_folder_and_nothing_elsewhere() -> None:
    run = fit("--test=true")
    files = {str(p.relative_to(run)) for p in run.rglob("*") if "wandb/" not in str(p)}
    assert files >= {"config.yaml", "metrics.csv", "results.json"}
    assert files >= {"checkpoints/best.ckpt", "checkpoints/last.ckpt", "wandb"}
    assert run.parent.name == "toy"
    assert sorted(os.listdir(".")) == ["runs", "toy.yaml"]


def test_results_hold_value_interval_and_samples_of_both_stages() -> None:
    results = json.loads((fit("--test=true") / "results.json").read_text())
    value = results["val/loss"]["value"]
    assert results["val/loss"]["interval"] == pytest.approx([value - 1, value + 1])
    assert results["val/loss"]["samples"] == 24
    assert results["test/loss"]["value"] == pytest.approx(value)  # the toy's data are the same


def test_two_runs_in_a_row_do_not_touch_each_other() -> None:
    first = fit()
    before = contents(first)
    assert fit() != first
    assert contents(first) == before


def test_the_run_folder_is_the_same_without_loggers_and_with_another() -> None:
    run = fit("--trainer.logger=false")
    assert (run / "config.yaml").is_file()
    assert not (run / "metrics.csv").exists()
    run = fit(
        "--trainer.logger=lightning.pytorch.loggers.CSVLogger", "--trainer.logger.save_dir=own"
    )
    assert (run / "checkpoints/best.ckpt").is_file()


def test_the_last_config_wins_and_a_flag_wins_over_configs_wherever_it_stands() -> None:
    Path("more.yaml").write_text("trainer: {max_epochs: 1}\nmodel: {init_args: {hidden_size: 8}}\n")
    run = fit("--trainer.max_epochs=3", "--config", "more.yaml")
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["trainer"]["max_epochs"] == 3
    assert config["model"]["init_args"]["hidden_size"] == 8


def test_the_recorded_config_runs_again() -> None:
    run = fit()
    assert main(["fit", "--config", str(run / "config.yaml")]) == 0
    again = Path("runs/latest").resolve()
    assert again.parent == run.parent
    assert rows(again) == rows(run)


def test_null_is_null_at_any_depth(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--model.optimizer.foreach=null", "--experiment=null", "--data.samples=3"]
    assert main(["fit", "--config", "toy.yaml", *words, "--print_config"]) == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed["model"]["init_args"]["optimizer"]["init_args"]["foreach"] is None
    assert printed["experiment"] is None


def test_print_config_reads_back(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--config", "toy.yaml", "--print_config"]) == 0
    printed = capsys.readouterr().out
    Path("printed.yaml").write_text(printed)
    assert main(["fit", "--config", "printed.yaml", "--print_config"]) == 0
    assert capsys.readouterr().out == printed


def test_callbacks_of_the_user_come_on_top_and_defaults_are_switched_off_by_name() -> None:
    run = fit(
        "--trainer.callbacks+=lightning.pytorch.callbacks.LearningRateMonitor",
        "--results=null",
        "--curves=null",
    )
    assert (run / "checkpoints/best.ckpt").is_file()
    assert "lr-SGD" in rows(run)[0]
    assert not (run / "results.json").exists()
    run = fit("--checkpoint=null", "--last_checkpoint=null")
    assert not (run / "checkpoints").exists()


def test_early_stopping_is_one_section() -> None:
    run = fit("--early_stopping.monitor=val/loss", "--early_stopping.stopping_threshold=1e9")
    assert [row["epoch"] for row in rows(run) if row["val/loss"]] == ["0"]


def test_every_setting_reaches_wandb_offline() -> None:
    pytest.importorskip("wandb", minversion="0.31", reason="its reader of offline runs is new")
    run = fit(
        "--trainer.logger+=lightning.pytorch.loggers.CSVLogger", "--trainer.logger.save_dir=own"
    )
    (folder,) = (run / "wandb").glob("offline-run-*")
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--summary", "--json", str(folder)]
    record = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert '"model.init_args.optimizer.init_args.lr"' in record
    assert '"model.init_args.features"' in record
    summary = json.loads(record)
    assert summary["config"]["model.init_args.features"] == 4  # what only the data knew


@pytest.mark.slow  # starts Python anew and imports everything
def test_a_fit_repeats_nothing_about_defaults_that_nobody_can_act_on() -> None:
    path = os.pathsep.join(str(Path(__file__).parents[n]) for n in (2, 1))
    done = subprocess.run(
        [sys.executable, "-m", "lit_tasks", "fit", "--config", "toy.yaml"],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "run folder: " in done.stderr
    assert "weights_only" not in done.stderr
    assert "Loading `train_dataloader`" not in done.stderr


def test_a_resumed_run_has_the_rows_of_one_never_stopped() -> None:
    whole = fit("--trainer.max_epochs=4")
    fit("--trainer.max_epochs=2", "--run_dir=runs/part")
    fit("--trainer.max_epochs=4", "--run_dir=runs/part", "--resume=true")
    assert rows(Path("runs/part")) == rows(whole)


def test_resume_finds_the_newest_run_of_the_experiment() -> None:
    run = fit()
    assert fit("--resume=true", "--trainer.max_epochs=3") == run
    assert max(int(row["epoch"]) for row in rows(run)[:-1]) == 2


def test_a_checkpoint_loads_without_running_code() -> None:
    content = torch.load(fit() / "checkpoints/best.ckpt", weights_only=True)
    assert content["hyper_parameters"]["features"] == 4
    assert content["ToyData"] == {"offset": 0.5}


def test_a_checkpoint_of_a_strange_package_is_refused_until_it_is_named(
    refusal: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    ckpt = str(fit() / "checkpoints/best.ckpt")
    proposed = "--trusted_modules=[toy_task]"
    assert f"best.ckpt {proposed}" in capsys.readouterr().err
    assert "wants to import toy_task.ToyTask" in refusal("test", "--ckpt_path", ckpt)
    assert main(["test", "--ckpt_path", ckpt, proposed]) == 0
    named = ["--model=toy_task.ToyTask", "--data=toy_task.ToyData"]
    assert main(["test", "--ckpt_path", ckpt, *named]) == 0


def test_a_flag_beats_the_checkpoint_and_the_checkpoint_beats_the_config() -> None:
    run = fit("--model.hidden_size=8")
    ckpt = str(run / "checkpoints/best.ckpt")
    words = ["test", "--config", "toy.yaml", "--ckpt_path", ckpt]
    assert main(words) == 0  # the config's hidden_size of 6 would not fit the weights

    def loss() -> float:
        found = Path("runs/toy").glob("*/results.json")
        path = max(found, key=lambda p: p.stat().st_mtime_ns)
        return float(json.loads(path.read_text())["test/loss"]["value"])

    plain = loss()
    assert main([*words, "--model.scale=3"]) == 0
    assert loss() == pytest.approx(3 * plain)
