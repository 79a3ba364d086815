"""Simple forecasts of many histories at once.

Every method gives a normal distribution of each step, of the values or of their logarithms. Nothing
but NumPy is needed. Histories are columns of one array, sorted by length, and smoothing runs
through all of them and a grid of parameters in one pass over time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from rhapsode.evaluation.statistical_methods import filled
from rhapsode.modalities.series.pool.autoregression import autoregression
from rhapsode.modalities.series.pool.histories import Floats, Histories, NormalForecasts
from rhapsode.modalities.series.pool.naive_methods import drift, naive, seasonal_naive
from rhapsode.modalities.series.pool.smoothing import damped_ets, in_proportion, theta

# Last values of a history that are read, and seasons of them where these are more.
MOST_STEPS, MOST_SEASONS = 1_000, 8
# Histories that are smoothed at once.
AT_ONCE = 256


@np.errstate(over="ignore", invalid="ignore", divide="ignore")  # squares of the largest numbers
def simple_forecasts(
    histories: Sequence[Floats], horizon: int, season: int, names: Sequence[str]
) -> dict[str, NormalForecasts]:
    """Forecasts by simple methods.

    Arguments:
        histories: values of each, (T,); NaN where missing. Gaps are interpolated. Zeros before
            the first other value tell nothing of the spread.
        horizon: steps to forecast, H.
        season: steps in a season, 1 for none.
        names: of `SIMPLE`.

    Returns:
        By method; not finite where a history has no value, or values too large to square.
    """
    most = max(MOST_STEPS, MOST_SEASONS * season)
    known = [filled(history[-most:]) for history in histories]
    gaps_B = np.array([_gap(history) for history in histories], dtype=np.int64)
    lengths_B = np.array(list(map(len, known)), dtype=np.int64)
    order_B = np.argsort(-lengths_B, kind="stable")
    order_B = order_B[lengths_B[order_B] > 0]
    shape = (len(histories), horizon)
    log_B = np.zeros(len(histories), dtype=bool)
    if not len(order_B):
        nothing = np.full(shape, np.nan)
        return {name: NormalForecasts(nothing, nothing, log_B) for name in names}
    values_TB = np.full((int(lengths_B.max()), len(order_B)), np.nan)
    for place, number in enumerate(order_B):
        values_TB[: lengths_B[number], place] = known[number]
    steps = horizon + int(gaps_B[order_B].max())
    whole = Histories(values_TB, lengths_B[order_B], season, steps)
    parts = [
        in_proportion(whole.select(slice(first, first + AT_ONCE)))
        for first in range(0, len(order_B), AT_ONCE)
    ]
    log_B[order_B] = np.concatenate([logged_B for _, logged_B in parts])
    ahead_BH = gaps_B[order_B][:, None] + np.arange(horizon)
    begun_B = np.maximum(1, whole.lengths_B - np.argmax(values_TB != 0, axis=0))
    widened_B = np.sqrt(whole.lengths_B / begun_B)
    found = {}
    for name in names:
        drawn = [SIMPLE[name](part) for part, _ in parts]
        centre_BH, spread_BH = np.full(shape, np.nan), np.full(shape, np.nan)
        for target_BH, number in ((centre_BH, 0), (spread_BH, 1)):
            every = np.concatenate([part[number] for part in drawn])
            if number:
                every = every * widened_B[:, None]
            target_BH[order_B] = np.take_along_axis(every, ahead_BH, axis=1)
        found[name] = NormalForecasts(centre_BH, spread_BH, log_B)
    return found


def _gap(history_T: Floats) -> int:
    """Missing values at the end."""
    (known,) = np.nonzero(np.isfinite(history_T))
    return len(history_T) - 1 - int(known[-1]) if len(known) else 0


SIMPLE: dict[str, Callable[[Histories], tuple[Floats, Floats]]] = {
    "last value": partial(naive, lag=1),
    "drift": drift,
    "seasonal naive": seasonal_naive,
    "theta": theta,
    "ets": damped_ets,
    "autoregression": autoregression,
}
