"""Naive forecasts of many histories at once."""

from __future__ import annotations

import numpy as np

from rhapsode.modalities.series.pool.histories import Floats, Histories

# Differences, at least, from which the spread of a step is estimated.
LEAST_DIFFERENCES = 8


def naive(given: Histories, lag: int, *, drift: bool = False) -> tuple[Floats, Floats]:
    """Repeat the last `lag` values.

    A history too short for that repeats the last one.

    The spread of a step is that of changes over as many steps inside the history. It grows as the
    square root of time beyond the steps that can be estimated.
    """
    values_TB, lengths_B = given.values_TB, given.lengths_B
    rows = len(lengths_B)
    slope_B = np.zeros(rows)
    if drift:
        slope_B = (given.last() - values_TB[0]) / np.maximum(1, lengths_B - 1)
    cycles = -(-given.steps // lag)
    spread_CB = np.zeros((cycles, rows))
    for cycle in range(cycles):
        back = (cycle + 1) * lag
        changes_TB = values_TB[back:] - values_TB[:-back]
        counts_B = np.maximum(0, lengths_B - back)
        if drift:
            changes_TB = changes_TB - back * slope_B
        sums_B = np.nansum(np.square(changes_TB), axis=0)
        estimated_B = np.sqrt(sums_B / np.maximum(1, counts_B))
        if drift:
            estimated_B *= np.sqrt(1 + back / np.maximum(1, lengths_B))
        grown_B = spread_CB[cycle - 1] * np.sqrt((cycle + 1) / max(1, cycle))
        enough_B = counts_B >= (LEAST_DIFFERENCES if cycle else 1)
        spread_CB[cycle] = np.where(enough_B, estimated_B, grown_B)
    steps_H = np.arange(given.steps)
    places_BH = np.minimum(lag, lengths_B)[:, None] - steps_H % lag
    centre_BH = values_TB[
        np.maximum(0, lengths_B[:, None] - np.maximum(1, places_BH)), np.arange(rows)[:, None]
    ] + slope_B[:, None] * (1 + steps_H)
    return centre_BH, spread_CB[steps_H // lag].T


def drift(given: Histories) -> tuple[Floats, Floats]:
    """Continue the straight line from the first value to the last."""
    return naive(given, 1, drift=True)


def seasonal_naive(given: Histories) -> tuple[Floats, Floats]:
    """Repeat the last season of long histories, else the last value."""
    centre_BH, spread_BH = naive(given, 1)
    long_B = given.lengths_B > given.season
    if given.season > 1 and long_B.any():
        centre_BH[long_B], spread_BH[long_B] = naive(given.select(long_B), given.season)
    return centre_BH, spread_BH
