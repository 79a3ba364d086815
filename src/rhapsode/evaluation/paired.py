"""Differences of two models over the same units, and whether they are more than chance."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rhapsode.evaluation.intervals import FEWEST_UNITS, NORMAL_95

__all__ = ["Difference", "paired_difference"]

FLIPS = 10_000
AT_ONCE = 1 << 22


@dataclass(frozen=True)
class Difference:
    """How much more one model needs than another, over units that both have scored.

    Arguments:
        mean: over the sizes of all units; above 0 where the first needs more.
        low: lower end of the 95 % interval; None where units are too few.
        high: upper end.
        p_value: chance of a mean at least as far from 0 if both were alike: 10,000 random sign flips of the units.
        units: how many.
    """

    mean: float
    low: float | None
    high: float | None
    p_value: float | None
    units: int


def paired_difference(
    one_U: NDArray[np.float64],
    other_U: NDArray[np.float64],
    sizes_U: NDArray[np.int64],
    *,
    per: float = 1.0,
    seed: int = 0,
) -> Difference:
    """The difference of two models over the same units.

    The interval is that of the linearised ratio estimator (Cochran 1977, section 6.3), the test a paired permutation
    test (Fisher 1935; Smucker, Allan and Carterette 2007 for its use on evaluations).

    Arguments:
        one_U: cost of each unit by the first model.
        other_U: cost by the second.
        sizes_U: characters, values or whatever else the mean is taken over, of each unit.
        per: what all costs are divided by: ln 2 gives bits of nats.
        seed: of the sign flips.
    """
    gap_U = (one_U - other_U) / per
    total = float(sizes_U.sum())
    mean = float(gap_U.sum()) / total
    units = len(gap_U)
    if units < FEWEST_UNITS:
        return Difference(mean, None, None, None, units)
    residual_U = gap_U - mean * sizes_U
    error = math.sqrt(units / (units - 1) * float(residual_U @ residual_U)) / total
    found = abs(float(gap_U.sum())) * (1 - 1e-12)
    generator = np.random.default_rng(seed)
    beyond = done = 0
    rows = max(1, AT_ONCE // units)
    while done < FLIPS:
        some = min(rows, FLIPS - done)
        signs_FU = generator.integers(0, 2, size=(some, units), dtype=np.int8) * 2 - 1
        beyond += int(np.count_nonzero(np.abs(signs_FU @ gap_U) >= found))
        done += some
    p_value = (1 + beyond) / (1 + FLIPS)
    return Difference(mean, mean - NORMAL_95 * error, mean + NORMAL_95 * error, p_value, units)
