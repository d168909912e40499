"""Every CLI test works in an empty folder with the toy task's config in it."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from lit_tasks.__main__ import main

TOY = {
    "model": {
        "class_path": "toy_task.ToyTask",
        "init_args": {
            "hidden_size": 6,
            "optimizer": {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.01}},
        },
    },
    "data": {"class_path": "toy_task.ToyData"},
    "trainer": {"max_epochs": 2, "accelerator": "cpu", "log_every_n_steps": 1},
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setattr("logging.raiseExceptions", False)  # handlers keep streams pytest closed
    torch.set_num_threads(1)
    Path("toy.yaml").write_text(yaml.safe_dump(TOY))
    return tmp_path


@pytest.fixture
def refusal(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command that must fail; return its one sentence."""

    def run(*words: str) -> str:
        capsys.readouterr()
        assert main(list(words)) != 0
        lines = capsys.readouterr().err.splitlines()
        errors = [line for line in lines if line.startswith("lit-tasks: error: ")]
        assert len(errors) == 1
        assert not any("Traceback" in line for line in lines)
        return errors[0].removeprefix("lit-tasks: error: ")

    return run
