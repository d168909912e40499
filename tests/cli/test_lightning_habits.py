"""What people are used to from LightningCLI works here as well, or is answered in one sentence."""

import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path

import fsspec  # type: ignore[import-untyped]
import pytest
import torch
import yaml
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.tuner import Tuner

from lit_tasks.__main__ import main
from lit_tasks.cli.checkpoint_address import fetched
from lit_tasks.data.readers import download
from lit_tasks.data.text_files import TextFilesDataModule
from lit_tasks.nn.text.encoders import BagOfWords
from lit_tasks.tasks.text_classification import TextClassificationTask

ROOT = Path(__file__).parents[2]
Refusal = Callable[..., str]
FIT = ("fit", "--config", "toy.yaml", "--trainer.max_epochs=1")
QUIET = ("--trainer.logger=false", "--trainer.enable_model_summary=false")


@pytest.mark.parametrize(
    ("word", "whole"),
    [
        ("--optimizer=AdamW", "model.optimizer"),
        ("--optimizer.lr=0.1", "model.optimizer.lr"),
        ("--lr=0.1", "model.optimizer.lr"),
        ("--hidden_size=4", "model.hidden_size"),
        ("--batch_size=4", "data.batch_size"),
        ("--max_epochs=4", "trainer.max_epochs"),
    ],
)
def test_an_option_called_by_its_end_is_told_its_whole_name(
    word: str, whole: str, refusal: Refusal
) -> None:
    name = word.removeprefix("--").split("=")[0]
    sentence = f"there is no option {name!r}; did you mean {whole!r}?"
    assert sentence in refusal("fit", "--config", "toy.yaml", word)


@pytest.mark.parametrize(
    ("logger", "files"),
    [("CSVLogger", "metrics.csv"), ("TensorBoardLogger", "events.out.tfevents.*")],
)
def test_a_logger_without_a_folder_writes_into_that_of_the_run(logger: str, files: str) -> None:
    assert main([*FIT, f"--trainer.logger={logger}", "--run_dir=a"]) == 0
    assert list(Path("a/lightning_logs/version_0").glob(files))
    assert not Path("lightning_logs").exists()
    kept = yaml.safe_load(Path("a/config.yaml").read_text())
    assert kept["trainer"]["logger"]["init_args"]["save_dir"] == ""  # not that of the first run
    assert main(["fit", "--config", "a/config.yaml", "--run_dir=b"]) == 0
    assert list(Path("b/lightning_logs/version_0").glob(files))
    assert not Path("lightning_logs").exists()


def test_a_logger_keeps_the_folder_that_it_is_given() -> None:
    words = ("--trainer.logger=CSVLogger", "--trainer.logger.save_dir=own", "--run_dir=a")
    assert main([*FIT, *words]) == 0
    assert Path("own/lightning_logs/version_0/metrics.csv").is_file()


def test_a_timer_takes_part() -> None:
    words = ("--trainer.callbacks+=Timer", "--trainer.callbacks.duration=00:01:00:00")
    assert main([*FIT, *QUIET, *words, "--run_dir=a"]) == 0
    [timer] = yaml.safe_load(Path("a/config.yaml").read_text())["trainer"]["callbacks"]
    assert timer["init_args"]["interval"] == "step"


def test_a_run_without_validation_stops_early_by_nothing(refusal: Refusal) -> None:
    words = (*FIT, *QUIET, "--trainer.limit_val_batches=0", "--run_dir=a")
    sentence = refusal(*words, "--early_stopping.monitor=val/loss")
    assert sentence == (
        "early stopping monitors 'val/loss', which limit_val_batches 0 leaves out: to train"
        " without validation, add --early_stopping=null"
    )
    assert main([*words, "--early_stopping=null"]) == 0
    assert Path("a/checkpoints/last.ckpt").is_file()


def test_environment_variables_stand_below_configs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], refusal: Refusal
) -> None:
    monkeypatch.setenv("PL_FIT__TRAINER__MAX_EPOCHS", "7")  # the config says 2
    monkeypatch.setenv("PL_FIT__TRAINER__LIMIT_TRAIN_BATCHES", "3")
    assert main(["fit", "--config", "toy.yaml", "--print_config"]) == 0
    trainer = yaml.safe_load(capsys.readouterr().out)["trainer"]
    assert (trainer["max_epochs"], trainer["limit_train_batches"]) == (2, 3)
    monkeypatch.setenv("PL_FIT__TRAINER__LIMIT_TRAIN_BATCHES", "many")
    sentence = refusal("fit", "--config", "toy.yaml")
    assert sentence.endswith("got many (in the variable PL_FIT__TRAINER__LIMIT_TRAIN_BATCHES)")


# Checkpoints at an address


