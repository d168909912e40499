"""A fit leaves a report and what it was made with in its folder."""

import json
import sys
from pathlib import Path

import pytest

from lit_tasks.__main__ import main


def test_a_fit_leaves_a_report_of_training_and_evaluation(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["fit", "--config", "toy.yaml", "--run_dir=run", "--trainer.logger=false"]) == 0
    assert "report: run/report.html" in capsys.readouterr().err
    page = Path("run/report.html").read_text()
    value = json.loads(Path("run/results.json").read_text())["val/loss"]["value"]
    assert f"{value:.4f}" in page
    environment = json.loads(Path("run/environment.json").read_text())
    assert environment["python"] == sys.version.split()[0]
    assert environment["processes"] == 1
    assert {"torch", "lightning", "lit_tasks", "started"} <= set(environment)


def test_it_is_switched_off_by_its_name() -> None:
    words = ["--run_dir=run", "--trainer.logger=false", "--report=null", "--figures=null"]
    assert main(["fit", "--config", "toy.yaml", *words]) == 0
    assert not Path("run/report.html").exists()
    assert not Path("run/environment.json").exists()


def test_a_report_that_cannot_be_written_ends_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path("run").mkdir()
    Path("run/report.html").write_text("mine")
    words = ["--run_dir=run", "--trainer.logger=false", "--figures=null"]
    with pytest.warns(UserWarning, match="no report was written: .* is no report"):
        assert main(["fit", "--config", "toy.yaml", *words]) == 0
    assert Path("run/report.html").read_text() == "mine"
