"""Whether one model is better than another on the same text, whatever their elements are."""

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
    """How much more one model needs than another, over passages that both have scored.

    Arguments:
        bits_per_character: the mean, over all characters; above 0 where the first needs more.
        low: lower end of the 95 % interval; None where passages are too few.
        high: upper end.
        p_value: chance of a mean at least as far from 0 if both were alike: 10,000 random sign flips of the passages.
        passages: how many.
    """

    bits_per_character: float
    low: float | None
    high: float | None
    p_value: float | None
    passages: int


def paired_difference(
    one_U: NDArray[np.float64],
    other_U: NDArray[np.float64],
    characters_U: NDArray[np.int64],
    *,
    seed: int = 0,
) -> Difference:
    """The difference of two models over the same passages.

    The interval is that of the linearised ratio estimator (Cochran 1977, section 6.3), the test a paired permutation
    test (Fisher 1935; Smucker, Allan and Carterette 2007 for its use on evaluations).

    Arguments:
        one_U: nats of the first model for each passage.
        other_U: nats of the second.
        characters_U: characters of each passage.
        seed: of the sign flips.
    """
    bits_U = (one_U - other_U) / math.log(2)
    total = float(characters_U.sum())
    mean = float(bits_U.sum()) / total
    units = len(bits_U)
    if units < FEWEST_UNITS:
        return Difference(mean, None, None, None, units)
    residual_U = bits_U - mean * characters_U
    error = math.sqrt(units / (units - 1) * float(residual_U @ residual_U)) / total
    found = abs(float(bits_U.sum())) * (1 - 1e-12)
    generator = np.random.default_rng(seed)
    beyond = done = 0
    rows = max(1, AT_ONCE // units)
    while done < FLIPS:
        some = min(rows, FLIPS - done)
        signs_FU = generator.integers(0, 2, size=(some, units), dtype=np.int8) * 2 - 1
        beyond += int(np.count_nonzero(np.abs(signs_FU @ bits_U) >= found))
        done += some
    p_value = (1 + beyond) / (1 + FLIPS)
    return Difference(mean, mean - NORMAL_95 * error, mean + NORMAL_95 * error, p_value, units)
