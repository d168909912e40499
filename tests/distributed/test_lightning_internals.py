"""What we rest on in Lightning beyond its documentation."""

import csv
import io
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import LearningRateFinder
from lightning.pytorch.cli import LightningCLI
from lightning.pytorch.loggers import CSVLogger, WandbLogger
from lightning.pytorch.loops import training_epoch_loop
from lightning.pytorch.strategies import DDPStrategy, FSDPStrategy, SingleDeviceStrategy
from lightning.pytorch.trainer.connectors import data_connector
from lightning.pytorch.trainer.states import RunningStage
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader
from toy_task import ToyData, ToyTask

from lit_tasks.distributed import lightning_internals as internals
from lit_tasks.distributed.run_dir import run_dir


class Calls(Callback):
    """Calls a function at one hook."""

    def __init__(self, hook: str, function: Callable[[Trainer], Any]) -> None:
        self.found: list[Any] = []

        def call(trainer: Trainer, *_: Any, **__: Any) -> None:
            self.found.append(function(trainer))

        setattr(self, hook, call)


def trained(path: Path, *callbacks: Callback, task: Any = None, **options: Any) -> Trainer:
    """Train on six batches an epoch."""
    options = {"max_epochs": 1, "logger": False, "num_sanity_val_steps": 0, **options}
    trainer = Trainer(
        default_root_dir=path,
        callbacks=list(callbacks),
        accelerator="cpu",
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )
    trainer.fit(task or ToyTask(), ToyData())
    return trainer


def test_our_signal_handlers_come_after_those_of_lightning(tmp_path: Path) -> None:
    handlers: list[Any] = []

    def note(trainer: Trainer) -> None:
        internals.after_signal_handlers(
            trainer, lambda: handlers.append(signal.getsignal(signal.SIGTERM))
        )

    trained(tmp_path, Calls("setup", note))
    assert len(handlers) == 1
    assert "HandlersCompose" in type(handlers[0]).__name__


def seen(path: Path, hook: str, function: Callable[[Trainer], Any], **options: Any) -> list[Any]:
    callback = Calls(hook, function)
    trained(path, callback, **options)
    return callback.found


def one_process_of_ddp(**options: Any) -> dict[str, Any]:
    return {"strategy": DDPStrategy(process_group_backend="gloo", **options), "devices": 1}


@contextmanager
def one_group() -> Iterator[None]:
    """Leave nothing of a group of processes behind."""
    try:
        yield
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
        for name in ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "LOCAL_RANK", "WORLD_SIZE"):
            os.environ.pop(name, None)


# Loaders and loops


def test_replace_loader_preparation_meets_every_loader(tmp_path: Path) -> None:
    stages = []

    def make(prepare: internals.Prepare) -> internals.Prepare:
        def mine(loader: object, shuffle: bool, mode: RunningStage) -> object:
            assert prepare(loader, shuffle, mode) is loader  # one process needs no sampler
            stages.append(mode)
            return DataLoader(loader.dataset, batch_size=12)  # type: ignore[attr-defined]

        return mine

    replace = Calls("setup", lambda t: internals.replace_loader_preparation(t, make))
    trainer = trained(tmp_path, replace)
    assert set(stages) == {RunningStage.TRAINING, RunningStage.VALIDATING}
    assert trainer.num_training_batches == 2


@pytest.mark.parametrize("moves", [ToyTask, ToyData])
def test_ask_once_asks_again_for_no_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moves: type
) -> None:
    asked, moved = Counter[str](), []
    takes = training_epoch_loop.is_param_in_hook_signature

    def counting(real: Callable[..., Any]) -> Callable[..., Any]:
        def count(*args: Any, **kwargs: Any) -> Any:
            if real is takes or "transfer" in args[0]:  # it is asked for other hooks as well
                asked[real.__name__] += 1
            return real(*args, **kwargs)

        return count

    overridden = data_connector.is_overridden
    monkeypatch.setattr(data_connector, "is_overridden", counting(overridden))
    monkeypatch.setattr(training_epoch_loop, "is_param_in_hook_signature", counting(takes))
    monkeypatch.setattr(
        moves, "on_after_batch_transfer", lambda self, batch, _: moved.append(batch) or batch
    )
    task = ToyTask()
    callback = Calls("setup", lambda trainer: internals.ask_once(trainer, task))
    trained(tmp_path, callback, task=task, limit_val_batches=0, max_epochs=2)
    after = asked.copy()
    assert len(moved) == 12
    trained(tmp_path, callback, task=task, limit_val_batches=0, max_epochs=4)
    assert len(moved) == 36
    assert after.keys() == {"is_overridden"}
    assert asked - after == after  # another run asks as often, however long it is


