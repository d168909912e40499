"""The README's own commands, run as a reader would: in an empty folder, on a file of their own."""

import csv
import re
import shlex
import shutil
from pathlib import Path

import pytest
from csv_table import table

from lit_tasks.__main__ import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
COMMANDS = re.findall(r"^lit-tasks (.+)$", README.replace("\\\n", " "), flags=re.MULTILINE)
OWN = [c for c in COMMANDS if "reviews.csv" in c or "runs/mine" in c]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "configs", "configs")


def write(name: str, columns: list[str], rows: list[tuple[str, ...]]) -> None:
    with Path(name).open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)


def test_the_commands_for_own_texts_work_in_their_order(
    capsys: pytest.CaptureFixture[str],
) -> None:
    good = [(f"a fine and moving film {number}", "good") for number in range(40)]
    bad = [(f"a dull and empty film {number}", "bad") for number in range(40)]
    write("reviews.csv", ["text", "label"], good + bad)
    write("new.csv", ["text"], [("a fine evening",), ("so dull",)])
    assert len(OWN) >= 3
    for command in OWN:
        assert main(shlex.split(command)) == 0, command
    said = capsys.readouterr().err
    assert "test --ckpt_path runs/mine/checkpoints/best.ckpt --data.test=my_texts.csv" in said
    assert "predictions: runs/mine-predictions/predictions/predictions.csv" in said
    rows = table(Path("runs/mine-predictions/predictions/predictions.csv"))
    assert [row["label"] for row in rows] == ["good", "bad"]


def test_the_speeds_of_the_recurrent_layers_are_those_of_the_page_that_the_benchmark_writes() -> (
    None
):
    page = (ROOT / "docs" / "recurrent_speed.md").read_text()
    rows = re.findall(r"^\| ([a-z, ]+) \| (\d+) \| ([\d.]+) \| ([\d.]+) \|$", README, re.MULTILINE)
    assert len(rows) == 5
    for name, count, mean, worst in rows:
        line = rf"^\| {name} \| {count} \| {mean} \| \d+ \| {worst} \|"
        assert re.search(line, page, re.MULTILINE), name
    total = sum(int(count) for _, count, _, _ in rows)
    assert f"over a grid of {total} sizes" in README
