"""A sweep touches only trials of its own, and ``compare`` passes over what is not a run."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from lit_tasks.__main__ import main
from lit_tasks.runs import lock

Refusal = Callable[..., str]
ROOT = Path(__file__).parents[2]
#: A stand-in for training that ends as the flag says, after it waited for a signal if asked to.
STUB = """\
import os, pathlib, signal, sys, time
flags = dict(word[2:].split("=", 1) for word in sys.argv[1:] if word.startswith("--"))
run = pathlib.Path(flags["run_dir"])
(run / "results.json").write_text("{}")
signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))
if "signal" in flags:
    (run / "started").touch()
    os.kill(os.getpid(), int(flags["signal"])) if flags["signal"] != "0" else time.sleep(120)
sys.exit(int(flags.get("code", 0)))
"""


@pytest.fixture(autouse=True)
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("stub.py").write_text(STUB)
    write()


def write(**said: Any) -> None:
    command = ["${interpreter}", "stub.py", "fit", "${args}"]
    content = {"name": "mine", "command": command, "parameters": {"lr": {"values": [1, 2]}}}
    Path("tiny.yaml").write_text(yaml.safe_dump({**content, **said}))


def contents(folder: str = ".") -> dict[Path, bytes]:
    return {p: p.read_bytes() for p in Path(folder).rglob("*") if p.is_file()}


def record(number: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(f"runs/mine/{number:03}/trial.json").read_text())
    return found


@pytest.mark.parametrize("name", ["../victim", "a/b", "..", ".", "", "latest", "/tmp/x"])
def test_a_name_that_leads_elsewhere_is_refused(name: str, refusal: Refusal) -> None:
    write(name=name)
    before = contents()
    sentence = refusal("sweep", "tiny.yaml")
    assert "name must be the name of a folder in --runs" in sentence
    assert sentence.endswith(f"got {name!r}")
    assert contents() == before


@pytest.mark.parametrize("file", ["thesis.txt", "config.yaml", "checkpoints/best.ckpt"])
def test_a_folder_that_is_no_trial_is_refused_and_kept(file: str, refusal: Refusal) -> None:
    path = Path("runs/mine/001", file)
    path.parent.mkdir(parents=True)
    path.write_text("precious")
    before = contents("runs")
    assert "runs/mine/001 is not a trial of this sweep" in refusal("sweep", "tiny.yaml")
    assert contents("runs") == before


@pytest.mark.parametrize("text", ["", "[", "[]", "{}", '{"values": 1}', "[" * 100_000])
def test_a_record_that_is_none_protects_its_folder(text: str, refusal: Refusal) -> None:
    Path("runs/mine/001").mkdir(parents=True)
    Path("runs/mine/001/trial.json").write_text(text)
    assert "is not a trial of this sweep" in refusal("sweep", "tiny.yaml")
    assert Path("runs/mine/001/trial.json").read_text() == text


def test_an_empty_folder_is_used() -> None:
    Path("runs/mine/001").mkdir(parents=True)
    assert main(["sweep", "tiny.yaml"]) == 0


def test_a_trial_that_still_runs_is_refused_and_kept(refusal: Refusal) -> None:
    assert main(["sweep", "tiny.yaml", "--code=3"]) == 2
    held = lock.FolderLock(Path("runs/mine/001"))
    before = contents("runs")
    assert "001 is in use by process" in refusal("sweep", "tiny.yaml")
    assert contents("runs") == before
    held.release()
    assert main(["sweep", "tiny.yaml"]) == 0


def test_two_sweeps_of_one_name_do_not_run_at_once(refusal: Refusal) -> None:
    Path("runs/mine").mkdir(parents=True)
    held = lock.FolderLock(Path("runs/mine"))
    assert "runs/mine is in use by process" in refusal("sweep", "tiny.yaml")
    held.release()
    assert main(["sweep", "tiny.yaml"]) == 0
    assert not list(Path("runs/mine").glob("*lock*"))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_trial_that_a_signal_ended_is_not_counted_as_failed(
    number: int, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sweep", "tiny.yaml", f"--signal={int(number)}"]) == code
    assert "in trial 1; the same command goes on there" in capsys.readouterr().err
    assert record(1)["exit_code"] is None
    assert main(["sweep", "tiny.yaml"]) == 0


def test_sigterm_of_a_sweep_ends_its_trial_first() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-m", "lit_tasks", "sweep", "tiny.yaml", "--signal=0"]
    process = subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not Path("runs/mine/001/started").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.terminate()
    try:
        _, said = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 143
    assert "terminated in trial 1; the same command goes on there" in said
    assert record(1)["exit_code"] is None


def run_folder(path: str) -> None:
    """Make a folder as a fit leaves it, W&B's own part included."""
    for name in ("config.yaml", "metrics.csv", "wandb/offline-run-1/files/config.yaml"):
        Path(path, name).parent.mkdir(parents=True, exist_ok=True)
        Path(path, name).write_text("seed_everything: 0" if name.endswith("yaml") else "step\n1\n")
    Path(path, "checkpoints").mkdir()


def test_compare_skips_what_is_no_run_with_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    run_folder("runs/toy/a")
    run_folder("runs/toy/b")
    Path("runs/latest").symlink_to("toy/b")
    globbed = [str(path) for path in sorted(Path("runs").glob("*/*"))]  # as a shell does
    globbed += [str(path) for path in sorted(Path("runs/latest").glob("*"))]
    for words in (globbed, ["runs/*/*", "runs/latest/*"]):
        assert main(["compare", *words, "--format=json"]) == 0
        printed = capsys.readouterr()
        assert [run["name"] for run in json.loads(printed.out)["runs"]] == ["a", "b"]
        [line] = printed.err.splitlines()
        assert line.startswith("skipped, since it is not a run: runs/latest/checkpoints and ")


def test_compare_still_refuses_what_is_not_there_and_words_without_any_run(
    refusal: Refusal,
) -> None:
    run_folder("runs/toy/a")
    assert "there is no folder runs/tyo" in refusal("compare", "runs/toy", "runs/tyo")
    sentence = refusal("compare", "runs/toy/a/checkpoints", "runs/toy/a/wandb")
    assert "runs/toy/a/checkpoints is not a run folder and holds none" in sentence
