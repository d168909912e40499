"""A run that does not get to its end says where its files are and how to go on."""

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from processes import outcomes

from lit_tasks.__main__ import main

ROOT = Path(__file__).parents[2]
CODES = [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
TOY = {
    "model": {"class_path": "toy_task.ToyTask"},
    "data": {"class_path": "toy_task.ToyData"},
    "trainer": {"max_epochs": 2, "accelerator": "cpu", "logger": False},
}
FAULT = "--trainer.callbacks=faults.Fault"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("toy.yaml").write_text(yaml.safe_dump(TOY))


def command_in(text: str) -> list[str]:
    """Return the words of the command that a text ends with."""
    *_, line = [line for line in text.splitlines() if line.startswith("  lit-tasks ")]
    return shlex.split(line)[1:]


@pytest.mark.parametrize(("number", "code", "word"), CODES)
def test_a_stopped_fit_says_which_command_goes_on(
    number: int, code: int, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    words = ["fit", "--config", "toy.yaml", "--run_dir", "my runs/a", FAULT]
    words += ["--last_checkpoint.every_n_train_steps=2"]
    assert main([*words, f"--trainer.callbacks.number={int(number)}"]) == code
    said = capsys.readouterr().err
    assert f"{word}; run folder: my runs/a\ngo on with:\n" in said
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before
    again = command_in(said)
    assert again[-2:] == ["--run_dir=my runs/a", "--resume=true"]
    assert main([*again, "--trainer.callbacks.rank=9"]) == 0
    assert Path("my runs/a/results.json").is_file()
    assert not list(Path("my runs/a").glob("*lock*"))


@pytest.mark.parametrize(("number", "code", "word"), CODES)
def test_a_fit_that_is_stopped_before_its_first_step_begins_again(
    number: int, code: int, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--data=faults.FaultyData", f"--data.number={int(number)}"]
    assert main(["fit", "--config", "toy.yaml", *data]) == code
    said = capsys.readouterr().err
    assert f"{word}; run folder: runs/toy/" in said
    assert "there is no last.ckpt yet, so this begins again:\n" in said
    assert main([*command_in(said), "--data.number=0"]) == 0


@pytest.mark.parametrize(("number", "code", "word"), CODES)
@pytest.mark.parametrize(("command", "how"), [("test", "once more"), ("predict", "go on with")])
def test_a_stopped_evaluation_says_where_it_was(
    command: str,
    how: str,
    number: int,
    code: int,
    word: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["fit", "--config", "toy.yaml", "--run_dir=a", "--trainer.max_epochs=1"]) == 0
    words = [command, "--config", "toy.yaml", "--ckpt_path=a/checkpoints/best.ckpt", FAULT]
    assert main([*words, f"--trainer.callbacks.number={int(number)}"]) == code
    said = capsys.readouterr().err
    assert f"{word}; run folder: runs/toy/" in said
    assert f"\n{how}:\n" in said
    assert main([*command_in(said), "--trainer.callbacks.rank=9"]) == 0


def test_ctrl_c_before_there_is_a_run_prints_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(words: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("lit_tasks.runs.compare.main", interrupted)
    assert main(["compare", "runs"]) == 130
    assert capsys.readouterr().err == ""


def fit(*words: str) -> None:
    raise SystemExit(main(["fit", "--config", "toy.yaml", "--run_dir=a", FAULT, *words]))


@pytest.mark.parametrize("rank", [0, 1])
def test_an_error_of_one_process_ends_both_with_its_sentence(rank: int) -> None:
    """Not even the process that keeps the store may leave before the other has heard it."""
    words = ("--trainer.devices=2", f"--trainer.callbacks.rank={rank}")
    _, failures = outcomes(2, fit, *words, seconds=60)
    sentence = "own.csv, line 4, has no label; give it one"
    assert f"lit-tasks: error: {sentence}\n" in failures[rank]
    assert f"lit-tasks: error: process {rank}: {sentence}\n" in failures[1 - rank]
    assert all("SystemExit: 1\n" in text for text in failures.values())


def test_who_survives_a_killed_process_says_how_to_go_on() -> None:
    words = ("--trainer.devices=2", "--trainer.callbacks.rank=1", "--trainer.callbacks.number=9")
    _, failures = outcomes(2, fit, *words, seconds=60)
    assert failures[1].startswith("died without a word")
    said = next(line for line in failures[0].splitlines() if "lit-tasks: error" in line)
    assert "another process of this run ended" in said
    assert said.endswith("--run_dir=a --resume=true")
    assert "SystemExit: 1\n" in failures[0]


def run_folder() -> None:
    Path("runs/a").mkdir(parents=True)
    Path("runs/a/config.yaml").write_text("seed_everything: 0\n")
    Path("runs/a/metrics.csv").write_text("step,val/loss\n1,0.5\n")


SHELL = {
    "closed stdout": "{command} >&-",
    "all closed": "{command} <&- >&- 2>&-",
    "a reader that has ended": "{command} | exec true",
}


@pytest.mark.parametrize("how", SHELL)
@pytest.mark.parametrize("words", ["compare runs", "--help"])
def test_a_closed_stdout_is_no_error(words: str, how: str) -> None:
    run_folder()
    check(words, how)


@pytest.mark.slow  # a real process, which imports torch
@pytest.mark.parametrize("how", SHELL)
def test_a_fit_whose_stdout_is_closed_comes_to_its_end(how: str) -> None:
    check("fit --config toy.yaml --run_dir=a", how)
    assert Path("a/results.json").is_file()


def check(words: str, how: str) -> None:
    command = f"{{ {shlex.quote(sys.executable)} -m lit_tasks {words}; echo $? > code; }}"
    done = subprocess.run(
        ["sh", "-c", SHELL[how].format(command=command)],
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"},
        stderr=subprocess.PIPE,
        text=True,
        timeout=300,
        check=False,
    )
    assert Path("code").read_text() == "0\n", done.stderr
    assert "rror" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_behind_stdout_is_an_error() -> None:
    run_folder()
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "lit_tasks", "compare", "runs"],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode != 0
    assert "No space left on device" in done.stderr
