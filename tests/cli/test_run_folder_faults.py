"""The user's files: no run takes another's folder, and its record is of what trained."""

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from lit_tasks.__main__ import main
from lit_tasks.cli import run_folder
from lit_tasks.runs import lock

Refusal = Callable[..., str]
ONCE = ("--trainer.max_epochs=1", "--trainer.logger=false")


def fit(*words: str) -> int:
    return main(["fit", "--config", "toy.yaml", *words])


def lr_of(folder: str) -> float:
    config = yaml.safe_load(Path(folder, "config.yaml").read_text())
    return float(config["model"]["init_args"]["optimizer"]["init_args"]["lr"])


def contents(folder: Path) -> dict[Path, bytes]:
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file() and "wandb" not in p.parts}


def write_lock(folder: str, **said: Any) -> Path:
    Path(folder).mkdir(exist_ok=True)
    path = Path(folder, lock.NAME)
    path.write_text(json.dumps({**lock._this_process(), **said}))
    return path


@pytest.mark.parametrize(
    "wrong", ["--model.hidden_size=3", "--data.samples=no", "--data.samples=-1"]
)
def test_the_record_is_of_the_run_that_trained_not_of_a_failed_attempt(wrong: str) -> None:
    assert fit("--run_dir=mine", "--model.optimizer.lr=0.5", wrong) != 0
    assert not Path("mine/config.yaml").exists()
    assert fit("--run_dir=mine", *ONCE) == 0
    assert lr_of("mine") == 0.01
    assert not list(Path("mine").glob("config-*"))


def test_a_failed_attempt_leaves_no_wandb_run_and_the_next_one_leaves_its_own() -> None:
    assert fit("--run_dir=mine", "--data.samples=-1") != 0
    assert not Path("mine/wandb").exists()
    assert fit("--run_dir=mine", "--trainer.max_epochs=1") == 0
    assert len(list(Path("mine/wandb").glob("offline-run-*"))) == 1


def test_a_record_that_a_failed_attempt_left_is_replaced() -> None:
    Path("mine").mkdir()
    Path("mine/config.yaml").write_text("model: {init_args: {optimizer: {init_args: {lr: 0.5}}}}")
    assert fit("--run_dir=mine", *ONCE) == 0
    assert lr_of("mine") == 0.01


def test_a_resumed_run_keeps_its_first_record_and_adds_one() -> None:
    assert fit("--run_dir=mine", *ONCE) == 0
    words = ("--run_dir=mine", "--resume=true", "--model.optimizer.lr=0.02")
    assert fit(*words, "--trainer.max_epochs=2", "--trainer.logger=false") == 0
    assert lr_of("mine") == 0.01
    assert "lr: 0.02" in Path("mine/config-fit.yaml").read_text()


def test_another_run_s_checkpoint_does_not_open_a_used_folder(refusal: Refusal) -> None:
    for folder in ("one", "two"):
        assert fit(f"--run_dir={folder}", *ONCE) == 0
    words = ("fit", "--config", "toy.yaml", "--run_dir=two")
    sentence = refusal(*words, "--ckpt_path=one/checkpoints/last.ckpt")
    assert "already holds a run" in sentence


def test_a_folder_in_use_is_refused_and_stays_as_it_is(refusal: Refusal) -> None:
    path = write_lock("mine")
    sentence = refusal("fit", "--config", "toy.yaml", "--run_dir=mine")
    assert f"mine is in use by process {os.getpid()} on " in sentence
    assert f"delete {path.absolute()}" in sentence
    assert os.listdir("mine") == [lock.NAME]
    assert "is in use by" in refusal(
        "fit", "--config", "toy.yaml", "--run_dir=mine", "--resume=true"
    )


def test_a_folder_is_unlocked_at_the_end_however_the_run_ends() -> None:
    assert fit("--run_dir=mine", *ONCE) == 0
    assert fit("--run_dir=wrong", "--model.hidden_size=3") == 1
    assert not [*Path("mine").glob("*lock*"), *Path("wrong").glob("*")]


