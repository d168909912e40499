"""W&B online, against a stand-in for its server that may be late, refuse, or be gone."""

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import processes
import pytest
import yaml
from csv_table import table
from lightning.pytorch import Callback, LightningModule, Trainer
from wandb_server import WandbServer, serving, until

from lit_tasks.__main__ import main
from lit_tasks.cli.agent_words import understood

ROOT = Path(__file__).parents[2]
TOY = ["--config", "toy.yaml"]
TEXTS = [
    *("--config", str(ROOT / "configs/quickstart.yaml")),
    *("--config", str(ROOT / "tests/configs/quickstart.yaml")),
    f"--data.path={ROOT}/tests/fixtures/text/reviews.csv",
    "--test=false",
]
FOR_EVER = 3600.0
# W&B asks again and again where a server answers 500 or nothing: that takes seconds.
WAITED_FOR = [pytest.param(how, marks=pytest.mark.slow) for how in ("500", "silent", "403")]
SENT = "W&B: not everything was sent; later:\n  wandb sync --include-online "


@pytest.fixture
def deadline() -> Iterator[None]:
    """End a test in which W&B is waited for, which by itself would never end."""

    def fail(*_: Any) -> None:
        pytest.fail("W&B was waited for")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(300)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deadline: None
) -> Iterator[WandbServer]:
    """A server, and the environment of a user who is logged in to it."""
    import wandb

    for name in ("CONFIG_DIR", "CACHE_DIR", "DATA_DIR"):
        monkeypatch.setenv(f"WANDB_{name}", str(tmp_path / name))
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    with serving() as standing_in:
        monkeypatch.setenv("WANDB_BASE_URL", standing_in.url)
        wandb.teardown()  # it reads the environment once a process
        yield standing_in
    wandb.teardown()


class AtEpoch(Callback):
    """Do something when an epoch of training begins."""

    number: ClassVar[int] = 1
    do: ClassVar[Callable[[], None]]

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.current_epoch == self.number:
            type(self).do()


AT_EPOCH = f"--trainer.callbacks+={__name__}.AtEpoch"


def fit(*words: str, code: int = 0) -> Path:
    assert main(["fit", *words]) == code
    return Path("runs/latest").resolve()


def spoil(server: WandbServer, how: str) -> None:
    """Let the server be gone, answer with a status, or answer never."""
    if how == "gone":
        server.die()
    elif how == "silent":
        server.delay = FOR_EVER
    else:
        server.status = int(how)


def test_a_run_arrives_whole(server: WandbServer, capfd: pytest.CaptureFixture[str]) -> None:
    run = fit(*TEXTS, "--trainer.max_epochs=2")
    said = [line for line in capfd.readouterr().err.splitlines() if line.startswith("W&B")]
    assert said == [f"W&B: online (WANDB_MODE=online); files in {run}/wandb"]
    there = server.run
    assert there.exit_code == 0
    assert there.config["model.init_args.encoder.init_args.ngrams"] == 2
    metrics = table(run / "metrics.csv")
    for name in ("train/loss", "val/loss", "val/accuracy"):
        local = [float(row[name]) for row in metrics if row[name]]
        assert there.rows(name) == pytest.approx(local)
    results = json.loads((run / "results.json").read_text())
    assert there.summary["best/val/accuracy"] == pytest.approx(results["val/accuracy"]["value"])
    assert there.summary["val/loss"]["min"] == pytest.approx(results["val/loss"]["best"]["value"])
    shown = [json.loads(there.files[row["path"]]) for row in there.rows("val/examples")]
    texts = [
        [line[content["columns"].index("text")] for line in content["data"]] for content in shown
    ]
    local_texts = [row["text"] for row in table(run / "examples.csv")]
    assert texts[0] + texts[1] == local_texts
    (curves,) = there.rows("learning_curves")
    assert all(there.files[name].startswith(b"\x89PNG") for name in curves["filenames"])
    assert not any("Artifact" in name for name in server.asked)  # what would hold training up


def _fit_toy(environment: dict[str, str], folder: str) -> None:
    os.environ.update(environment)
    os.chdir(folder)
    assert main(["fit", *TOY, "--trainer.devices=2", "--trainer.strategy=ddp"]) == 0


@pytest.mark.slow  # the processes import everything anew
def test_two_processes_are_one_run(server: WandbServer) -> None:
    environment = {name: value for name, value in os.environ.items() if name.startswith("WANDB_")}
    processes.run(2, _fit_toy, environment, os.getcwd())
    assert server.run.exit_code == 0
    assert len(server.run.rows("val/loss")) == 2