class _Silent(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Serve the working directory; only here an address need not be encrypted."""
    monkeypatch.setattr(download, "SCHEMES", ("http",))
    monkeypatch.setenv("no_proxy", "*")
    served = HTTPServer(("127.0.0.1", 0), _Silent)
    thread = threading.Thread(target=served.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{served.server_port}"
    served.shutdown()
    served.server_close()
    thread.join()


def test_a_checkpoint_is_read_from_an_address(
    server: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert main([*FIT, *QUIET, "--run_dir=a"]) == 0
    best = Path("a/checkpoints/best.ckpt")
    fsspec.filesystem("memory").pipe("/models/best.ckpt", best.read_bytes())
    places = (f"{server}/{best}", "memory://models/best.ckpt", f"file://{best.absolute()}", best)
    found = set()
    for number, place in enumerate(places):
        caplog.clear()
        words = ("--ckpt_path", str(place), "--trusted_modules=toy_task", f"--run_dir=p{number}")
        assert main(["predict", *words]) == 0
        assert (f"{place}: 2" in caplog.text) == (number < 2)  # it says what it has fetched
        found.add(Path(f"p{number}/predictions/predictions.csv").read_text())
    assert len(found) == 1


def test_a_checkpoint_at_an_address_is_trusted_no_more_than_others(refusal: Refusal) -> None:
    spec = {"_class_path": "os.system", "_instantiator": "lightning.pytorch.cli.instantiate_module"}
    torch.save({"state_dict": {}, "hyper_parameters": spec}, "evil.ckpt")
    fsspec.filesystem("memory").pipe("/evil.ckpt", Path("evil.ckpt").read_bytes())
    assert "wants to import os.system" in refusal("test", "--ckpt_path=memory://evil.ckpt")


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("http://example.com/best.ckpt", "the address must begin with https"),
        ("https://127.0.0.1:9/best.ckpt", "could not be downloaded"),
        ("memory://none.ckpt", "there is no checkpoint memory://none.ckpt"),
        ("nobody://best.ckpt", "nobody://best.ckpt cannot be read: Protocol not known: nobody"),
        ("file:///nowhere/best.ckpt", "there is no checkpoint /nowhere/best.ckpt"),
    ],
)
def test_an_address_without_a_checkpoint_is_refused(
    address: str, sentence: str, refusal: Refusal
) -> None:
    assert sentence in refusal("test", f"--ckpt_path={address}")


def test_a_checkpoint_at_an_address_has_a_limit(server: str) -> None:
    Path("large.ckpt").write_bytes(bytes(1001))
    fsspec.filesystem("memory").pipe("/large.ckpt", bytes(1001))
    for place in (server, "memory:/"):
        with pytest.raises(ValueError, match="must have at most 1,000 bytes"):
            fetched(f"{place}/large.ckpt", max_bytes=1000)
        path = fetched(f"{place}/large.ckpt", max_bytes=1001)
        assert [p.name for p in path.parent.iterdir()] == ["large.ckpt"]


# A LightningCLI of one's own


class OwnCLI(LightningCLI):
    """As docs/runs.md shows it."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        encoder = "lit_tasks.nn.text.BagOfWords"
        parser.set_defaults({"trainer.max_epochs": 3, "model.encoder": encoder})


def made(kind: type[LightningCLI], *more: str) -> LightningCLI:
    words = [
        f"--data.train={ROOT}/tests/fixtures/text/sentences.txt",
        "--data.cache_dir=cache",
        *("--trainer.accelerator=cpu", "--trainer.logger=false", "--trainer.max_epochs=1"),
        *("--trainer.enable_checkpointing=false", "--model.optimizer=Adam"),
        *("--model.optimizer.lr=0.25", "--model.encoder=lit_tasks.nn.text.BagOfWords"),
        *more,
    ]
    return kind(
        TextClassificationTask,
        TextFilesDataModule,
        run=False,
        args=words if kind is LightningCLI else [w for w in words if "encoder" not in w],
        trainer_defaults={"enable_progress_bar": False, "enable_model_summary": False},
        auto_configure_optimizers=False,
    )


@pytest.mark.parametrize("kind", [LightningCLI, OwnCLI])
def test_a_command_line_of_ones_own_takes_our_tasks(kind: type[LightningCLI]) -> None:
    cli = made(kind)
    assert cli.model.head is None  # nothing was run
    cli.trainer.fit(cli.model, datamodule=cli.datamodule)
    assert cli.trainer.optimizers[0].param_groups[0]["lr"] == 0.25
    assert "val/accuracy" in cli.trainer.callback_metrics


# Learning rate and batch size


def test_a_tuner_finds_a_learning_rate_and_sets_it() -> None:
    cli = made(LightningCLI, "--data.batch_size=2")
    assert cli.model.lr == 0.25
    finder = Tuner(cli.trainer).lr_find(cli.model, datamodule=cli.datamodule, num_training=40)
    assert finder is not None
    assert cli.model.lr == finder.suggestion() != 0.25
    assert cli.model.hparams["optimizer"]["init_args"]["lr"] == cli.model.lr  # in checkpoints, too
    cli.trainer.fit(cli.model, datamodule=cli.datamodule)
    assert cli.trainer.optimizers[0].param_groups[0]["lr"] == cli.model.lr


def test_a_rate_that_is_set_is_in_the_settings_of_a_task_made_in_python() -> None:
    task = TextClassificationTask(BagOfWords, partial(torch.optim.Adam, lr=0.25))
    task.lr = 0.5
    assert task.lr == 0.5
    assert task.hparams["optimizer"].keywords == {"lr": 0.5}


def test_a_tuner_finds_a_batch_size_and_sets_it() -> None:
    cli = made(LightningCLI, "--data.batch_size=4")
    size = Tuner(cli.trainer).scale_batch_size(
        cli.model, datamodule=cli.datamodule, init_val=2, max_trials=3, steps_per_trial=1
    )
    assert size == cli.datamodule.batch_size == 8


def test_a_rate_that_is_found_is_where_a_schedule_begins() -> None:
    words = ("--model.lr_decay=linear", "--trainer.callbacks+=LearningRateFinder")
    cli = made(
        LightningCLI, "--data.batch_size=2", *words, "--trainer.callbacks.num_training_steps=40"
    )
    cli.trainer.fit(cli.model, datamodule=cli.datamodule)
    assert cli.model.lr != 0.25
    [config] = cli.trainer.lr_scheduler_configs
    assert config.scheduler.base_lrs == [cli.model.lr]
    assert cli.trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.0)  # it has fallen