def test_the_lock_of_a_killed_process_is_stale_also_when_its_id_is_used_again() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    path = write_lock("mine", pid=process.pid, started=lock._started(process.pid))
    assert not lock.is_free(Path("mine"))
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert lock.is_free(Path("mine"))  # a zombie, as in a container without init
    process.communicate()
    assert lock.is_free(Path("mine"))
    write_lock("mine", started="1")  # this process, but it started at another time
    held = lock.FolderLock(Path("mine"))
    assert path.is_file()
    held.release()
    assert not os.listdir("mine")


def test_the_lock_of_another_machine_is_stale_after_ten_minutes_of_silence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = write_lock("mine", machine="another", host="far", pid=7)
    with pytest.raises(ValueError, match="in use by process 7 on far"):
        lock.FolderLock(Path("mine"))
    os.utime(path, (time.time() - 700,) * 2)
    lock.FolderLock(Path("mine")).release()
    write_lock("mine", machine="another", job="slurm 12 0")
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    assert not lock.is_free(Path("mine"))  # two steps of one job
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    lock.FolderLock(Path("mine")).release()
    write_lock("mine", machine="another", job="torchrun abc")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "abc")
    lock.FolderLock(Path("mine")).release()


def test_a_lock_that_is_just_being_written_holds_and_a_damaged_one_not_for_ever() -> None:
    Path("mine").mkdir()
    path = Path("mine", lock.NAME)
    for text in ("", "[]", "\0"):
        path.write_text(text)
        assert not lock.is_free(Path("mine"))
        os.utime(path, (1, 1))
        assert lock.is_free(Path("mine"))


def test_a_lock_that_the_user_deleted_is_not_missed() -> None:
    Path("mine").mkdir()
    first = lock.FolderLock(Path("mine"))
    first.path.unlink()
    second = lock.FolderLock(Path("mine"))
    second.path.write_text(second.path.read_text() + " ")  # as if of another process
    first.release()
    assert second.path.is_file()


def test_only_one_of_many_processes_gets_over_a_stale_lock() -> None:
    write_lock("mine", pid=0x7FFFFFFF)
    script = (
        "import sys; from pathlib import Path; from lit_tasks.runs.lock import FolderLock\n"
        "input()\n"
        "try: FolderLock(Path('mine')); print('mine', flush=True); sys.stdin.read()\n"
        "except ValueError as error: print(error)\n"
    )
    root = str(Path(__file__).parents[2])
    start = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    environment = {**os.environ, "PYTHONPATH": root}
    words = [sys.executable, "-c", script]
    started: list[Any] = [subprocess.Popen(words, env=environment, **start) for _ in range(5)]
    for process in started:
        process.stdin.write("\n")
        process.stdin.flush()
    said = [process.stdout.readline() for process in started]
    for process in started:
        process.communicate(timeout=60)
    assert said.count("mine\n") == 1
    assert sum("in use by" in line for line in said) == 4


def test_starts_in_the_same_second_get_folders_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    numbers = iter(["aaaa", "aaaa", "bbbb"])
    monkeypatch.setattr(time, "strftime", lambda form: "20261122-000000")
    monkeypatch.setattr(secrets, "token_hex", lambda size: next(numbers, "cccc"))
    first = run_folder.choose(Path("runs"), "toy", None, False)
    run_folder.forget()
    second = run_folder.choose(Path("runs"), "toy", None, False)
    run_folder.forget()
    assert (first.name, second.name) == ("20261122-000000-aaaa", "20261122-000000-bbbb")


