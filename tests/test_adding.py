"""A dataset and a task of one's own: the very blocks of docs/adding.md, in an empty folder."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from csv_table import table

from lit_tasks.__main__ import main

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "adding.md").read_text()
FILES = dict(re.findall(r"^`(mine/[\w.]+)`.*?\n\n```\w+\n(.*?)^```", PAGE, re.M | re.S))
COMMANDS = re.findall(r"^python -m lit_tasks (.+)$", PAGE, re.M)
#: The page's own network is good and not fast; a random one tells as much about the plumbing.
SMALL = {
    "mine/digits.yaml": [
        "--model.backbone.name=test_resnet",
        "--model.backbone.weights=random",
        "--model.backbone.size=16",
    ],
    "mine/completion.yaml": [],
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)  # as `python -m` does with the folder it is called in
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == "mine"]:
        del sys.modules[name]


def test_the_page_has_a_module_and_a_yaml_of_each() -> None:
    names = ["digits.py", "digits.yaml", "completion.py", "completion.yaml"]
    names += ["brier.py", "metrics.yaml"]
    assert list(FILES) == [f"mine/{name}" for name in names]
    assert [command.split()[0] for command in COMMANDS] == [*["fit", "test", "predict"] * 2, "fit"]


@pytest.mark.parametrize("config", SMALL)
def test_fit_test_and_predict_run_from_the_page_alone(config: str) -> None:
    commands = [shlex.split(command) for command in COMMANDS if command.count(".yaml") == 1]
    commands = [words for words in commands if config in words]
    assert len(commands) == 3
    for words in commands:
        more = ["--trainer.max_epochs=3", "--test=false"] if words[0] == "fit" else []
        more += ["--trainer.logger=lit_tasks.loggers.csv.RunCSVLogger"]
        assert main([*words, *SMALL[config], *more]) == 0, words
    run = Path("runs") / Path(config).stem
    results = json.loads(Path(f"{run}-test/results.json").read_text())
    assert "test/loss" in results
    assert list(Path(f"{run}-test/figures").glob("test_*.png"))
    rows = table(Path(f"{run}-predict/predictions/predictions.csv"))
    assert len(rows) == 300
    assert re.fullmatch(r"digit_\d{4}", next(iter(rows[0].values())))


def test_metrics_of_the_page_are_reported_with_the_way_they_are_better() -> None:
    words = shlex.split(COMMANDS[-1])
    more = ["--trainer.max_epochs=2", "--trainer.logger=lit_tasks.loggers.csv.RunCSVLogger"]
    assert main([*words, *SMALL["mine/digits.yaml"], *more]) == 0
    results = json.loads(Path("runs/metrics/results.json").read_text())
    for name, higher_is_better in (("brier", False), ("kappa", True)):
        entry = results[f"val/{name}"]
        assert entry["higher_is_better"] is higher_is_better
        choose = max if higher_is_better else min
        points = [
            float(row[f"val/{name}"])
            for row in table(Path("runs/metrics/metrics.csv"))[:]
            if row[f"val/{name}"]
        ]
        assert entry["best"]["value"] == choose(points)
        assert f"test/{name}" in results


@pytest.mark.slow  # starts Python anew and imports everything
def test_a_package_in_the_current_folder_is_found_by_python_dash_m(tmp_path: Path) -> None:
    words = ["fit", "--config", "mine/completion.yaml", "--print_config"]
    found = subprocess.run(
        [sys.executable, "-m", "lit_tasks", *words],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert found.returncode == 0, found.stderr
    assert "class_path: mine.completion.CompletionTask" in found.stdout
