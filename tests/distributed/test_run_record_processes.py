"""What a run leaves for people is the same on several processes, and there is one W&B run."""

import os
from pathlib import Path

import pytest
from csv_table import table
from processes import run

ROOT = Path(__file__).parents[2]
CONFIGS = ["configs/quickstart.yaml", "tests/configs/quickstart.yaml"]


def command(name: str, folder: str, *words: str) -> int:
    from lit_tasks.__main__ import main

    os.chdir(ROOT)  # the overlays name fixtures from here
    configs = [word for path in CONFIGS for word in ("--config", path)]
    devices = f"--trainer.devices={os.environ.get('WORLD_SIZE', 1)}"
    where = [f"--run_dir={folder}", "--trainer.accelerator=cpu", devices]
    return main([name, *configs, *words, *where])


@pytest.mark.slow  # two processes and W&B start twice
def test_two_processes_leave_one_wandb_run_and_the_tables_of_one(tmp_path: Path) -> None:
    words = ("--trainer.max_epochs=2", "--examples.rows=5", "--monitor.processes=true")
    for world in (1, 2):
        codes = run(world, command, "fit", f"{tmp_path}/fit-{world}", *words, seconds=400)
        assert codes == [0] * world
    alone, both = tmp_path / "fit-1", tmp_path / "fit-2"
    assert len(list(both.glob("wandb/offline-run-*"))) == 1
    assert (both / "figures/learning_curves.png").is_file()
    assert len(table(both / "examples.csv")) == 10
    for name in ("epoch", "sample", "text", "target"):
        first, second = ([row[name] for row in table(p / "examples.csv")] for p in (alone, both))
        assert first == second
    system = table(both / "monitor.csv")[-1]
    assert {f"system/peak_memory_mb_rank{rank}" for rank in (0, 1)} <= system.keys()

    ckpt = f"--ckpt_path={alone}/checkpoints/best.ckpt"
    for world in (1, 2, 3):
        codes = run(world, command, "test", f"{tmp_path}/test-{world}", ckpt, seconds=400)
        assert codes == [0] * world
        expected, found = (
            (tmp_path / f"test-{w}/samples_test.csv").read_bytes() for w in (1, world)
        )
        assert found == expected
    assert found.count(b"\n") == 7  # a head and six samples
