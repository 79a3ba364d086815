"""Tail probabilities of any head over numbers, by inverting its quantiles."""

import torch
from torch import Tensor

from rhapsode.heads.contract import DensityHead

# Normal score beyond which float64 does not tell a level from 0 or 1.
FARTHEST_SCORE = 8.2
# They leave 1e-11 of a score.
HALVINGS = 40


@torch.no_grad()
def tail_probabilities(
    head: DensityHead, parameters: Tensor, targets: Tensor
) -> tuple[Tensor, Tensor]:
    """Probabilities of at most and of at least a target.

    Both are (..., K), float64, and at least 1e-16. They add up to 1 and the probability of the
    target itself.

    Arguments:
        head: whose quantiles are inverted.
        parameters: (..., P).
        targets: (..., K), in the units of the parameters; NaN where missing, as the results are.
    """
    targets = targets.double()
    low = torch.full((2, *targets.shape), -FARTHEST_SCORE).to(targets)
    high = -low
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        levels = torch.special.ndtr(middle)
        found = torch.stack([head.quantile(parameters, level) for level in levels])
        # Where a count has a probability of its own, the two begin and end at its levels.
        before = torch.stack((found[0] <= targets, found[1] < targets))
        low, high = torch.where(before, middle, low), torch.where(before, high, middle)
    at_most, at_least = torch.special.ndtr(high[0]), torch.special.ndtr(-low[1])
    missing = targets.isnan()
    return at_most.masked_fill(missing, torch.nan), at_least.masked_fill(missing, torch.nan)
