"""LightningCLI with a run folder, named callbacks, and flags that override configs."""

import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import (
    Callback,
    Checkpoint,
    EarlyStopping,
    ModelCheckpoint,
    ProgressBar,
)
from lightning.pytorch.cli import ArgsType, LightningArgumentParser

from lit_tasks import checkpoint, trust
from lit_tasks.cli import default_callbacks, finished, run_folder
from lit_tasks.cli.arguments import Arguments
from lit_tasks.cli.checkpoint_address import fetched, is_address
from lit_tasks.cli.loggers import after_training, fill_folders, with_csv
from lit_tasks.cli.parser import ReadableParser, check_config_files
from lit_tasks.cli.record import SaveRunConfig, forget_rows_after, print_next_steps
from lit_tasks.cli.trainer import RunTrainer, skip_empty_hooks
from lit_tasks.cli.unfit_callbacks import check_callbacks
from lit_tasks.distributed.lightning_internals import CLASS_PATH, CommandLine
from lit_tasks.distributed.run_dir import run_dir
from lit_tasks.loggers.wandb import RunWandbLogger, has_run
from lit_tasks.protocols import HasPredictExample, HasTestExample, attributes
from lit_tasks.trust import packages_to_trust

CSV, WANDB = "lit_tasks.loggers.csv.RunCSVLogger", "lit_tasks.loggers.wandb.RunWandbLogger"
TRAINER_DEFAULTS: dict[str, Any] = {
    "enable_autolog_hparams": False,  # SaveRunConfig logs the whole configuration instead
    "use_distributed_sampler": False,  # it repeats samples; ExactBatches does not
    "enable_model_summary": False,  # Progress says in one line how large the model is
}


