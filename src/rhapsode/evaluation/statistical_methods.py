"""Baselines of series: seasonal naive, and ETS, ARIMA and Theta through statsforecast.

statsforecast is imported when a forecast is requested, not before.
"""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from rhapsode.errors import DataError, MissingExtraError, SettingsError
from rhapsode.evaluation.forecasts import Floats, Forecast, forecast_of_samples

# Names here, and the models of statsforecast that they mean.
STATISTICAL = {"ets": "AutoETS", "arima": "AutoARIMA", "theta": "AutoTheta"}

CENTRAL = (20, 40, 50, 60, 80, 90)
LEAST_STEPS = 3


def statistical_forecast(
    name: str, history_T: NDArray[np.floating], horizon: int, season: int
) -> Forecast:
    """The forecast of a statistical method, fitted to one history alone.

    Missing values inside the history are filled along straight lines, those at its ends are left
    out; a history shorter than two seasons is taken to have none.

    Arguments:
        name: "ets", "arima" or "theta".
        history_T: values; NaN where missing.
        horizon: steps to forecast.
        season: steps in a season, 1 for none.

    Raises:
        MissingExtraError: statsforecast is not installed.
        SettingsError: an unknown name.
        DataError: a history with fewer than three known values, or one that the method cannot be
            fitted to.
    """
    if name not in STATISTICAL:
        raise SettingsError(
            f"unknown statistical method {name!r}", hint=f"known: {', '.join(STATISTICAL)}"
        )
    history_T = filled(np.asarray(history_T, dtype=np.float64))
    if len(history_T) < LEAST_STEPS:
        raise DataError(f"{name} needs a history of at least {LEAST_STEPS} values")
    if len(history_T) < 2 * season:
        season = 1
    try:
        from statsforecast import (  # type: ignore[import-not-found, import-untyped, unused-ignore]
            models,
        )
    except ImportError:
        raise MissingExtraError("series", "a forecast by ETS, ARIMA or Theta") from None
    model = getattr(models, STATISTICAL[name])(season_length=season)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = model.forecast(y=history_T, h=horizon, level=list(CENTRAL))
    except Exception as problem:
        raise DataError(f"{name} cannot be fitted to this history ({problem})") from None
    ends = {"lo": -1, "hi": 1}
    quantiles = {
        round(0.5 + side * share / 200, 6): found[f"{end}-{share}"]
        for end, side in ends.items()
        for share in CENTRAL
    }
    levels, rows = zip(*sorted({0.5: found["mean"], **quantiles}.items()), strict=True)
    rows_QT = np.array(rows, dtype=np.float64)
    if not np.isfinite(rows_QT).all():
        raise DataError(f"{name} gives no finite forecast of this history")
    return Forecast(levels, rows_QT, rows_QT[levels.index(0.5)])


def filled(history_T: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values from the first to the last known one, gaps interpolated."""
    (known,) = np.nonzero(np.isfinite(history_T))
    if not len(known):
        return np.zeros(0)
    places = np.arange(known[0], known[-1] + 1)
    return np.interp(places, known, history_T[known])


def seasonal_naive(
    history_T: NDArray[np.floating],
    horizon: int,
    season: int,
    *,
    samples: int = 100,
    seed: int = 0,
) -> Forecast:
    """Forecast by repeating the last season.

    Missing values of the last season are filled from earlier seasons.

    Sample paths add centred in-sample errors, drawn with replacement, at every step of the
    recursion (Hyndman and Athanasopoulos 2021, section 5.5). Errors are assumed to be
    independent and identically distributed.

    Arguments:
        history_T: values; NaN where missing.
        horizon: steps to forecast.
        season: steps in a season; 1 repeats the last value, as for a history of at most a season.
        samples: sample paths, S.
        seed: of the errors drawn.

    Raises:
        DataError: no value is known.
    """
    values_T: Floats = np.where(np.isfinite(history_T), history_T, np.nan).astype(np.float64)
    if np.isnan(values_T).all():
        raise DataError("a history without any value has no naive forecast")
    if season >= len(values_T):
        season = 1
    point_T = np.resize(_last_season(values_T, season), horizon)
    errors = values_T[season:] - values_T[:-season]
    errors = errors[np.isfinite(errors)]
    drawn_ST = np.zeros((samples, horizon))
    if len(errors):
        random = np.random.default_rng(seed)
        drawn_ST = random.choice(errors - errors.mean(), size=drawn_ST.shape)
    # A step's error stays in all the seasons that follow it.
    for t in range(season, horizon):
        drawn_ST[:, t] += drawn_ST[:, t - season]
    return forecast_of_samples(point_T + drawn_ST, point_T)


def _last_season(history_T: Floats, season: int) -> Floats:
    """Last known value of each step of the season, in forecast order."""
    padded_T = np.concatenate((np.full(-len(history_T) % season, np.nan), history_T))
    seasons_RT = padded_T.reshape(-1, season)
    known_RT = ~np.isnan(seasons_RT)
    row_T = np.where(known_RT, np.arange(len(seasons_RT))[:, None], -1).max(axis=0)
    # A step of the season that was never seen: the last value of all.
    last_T = np.where(
        row_T < 0, history_T[~np.isnan(history_T)][-1], seasons_RT[row_T, np.arange(season)]
    )
    return np.asarray(last_T)
