"""Every task gives the same numbers and files on one, two and three processes.

And killed in the middle, it continues from the command line to the same rows and weights. A task
is found by the first YAML in ``configs/`` that names it.
"""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from csv_table import table
from lightning.pytorch import Callback, LightningModule, Trainer
from processes import outcomes, run

ROOT = Path(__file__).parents[2]
TASKS: dict[str, Path] = {}
for path in sorted(ROOT.glob("configs/*.yaml"), reverse=True):
    TASKS[yaml.safe_load(path.read_text())["model"]["class_path"]] = path
CONFIGS = sorted(TASKS.values())


def commands(*each: tuple[str, ...]) -> list[int]:
    from lit_tasks.__main__ import main

    os.chdir(ROOT)  # the overlays name fixtures from here
    os.environ["WANDB_MODE"] = "disabled"
    where = ["--trainer.accelerator=cpu", f"--trainer.devices={os.environ.get('WORLD_SIZE', 1)}"]
    return [main([*words, *where]) for words in each]


THREE = pytest.param((1, 2, 3), marks=pytest.mark.slow)  # as many starts again as one and two


@pytest.mark.parametrize("worlds", [(1, 2), THREE], ids=str)
@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_a_task_gives_the_same_on_any_number_of_processes(
    config: Path, worlds: tuple[int, ...], tmp_path: Path
) -> None:
    overlay = ROOT / "tests" / "configs" / config.name
    words = ["--config", str(config), "--config", str(overlay)]
    words += ["--figures=null"]  # nothing of what is compared
    fit = ("fit", *words, "--curves=null", f"--run_dir={tmp_path}/fit")
    assert run(2, commands, fit, seconds=400) == [[0], [0]]
    words.append(f"--ckpt_path={tmp_path}/fit/checkpoints/best.ckpt")
    if "classification" in yaml.safe_load(config.read_text())["model"]["class_path"]:
        words.append("--predictions.probabilities=true")
    for world in worlds:
        stages = [
            (stage, *words, f"--run_dir={tmp_path}/{stage}-{world}")
            for stage in ("validate", "test", "predict")
        ]
        assert run(world, commands, *stages, seconds=400) == [[0, 0, 0]] * world
    for world in worlds:
        alone, files = (
            {path.name: path.read_bytes() for path in tmp_path.glob(f"predict-{w}/predictions/*")}
            for w in (1, world)
        )
        assert files == alone
        assert all(content.count(b"\n") > 1 for content in files.values())
        assert files
        for stage in ("validate", "test"):
            paths = (tmp_path / f"{stage}-{w}" / "results.json" for w in (1, world))
            expected, result = (json.loads(path.read_text()) for path in paths)
            assert result.keys() == expected.keys() != set()
            for name, entry in result.items():
                assert entry["value"] == pytest.approx(expected[name]["value"], abs=1e-6)
                assert entry.get("samples") == expected[name].get("samples")


class Kill(Callback):
    """Kills its process in a step, as a power cut would."""

    def __init__(self, step: int = -1) -> None:
        self.step = step

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Any) -> None:
        if trainer.global_step == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


#: One task stands for all in the default run: what is resumed is the same code.
RESUMED = [pytest.param(c, marks=[pytest.mark.slow] * (c.stem != "quickstart")) for c in CONFIGS]


@pytest.mark.parametrize("world", [2])  # alone: test_resume.py, from every checkpoint
@pytest.mark.parametrize("config", RESUMED, ids=lambda path: path.stem)
def test_a_task_killed_and_resumed_has_the_same_rows_and_weights(
    config: Path, world: int, tmp_path: Path
) -> None:
    overlay = ROOT / "tests" / "configs" / config.name
    words = ["fit", "--config", str(config), "--config", str(overlay)]
    words += ["--trainer.max_epochs=3", "--trainer.log_every_n_steps=1", "--test=false"]
    words += ["--last_checkpoint.every_n_train_steps=2", "--figures=null", "--curves=null"]
    killed = ["--trainer.callbacks+=test_every_task.Kill"]
    again = f"--run_dir={tmp_path}/again"
    codes = run(world, commands, (*words, f"--run_dir={tmp_path}/whole"), seconds=400)
    assert codes == [[0]] * world
    whole = table(tmp_path / "whole/metrics.csv")
    steps = int(whole[-1]["step"])  # the validation after the fit comes at the last
    killed.append(f"--trainer.callbacks.step={steps * 2 // 3}")
    _, failures = outcomes(world, commands, (*words, again, *killed), seconds=400)
    assert failures
    codes = run(world, commands, (*words, again, "--resume=true"), seconds=400)
    assert codes == [[0]] * world
    assert table(tmp_path / "again/metrics.csv") == whole
    last = [
        torch.load(tmp_path / name / "checkpoints/last.ckpt", weights_only=True)
        for name in ("whole", "again")
    ]
    torch.testing.assert_close(last[0]["state_dict"], last[1]["state_dict"], rtol=0, atol=0)
    assert last[0]["global_step"] == last[1]["global_step"] == steps
