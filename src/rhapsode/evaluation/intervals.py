"""Confidence intervals of mean losses, and paired tests of two models."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rhapsode.data import document_spans

UNITS = 100
LEAST_BLOCK = 200
FEWEST_DOCUMENTS = 30
FEWEST_UNITS = 10
NORMAL_95 = 1.959964
FLIPS = 10_000
AT_ONCE = 1 << 22


@dataclass(frozen=True)
class Interval:
    """The 95 % interval of a mean loss.

    Arguments:
        low: lower end of the 95 % interval, nats per element.
        high: upper end.
        standard_error: of the mean, nats per element.
        units: the independent units, "73 documents" or "100 blocks of 1,115 elements".
    """

    low: float
    high: float
    standard_error: float
    units: str


def unit_sums(
    values_N: NDArray[np.floating], starts: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], str]:
    """Sums and counts of scored values over independent units, and their name.

    Documents are the units where there are at least 30; else equal blocks of consecutive elements.

    Arguments:
        values_N: one value an element; NaN where there is none.
        starts: where each document begins.
    """
    total = len(values_N)
    spans = document_spans(starts, total)
    if len(spans) >= FEWEST_DOCUMENTS:
        begins, words = spans[:, 0], f"{len(spans):,} documents"
    else:
        count = max(1, min(UNITS, total // LEAST_BLOCK))
        begins = np.arange(count, dtype=np.int64) * total // count
        words = f"{count} blocks of {total // count:,} elements"
    known_N = ~np.isnan(values_N)
    sums_U = np.add.reduceat(np.where(known_N, values_N, 0.0).astype(np.float64), begins)
    counts_U = np.add.reduceat(known_N.astype(np.float64), begins)
    kept_U = counts_U > 0
    return sums_U[kept_U], counts_U[kept_U], words


def interval_of(nats_N: NDArray[np.floating], starts: NDArray[np.int64]) -> Interval | None:
    """The 95 % interval of a mean loss.

    By the linearised ratio estimator over units (Cochran 1977, section 6.3).

    Arguments:
        nats_N: nats of every element; NaN where one is not scored.
        starts: where each document begins.

    Returns:
        None if there are too few elements.
    """
    sums_U, counts_U, words = unit_sums(nats_N, starts)
    if len(sums_U) < FEWEST_UNITS:
        return None
    mean, error = mean_and_error(sums_U, counts_U)
    return Interval(mean - NORMAL_95 * error, mean + NORMAL_95 * error, error, words)


def mean_and_error(
    sums_U: NDArray[np.float64], sizes_U: NDArray[np.floating] | NDArray[np.int64]
) -> tuple[float, float]:
    """A mean over units of different size, and its standard error.

    By the linearised ratio estimator (Cochran 1977, section 6.3).

    Arguments:
        sums_U: of each unit.
        sizes_U: number of values in each.
    """
    total, units = float(sizes_U.sum()), len(sums_U)
    mean = float(sums_U.sum()) / total
    residual_U = sums_U - mean * sizes_U
    variance = units / max(1, units - 1) * float(residual_U @ residual_U)
    return mean, math.sqrt(variance) / total


@dataclass(frozen=True)
class Difference:
    """Difference of two models over units that both have scored.

    Arguments:
        mean: over the sizes of all units; above 0 where the first model has the higher cost.
        low: lower end of the 95 % interval; None where units are too few.
        high: upper end.
        p_value: probability of a mean at least as far from 0 under equal models, by 10,000 random
            sign flips of the units.
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
) -> Difference:
    """The difference of two models over the same units.

    The interval is that of the linearised ratio estimator (Cochran 1977, section 6.3), the test a
    paired permutation test (Fisher 1935; Smucker, Allan and Carterette 2007 for its use on
    evaluations).

    Arguments:
        one_U: cost of each unit by the first model.
        other_U: cost by the second.
        sizes_U: characters, values or whatever else the mean is taken over, of each unit.
        per: divisor of all costs; ln 2 converts nats to bits.
    """
    gap_U = (one_U - other_U) / per
    mean, error = mean_and_error(gap_U, sizes_U)
    units = len(gap_U)
    if units < FEWEST_UNITS:
        return Difference(mean, None, None, None, units)
    found = abs(float(gap_U.sum())) * (1 - 1e-12)
    generator = np.random.default_rng(0)
    rows = max(1, AT_ONCE // units)
    beyond = 0
    for done in range(0, FLIPS, rows):
        size = (min(rows, FLIPS - done), units)
        signs_FU = generator.integers(0, 2, size=size, dtype=np.int8) * 2 - 1
        beyond += int(np.count_nonzero(np.abs(signs_FU @ gap_U) >= found))
    p_value = (1 + beyond) / (1 + FLIPS)
    return Difference(mean, mean - NORMAL_95 * error, mean + NORMAL_95 * error, p_value, units)
