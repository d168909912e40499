"""Weights & Biases in the run folder: it never asks, and no trouble with it ends a training run."""

import os
import secrets
import shlex
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch import LightningModule
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_only, rank_zero_warn
from torch import Tensor, nn

from lit_tasks.distributed import lightning_internals
from lit_tasks.loggers import wandb_internals
from lit_tasks.loggers.run_dir import announced
from lit_tasks.loggers.wandb_mode import ASKING, chosen_mode, short
from lit_tasks.metrics.directions import directions
from lit_tasks.metrics.names import without_stage

if TYPE_CHECKING:
    from wandb import Run

WandbMode = Literal["online", "offline", "disabled", "shared"]

#: Seconds that W&B may take. A variable such as ``WANDB_INIT_TIMEOUT`` says otherwise.
_LIMITS = {
    "init_timeout": 25.0,  # two answers of ten seconds each are waited for
    "finish_timeout": 30.0,
}
#: The console is a progress bar, which would be captured at every repaint.
_SETTINGS = {"console": "off", "silent": True, "finish_timeout_raises": True}
#: What the summary keeps of a metric, by whether more of it is better.
_SUMMARY = {True: "max,last", False: "min,last", None: "last"}
_KILLED = 255  # the exit code of a run that W&B shows as killed


class RunWandbLogger(WandbLogger):
    """Weights & Biases in the run folder: online when logged in, offline otherwise.

    It never prompts and needs no network; one line on stderr says which mode it is in. Where the
    server cannot be reached, or refuses, the run is an offline one. What goes wrong later is said
    once, and training goes on: all of it is in the run folder, and ``wandb sync`` sends it.

    Args:
        project: Project on the server; ``WANDB_PROJECT``, or else ``lit_tasks``, when not given.
        name: Name of the run; ``WANDB_NAME``, or else the run folder's name, when not given.
        group: Runs that belong together.
        tags: Words to filter runs by.
        notes: Free text, as in a commit message.
        entity: User or team that owns the project.
        mode: ``online``, ``offline`` or ``disabled``; chosen by credentials when not given.
        log_model: Whether to upload checkpoints (only online).
        run_dir: The run's folder; that of this run when not given.

    Attributes:
        unsent: The folder of an offline run, which ``wandb sync`` uploads.
    """

    def __init__(
        self,
        project: str | None = None,
        name: str | None = None,
        group: str | None = None,
        tags: list[str] | None = None,
        notes: str | None = None,
        entity: str | None = None,
        mode: WandbMode | None = None,
        log_model: bool = False,
        run_dir: Path | None = None,
    ) -> None:
        folder = (run_dir or announced()).absolute()
        super().__init__(
            name=name or os.environ.get("WANDB_NAME") or folder.name,
            save_dir=folder,
            project=project or os.environ.get("WANDB_PROJECT") or "lit_tasks",
            group=group,
            tags=tags,
            notes=notes,
            entity=entity,
            mode=mode,
        )
        lightning_internals.set_uploads_checkpoints(self, log_model)
        self._known: set[str] = set()
        self._directions: dict[str, bool] = {}
        self._failed = self._held = False
        self.unsent: Path | None = None

    def hold(self) -> None:
        """Start no run before something is logged: an attempt that fails before leaves none."""
        self._held = True

    @property
    @rank_zero_experiment
    def experiment(self) -> "Run":
        """The run, started at the first use, or at the first value that is logged."""
        if self._held:  # Lightning asks every logger before it knows whether it can begin
            return cast("Run", _NoRun())
        if lightning_internals.wandb_run(self) is None:
            self._start()
        return cast("Run", lightning_internals.wandb_run(self))

    def _begun(self) -> "Run":
        self._held = False
        return cast("Run", self.experiment)

    @rank_zero_only
    def log_graph(self, model: nn.Module, input_array: Tensor | None = None) -> None:
        """Take over which way the metrics of a task are better: Lightning shows it here."""
        if isinstance(model, LightningModule):
            self._directions = directions(model)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log; the run's summary keeps the best and the last value of every validation metric.

        There is a best one where a direction was declared, see :func:`directions`.
        What the best checkpoint reached is a single number: it goes to the summary alone, not into
        a chart of one point.
        """
        run = self._begun()
        with self._going_on():
            if single := {k: v for k, v in metrics.items() if k.startswith("best/")}:
                run.summary.update(single)
                metrics = {k: v for k, v in metrics.items() if k not in single and k != "epoch"}
                if not metrics:
                    return
            for name in metrics.keys() - self._known:
                self._known.add(name)
                if name.startswith("val/") and isinstance(metrics[name], float | int):
                    kept = _SUMMARY[self._directions.get(without_stage(name))]
                    run.define_metric(name, step_metric="trainer/global_step", summary=kept)
            super().log_metrics(metrics, step)

    @rank_zero_only
    def log_hyperparams(self, params: Any) -> None:
        """Add to the run's configuration."""
        self._begun()
        with self._going_on():
            super().log_hyperparams(params)

    @rank_zero_only
    def log_image(
        self, key: str, images: list[Any], step: int | None = None, **kwargs: Any
    ) -> None:
        """Log images, as Lightning's logger does."""
        self._begun()
        with self._going_on():
            super().log_image(key, images, step, **kwargs)

    @rank_zero_only
    def log_table(
        self,
        key: str,
        columns: list[str] | None = None,
        data: list[list[Any]] | None = None,
        dataframe: Any = None,
        step: int | None = None,
    ) -> None:
        """Log a table as a file of the run: as an artifact it would ask the server first."""
        import wandb

        run = self._begun()
        with self._going_on():
            names: list[str | int] | None = None if columns is None else [*columns]
            table = wandb.Table(columns=names, data=data, dataframe=dataframe)
            if not run.disabled:
                wandb_internals.keep_as_file(table, key, run)
            self.log_metrics({key: table}, step)  # type: ignore[dict-item]

    @rank_zero_only
    def after_save_checkpoint(self, checkpoint_callback: ModelCheckpoint) -> None:
        """Upload a checkpoint, where each is to be uploaded."""
        self._in_time(
            lambda: super(RunWandbLogger, self).after_save_checkpoint(checkpoint_callback)
        )

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Upload the last checkpoints, where they are to be uploaded."""
        finalize = super().finalize
        self._in_time(lambda: finalize(status))

    def _in_time(self, upload: Callable[[], None]) -> None:
        """Upload what asks the server, and wait no longer for it than for the end of a run."""

        def run() -> None:
            with self._going_on():
                upload()

        if lightning_internals.uploads_checkpoints(self):
            thread = threading.Thread(target=run, daemon=True)
            thread.start()
            thread.join(_LIMITS["finish_timeout"])
        else:
            upload()

    @contextmanager
    def _going_on(self) -> Iterator[None]:
        """Say once what W&B fails at, and go on without it."""
        try:
            yield
        except Exception as error:  # of W&B's, or of pydantic where an answer is not understood
            if not self._failed:
                self._failed = True
                rank_zero_warn(
                    f"W&B does not get everything ({short(error)}): it is in {self.save_dir}"
                )

    def _kept_id(self) -> str:
        """Return the id of this folder's W&B run, the same again when the run is resumed.

        The agent of a sweep chooses it, so that the run belongs to the sweep.
        """
        path = _id_file(Path(str(self.save_dir)))
        given = os.environ.get("WANDB_RUN_ID")
        if given or not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(given or secrets.token_hex(4))
        return path.read_text()

    def _start(self) -> None:
        import wandb

        arguments = lightning_internals.wandb_init_arguments(self)
        mode, why = chosen_mode(arguments["mode"])
        arguments["id"] = self._kept_id()
        try:
            self._init(mode)
        except Exception as error:  # of W&B's, or of pydantic where an answer is not understood
            if mode not in ASKING:
                raise ValueError(f"W&B cannot start a run: {short(error)}") from error
            mode, why = "offline", short(error)
            wandb.teardown()  # or the run that was refused would still hold the id
            self._init(mode)
        if mode != "online":
            lightning_internals.set_uploads_checkpoints(self, False)
        if mode == "offline":
            self.unsent = Path(lightning_internals.wandb_run(self).dir).parent
        print(f"W&B: {mode} ({why}); files in {self.save_dir}/wandb", file=sys.stderr)

    def _init(self, mode: str) -> None:
        import wandb

        limits = {k: v for k, v in _LIMITS.items() if f"WANDB_{k.upper()}" not in os.environ}
        settings = wandb.Settings.model_validate(_SETTINGS | limits)
        arguments = lightning_internals.wandb_init_arguments(self)
        arguments |= {"mode": mode, "settings": settings}
        arguments.pop("anonymous", None)  # Lightning's argument, which W&B warns about
        _ = super().experiment


class _NoRun:
    """Stands for a run that has not begun: whatever it is asked to do, it does nothing."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args, **kwargs: None


def has_run(run_dir: Path) -> bool:
    """Return whether a folder's run is known to W&B, so that more can be added to it."""
    return _id_file(run_dir).is_file()


def _id_file(run_dir: Path) -> Path:
    return run_dir / "wandb" / "run-id.txt"


def finish_wandb(exit_code: int) -> None:
    """End the W&B run of this process, if there is one, so that the next gets its own.

    It waits for half a minute at most, and says what to do where that was not enough.

    Args:
        exit_code: That of the command; W&B shows a run as finished, failed, or killed by a signal.
    """
    wandb = sys.modules.get("wandb")
    if wandb is None or wandb.run is None:
        return
    run = wandb.run
    folder, is_sent = Path(run.dir).parent, True
    is_local = run.offline or run.disabled
    try:
        wandb.finish(exit_code=_KILLED if exit_code > 128 else exit_code)
    except Exception:  # TimeoutError, or what W&B's own process says when it is gone
        is_sent = False
    if not is_local and (not is_sent or wandb_internals.has_given_up(folder)):
        command = f"wandb sync --include-online {shlex.quote(str(folder))}"
        print(f"W&B: not everything was sent; later:\n  {command}", file=sys.stderr)
