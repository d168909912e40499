"""What an offline run of W&B holds."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from csv_table import table
from small_runs import TEXTS, fit


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


@pytest.mark.slow  # two runs; the server of test_wandb_online sees one resumed
def test_a_resumed_run_continues_the_same_wandb_run_and_the_same_tables() -> None:
    whole = fit(*TEXTS, "--trainer.max_epochs=3", "--trainer.logger=false")
    fit(*TEXTS, "--trainer.max_epochs=2", "--run_dir=runs/part", "--test=false")
    fit(*TEXTS, "--trainer.max_epochs=3", "--run_dir=runs/part", "--resume=true", "--test=false")
    ids = {p.name.rpartition("-")[2] for p in Path("runs/part/wandb").glob("offline-run-*")}
    assert len(ids) == 1
    first, again = table(whole / "examples.csv"), table(Path("runs/part/examples.csv"))
    assert [(r["epoch"], r["sample"]) for r in again] == [(r["epoch"], r["sample"]) for r in first]
