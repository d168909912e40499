"""Which steps of training are shown."""

from lightning.pytorch import LightningModule


def shows_step(task: LightningModule) -> bool:
    """Return whether the trainer logs the step that is being made.

    Each ``self.log`` costs more than a step of a small model, so a task logs in these steps only.
    """
    every: int = task.trainer.log_every_n_steps  # type: ignore[attr-defined]
    return bool(every) and (task.global_step + 1) % every == 0
