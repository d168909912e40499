"""Sweeps: what is tried, how W&B's agent would call us, and going on after an interruption."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from lit_tasks.__main__ import main
from lit_tasks.runs import sweep
from lit_tasks.runs.search_space import grid, random_trial, space

ROOT = Path(__file__).parents[2]
SWEEPS = sorted(ROOT.glob("configs/sweeps/*.yaml"))
#: A stand-in for training: it writes what a fit would, and counts how often it was called.
STUB = """\
import json, os, pathlib, sys, time
flags = dict(word[2:].split("=", 1) for word in sys.argv[1:] if word.startswith("--"))
run = pathlib.Path(flags["run_dir"])
with open("calls.txt", "a") as file:
    file.write(" ".join(sys.argv[1:]) + "\\n")
if flags.get("wait"):
    (run / "checkpoints").mkdir()
    (run / "checkpoints/last.ckpt").touch()
    time.sleep(60)
if float(flags["lr"]) < 0:
    sys.exit(3)
(run / "config.yaml").write_text("lr: " + flags["lr"] + "\\nsize: " + flags["size"])
value = {"value": float(flags["lr"]) * 2}
(run / "results.json").write_text(json.dumps({"val/accuracy": value}))
assert os.environ["WANDB_RUN_GROUP"] == "tiny"
assert flags["resume"] == "true"
"""


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("stub.py").write_text(STUB)
    write(Path("tiny.yaml"), lr={"values": [0.1, 0.2]}, size={"values": [4, 8]})
    return tmp_path


def write(path: Path, method: str = "grid", **parameters: Any) -> None:
    command = ["${env}", "${interpreter}", "stub.py", "fit", "${args}"]
    content = {"name": "tiny", "method": method, "command": command, "parameters": parameters}
    path.write_text(yaml.safe_dump(content))


def calls() -> list[str]:
    return Path("calls.txt").read_text().splitlines()


def test_a_grid_tries_every_combination_once_and_ends_with_a_comparison(
    tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sweep", "tiny.yaml", "--extra=1"]) == 0
    assert [" ".join(line.split()[1:4]) for line in calls()] == [
        "--lr=0.1 --size=4 --extra=1",
        "--lr=0.1 --size=8 --extra=1",
        "--lr=0.2 --size=4 --extra=1",
        "--lr=0.2 --size=8 --extra=1",
    ]
    printed = capsys.readouterr().out
    assert "settings that differ" in printed
    assert "0.4000" in printed
    assert main(["sweep", "tiny.yaml"]) == 0
    assert len(calls()) == 4  # all done


def test_a_sweep_ends_with_the_best_trial_by_its_own_metric(
    tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = yaml.safe_load(Path("tiny.yaml").read_text())
    content["metric"] = {"name": "best/val/accuracy", "goal": "maximize"}
    Path("tiny.yaml").write_text(yaml.safe_dump(content))
    assert main(["sweep", "tiny.yaml", "--trials", "3"]) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[-1].startswith("best by val/accuracy: run 1 (003) with ")
    assert "lr=0.2" in printed.splitlines()[-1]
    assert "not ranked" not in printed
    content["metric"]["goal"] = "more"
    Path("tiny.yaml").write_text(yaml.safe_dump(content))
    assert main(["sweep", "tiny.yaml"]) == 2
    assert "must be maximize or minimize, got 'more'" in capsys.readouterr().err


def test_an_interrupted_sweep_goes_on_where_it_was(tiny: Path) -> None:
    path = os.pathsep.join([str(ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
    words = [sys.executable, "-m", "lit_tasks", "sweep", "tiny.yaml"]
    assert main(["sweep", "tiny.yaml", "--trials", "1"]) == 0
    process = subprocess.Popen(
        [*words, "--wait=1"],
        env={**os.environ, "PYTHONPATH": path},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and len(calls()) < 2:
        time.sleep(0.05)
    time.sleep(0.3)
    os.killpg(process.pid, signal.SIGINT)  # what a terminal sends
    try:
        _, said = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "interrupted in trial 2; the same command goes on there" in said
    assert (tiny / "runs/tiny/002/checkpoints/last.ckpt").is_file()
    assert main(["sweep", "tiny.yaml"]) == 0
    assert (tiny / "runs/tiny/002/checkpoints/last.ckpt").is_file()  # continued, not begun again
    tried = Counter(next(w for w in c.split() if "run_dir" in w)[-3:] for c in calls())
    assert tried == {"001": 1, "002": 2, "003": 1, "004": 1}


def test_a_trial_that_fails_is_named_and_tried_once_more(
    tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(Path("tiny.yaml"), lr={"values": [0.1, -1]}, size={"value": 4})
    assert main(["sweep", "tiny.yaml"]) == 1
    assert "trials [2] failed" in capsys.readouterr().err
    assert main(["sweep", "tiny.yaml"]) == 1
    assert len(calls()) == 3
    write(Path("tiny.yaml"), lr={"values": [-1]}, size={"value": 4})
    assert main(["sweep", "tiny.yaml", "--runs=others"]) == 2
    assert "the first trial failed with exit code 3" in capsys.readouterr().err


def test_a_random_search_draws_the_same_however_often_it_is_started() -> None:
    parameters = space(
        {
            "a": {"values": ["x", "y"]},
            "b": {"min": 1, "max": 3},
            "c": {"min": 0.5, "max": 1.5},
            "d": {"distribution": "log_uniform_values", "min": 1e-4, "max": 1e-1},
            "e": {"distribution": "q_uniform", "min": 0, "max": 1, "q": 0.25},
            "f": {"parameters": {"g": {"value": 7}}},
        },
        "here",
    )
    trials = [random_trial(parameters, number, seed=0) for number in range(2000)]
    assert trials[:5] == [random_trial(parameters, number, seed=0) for number in range(5)]
    assert trials[0] != random_trial(parameters, 0, seed=1)
    assert Counter(t["b"] for t in trials).keys() == {1, 2, 3}
    assert all(0.5 <= t["c"] <= 1.5 for t in trials)
    below = sum(t["d"] < 10**-2.5 for t in trials) / len(trials)
    assert 0.46 < below < 0.54  # the middle of the logarithms
    assert {t["e"] for t in trials} == {0.0, 0.25, 0.5, 0.75, 1.0}
    assert {t["f.g"] for t in trials} == {7}


def test_a_grid_of_whole_numbers_has_all_of_them() -> None:
    assert grid(space({"n": {"min": 2, "max": 4}}, "here"), "here") == [{"n": n} for n in (2, 3, 4)]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: [", "line 1, is not YAML"),
        ("method: grid", "must have parameters"),
        ("method: bayes\nparameters: {a: {value: 1}}", "method bayes needs W&B's server"),
        ("parameters: {a: {value: 1}}", "needs a command that runs `lit_tasks fit`"),
        ("COMMAND\nparameters: {a: 1}", "parameter a must say value, values or min and max, got 1"),
        ("COMMAND\nparameters: {a: {values: []}}", "values must be a list of at least one"),
        ("COMMAND\nparameters: {a: {min: 1.5, max: 2}}", "a grid needs values for a"),
        ("COMMAND\nparameters: {a: {min: 3, max: 2}}", "min must be at most max, got 3 and 2"),
        ("COMMAND\nparameters: {a: {distribution: x}}", "distribution x is not known; known are"),
        ("COMMAND\nparameters: {a: {max: 2}}", "uniform needs a number min, got None"),
        (
            "COMMAND\nmethod: random\nparameters: {a: {value: 2}}",
            "a random search needs --trials N or run_cap: N",
        ),
    ],
)
def test_a_sweep_file_that_cannot_be_used_is_refused_in_one_sentence(
    text: str, sentence: str, tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("wrong.yaml").write_text(text.replace("COMMAND", "command: [python, fit, '${args}']"))
    assert main(["sweep", "wrong.yaml"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("lit-tasks: error: ")
    assert sentence in line


def test_words_that_cannot_be_used_are_refused(
    tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, sentence in (
        (["none.yaml"], "there is no sweep file none.yaml"),
        (["tiny.yaml", "--trials", "0"], "trials must be at least 1, got 0"),
        ([], "the following arguments are required: file"),
    ):
        assert main(["sweep", *words]) == 2
        assert sentence in capsys.readouterr().err


def test_a_changed_file_does_not_go_on_in_old_trials(
    tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sweep", "tiny.yaml", "--trials=1"]) == 0
    write(Path("tiny.yaml"), lr={"values": [0.3]}, size={"value": 4})
    assert main(["sweep", "tiny.yaml"]) == 2
    assert "holds a trial with other values, {'lr': 0.1, 'size': 4}" in capsys.readouterr().err


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_the_words_of_wandbs_agent_are_ours_and_our_parser_takes_them(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from wandb.sdk.launch.sweeps import utils as agent

    monkeypatch.chdir(ROOT)
    found = sweep.read(path)
    trials = found.trials(3, seed=0)
    for trial in trials:
        args = {name: {"value": value} for name, value in trial.items()}
        theirs = agent.create_sweep_command_args({"args": args})["args"]
        words = sweep.command_of(found, trial)
        assert words[-len(theirs) :] == theirs
    start = words.index("lit_tasks") + 1
    capsys.readouterr()
    assert main([*words[start:], "--print_config"]) == 0
    config = yaml.safe_load(capsys.readouterr().out)
    for name, value in trials[-1].items():
        place: Any = config
        for part in name.split("."):
            place = place.get("init_args", place) if part not in place else place
            place = place[part]
        assert place == value, name


@pytest.mark.slow  # torchrun imports everything in two processes, twice
def test_a_local_sweep_of_two_processes_a_trial_gives_both_the_same_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    content = {
        "name": "two",
        "command": [
            *("${env}", "${interpreter}", "-m", "lit_tasks", "fit"),
            *("--config", "configs/quickstart.yaml"),
            *("--config", "tests/configs/quickstart.yaml"),
            *("--trainer.accelerator=cpu", "--trainer.devices=2", "${args}"),
        ],
        "parameters": {"model.optimizer.lr": {"value": 0.3}},
    }
    (tmp_path / "two.yaml").write_text(yaml.safe_dump(content))
    assert main(["sweep", str(tmp_path / "two.yaml"), f"--runs={tmp_path}"]) == 0
    run = tmp_path / "two/001"
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["model"]["init_args"]["optimizer"]["init_args"]["lr"] == 0.3
    results = json.loads((run / "results.json").read_text())
    assert results["test/accuracy"]["samples"] == 6
    assert len(list(run.glob("wandb/offline-run-*"))) == 1  # of both processes together