def test_a_finished_run_stays_as_it_is_when_it_is_started_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ("--run_dir=mine", "--resume=true", "--trainer.max_epochs=1", "--test=true")
    assert fit(*words) == 0
    before = contents(Path("mine"))
    assert fit(*words) == 0
    assert "mine is finished (epoch 1 of 1) and stays as it is" in capsys.readouterr().err
    assert contents(Path("mine")) == before
    assert len(list(Path("mine/wandb").glob("offline-run-*"))) == 1


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--trainer.max_epochs=-1", "--trainer.max_steps=3"), "step 3 of 3"),
        (("--early_stopping.monitor=val/loss", "--early_stopping.stopping_threshold=9"), "early"),
        (("--last_checkpoint=null",), "it kept no last.ckpt"),
    ],
)
def test_a_run_is_finished_by_steps_early_stopping_or_without_a_last_checkpoint(
    words: tuple[str, ...], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--run_dir=mine", "--resume=true", "--trainer.logger=false", *words)
    assert fit(*words) == 0
    before = contents(Path("mine"))
    assert fit(*words) == 0
    assert f"mine is finished ({reason}" in capsys.readouterr().err
    assert contents(Path("mine")) == before


def test_a_run_killed_between_training_and_evaluation_is_evaluated_without_a_row_twice() -> None:
    words = ("--run_dir=mine", "--resume=true", "--trainer.max_epochs=1")
    assert fit(*words) == 0
    whole = contents(Path("mine"))
    Path("mine/results.json").unlink()
    assert fit(*words) == 0
    again = contents(Path("mine"))
    for name in ("metrics.csv", "results.json"):
        assert again[Path("mine", name)] == whole[Path("mine", name)]


def test_the_commands_that_help_advertises_work_on_latest_which_evaluations_leave_alone() -> None:
    assert fit("--trainer.max_epochs=1") == 0
    trained = Path("runs/latest").resolve()
    named = ["--model=toy_task.ToyTask", "--data=toy_task.ToyData"]
    for command in ("test", "validate", "predict"):
        assert main([command, "--ckpt_path", "runs/latest/checkpoints/best.ckpt", *named]) == 0
        assert Path("runs/latest").resolve() == trained
    assert fit("--ckpt_path=runs/latest/checkpoints/last.ckpt", *ONCE, "--model.hidden_size=6") == 0


def test_latest_is_the_run_that_trained_and_may_itself_be_resumed() -> None:
    assert fit("--trainer.max_epochs=1") == 0
    trained = Path("runs/latest").resolve()
    assert fit("--model.hidden_size=3") == 1
    assert Path("runs/latest").resolve() == trained
    assert fit("--run_dir=runs/latest", "--resume=true", "--trainer.max_epochs=2") == 0
    assert Path("runs/latest").resolve() == trained
    assert (trained / "config-fit.yaml").is_file()


def test_best_and_last_of_a_run_folder_are_evaluated_by_name() -> None:
    assert fit("--run_dir=mine", *ONCE) == 0
    named = ["--model=toy_task.ToyTask", "--data=toy_task.ToyData"]
    for which in ("best", "last"):
        assert main(["test", f"--ckpt_path={which}", "--run_dir=mine", *named]) == 0


@pytest.mark.parametrize("name", ["../x", "a/b", "..", "latest"])
def test_an_experiment_is_a_folder_in_runs(name: str, refusal: Refusal) -> None:
    words = ("fit", "--config", "toy.yaml", f"--experiment={name}")
    assert "experiment must be the name of a folder in --runs" in refusal(*words)
    assert not Path("x").exists()


@pytest.mark.parametrize(
    "ranks",
    [
        {"RANK": "1", "LOCAL_RANK": "0"},  # torchrun, second machine
        {"SLURM_PROCID": "3"},
        {"NODE_RANK": "1"},  # Lightning's main process of a second machine
        {"OMPI_COMM_WORLD_RANK": "1"},
    ],
)
def test_the_other_processes_of_a_run_are_not_refused(
    ranks: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    held = write_lock("mine", machine="another")
    for name, value in ranks.items():
        monkeypatch.setenv(name, value)
    assert run_folder.choose(Path("runs"), "toy", Path("mine"), False) == Path("mine").absolute()
    run_folder.forget()
    assert held.is_file()


def test_rank_0_is_first_whatever_the_node_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("NODE_RANK", "1")  # torchrun deals out ranks in the order of arrival
    assert run_folder.is_first()
