"""How far a share that was counted may lie from the share that is meant."""

from math import sqrt


def wilson_interval(correct: int, total: int, z: float = 1.959964) -> tuple[float, float]:
    """Return the Wilson score interval of ``correct / total``; ``z`` = 1.96 is 95 %.

    Unlike the normal approximation it stays between 0 and 1, and is right for few samples and
    shares near 0 or 1. Source: Wilson (1927). Without samples nothing is known: (0, 1).
    """
    if total == 0:
        return 0.0, 1.0
    share = correct / total
    centre = share + z**2 / (2 * total)
    half = z * sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    scale = 1 + z**2 / total
    return (centre - half) / scale, (centre + half) / scale
