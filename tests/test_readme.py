"""The README's own commands, run as a reader would: in an empty folder, on a file of their own."""

import csv
import re
import shlex
import shutil
from pathlib import Path

import pytest
import torch

from lit_tasks.__main__ import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
COMMANDS = re.findall(r"^lit-tasks (.+)$", README.replace("\\\n", " "), flags=re.MULTILINE)
OWN = [c for c in COMMANDS if "reviews.csv" in c or "runs/mine" in c]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setattr("logging.raiseExceptions", False)  # handlers keep streams pytest closed
    torch.set_num_threads(1)
    shutil.copytree(ROOT / "configs", "configs")


def write(name: str, columns: list[str], rows: list[tuple[str, ...]]) -> None:
    with Path(name).open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)


def test_the_commands_for_own_texts_work_in_their_order() -> None:
    good = [(f"a fine and moving film {number}", "good") for number in range(40)]
    bad = [(f"a dull and empty film {number}", "bad") for number in range(40)]
    write("reviews.csv", ["text", "label"], good + bad)
    write("new.csv", ["text"], [("a fine evening",), ("so dull",)])
    assert len(OWN) >= 3
    for command in OWN:
        assert main(shlex.split(command)) == 0, command
    with Path("runs/mine-predictions/predictions/predictions.csv").open(newline="") as file:
        assert [row["label"] for row in csv.DictReader(file)] == ["good", "bad"]


def test_every_make_target_named_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z]+)", README, flags=re.MULTILINE)) <= targets


def test_every_config_named_exists() -> None:
    named = set(re.findall(r"configs/[\w.]+\.yaml", README))
    assert named
    assert all((ROOT / name).is_file() for name in named)


def test_every_flag_of_the_other_commands_is_known() -> None:
    others = [c for c in COMMANDS if c not in OWN and not c.startswith("-")]
    for command in others:
        words = shlex.split(command, comments=True)
        if words[0] == "compare":
            continue  # it needs the runs of the commands before it: tests/runs/test_compare.py
        words = [w for w in words if not w.startswith("--ckpt_path")]
        shown = "--dry_run" if words[0] == "sweep" else "--print_config"
        assert main([*words, shown]) == 0, command
