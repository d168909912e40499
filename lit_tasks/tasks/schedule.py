"""How many steps a run has, for learning rates that fall until its end."""

import math

from lightning.pytorch import Trainer


def total_steps(trainer: Trainer) -> int:
    """Return how many steps the optimizer will take.

    Raises:
        ValueError: Nobody knows: the training data are a stream.
    """
    steps = trainer.estimated_stepping_batches
    if not math.isfinite(steps) or steps < 0:
        raise ValueError(
            "the learning rate falls until the last step, and a stream has no known length: set "
            "trainer.max_steps, or model.decay to constant without warm_up"
        )
    return max(1, int(steps))
