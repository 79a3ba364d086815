"""The learning rate over a run."""

import math

from rhapsode.config import OptimisationSettings


def rate_share(fraction: float, settings: OptimisationSettings) -> float:
    """The learning rate as a share of its peak: a linear rise, then the fall that was asked for.

    The cosine is that of Loshchilov and Hutter (2017), without restarts.

    Arguments:
        fraction: of the run that is over, 0 to 1.
        settings: `warmup`, `schedule` and `final_rate`.
    """
    if fraction < settings.warmup:
        # Never nothing: the first step of a run may come at fraction 0.
        return max(fraction / settings.warmup, 0.02)
    if settings.schedule == "constant":
        return 1.0
    over = min(1.0, (fraction - settings.warmup) / (1.0 - settings.warmup))
    left = 1.0 - over if settings.schedule == "linear" else 0.5 * (1.0 + math.cos(math.pi * over))
    return settings.final_rate + (1.0 - settings.final_rate) * left
