"""Everything of Lightning that is private, or that we replace: one function for each need.

No other file touches a private name of Lightning (``tests/test_private_names.py`` holds that), so a
new release is one file to read. Each function has a test of its own, which fails when Lightning
changes what it rests on.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import cache, partial
from typing import Any

from lightning.fabric.loggers.csv_logs import _ExperimentWriter
from lightning.fabric.utilities.cloud_io import _is_local_file_protocol, _load
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import LearningRateFinder
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.core.mixins.hparams_mixin import _given_hyperparameters_context
from lightning.pytorch.loggers import CSVLogger, Logger, WandbLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter
from lightning.pytorch.strategies import DDPStrategy, Strategy
from lightning.pytorch.strategies.launchers.multiprocessing import _MultiProcessingLauncher
from lightning.pytorch.trainer.states import RunningStage
from lightning.pytorch.utilities.signature_utils import is_param_in_hook_signature
from torch import nn

#: The type that :class:`CSVLogger` declares for its writer.
CSVWriterBase = _ExperimentWriter

#: Keys of a checkpoint's hyper-parameters: the class, and that a command line built the object.
CLASS_PATH, INSTANTIATOR = "_class_path", "_instantiator"
#: What builds an object from its hyper-parameters; Lightning accepts no other.
INSTANTIATOR_OF_MODULES = "lightning.pytorch.cli.instantiate_module"

#: Takes a loader, whether to shuffle and the stage; returns the loader that is read.
Prepare = Callable[[object, bool, RunningStage], object]


# Loaders and loops


def replace_loader_preparation(trainer: Trainer, make: Callable[[Prepare], Prepare]) -> None:
    """Let ``make(prepare)`` take the place of how Lightning prepares every loader.

    Whichever task or data module returned a loader, it comes through here, where Lightning would
    give it a distributed sampler.
    """
    connector = trainer._data_connector
    original = partial(type(connector)._prepare_dataloader, connector)
    connector._prepare_dataloader = make(original)  # type: ignore[method-assign, assignment]


def ask_once(trainer: Trainer, task: LightningModule) -> None:
    """Remember for a run what Lightning looks up in every step.

    That is whether task or data module moves batches, and whether ``training_step`` takes their
    number.
    """
    selector, loop = trainer._data_connector._datahook_selector, trainer.fit_loop.epoch_loop
    assert selector is not None
    selector.get_instance = cache(  # type: ignore[method-assign]
        partial(type(selector).get_instance, selector)
    )
    takes_number = is_param_in_hook_signature(task.training_step, "batch_idx", min_args=2)

    def build_kwargs(kwargs: Any, batch: Any, batch_idx: int) -> Any:
        kwargs["batch"] = batch
        if takes_number:
            kwargs["batch_idx"] = batch_idx
        return kwargs

    loop._build_kwargs = build_kwargs  # type: ignore[method-assign]


def restart_prefetching(trainer: Trainer) -> None:
    """Read the training loaders from their position anew; drop the batch that was read ahead."""
    fetcher = trainer.fit_loop._data_fetcher
    if fetcher is not None:
        iter(fetcher)


def epoch_position(trainer: Trainer) -> tuple[int, int]:
    """Return the epoch and how many of its batches are done."""
    epochs: Any = trainer.fit_loop.epoch_progress.current
    done = trainer.fit_loop.epoch_loop.batch_progress.current.ready
    begun = epochs.ready > epochs.processed
    # Between two epochs, Lightning still counts the batches of the one before.
    return epochs.processed, done if begun else 0


def batch_index(trainer: Trainer) -> int:
    """Return the number within its epoch of the batch that is trained on."""
    return int(trainer.fit_loop.epoch_loop.batch_progress.current.ready) - 1


def accumulates(trainer: Trainer) -> bool:
    """Return whether the optimizer waits for more batches before its next step."""
    return trainer.fit_loop._should_accumulate()


def logging_step(trainer: Trainer) -> int:
    """Return the step that Lightning gives to the rows it logs."""
    return trainer.fit_loop.epoch_loop._batches_that_stepped


def step_logged_names(trainer: Trainer) -> set[str]:
    """Return what the evaluation logs in its steps, which all processes then have to make."""
    results = trainer._results
    if not results:
        return set()
    return {entry.meta.name for entry in results.values() if entry.meta.fx.endswith("_step")}


def add_loop_hooks(
    trainer: Trainer, between_batches: Callable[[], None], after_epoch: Callable[[], None]
) -> None:
    """Call functions between two batches of an epoch and when an epoch is over.

    Lightning has no hook for these moments. Only then is everything of the step behind us done and
    logged, and nothing of the next one begun: a checkpoint written then continues exactly.
    Lightning's ``on_train_batch_end`` comes before the step is logged and before its validation,
    which a run continued from there would leave out.
    """
    fit, loop = trainer.fit_loop, trainer.fit_loop.epoch_loop
    end_epoch, advance = type(fit).on_advance_end, type(loop).advance

    def advance_with_hook(data_fetcher: Any) -> None:
        if not loop.restarting and loop.batch_progress.current.ready > 0:
            between_batches()
        advance(loop, data_fetcher)

    def end_epoch_with_hook() -> None:
        end_epoch(fit)
        after_epoch()

    loop.advance = advance_with_hook  # type: ignore[method-assign]
    fit.on_advance_end = end_epoch_with_hook  # type: ignore[method-assign]


def remove_loop_hooks(trainer: Trainer) -> None:
    """Undo :func:`add_loop_hooks`, if it was done."""
    trainer.fit_loop.epoch_loop.__dict__.pop("advance", None)
    trainer.fit_loop.__dict__.pop("on_advance_end", None)


def after_signal_handlers(trainer: Trainer, catch: Callable[[], None]) -> None:
    """Call ``catch`` whenever Lightning has put its own signal handlers in place.

    Its answer to SIGTERM broadcasts from within the handler, which never ends while another process
    takes part in another collective, as in a sanity check.
    """
    connector = trainer._signal_connector
    register = type(connector).register_signal_handlers

    def and_ours() -> None:
        register(connector)
        catch()

    connector.register_signal_handlers = and_ours  # type: ignore[method-assign]


def replace_sigterm_broadcast(trainer: Trainer) -> None:
    """Keep Lightning's loop from broadcasting within the handler of SIGTERM.

    It does so in the middle of whatever collective is going on, and leaves without a checkpoint.
    """
    loop = trainer.fit_loop.epoch_loop
    loop._broadcast_sigterm_tensor = lambda: None  # type: ignore[method-assign]


def restore_sigterm_broadcast(trainer: Trainer) -> None:
    """Undo :func:`replace_sigterm_broadcast`, if it was done."""
    trainer.fit_loop.epoch_loop.__dict__.pop("_broadcast_sigterm_tensor", None)


# Trainer, strategy, callbacks, modules


def is_attached(module: LightningModule) -> bool:
    """Return whether the module has a trainer; asking for ``module.trainer`` would raise."""
    return module._trainer is not None


def spare_gradient_copies(strategy: Strategy) -> None:
    """Let DDP sum gradients where they are, and not in a copy, unless it was told otherwise."""
    if isinstance(strategy, DDPStrategy):
        strategy._ddp_kwargs.setdefault("gradient_as_bucket_view", True)


def rebuild_ddp(task: LightningModule) -> None:
    """Wrap a task for DDP again, which reduces what needed gradients when it was built."""
    strategy = task.trainer.strategy
    if isinstance(strategy.model, nn.parallel.DistributedDataParallel):
        strategy.model = strategy._setup_model(task)


def copies_this_process(strategy: Strategy) -> bool:
    """Return whether a strategy starts processes by fork or spawn, not by the command line."""
    return isinstance(strategy.launcher, _MultiProcessingLauncher)


def strategy_name(strategy: Strategy) -> str:
    """Return what ``--trainer.strategy`` calls a strategy; those of others have a class only."""
    return getattr(strategy, "strategy_name", None) or type(strategy).__name__


def skip_hook(owner: Callback | LightningModule, hook: str) -> None:
    """Let the trainer pass over a hook of a callback or a task: it calls what is callable."""
    setattr(owner, hook, None)


def learning_rate_name(callback: LearningRateFinder) -> str:
    """Return the attribute of the model that a learning-rate finder sets."""
    return callback._attr_name or "lr"


def given_hyperparameters(settings: dict[str, Any]) -> AbstractContextManager[None]:
    """Let the object that is built meanwhile keep these settings as its hyper-parameters."""
    return _given_hyperparameters_context(settings, INSTANTIATOR_OF_MODULES)


# Files


def safe_load_checkpoint(source: Any) -> Any:
    """Return what a path, an address or an open file holds, without running code from it."""
    return _load(source, map_location="cpu", weights_only=True)


def is_local(path: Any) -> bool:
    """Return whether a path is one of this machine, not an address such as ``s3://...``."""
    return _is_local_file_protocol(path)


