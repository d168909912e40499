"""Every YAML in ``configs/`` runs from fit to predict on a few kilobytes of made-up data.

A new config is found by the glob; ``tests/configs/<same name>.yaml`` makes it small.
"""

import json
from pathlib import Path

import pytest
import torch
from csv_table import table

from lit_tasks.__main__ import main

ROOT = Path(__file__).parents[1]
CONFIGS = sorted(ROOT.glob("configs/*.yaml"))


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)  # the overlays name fixtures from here


def test_there_are_configs() -> None:
    assert CONFIGS


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_config_runs_from_fit_to_predict(config: Path, tmp_path: Path) -> None:
    overlay = ROOT / "tests" / "configs" / config.name
    words = ["--config", str(config), "--config", str(overlay)]
    assert main(["fit", *words, f"--run_dir={tmp_path}/fit"]) == 0
    best = f"{tmp_path}/fit/checkpoints/best.ckpt"
    torch.load(best, weights_only=True)

    for command, stage in (("validate", "val"), ("test", "test")):
        run = tmp_path / command
        assert main([command, *words, f"--ckpt_path={best}", f"--run_dir={run}"]) == 0
        results = json.loads((run / "results.json").read_text())
        assert f"{stage}/loss" in results
        assert all(name.startswith(f"{stage}/") for name in results)

    assert main(["predict", *words, f"--ckpt_path={best}", f"--run_dir={tmp_path}/predict"]) == 0
    assert table(tmp_path / "predict/predictions/predictions.csv")
