"""Every CLI test works in an empty folder with the toy task's config in it."""

from pathlib import Path

import pytest
import yaml

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
    Path("toy.yaml").write_text(yaml.safe_dump(TOY))
    return tmp_path
