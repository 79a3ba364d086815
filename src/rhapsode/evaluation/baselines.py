"""Forecasts that need no model: the last value, the last season, the line through the ends; with sample paths.

Paths are the forecast's own recursion with centred in-sample errors drawn with replacement (Hyndman and Athanasopoulos
2021, section 5.5): nothing is assumed of the errors but that they are alike and independent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rhapsode.errors import DataError

__all__ = ["Baseline", "drift", "naive", "seasonal_naive"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Baseline:
    """A forecast of T steps.

    Arguments:
        point_T: the forecast without errors.
        samples_ST: S sample paths.
    """

    point_T: Floats
    samples_ST: Floats


def seasonal_naive(
    history_T: NDArray[np.floating],
    horizon: int,
    season: int,
    *,
    samples: int = 100,
    seed: int = 0,
) -> Baseline:
    """Every step as it was a season before; a season that is not wholly known is filled from earlier ones.

    Arguments:
        history_T: values; NaN where missing.
        horizon: steps to forecast.
        season: steps in a season; where the history is no longer than that, 1 is taken.
        samples: sample paths, S.
        seed: of the errors drawn.

    Raises:
        DataError: no value is known.
    """
    history_T = _known(history_T)
    if season >= len(history_T):
        season = 1
    errors = history_T[season:] - history_T[:-season]
    last = _last_season(history_T, season)
    point_T = np.resize(last, horizon)
    drawn_ST = _drawn(errors, samples, horizon, seed)
    # A step's error stays in all the seasons that follow it.
    for t in range(season, horizon):
        drawn_ST[:, t] += drawn_ST[:, t - season]
    return Baseline(point_T, point_T + drawn_ST)


def naive(
    history_T: NDArray[np.floating], horizon: int, *, samples: int = 100, seed: int = 0
) -> Baseline:
    """The last known value; its paths are random walks. As `seasonal_naive` with a season of 1."""
    return seasonal_naive(history_T, horizon, 1, samples=samples, seed=seed)


def drift(
    history_T: NDArray[np.floating], horizon: int, *, samples: int = 100, seed: int = 0
) -> Baseline:
    """The line through the first and the last known value, continued.

    Arguments:
        history_T: values; NaN where missing.
        horizon: steps to forecast.
        samples: sample paths, S.
        seed: of the errors drawn.

    Raises:
        DataError: no value is known.
    """
    history_T = _known(history_T)
    (places,) = np.nonzero(np.isfinite(history_T))
    first, last = places[0], places[-1]
    slope = (history_T[last] - history_T[first]) / max(1, last - first)
    point_T = history_T[last] + slope * np.arange(
        len(history_T) - last, len(history_T) - last + horizon, dtype=np.float64
    )
    drawn_ST = _drawn(np.diff(history_T), samples, horizon, seed).cumsum(axis=1)
    return Baseline(point_T, point_T + drawn_ST)


def _known(history_T: NDArray[np.floating]) -> Floats:
    values_T: Floats = np.asarray(history_T, dtype=np.float64)
    values_T = np.where(np.isfinite(values_T), values_T, np.nan)
    if np.isnan(values_T).all():
        raise DataError("a history without any value has no naive forecast")
    return values_T


def _last_season(history_T: Floats, season: int) -> Floats:
    """The last known value of every step of the season, in the order in which they come next."""
    length = len(history_T)
    last = np.full(season, np.nan)
    for place in range(season):
        phase = history_T[(length + place) % season :: season]
        known = phase[~np.isnan(phase)]
        if len(known):
            last[place] = known[-1]
    # A step of the season that was never seen: the last value of all.
    return np.where(np.isnan(last), history_T[~np.isnan(history_T)][-1], last)


def _drawn(errors: Floats, samples: int, horizon: int, seed: int) -> Floats:
    """Errors (S, T) drawn with replacement, without their mean; zeros where there are none."""
    errors = errors[np.isfinite(errors)]
    if not len(errors):
        return np.zeros((samples, horizon))
    return np.random.default_rng(seed).choice(errors - errors.mean(), size=(samples, horizon))