def test_ask_once_knows_a_step_that_takes_no_number(tmp_path: Path) -> None:
    class Task(ToyTask):
        def training_step(self, batch: tuple[torch.Tensor]) -> torch.Tensor:  # type: ignore[override]
            return super().training_step(batch, 0)

    task = Task()
    callback = Calls("setup", lambda trainer: internals.ask_once(trainer, task))
    assert trained(tmp_path, callback, task=task).global_step == 6


def test_restart_prefetching_reads_the_loaders_from_their_start(tmp_path: Path) -> None:
    starts = []

    class Loader(DataLoader):  # type: ignore[type-arg]
        def __iter__(self) -> Any:
            starts.append(len(starts))
            return super().__iter__()

    class Data(ToyData):
        def train_dataloader(self) -> Any:
            return Loader(self.dataset, batch_size=4)

    def restart(trainer: Trainer) -> int:
        before = len(starts)
        internals.restart_prefetching(trainer)
        return len(starts) - before

    callback = Calls("on_train_start", restart)
    trainer = Trainer(
        max_epochs=1, accelerator="cpu", logger=False, default_root_dir=tmp_path,
        callbacks=[callback], enable_checkpointing=False, enable_progress_bar=False,
    )  # fmt: skip
    internals.restart_prefetching(trainer)  # nothing is read yet, so there is nothing to do
    trainer.fit(ToyTask(), Data())
    assert callback.found == [1]


def test_epoch_position_counts_epochs_and_their_batches(tmp_path: Path) -> None:
    found = seen(tmp_path, "on_train_batch_start", internals.epoch_position, max_epochs=2)
    assert found == [(epoch, done) for epoch in range(2) for done in range(1, 7)]


def test_epoch_position_is_the_start_when_an_epoch_is_read(tmp_path: Path) -> None:
    class Task(ToyTask):
        def train_dataloader(self) -> Any:
            class Loader(DataLoader):  # type: ignore[type-arg]
                def __iter__(loader) -> Any:
                    starts.append(internals.epoch_position(self.trainer))
                    return super().__iter__()

            return Loader(torch.utils.data.TensorDataset(torch.ones(8, 4)), batch_size=4)

    starts: list[tuple[int, int]] = []
    trainer = Trainer(
        max_epochs=3, accelerator="cpu", logger=False, default_root_dir=tmp_path,
        enable_checkpointing=False, enable_progress_bar=False, limit_val_batches=0,
    )  # fmt: skip
    trainer.fit(Task())
    assert starts == [(0, 0), (1, 0), (2, 0)]


def test_batch_index_is_that_of_the_batch_in_hand(tmp_path: Path) -> None:
    assert seen(tmp_path, "on_before_backward", internals.batch_index) == list(range(6))


def test_accumulates_until_the_optimizer_steps(tmp_path: Path) -> None:
    options = {"accumulate_grad_batches": 2}
    found = seen(tmp_path, "on_before_backward", internals.accumulates, **options)
    assert found == [True, False] * 3


def test_logging_step_is_that_of_lightnings_rows(tmp_path: Path) -> None:
    logger = CSVLogger(tmp_path, name="", version="")
    options = {"logger": logger, "log_every_n_steps": 1}
    found = seen(tmp_path, "on_train_batch_end", internals.logging_step, **options)
    with Path(logger.log_dir, "metrics.csv").open() as file:
        rows = [int(row["step"]) for row in csv.DictReader(file) if row["train/loss"]]
    assert rows == found == list(range(6))


def test_step_logged_names_are_those_of_steps_alone(tmp_path: Path) -> None:
    class Logs(ToyTask):
        def validation_step(self, batch: tuple[torch.Tensor], batch_idx: int) -> None:
            super().validation_step(batch, batch_idx)
            self.log("val/by_step", 1.0)

    found = seen(tmp_path, "on_validation_batch_end", internals.step_logged_names, task=Logs())
    assert found[-1] == {"val/by_step"}
    assert seen(tmp_path, "on_validation_batch_end", internals.step_logged_names)[-1] == set()
    assert seen(tmp_path, "on_validation_end", internals.step_logged_names)[-1] == set()


def test_add_loop_hooks_calls_between_batches_and_remove_loop_hooks_ends_it(tmp_path: Path) -> None:
    calls: list[str] = []

    def add(trainer: Trainer) -> None:
        internals.add_loop_hooks(
            trainer, lambda: calls.append("batch"), lambda: calls.append("epoch")
        )

    log = Calls("on_train_batch_end", lambda trainer: calls.append("end"))
    trainer = trained(tmp_path, Calls("on_train_start", add), log)
    assert calls == ["end", "batch"] * 5 + ["end", "epoch"]
    internals.remove_loop_hooks(trainer)
    internals.remove_loop_hooks(trainer)  # as often as one likes
    trainer.fit_loop.epoch_progress.reset()
    trainer.fit(ToyTask(), ToyData())
    assert calls.count("batch") == 10  # the callback of this trainer added them again


