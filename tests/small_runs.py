"""Small runs that several tests look at: texts, images, and the toy task."""

from pathlib import Path

from lit_tasks.__main__ import main

ROOT = Path(__file__).parents[1]
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
TEXTS = [
    *("--config", str(ROOT / "configs/quickstart.yaml")),
    *("--config", str(ROOT / "tests/configs/quickstart.yaml")),
    f"--data.path={ROOT}/tests/fixtures/text/reviews.csv",
]
IMAGES = [
    *("--config", str(ROOT / "configs/image_scenes_frozen.yaml")),
    *("--config", str(ROOT / "tests/configs/image_scenes_frozen.yaml")),
]


def fit(*words: str) -> Path:
    """Train; return the folder of the run."""
    assert main(["fit", *words]) == 0
    return Path("runs/latest").resolve()
