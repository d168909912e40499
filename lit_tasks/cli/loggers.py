"""Loggers that write into the run folder: CSV that survives a resume, W&B that never asks."""

import csv
import os
import secrets
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from lightning.fabric.loggers.csv_logs import _ExperimentWriter as FabricWriter
from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.loggers import CSVLogger, Logger, WandbLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter
from lightning.pytorch.utilities import rank_zero_only

from lit_tasks.cli import run_folder
from lit_tasks.runs.curves import goal
from lit_tasks.whole_files import written_whole

if TYPE_CHECKING:
    from wandb import Run

WandbMode = Literal["online", "offline", "disabled", "shared"]


class _KeptRows(ExperimentWriter):
    """Lightning's writer, which deletes an old ``metrics.csv``; this one goes on in it."""

    def _check_log_dir_exists(self) -> None:
        path = Path(self.metrics_file_path)
        if path.is_file():
            with path.open(newline="") as file:
                self.metrics_keys = list(csv.DictReader(file).fieldnames or [])

    def _rewrite_with_new_header(self, fieldnames: list[str]) -> None:
        self._replace(self._rows(), fieldnames)

    def drop_after(self, step: int) -> None:
        """Forget rows written after the checkpoint that training goes on from."""
        self.save()
        if Path(self.metrics_file_path).is_file():
            rows = [row for row in self._rows() if int(row["step"]) < step]
            self._replace(rows, self.metrics_keys)

    def _rows(self) -> list[dict[str, str]]:
        with Path(self.metrics_file_path).open(newline="") as file:
            return list(csv.DictReader(file))

    def _replace(self, rows: list[dict[str, str]], fieldnames: list[str]) -> None:
        whole = written_whole(Path(self.metrics_file_path))
        with whole as beside, beside.open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=fieldnames)
            writer.writeheader()
            writer.writerows(rows)


class RunCSVLogger(CSVLogger):
    """``metrics.csv`` in the run folder; a resumed run continues it without gap or repetition.

    Args:
        flush_logs_every_n_steps: Rows that are kept in memory before they are written. They are
            also written whenever a checkpoint is.
    """

    def __init__(self, flush_logs_every_n_steps: int = 100) -> None:
        super().__init__(
            save_dir=run_folder.current(),
            name="",
            version="",
            flush_logs_every_n_steps=flush_logs_every_n_steps,
        )

    @property
    @rank_zero_experiment
    def experiment(self) -> FabricWriter:
        """The writer of rows."""
        if self._experiment is None:
            self._experiment = _KeptRows(log_dir=self.log_dir)
        return self._experiment

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        """Keep a row, without what depends on the clock: ``monitor.csv`` has it."""
        kept = {k: v for k, v in metrics.items() if not k.startswith(("speed/", "system/"))}
        if kept.keys() - {"epoch"}:
            super().log_metrics(kept, step)

    @rank_zero_only
    def drop_after(self, step: int) -> None:
        """Forget rows of ``step`` and later: training goes on from a checkpoint before them."""
        self.experiment.drop_after(step)

    @rank_zero_only
    def after_save_checkpoint(self, checkpoint_callback: Checkpoint) -> None:
        """Write rows before a checkpoint counts on them."""
        self.save()


