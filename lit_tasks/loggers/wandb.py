"""Weights & Biases in the run folder: it never asks and never stops a run."""

import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_only

from lit_tasks.loggers.run_dir import announced
from lit_tasks.runs.curves import goal

if TYPE_CHECKING:
    from wandb import Run

WandbMode = Literal["online", "offline", "disabled", "shared"]


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
        run_dir: The run's folder; that of this run when not given.

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
        run_dir: Path | None = None,
    ) -> None:
        folder = (run_dir or announced()).absolute()
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
