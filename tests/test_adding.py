"""What is one's own: the very blocks of docs/adding.md, in an empty folder."""

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
    names = ["digits.py", "digits.yaml", "characters.py", "characters.yaml"]
    names += ["completion.py", "completion.yaml", "brier.py", "metrics.yaml"]
    names += ["captioner.py", "no_word_twice.py", "epoch_times.py", "scenes.yaml"]
    assert list(FILES) == [f"mine/{name}" for name in names]
    assert {
        word.split("/")[1] for c in COMMANDS for word in c.split() if word.endswith(".yaml")
    } == {name for name in names if name.endswith(".yaml")}


def commands_of(config: str) -> list[list[str]]:
    """Return the page's commands with this config alone."""
    found = [shlex.split(command) for command in COMMANDS if command.count(".yaml") == 1]
    return [words for words in found if config in words]


@pytest.mark.parametrize("config", SMALL)
def test_fit_test_and_predict_run_from_the_page_alone(config: str) -> None:
    commands = commands_of(config)
    assert [words[0] for words in commands] == ["fit", "test", "predict"]
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


@pytest.mark.slow  # fits, tests and predicts once more
def test_metrics_of_the_page_are_reported_with_the_way_they_are_better() -> None:
    [words] = [shlex.split(command) for command in COMMANDS if "mine/metrics.yaml" in command]
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


def test_a_dataset_of_texts_needs_no_more_than_two_columns_and_ids() -> None:
    fit, predict = commands_of("mine/characters.yaml")
    more = ["--data.characters=600", "--trainer.logger=lit_tasks.loggers.csv.RunCSVLogger"]
    for words in (fit, predict):
        assert main([*words, *more]) == 0, words
    results = json.loads(Path("runs/characters/results.json").read_text())
    assert results["val/accuracy"]["value"] > 0.8
    rows = table(Path("runs/characters-predict/predictions/predictions.csv"))
    assert {row["label"] for row in rows} == {"letter", "symbol"}
    assert all(re.fullmatch(r"U\+0[0-9A-F]{3}", row["id"]) for row in rows)


def test_a_captioner_a_decoding_rule_and_a_callback_of_ones_own() -> None:
    fit, predict = commands_of("mine/scenes.yaml")
    more = ["--trainer.logger=lit_tasks.loggers.csv.RunCSVLogger", "--model.backbone.size=16"]
    more += ["--model.backbone.name=test_resnet", "--model.backbone.weights=random"]
    more += [f"--data.{split}=8" for split in ("train", "val", "test")] + ["--data.size=16"]
    assert main([*fit, *more, "--model.generation.min_words=8"]) == 0
    assert len(Path("runs/scenes/epoch_times.txt").read_text().splitlines()) == 3
    assert main([*predict, *more, "--model.generation.min_words=8"]) == 0
    for row in table(Path("runs/scenes-predict/predictions/predictions.csv")):
        words = row["caption"].split()
        assert len(words) >= 8
        assert len(words) == len(set(words))


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