class RunWandbLogger(WandbLogger):
    """Weights & Biases in the run folder: online when logged in, offline otherwise.

    It never prompts and needs no network; one line on stderr says which mode it is in.

    Args:
        project: Project on the server.
        name: Name of the run; the run folder's name when not given.
        group: Runs that belong together.
        job_type: What kind of run this is within its group.
        tags: Words to filter runs by.
        notes: Free text, as in a commit message.
        entity: User or team that owns the project.
        mode: ``online``, ``offline`` or ``disabled``; chosen by credentials when not given.
        log_model: Whether to upload checkpoints (only online).

    Attributes:
        unsent: The folder of an offline run, which ``wandb sync`` uploads.
    """

    def __init__(
        self,
        project: str = "lit_tasks",
        name: str | None = None,
        group: str | None = None,
        job_type: str | None = None,
        tags: list[str] | None = None,
        notes: str | None = None,
        entity: str | None = None,
        mode: WandbMode | None = None,
        log_model: bool = False,
    ) -> None:
        folder = run_folder.current().absolute()
        super().__init__(
            name=name or folder.name,
            save_dir=folder,
            project=project,
            group=group,
            job_type=job_type,
            tags=tags,
            notes=notes,
            entity=entity,
            mode=mode,
        )
        self._log_model = log_model
        self._known: set[str] = set()
        self.unsent: Path | None = None

    @property
    @rank_zero_experiment
    def experiment(self) -> "Run":
        """The run, started at the first use."""
        if self._experiment is None:
            self._start()
        assert self._experiment is not None
        return cast("Run", self._experiment)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log; the run's summary keeps the best and the last value of every validation metric.

        What the best checkpoint reached is a single number: it goes to the summary alone, not into
        a chart of one point.
        """
        if single := {k: v for k, v in metrics.items() if k.startswith("best/")}:
            self.experiment.summary.update(single)
            metrics = {k: v for k, v in metrics.items() if k not in single and k != "epoch"}
            if not metrics:
                return
        for name in metrics.keys() - self._known:
            self._known.add(name)
            if name.startswith("val/") and isinstance(metrics[name], float | int):
                self.experiment.define_metric(
                    name, step_metric="trainer/global_step", summary=f"{goal(name)},last"
                )
        super().log_metrics(metrics, step)

    def _kept_id(self) -> str:
        """Return the id of this folder's W&B run, the same again when the run is resumed.

        The agent of a sweep chooses it, so that the run belongs to the sweep.
        """
        path = Path(str(self._save_dir)) / "wandb" / "run-id.txt"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(os.environ.get("WANDB_RUN_ID") or secrets.token_hex(4))
        return path.read_text()

    def _start(self) -> None:
        import wandb

        mode, why = self._wandb_init["mode"], "as configured"
        if mode is None:
            mode, why = _mode_by_credentials()
        # The console is a progress bar, which would be captured at every repaint.
        settings = wandb.Settings(init_timeout=30, console="off", silent=True)
        self._wandb_init |= {"mode": mode, "settings": settings, "id": self._kept_id()}
        self._wandb_init.pop("anonymous")  # Lightning's argument, which W&B warns about
        try:
            _ = super().experiment
        except wandb.errors.CommError:
            mode, why = "offline", "the server was not reached"
            self._wandb_init["mode"] = mode
            _ = super().experiment
        self._log_model = self._log_model and mode == "online"
        if mode == "offline":
            self.unsent = Path(self._experiment.dir).parent  # type: ignore[union-attr]
        print(f"W&B: {mode} ({why}); files in {self._save_dir}/wandb", file=sys.stderr)


def with_csv(loggers: Logger | Iterable[Logger] | bool | None) -> list[Logger] | bool:
    """Return the loggers and ours of ``metrics.csv``; none where they are switched off."""
    if not loggers:
        return False
    found = (
        [loggers] if isinstance(loggers, Logger) else list(loggers) if loggers is not True else []
    )
    ours = [] if any(isinstance(logger, RunCSVLogger) for logger in found) else [RunCSVLogger()]
    return [*ours, *found]


@contextmanager
def after_training(loggers: Iterable[Logger]) -> Iterator[None]:
    """Call numbers ``best/val/...`` that would be one point more of the curve ``val/...``."""
    loggers = list(loggers)
    for logger in loggers:
        plain = logger.log_metrics

        def renamed(
            metrics: Mapping[str, Any], step: int | None = None, plain: Any = plain
        ) -> None:
            plain({_best(name, value): value for name, value in metrics.items()}, step)

        logger.log_metrics = renamed  # type: ignore[method-assign]
    try:
        yield
    finally:
        for logger in loggers:
            del logger.log_metrics


def _best(name: str, value: Any) -> str:
    return f"best/{name}" if name.startswith("val/") and isinstance(value, float | int) else name


def finish_wandb() -> None:
    """End the W&B run of this process, if there is one, so that the next gets its own."""
    wandb = sys.modules.get("wandb")
    if wandb is not None and wandb.run is not None:
        wandb.finish()


def _mode_by_credentials() -> tuple[str, str]:
    """Return the mode and its reason, without ever asking or using the network."""
    import wandb

    if chosen := os.environ.get("WANDB_MODE"):
        return {"dryrun": "offline"}.get(chosen, chosen), f"WANDB_MODE={chosen}"
    try:
        known = wandb.login(prompt=False, verify=False)
    except Exception as error:  # a broken netrc or key must not stop a training run
        return "offline", f"{type(error).__name__}: {error}"
    return ("online", "credentials found") if known else ("offline", "not logged in")