# Loggers


class CSVWriter(ExperimentWriter):
    """Lightning's writer of ``metrics.csv``, whose two decisions about old rows are methods."""

    def find_old_file(self) -> None:
        """Look at the file that stands where rows will be written."""

    def replace_header(self, fieldnames: list[str]) -> None:
        """Write the rows again under more column names."""

    def _check_log_dir_exists(self) -> None:
        self.find_old_file()

    def _rewrite_with_new_header(self, fieldnames: list[str]) -> None:
        self.replace_header(fieldnames)


def csv_writer(logger: CSVLogger, make: Callable[[], CSVWriter]) -> CSVWriter:
    """Return a logger's writer, made at the first use."""
    if logger._experiment is None:
        logger._experiment = make()
    writer: Any = logger._experiment
    return writer  # type: ignore[no-any-return]


def wandb_run(logger: WandbLogger) -> Any:
    """Return the run that a logger has started, or ``None``; ``experiment`` would start it."""
    return logger._experiment


def wandb_init_arguments(logger: WandbLogger) -> dict[str, Any]:
    """Return what the logger gives to ``wandb.init``, to be changed before the run starts."""
    return logger._wandb_init


def uploads_checkpoints(logger: WandbLogger) -> bool:
    """Return whether a logger uploads checkpoints."""
    return bool(logger._log_model)