def test_replace_sigterm_broadcast_and_restore_sigterm_broadcast(tmp_path: Path) -> None:
    trainer = trained(tmp_path)
    loop = trainer.fit_loop.epoch_loop
    original = loop._broadcast_sigterm_tensor
    internals.replace_sigterm_broadcast(trainer)
    assert loop._broadcast_sigterm_tensor != original
    internals.restore_sigterm_broadcast(trainer)
    internals.restore_sigterm_broadcast(trainer)
    assert loop._broadcast_sigterm_tensor == original


# Trainer, strategy, callbacks, modules


def test_is_attached_with_a_trainer_only(tmp_path: Path) -> None:
    task = ToyTask()
    assert not internals.is_attached(task)
    trained(tmp_path, task=task)
    assert internals.is_attached(task)


@pytest.mark.filterwarnings("ignore")
def test_rebuild_ddp_takes_what_needs_gradients_now(tmp_path: Path) -> None:
    def rebuild(trainer: Trainer) -> tuple[bool, bool]:
        before = trainer.strategy.model
        internals.rebuild_ddp(trainer.lightning_module)
        after = trainer.strategy.model
        return isinstance(after, DistributedDataParallel), after is not before

    assert seen(tmp_path, "on_train_start", rebuild) == [(False, False)]
    with one_group():
        found = seen(tmp_path, "on_train_start", rebuild, **one_process_of_ddp())
        assert found == [(True, True)]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("said", [{}, {"gradient_as_bucket_view": False}])
def test_spare_gradient_copies_unless_they_were_asked_for(
    tmp_path: Path, said: dict[str, bool]
) -> None:
    internals.spare_gradient_copies(SingleDeviceStrategy("cpu"))
    options = one_process_of_ddp(**said)
    internals.spare_gradient_copies(options["strategy"])
    with one_group():
        [views] = seen(
            tmp_path,
            "on_train_start",
            lambda trainer: trainer.strategy.model.gradient_as_bucket_view,  # type: ignore[union-attr]
            **options,
        )
    assert views is said.get("gradient_as_bucket_view", True)


@pytest.mark.parametrize(("strategy", "copies"), [("ddp_spawn", True), ("ddp", False)])
def test_copies_this_process_is_told_of_the_strategy(strategy: str, copies: bool) -> None:
    trainer = Trainer(strategy=strategy, devices=2, accelerator="cpu", logger=False)
    assert internals.copies_this_process(trainer.strategy) is copies


def test_strategy_name_is_what_the_command_line_calls_it() -> None:
    assert internals.strategy_name(FSDPStrategy()) == "fsdp"
    assert internals.strategy_name(SingleDeviceStrategy("cpu")) == "single_device"

    class Own(DDPStrategy):
        strategy_name = None

    assert internals.strategy_name(Own()) == "Own"


def test_skip_hook_leaves_a_hook_uncalled(tmp_path: Path) -> None:
    class Fails(Callback):
        def on_train_batch_end(self, *_: Any, **__: Any) -> None:
            pytest.fail("it was called")

    class FailsAsWell(ToyTask):
        def on_train_batch_end(self, *_: Any, **__: Any) -> None:
            pytest.fail("it was called")

    callback, task = Fails(), FailsAsWell()
    for owner in (callback, task):
        internals.skip_hook(owner, "on_train_batch_end")
    trained(tmp_path, callback, task=task)


def test_learning_rate_name_is_lr_unless_said() -> None:
    assert internals.learning_rate_name(LearningRateFinder()) == "lr"
    assert internals.learning_rate_name(LearningRateFinder(attr_name="rate")) == "rate"


# Files


def test_given_hyperparameters_are_kept_by_what_is_built_meanwhile() -> None:
    settings = {"hidden_size": 8, "scale": 2.0, internals.CLASS_PATH: "toy_task.ToyTask"}
    with internals.given_hyperparameters(settings):
        task = ToyTask(hidden_size=8)
    made_by = {internals.INSTANTIATOR: internals.INSTANTIATOR_OF_MODULES}
    assert dict(task.hparams) == settings | made_by
    assert "scale" in ToyTask().hparams
    assert internals.INSTANTIATOR not in ToyTask().hparams