def test_a_resumed_run_goes_on_in_the_same_one(server: WandbServer) -> None:
    fit(*TOY, "--trainer.max_epochs=1", "--run_dir=runs/it")
    before = len(server.run.history)
    fit(*TOY, "--trainer.max_epochs=2", "--run_dir=runs/it", "--resume=true")
    history = server.run.history
    assert sorted(history) == list(range(len(history)))
    assert len(history) > before
    steps = [row["trainer/global_step"] for row in history.values() if "train/loss" in row]
    assert sorted(steps) == list(range(12))


@pytest.mark.parametrize("how", ["gone", "401", *WAITED_FOR])
def test_a_server_that_is_no_use_at_the_start_makes_an_offline_run(
    how: str,
    server: WandbServer,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("WANDB_INIT_TIMEOUT", "2")
    spoil(server, how)
    run = fit(*TOY)
    error = capfd.readouterr().err
    assert len([line for line in error.splitlines() if line.startswith("W&B: offline (")]) == 1
    (folder,) = run.glob("wandb/offline-run-*")
    assert f"wandb sync runs/toy/{run.name}/wandb/{folder.name}" in error
    kept = folder / f"run-{(run / 'wandb/run-id.txt').read_text()}.wandb"
    until(lambda: kept.stat().st_size > 1000)  # W&B's own process writes the end a little later


@pytest.mark.parametrize("how", ["gone", *WAITED_FOR])
def test_trouble_in_mid_run_ends_no_training_and_loses_nothing(
    how: str,
    server: WandbServer,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A server that never answers shows that training waits for no answer, however late."""
    monkeypatch.setenv("WANDB_FINISH_TIMEOUT", "2")
    monkeypatch.setattr(AtEpoch, "do", lambda: spoil(server, how), raising=False)
    run = fit(*TEXTS, "--trainer.max_epochs=4", AT_EPOCH)
    assert len([row for row in table(run / "metrics.csv") if row["val/loss"]]) == 4
    assert {row["epoch"] for row in table(run / "examples.csv")} == {"0", "1", "2", "3"}
    (folder,) = run.glob("wandb/run-2*")
    assert f"{SENT}{folder}" in capfd.readouterr().err
    assert len(list(folder.glob("files/media/table/val/examples_*"))) == 4


@pytest.mark.parametrize(
    "rows_before",
    [
        0,
        # W&B sends its first rows after fifteen seconds.
        pytest.param(1, marks=pytest.mark.slow),
    ],
)
def test_what_was_not_sent_can_be_sent_later(
    rows_before: int,
    server: WandbServer,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def refuse() -> None:
        until(lambda: len(server.run.rows("val/loss")) == rows_before)
        spoil(server, "403")

    monkeypatch.setattr(AtEpoch, "do", refuse, raising=False)
    run = fit(*TEXTS, "--trainer.max_epochs=3", AT_EPOCH)
    server.status = None
    _, _, command = capfd.readouterr().err.partition("not everything was sent; later:\n")
    words = shlex.split(command)
    assert words[0] == "wandb"
    assert run in Path(words[-1]).parents
    assert len(server.run.rows("val/loss")) == rows_before
    subprocess.run([sys.executable, "-m", *words], check=True, timeout=120, capture_output=True)
    assert len(server.run.rows("val/loss")) == 3
    assert all(row["path"] in server.run.files for row in server.run.rows("val/examples"))
    assert server.run.exit_code == 0


def test_an_answer_that_wandb_does_not_understand_ends_no_training(
    server: WandbServer, capfd: pytest.CaptureFixture[str]
) -> None:
    """The stand-in knows nothing of artifacts, which checkpoints are."""
    logger = "--trainer.logger=lit_tasks.loggers.wandb.RunWandbLogger"
    with pytest.warns(UserWarning, match="W&B does not get everything"):
        fit(*TOY, logger, "--trainer.logger.log_model=true")
    assert server.run.exit_code == 0
    assert len(server.run.rows("val/loss")) == 2


def _fail() -> None:
    raise RuntimeError("the task fell over")


def test_a_failed_run_arrives_as_failed(
    server: WandbServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AtEpoch, "do", _fail, raising=False)
    fit(*TOY, AT_EPOCH, code=1)
    assert server.run.exit_code == 1
    assert len(server.run.rows("val/loss")) == 1


def _surprise() -> None:
    raise LookupError("nobody expected this")


def test_an_error_is_printed_before_wandb_is_waited_for(
    server: WandbServer, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_FINISH_TIMEOUT", "1")

    def silent_and_failing() -> None:
        spoil(server, "silent")
        _surprise()

    monkeypatch.setattr(AtEpoch, "do", silent_and_failing, raising=False)
    fit(*TOY, AT_EPOCH, code=1)
    before, _, _ = capfd.readouterr().err.partition(SENT)
    assert "LookupError: nobody expected this" in before


def environment(**more: str) -> dict[str, str]:
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    return {**os.environ, "PYTHONPATH": path, **more}


@pytest.mark.slow  # starts Python anew
def test_a_killed_run_arrives_as_killed(server: WandbServer) -> None:
    words = ["fit", *TOY, "--trainer.max_epochs=100000"]
    process = subprocess.Popen(
        [sys.executable, "-m", "lit_tasks", *words],
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        rows = Path("runs/toy")
        until(lambda: any("val/loss" in f.read_text() for f in rows.glob("*/metrics.csv")), 120)
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) != 0
    finally:
        process.kill()
    assert server.run.exit_code == 255  # what W&B shows as killed
    assert server.run.rows("val/loss")


@pytest.mark.slow  # four commands
def test_evaluations_open_no_run_unless_they_go_on_in_one_or_are_told_to(
    server: WandbServer,
) -> None:
    run = fit(*TOY)
    words = [f"--ckpt_path={run}/checkpoints/best.ckpt"]
    words += ["--model=toy_task.ToyTask", "--data=toy_task.ToyData"]
    rows = len(server.run.history)
    for command in ("validate", "test", "predict"):
        assert main([command, *words]) == 0
    assert len(server.run.history) == rows  # `run` is the only one
    assert main(["test", *words, f"--run_dir={run}"]) == 0
    assert "test/loss" in server.run.summary
    assert main(["test", *words, "--trainer.logger=lit_tasks.loggers.wandb.RunWandbLogger"]) == 0
    assert len(server.runs) == 2


SWEEP = ["${env}", "${interpreter}", "-m", "lit_tasks", "fit", "--config", "toy.yaml"]


@pytest.mark.slow  # starts Python anew
def test_the_agent_of_a_sweep_gets_its_own_run(
    server: WandbServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W&B's own agent starts the run; only what its server would tell it is made up."""
    from wandb.wandb_agent import Agent

    for name, value in environment(WANDB_SWEEP_ID="sw33p", WANDB_DIR=os.getcwd()).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    for name in ("WANDB_RUN_ID", "WANDB_SWEEP_PARAM_PATH"):  # which the agent sets in our process
        monkeypatch.setenv(name, "")
    values = {"model.optimizer.lr": 0.02, "data.batch_size": 6, "early_stopping": None}
    agent = Agent(None, None, sweep_id="sw33p")
    agent._sweep_command = [*SWEEP, "${args}"]
    args = {name: {"value": value} for name, value in values.items()}
    agent._command_run({"run_id": "tr1al", "program": "", "args": args})
    assert agent._run_processes["tr1al"].wait(240) == 0
    assert list(server.runs) == ["tr1al"]
    assert server.run.sweep == "sw33p"
    assert server.run.exit_code == 0
    assert server.run.config["model.init_args.optimizer.init_args.lr"] == 0.02
    assert "best/val/loss" in server.run.summary
    (kept,) = Path("runs/toy").glob("*/wandb/run-id.txt")
    assert kept.read_text() == "tr1al"


@pytest.mark.parametrize("form", ["args", "args_no_equals", "args_no_boolean_flags"])
def test_every_form_of_the_agents_words_is_parsed(
    form: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

    monkeypatch.setenv("WANDB_SWEEP_ID", "sw33p")
    values = {
        "model.optimizer": {"class_path": "torch.optim.SGD", "init_args": {"nesterov": False}},
        "model.optimizer.lr": 1e-5,
        "model.optimizer.foreach": None,
        "model.features": None,
        "model.hidden_size": 8,
        "trainer.limit_val_batches": 2,
        "test": True,
        "trainer.callbacks": [],
    }
    args = create_sweep_command_args({"args": {k: {"value": v} for k, v in values.items()}})
    assert main(["fit", *TOY, *args[form], "--print_config"]) == 0
    config = yaml.safe_load(capsys.readouterr().out)
    optimizer = config["model"]["init_args"]["optimizer"]["init_args"]
    assert (optimizer["lr"], optimizer["nesterov"], optimizer["foreach"]) == (1e-5, False, None)
    assert config["model"]["init_args"]["features"] is None
    assert config["model"]["init_args"]["hidden_size"] == 8
    assert config["test"] is True


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("--a={'b': None, 'c': [True, 1e-05]}", '--a={"b": null, "c": [true, 1e-05]}'),
        ("--a={b: null}", "--a={b: null}"),
        ('--a={"b": null}', '--a={"b": null}'),
        ("--a=None", "--a=null"),
        ("--a=[x, y]", "--a=[x, y]"),
        ("--a=Nonesuch", "--a=Nonesuch"),
        ("--help", "--help"),
    ],
)
def test_words_of_python_become_json_and_others_stay(word: str, said: str) -> None:
    assert understood([word]) == [said]