def set_uploads_checkpoints(logger: WandbLogger, uploads: bool) -> None:
    """Decide it, also after the logger was made."""
    logger._log_model = uploads


@contextmanager
def renamed_metrics(loggers: Iterable[Logger], rename: Callable[[str, Any], str]) -> Iterator[None]:
    """Log under other names, in whatever loggers there are.

    Args:
        loggers: Also loggers of the user.
        rename: Returns the new name of a metric, given its name and value.
    """
    loggers = list(loggers)
    for logger in loggers:
        original = logger.log_metrics

        def log_metrics(
            metrics: Mapping[str, Any], step: int | None = None, original: Any = original
        ) -> None:
            original({rename(name, value): value for name, value in metrics.items()}, step)

        logger.log_metrics = log_metrics  # type: ignore[method-assign]
    try:
        yield
    finally:
        for logger in loggers:
            del logger.log_metrics


# Command line


class CommandLine(LightningCLI):
    """LightningCLI with public names for what a subclass needs of its inside."""

    def setting(self, config: Any, name: str) -> Any:
        """Return a value of the command's part of a configuration."""
        return self._get(config, name)

    def build_trainer(self, settings: dict[str, Any], callbacks: list[Callback]) -> Trainer:
        """Return the trainer with these settings and callbacks beside those of the settings."""
        return self._instantiate_trainer(settings, callbacks)

    def command_parser(self, command: str) -> LightningArgumentParser:
        """Return the parser of one command."""
        return self._subcommand_parsers[command]

    def command_arguments(self, command: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Return what the trainer's method is called with; subclasses may change it."""
        return arguments

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        arguments: dict[str, Any] = super()._prepare_subcommand_kwargs(subcommand)
        return self.command_arguments(subcommand, arguments)

    def _parse_ckpt_path(self) -> None:
        """Do nothing: Lightning would let the checkpoint beat the command line."""
