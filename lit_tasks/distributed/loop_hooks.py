"""The moments between two batches and between two epochs, for which Lightning has no hook.

Only then is everything of the step behind us done and logged, and nothing of the next one begun: a
checkpoint written then continues exactly. Lightning's ``on_train_batch_end`` comes before the
step is logged and before its validation, which a run continued from there would leave out.
"""

from collections.abc import Callable
from typing import Any

from lightning.pytorch import Trainer


def watch(trainer: Trainer, batches: Callable[[], None], epochs: Callable[[], None]) -> None:
    """Call ``batches`` between two batches of an epoch, ``epochs`` when an epoch is over.

    It wraps two methods of Lightning's loops, which are not its public interface: the tests of
    resuming hold us to the version.
    """
    fit, loop = trainer.fit_loop, trainer.fit_loop.epoch_loop
    end_epoch, advance = type(fit).on_advance_end, type(loop).advance

    def with_batches(data_fetcher: Any) -> None:
        if not loop.restarting and loop.batch_progress.current.ready > 0:
            batches()
        advance(loop, data_fetcher)

    def with_epochs() -> None:
        end_epoch(fit)
        epochs()

    loop.advance = with_batches  # type: ignore[method-assign]
    fit.on_advance_end = with_epochs  # type: ignore[method-assign]


def unwatch(trainer: Trainer) -> None:
    """Undo :func:`watch`, if it was done."""
    trainer.fit_loop.epoch_loop.__dict__.pop("advance", None)
    trainer.fit_loop.__dict__.pop("on_advance_end", None)