def test_load_plain_checkpoint_takes_paths_and_files_and_runs_no_code(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    torch.save({"a": 1}, path)
    assert internals.safe_load_checkpoint(path) == {"a": 1}
    assert internals.safe_load_checkpoint(str(path)) == {"a": 1}
    assert internals.safe_load_checkpoint(io.BytesIO(path.read_bytes())) == {"a": 1}
    torch.save({"a": nn.Linear(1, 1)}, path)
    with pytest.raises(Exception, match="weights_only"):
        internals.safe_load_checkpoint(path)


def test_is_local_is_no_address() -> None:
    assert internals.is_local("a/b.ckpt")
    assert internals.is_local(Path("/a/b.ckpt"))
    assert not internals.is_local("memory://b.ckpt")


# Loggers


def test_csv_writer_is_made_once_and_its_decisions_are_methods(tmp_path: Path) -> None:
    calls: list[Any] = []

    class Writer(internals.CSVWriter):
        def find_old_file(self) -> None:
            calls.append("old")

        def replace_header(self, fieldnames: list[str]) -> None:
            calls.append(fieldnames)

    logger = CSVLogger(tmp_path, name="", version="")
    writer = internals.csv_writer(logger, lambda: Writer(log_dir=logger.log_dir))
    assert internals.csv_writer(logger, lambda: pytest.fail("again")) is writer
    assert isinstance(writer, internals.CSVWriterBase)
    assert calls == ["old"]
    for name in ("a", "b"):
        logger.log_metrics({name: 1.0}, 0)
        logger.save()
    assert calls == ["old", ["a", "b", "step"]] or sorted(calls[1]) == ["a", "b", "step"]


def test_wandb_run_starts_none_and_wandb_init_arguments_are_those_it_starts_with(
    tmp_path: Path,
) -> None:
    import wandb

    logger = WandbLogger(save_dir=tmp_path, mode="offline")
    assert internals.wandb_run(logger) is None
    arguments = internals.wandb_init_arguments(logger)
    assert arguments["mode"] == "offline"
    arguments["id"] = "chosen"
    arguments["settings"] = wandb.Settings(silent=True)
    run = logger.experiment
    assert internals.wandb_run(logger) is run
    assert run.id == "chosen"
    run.finish()


def test_uploads_checkpoints_is_what_set_uploads_checkpoints_says(tmp_path: Path) -> None:
    logger = WandbLogger(save_dir=tmp_path, mode="online", log_model=True)
    assert internals.uploads_checkpoints(logger)
    internals.set_uploads_checkpoints(logger, False)
    assert not internals.uploads_checkpoints(logger)


def test_renamed_metrics_hold_for_the_block_alone(tmp_path: Path) -> None:
    logger = CSVLogger(tmp_path, name="", version="")
    with internals.renamed_metrics([logger], lambda name, value: f"best/{name}"):
        logger.log_metrics({"a": 1.0}, 0)
    logger.log_metrics({"b": 1.0}, 1)
    assert [sorted(row) for row in logger.experiment.metrics] == [["best/a", "step"], ["b", "step"]]


# Command line


def test_the_command_line_names_its_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``CommandLine`` and the keys CLASS_PATH and INSTANTIATOR that it leaves in a checkpoint."""
    seen: dict[str, Any] = {}

    class Line(internals.CommandLine):
        def instantiate_trainer(self, **options: Any) -> Trainer:
            settings = self.setting(self.config_init, "trainer")
            seen["parser"] = self.command_parser("fit")
            return self.build_trainer({**settings, **options}, [])

        def command_arguments(self, command: str, arguments: dict[str, Any]) -> dict[str, Any]:
            seen[command] = set(arguments)
            return arguments

    monkeypatch.chdir(tmp_path)
    words = ["fit", "--trainer.fast_dev_run=1", "--trainer.accelerator=cpu"]
    words += ["--trainer.enable_progress_bar=false", "--ckpt_path=null"]
    monkeypatch.setattr(sys, "argv", ["program", *words])
    line = Line(ToyTask, ToyData, save_config_callback=None, auto_configure_optimizers=False)
    assert {"model", "datamodule", "ckpt_path"} <= seen["fit"]
    assert "--trainer.max_epochs" in seen["parser"].format_help()
    settings = line.model.hparams
    assert internals.INSTANTIATOR in settings or internals.CLASS_PATH in settings


def test_a_checkpoint_does_not_change_the_command_line() -> None:
    """LightningCLI would let a checkpoint's settings beat what the user writes."""
    assert internals.CommandLine._parse_ckpt_path is not LightningCLI._parse_ckpt_path
    assert callable(LightningCLI._parse_ckpt_path)


# The run's folder


def test_run_dir_asks_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer(default_root_dir=tmp_path, logger=False, accelerator="cpu")
    asked = []

    def broadcast(value: Any, src: int = 0) -> Any:
        asked.append(value)
        return value

    monkeypatch.setattr(trainer.strategy, "broadcast", broadcast)
    assert run_dir(trainer) == run_dir(trainer) == tmp_path
    assert asked == [trainer.default_root_dir]
