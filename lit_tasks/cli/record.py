"""Save the resolved configuration in the run folder and pass it to the loggers."""

import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.cli import SaveConfigCallback
from lightning.pytorch.loggers import Logger

from lit_tasks.cli import run_folder
from lit_tasks.files import atomic_write
from lit_tasks.loggers.csv import RunCSVLogger
from lit_tasks.loggers.wandb import RunWandbLogger
from lit_tasks.printable import printable
from lit_tasks.runs.settings import flat


class SaveRunConfig(SaveConfigCallback):
    """Write the resolved configuration beside the results and hand it to every logger.

    It does so once training or an evaluation begins: a command that fails before leaves no record.

    Attributes:
        began: Whether it did.
    """

    began = False

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Keep the text, before anything changes a setting."""
        self.text = self.parser.dump(self.config, skip_none=False)
        self.command = str(trainer.state.fn.value if trainer.state.fn else stage)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the record, with what only the data knew, such as the number of classes."""
        self.began = True
        if not trainer.is_global_zero:
            return
        folder = Path(trainer.default_root_dir)
        continues = run_folder.holds(folder, trainer.ckpt_path)
        settings = self._write(trainer, _free_name(folder, "fit") if continues else "config.yaml")
        run_folder.link_latest(self.config["runs"], folder)
        forget_rows_after(trainer.loggers, trainer.global_step)  # if resumed, or begun again
        unknown = {k.rpartition(".")[2]: k for k, v in settings.items() if v is None}
        known = {k: v for k, v in pl_module.hparams.items() if isinstance(v, int | float | str)}
        learned = {unknown[name]: value for name, value in known.items() if name in unknown}
        for logger in trainer.loggers:
            if learned:
                logger.log_hyperparams(learned)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the record of an evaluation."""
        self._evaluates(trainer)

    on_test_start = on_predict_start = on_validation_start

    def _evaluates(self, trainer: Trainer) -> None:
        if not self.began and trainer.is_global_zero and self.command != "fit":
            self._write(trainer, _free_name(Path(trainer.default_root_dir), self.command))
            self.began = True

    def _write(self, trainer: Trainer, name: str) -> dict[str, Any]:
        folder = Path(trainer.default_root_dir)
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(folder / name) as beside:
            beside.write_text(self.text)
        settings = flat(yaml.safe_load(self.text))
        said = {key: value for key, value in settings.items() if value is not None}
        for logger in trainer.loggers:  # MLflow lets nothing be changed later, also no null
            is_ours = isinstance(logger, RunCSVLogger | RunWandbLogger)
            logger.log_hyperparams(settings if is_ours else said)
            logger.log_graph(trainer.lightning_module)  # as Lightning does beside it
        return settings


def forget_rows_after(loggers: Iterable[Logger], step: int) -> None:
    """Remove the rows of ``step`` and later from ``metrics.csv``: they will be written again."""
    for logger in loggers:
        if isinstance(logger, RunCSVLogger):
            logger.drop_after(step)


def _free_name(folder: Path, command: str) -> str:
    """Return a name for the record of a later command in the same folder."""
    names = ["config.yaml", f"config-{command}.yaml"]
    names += [f"config-{command}-{number}.yaml" for number in range(2, 1000)]
    return next(name for name in names if not (folder / name).exists())


def print_next_steps(
    command: str,
    run_dir: Path,
    examples: Mapping[str, str | None],
    loggers: Iterable[Logger] = (),
    packages: Sequence[str] = (),
) -> None:
    """Print where the run's files are and which commands go on from here.

    Args:
        command: The one that ended.
        run_dir: The run's folder.
        examples: What the data module may be given to ``predict``, and what it has to be given to
            ``test`` on, where it has nothing yet.
        loggers: Those of the run; one of W&B may have something to send.
        packages: Of others, whose classes a checkpoint of this run names.
    """
    trusted = f" --trusted_modules=[{','.join(packages)}]" if packages else ""
    folder = shorter(run_dir)
    print(printable(f"run folder: {folder}"), file=sys.stderr)
    if command == "fit" and (report := folder / "report.html").is_file():
        print(printable(f"report: {report}"), file=sys.stderr)
    for path in sorted(folder.glob("predictions/*")) if command == "predict" else ():
        print(printable(f"predictions: {path}"), file=sys.stderr)
    lines = []
    if command == "fit" and (best := folder / "checkpoints" / "best.ckpt").is_file():
        for task, example in examples.items():
            if task == "test" or example is not None:
                words = f"lit-tasks {task} --ckpt_path {shlex.quote(str(best))}{trusted}"
                lines.append(f"{words} --data.{task}={example}" if example else words)
    unsent = [logger.unsent for logger in loggers if isinstance(logger, RunWandbLogger)]
    lines += [f"wandb sync {shlex.quote(str(shorter(path)))}" for path in unsent if path]
    if lines:
        print("next:", *map(printable, lines), sep="\n  ", file=sys.stderr)


def shorter(path: Path) -> Path:
    """Return a path as seen from the working directory, if it lies below."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
