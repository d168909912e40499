"""Every YAML in ``configs/`` runs from fit to predict on a few kilobytes of made-up data.

A new config is found by the glob; ``tests/configs/<same name>.yaml`` makes it small.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from csv_table import table

import lit_tasks
from lit_tasks.__main__ import main
from lit_tasks.tasks.style_transfer import StyleTransferTask

ROOT = Path(__file__).parents[1]
CONFIGS = sorted(ROOT.glob("configs/*.yaml"))


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)  # the overlays name fixtures from here


def test_there_are_configs() -> None:
    assert CONFIGS


def words_of(config: Path) -> list[str]:
    overlay = ROOT / "tests" / "configs" / config.name
    return ["--config", str(config), "--config", str(overlay)]


def fit(words: list[str], folder: Path) -> Path:
    """Train, and return the best checkpoint; it holds nothing but tensors and plain values."""
    assert main(["fit", *words, f"--run_dir={folder}/fit"]) == 0
    best = folder / "fit/checkpoints/best.ckpt"
    torch.load(best, weights_only=True)
    return best


def predict(words: list[str], best: Path, folder: Path) -> None:
    """Predict by command and from Python; both find the same."""
    assert main(["predict", *words, f"--ckpt_path={best}", f"--run_dir={folder}/predict"]) == 0
    rows = table(folder / "predict/predictions/predictions.csv")
    assert rows
    model = lit_tasks.load(best)
    inputs: Any = [row["file"] for row in rows if Path(row.get("file", "")).is_file()]
    if "file" not in rows[0]:
        inputs = Path(yaml.safe_load(Path(words[3]).read_text())["data"]["init_args"]["predict"])
    if not inputs or isinstance(model.task, StyleTransferTask):
        return  # images that are drawn or lie in an archive; style has a test of its own
    for row, found in zip(rows, model.predict(inputs), strict=True):
        for name, value in found.items():
            same = pytest.approx(float(row[name]), abs=1e-4) if isinstance(value, float) else value
            assert name == "id" or same == value or row[name] == str(value), name


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_config_fits_and_predicts(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    words = words_of(config)
    best = fit([*words, "--figures=null", "--curves=null"], tmp_path)
    results = json.loads((tmp_path / "fit/results.json").read_text())
    asked = {"val", "test"} if yaml.safe_load(config.read_text()).get("test") else {"val"}
    assert asked == {name.partition("/")[0] for name in results} - {"train"}
    predict(words, best, tmp_path)


@pytest.mark.slow  # with W&B and two more commands, another two minutes over all configs
@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_config_runs_from_fit_to_predict(config: Path, tmp_path: Path) -> None:
    words = words_of(config)
    best = fit(words, tmp_path)
    for command, stage in (("validate", "val"), ("test", "test")):
        run = tmp_path / command
        assert main([command, *words, f"--ckpt_path={best}", f"--run_dir={run}"]) == 0
        results = json.loads((run / "results.json").read_text())
        assert f"{stage}/loss" in results
        assert all(name.startswith(f"{stage}/") for name in results)
    predict(words, best, tmp_path)