class TaskCLI(CommandLine):
    """``fit``, ``validate``, ``test`` and ``predict`` for any task and data module by class path.

    Args:
        words: The command line without the program's name.
    """

    def __init__(self, words: list[str]) -> None:
        self.arguments = Arguments(words)
        check_config_files(self.arguments.configs)
        ReadableParser.config_files = tuple(self.arguments.configs)
        ReadableParser.read_words(
            " ".join((*self.arguments.named(), str(default_callbacks.CALLBACKS)))
        )
        with trust.restored():
            super().__init__(
                parser_class=ReadableParser,
                parser_kwargs={
                    "allow_abbrev": False,
                    "default_env": True,  # PL_FIT__TRAINER__MAX_EPOCHS=3
                    self.arguments.command: {"default_env": True},
                },
                trainer_class=RunTrainer,
                trainer_defaults={**TRAINER_DEFAULTS, "logger": self._loggers()},
                save_config_callback=SaveRunConfig,
                save_config_kwargs={"save_to_log_dir": False},
                seed_everything_default=0,
                auto_configure_optimizers=False,
            )

    def _loggers(self) -> list[dict[str, str]]:
        """Return the loggers of a run; an evaluation only goes on in the W&B run of its folder."""
        run_dir = self.arguments.value("run_dir")
        goes_on = run_dir is not None and has_run(Path(run_dir))
        names = [CSV, WANDB] if self.arguments.command == "fit" or goes_on else [CSV]
        return [{"class_path": name} for name in names]

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]
        """Build the parser of the one command that is asked for: each costs 0.1 s."""
        command = self.arguments.command
        return {command: CommandLine.subcommands()[command]}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add what a run has besides trainer, model and data."""
        parser.add_argument("--experiment", type=str | None, help="name that groups runs")
        parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of all runs")
        parser.add_argument("--run_dir", type=Path | None, help="folder of this run")
        parser.add_argument(
            "--resume", type=bool, default=False, help="fit: go on from the newest last.ckpt"
        )
        parser.add_argument(
            "--test", type=bool, default=False, help="fit: test the best checkpoint afterwards"
        )
        parser.add_argument(
            "--trusted_modules",
            type=list[str] | str | None,
            help="modules of others whose classes the checkpoint may name, such as [my_package]",
        )
        parser.add_argument("--early_stopping", type=EarlyStopping | None, default=None)
        for name, default in default_callbacks.CALLBACKS.items():
            parser.add_argument(f"--{name}", type=Callback | None, default=default)

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse configs, then the checkpoint, then flags; a checkpoint alone is enough."""
        path = self.checkpoint_path = self._checkpoint_file()
        self.content = checkpoint.load(path) if path else None
        evaluates = self.arguments.command != "fit" or not self.arguments.configs
        original = sys.argv
        with tempfile.TemporaryDirectory() as folder:
            sections = None
            if path and self.content and evaluates:
                sections = self.arguments.sections(self.content, path)
                trusted = self.arguments.trusted(path, sections)
                command_parser: Any = self.command_parser(self.arguments.command)
                trusted.check(command_parser, sections)
                trusted.distrust(sections)  # until the run ends
            words = self.arguments.ordered(sections, Path(folder))
            sys.argv = [original[0], *words]  # jsonargparse warns when it gets a list instead
            try:
                super().parse_arguments(parser, None)
            finally:
                sys.argv = original  # processes that Lightning starts run these words again

    def _checkpoint_file(self) -> Path | None:
        given = self.arguments.value("ckpt_path")
        if given in ("best", "last") and (run_dir := self.arguments.value("run_dir")):
            given = str(Path(run_dir) / "checkpoints" / f"{given}.ckpt")
        elif self.arguments.command == "fit" and given in ("last", "hpc"):
            return None
        asks = "--print_config" in self.arguments.flags or self._asks_help()
        if given is None and self.arguments.command != "fit" and not asks:
            raise ValueError(f"{self.arguments.command} needs a trained model: --ckpt_path FILE")
        if given in (None, "null"):
            return None
        return fetched(given) if is_address(given) else run_folder.resolved(Path(given))

    def _asks_help(self) -> bool:
        return any(flag.split("=")[0].endswith(("help", "-h")) for flag in self.arguments.flags)

    def before_instantiate_classes(self) -> None:
        """Choose the run's folder, and the checkpoint when the run is to be resumed."""
        config = self.config[self.subcommand]
        config["experiment"] = config["experiment"] or self.arguments.experiment()
        resumes = self.subcommand == "fit" and config["resume"]
        self.run_dir = run_folder.choose(
            config["runs"], config["experiment"], config["run_dir"], resume=resumes
        )
        self._filled = fill_folders(config["trainer"]["logger"], self.run_dir)
        if self.checkpoint_path is not None:
            config["ckpt_path"] = str(self.checkpoint_path)
        if resumes:
            self._go_on(config)
        elif self.subcommand == "fit" and not run_folder.holds(self.run_dir, self.checkpoint_path):
            run_folder.check_unused(self.run_dir)

    def _go_on(self, config: Any) -> None:
        """Continue from the last checkpoint, begin where there is none, end where all is done."""
        content = None
        if last := run_folder.last_checkpoint(self.run_dir):
            content = checkpoint.load(last)
            config["ckpt_path"], self.content = str(last), content
        if done := finished.sentence(self.run_dir, content, config):
            print(done, file=sys.stderr)
            raise SystemExit(0)

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Build the trainer with the run's folder and the callbacks that have names."""
        names = default_callbacks.taking_part(str(self.subcommand))
        chosen = self.setting(self.config_init, "trainer")
        # Barebones keeps and shows nothing: Lightning measures the bare speed of a step with it.
        callbacks = self._named_callbacks(["exact_batches"] if chosen["barebones"] else names)
        for callback in callbacks:
            if isinstance(callback, ModelCheckpoint) and callback.dirpath is None:
                callback.dirpath = str(self.run_dir / "checkpoints")
        own = chosen["callbacks"] or ()
        if chosen["enable_progress_bar"] is False or any(isinstance(c, ProgressBar) for c in own):
            callbacks = [c for c in callbacks if not isinstance(c, ProgressBar)]
        if chosen["enable_checkpointing"] is False:
            callbacks = [c for c in callbacks if not isinstance(c, Checkpoint)]
        if not any(isinstance(c, Checkpoint) for c in (*callbacks, *own)):
            kwargs["enable_checkpointing"] = False  # Lightning would add one of its own
        folder = {"default_root_dir": str(self.run_dir)}
        loggers = None if chosen["barebones"] else with_csv(chosen["logger"])
        for logger in loggers or ():
            if isinstance(logger, RunWandbLogger):
                logger.hold()  # until SaveRunConfig writes that something has begun
        settings = {**chosen, "logger": loggers, **folder, **kwargs}
        return self.build_trainer(settings, callbacks)

    def _named_callbacks(self, names: Iterable[str]) -> list[Callback]:
        callbacks = [self.setting(self.config_init, name) for name in names]
        return [callback for callback in callbacks if callback is not None]

    def after_instantiate_classes(self) -> None:
        """Give the data module what the checkpoint knows about reading inputs, before its setup."""
        for arguments in self._filled:
            arguments["save_dir"] = ""
        is_validated = self.subcommand != "fit" or self.trainer.limit_val_batches != 0
        check_callbacks(attributes(self.trainer).callbacks, self.model, is_validated)
        if not self.content:
            return
        path = self.setting(self.config, "ckpt_path")
        checkpoint.check_class(self.content, path, self.model)
        state = checkpoint.data_state(self.content)
        if state is None or self.datamodule is None:
            return
        try:
            self.datamodule.load_state_dict(state)
        except KeyError as error:
            theirs = self.content["datamodule_hyper_parameters"][CLASS_PATH]
            raise ValueError(
                f"{path} was trained with {theirs}, whose state {type(self.datamodule).__name__} "
                f"cannot use (it lacks {error}): give data of the same kind"
            ) from error

    def command_arguments(self, command: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Load weights only, and leave results to the callbacks that print and write them."""
        if arguments.get("weights_only") is None:
            arguments["weights_only"] = True  # Lightning's default would run code from the file
        if command == "predict":
            arguments["return_predictions"] = False  # rows are written as they come
        if command in ("validate", "test"):
            arguments["verbose"] = False  # ResultsWriter prints them, with their intervals
        return arguments

    def before_fit(self) -> None:
        """Let no time of a step go to what is empty or known."""
        skip_empty_hooks(self.model)

    def after_fit(self) -> None:
        """Evaluate the best checkpoint, on the test data as well when asked to."""
        if self.trainer.interrupted:
            return self.after_predict()
        # Under torchrun each process has a run folder of its own in mind: rank 0's is the one.
        best = run_dir(self.trainer) / "checkpoints" / "best.ckpt"
        if not best.is_file():
            return self.after_predict()
        callbacks = attributes(self.trainer).callbacks
        callbacks.extend(self._named_callbacks(default_callbacks.after_fit()))
        how: dict[str, Any] = {"ckpt_path": str(best), "verbose": False, "weights_only": True}
        if self._is_to_do("val"):
            forget_rows_after(self.trainer.loggers, self.trainer.global_step)
            with after_training(self.trainer.loggers):
                self.trainer.validate(self.model, datamodule=self.datamodule, **how)
        if self.setting(self.config, "test") and self._is_to_do("test"):
            self.trainer.test(self.model, datamodule=self.datamodule, **how)
        return self.after_predict()

    def _is_to_do(self, split: str) -> bool:
        """Return whether an evaluation is missing; all are when something was trained."""
        callbacks = attributes(self.trainer).callbacks
        trained = any(isinstance(c, SaveRunConfig) and c.began for c in callbacks)
        done = not trained and finished.is_evaluated(self.run_dir, split)
        return not self.trainer.strategy.broadcast(done)

    def after_predict(self) -> None:
        """Say where everything is and what can be done next."""
        if getattr(rank_zero_only, "rank", 0) == 0:
            data: object = self.datamodule
            examples = {
                "test": data.test_example if isinstance(data, HasTestExample) else None,
                "predict": data.predict_example if isinstance(data, HasPredictExample) else None,
            }
            sections = self.config[self.subcommand]
            packages = packages_to_trust([sections["model"], sections["data"]])
            loggers = self.trainer.loggers
            print_next_steps(
                str(self.subcommand),
                self.run_dir,
                examples=examples,
                loggers=loggers,
                packages=packages,
            )

    after_validate = after_test = after_predict
