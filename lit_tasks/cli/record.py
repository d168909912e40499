"""What a run was: its configuration, in the run folder and in every logger."""

import shlex
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.cli import SaveConfigCallback
from lightning.pytorch.loggers import Logger

from lit_tasks.loggers.csv import RunCSVLogger
from lit_tasks.loggers.wandb import RunWandbLogger
from lit_tasks.printable import printable
from lit_tasks.runs.settings import flat
from lit_tasks.whole_files import written_whole


class RecordConfig(SaveConfigCallback):
    """Write the resolved configuration beside the results and hand it to every logger."""

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write ``config.yaml``; a later command in the same folder gets a name of its own."""
        text = self.parser.dump(self.config, skip_none=False)
        folder = Path(trainer.default_root_dir)
        folder.mkdir(parents=True, exist_ok=True)
        path = _free_name(folder, str(trainer.state.fn.value if trainer.state.fn else stage))
        with written_whole(path) as beside:
            beside.write_text(text)
        self.settings = flat(yaml.safe_load(text))
        said = {name: value for name, value in self.settings.items() if value is not None}
        for logger in trainer.loggers:  # MLflow lets nothing be changed later, also no null
            is_ours = isinstance(logger, RunCSVLogger | RunWandbLogger)
            logger.log_hyperparams(self.settings if is_ours else said)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add to the record what only the data knew, such as the number of classes."""
        if not trainer.is_global_zero:
            return
        for logger in trainer.loggers:
            if isinstance(logger, RunCSVLogger):  # rows of a run that is resumed, or began again
                logger.drop_after(trainer.global_step)
        unknown = {k.rpartition(".")[2]: k for k, v in self.settings.items() if v is None}
        known = {k: v for k, v in pl_module.hparams.items() if isinstance(v, int | float | str)}
        learned = {unknown[name]: value for name, value in known.items() if name in unknown}
        for logger in trainer.loggers:
            if learned:
                logger.log_hyperparams(learned)


def _free_name(folder: Path, command: str) -> Path:
    names = ["config.yaml", f"config-{command}.yaml"]
    names += [f"config-{command}-{number}.yaml" for number in range(2, 1000)]
    return next(folder / name for name in names if not (folder / name).exists())


def print_end(
    command: str,
    run_dir: Path,
    examples: Mapping[str, str | None],
    loggers: Iterable[Logger] = (),
) -> None:
    """Print where the run's files are and which commands go on from here.

    Args:
        command: The one that ended.
        run_dir: The run's folder.
        examples: What the data module may be given to ``predict``, and what it has to be given to
            ``test`` on, where it has nothing yet.
        loggers: Those of the run; one of W&B may have something to send.
    """
    folder = Path(_shorter(run_dir))
    print(printable(f"run folder: {folder}"), file=sys.stderr)
    for path in sorted(folder.glob("predictions/*")) if command == "predict" else ():
        print(printable(f"predictions: {path}"), file=sys.stderr)
    lines = []
    if command == "fit" and (best := folder / "checkpoints" / "best.ckpt").is_file():
        for task, example in examples.items():
            if task == "test" or example is not None:
                words = f"lit-tasks {task} --ckpt_path {shlex.quote(str(best))}"
                lines.append(f"{words} --data.{task}={example}" if example else words)
    unsent = [logger.unsent for logger in loggers if isinstance(logger, RunWandbLogger)]
    lines += [f"wandb sync {shlex.quote(str(_shorter(path)))}" for path in unsent if path]
    if lines:
        print("next:", *map(printable, lines), sep="\n  ", file=sys.stderr)


def _shorter(path: Path) -> Any:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
