"""Keep a resumable ``last.ckpt``, also on SIGTERM."""

import signal
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from torch import distributed as dist

from lit_tasks.distributed import lightning_internals
from lit_tasks.distributed.run_dir import run_dir
from lit_tasks.protocols import Command, attributes

STOPPED = 128 + signal.SIGTERM  # the exit code that a shell gives to a process ended so


class LastCheckpoint(Checkpoint):
    """Keep ``checkpoints/last.ckpt``, from which a run continues as if never interrupted.

    It is written between batches or epochs only, under another name first (see
    :func:`~lit_tasks.distributed.lightning_internals.add_loop_hooks`). On SIGTERM
    the step is finished, the checkpoint written, and all processes end with exit code 143;
    validating, testing or predicting, they end at once.

    Args:
        dirpath: Folder of the checkpoint; ``checkpoints`` in the run's folder if none.
        every_n_train_steps: Write it every so many optimizer steps.
        every_minutes: Write it when the last one is so old, and after every epoch.

    Attributes:
        path: The checkpoint's file.
        saved_step: Optimizer steps behind it, once this run wrote it or was continued from it.
    """

    commands: ClassVar[frozenset[Command]] = frozenset({"fit", "validate", "test", "predict"})
    display_only: ClassVar[bool] = False

    def __init__(
        self,
        dirpath: Path | None = None,
        every_n_train_steps: int | None = None,
        every_minutes: float = 5,
    ) -> None:
        if every_n_train_steps is not None and every_n_train_steps < 1:
            raise ValueError(f"every_n_train_steps must be at least 1, got {every_n_train_steps}")
        self.dirpath = dirpath
        self.every_n_train_steps, self.every_minutes = every_n_train_steps, every_minutes
        self.path = Path("last.ckpt")
        self._terminated = self._just_validated = False
        self.saved_step: int | None = None
        self._due_after, self._saved_at = 0, 0.0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Choose the folder, and end at once on SIGTERM from now on.

        Lightning's own answer to it broadcasts within the signal handler.
        """
        self._catch_sigterm(_leave)
        lightning_internals.after_signal_handlers(trainer, lambda: self._catch_sigterm(_leave))
        folder = self.dirpath or run_dir(trainer) / "checkpoints"
        self.path = Path(folder) / "last.ckpt"

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take part in the loop, in place of Lightning's own answer to SIGTERM."""
        continued = trainer.ckpt_path is not None and Path(trainer.ckpt_path) == self.path
        self.saved_step = trainer.global_step if continued else None
        self._due_after, self._saved_at = trainer.global_step, time.monotonic()
        self._terminated = self._just_validated = False
        self._catch_sigterm(self._remember)
        lightning_internals.replace_sigterm_broadcast(trainer)
        lightning_internals.add_loop_hooks(
            trainer, lambda: self._between_batches(trainer), lambda: self._after_epoch(trainer)
        )

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write after a validation within an epoch: later, Lightning would miscount a step."""
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        self._just_validated = True
        ends_epoch = trainer.fit_loop.epoch_loop.batch_progress.is_last_batch
        if trainer.max_steps != -1 or not ends_epoch:
            self._decide(trainer, ends_epoch)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remove the loop hooks."""
        self._release(trainer)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Restore the SIGTERM handler."""
        self._release(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End at once on SIGTERM, unless training is to be saved."""
        if trainer.state.fn != "fit":
            self._catch_sigterm(_leave)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End at once on SIGTERM."""
        self._catch_sigterm(_leave)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End at once on SIGTERM; what was predicted is kept by its writer."""
        self._catch_sigterm(_leave)

    def _between_batches(self, trainer: Trainer) -> None:
        validated, self._just_validated = self._just_validated, False
        if not validated and not lightning_internals.accumulates(trainer):
            self._decide(trainer, False)

    def _after_epoch(self, trainer: Trainer) -> None:
        self._just_validated = False
        ends = trainer.should_stop or trainer.global_step >= trainer.max_steps
        # Lightning cannot go on from between two epochs in a run that is counted in steps.
        if trainer.max_steps == -1 or ends:
            self._decide(trainer, True)

    def _decide(self, trainer: Trainer, epoch_over: bool) -> None:
        """Write and stop where any process was asked to; all come here at the same step."""
        n, step = self.every_n_train_steps, trainer.global_step
        due = epoch_over or (n is not None and step // n > self._due_after // n)
        late = time.monotonic() - self._saved_at > 60 * self.every_minutes
        late, terminated = _any_process(trainer, late, self._terminated)
        if due or late or terminated:
            self._save(trainer)
        if terminated:
            raise SystemExit(STOPPED)

    def _save(self, trainer: Trainer) -> None:
        if attributes(trainer).fast_dev_run:
            return
        for logger in trainer.loggers:
            logger.save()  # the rows up to here, before a checkpoint counts on them
        trainer.save_checkpoint(self.path)
        self.saved_step = self._due_after = trainer.global_step
        self._saved_at = time.monotonic()

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self._terminated = True

    def _catch_sigterm(self, handler: Any) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)  # Lightning puts the old one back at the end

    def _release(self, trainer: Trainer) -> None:
        lightning_internals.remove_loop_hooks(trainer)
        lightning_internals.restore_sigterm_broadcast(trainer)


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(STOPPED)


def _any_process(trainer: Trainer, *flags: bool) -> list[bool]:
    """Return for every flag whether it is set on some process."""
    if trainer.world_size == 1 or not dist.is_initialized():
        return list(flags)
    votes = torch.tensor(flags, dtype=torch.int32, device=trainer.strategy.root_device)
    dist.all_reduce(votes, dist.ReduceOp.MAX)
    return [bool(vote) for vote in votes.tolist()]
