"""How series are best encoded, found out by forecasting their own past with linear models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.encoding import column_scale

__all__ = ["Encoding", "choose_encoding", "planned_lags"]

Floats = NDArray[np.float64]

MOST_SERIES = 60
MOST_STEPS = 4_000
ORIGINS = 16
ORDER = 4
# How much better a less simple form must be.
GAIN = 0.98
# Counts with a larger mean are as well taken for real numbers.
LARGEST_COUNT = 60.0


@dataclass(frozen=True)
class Encoding:
    """An encoding that was chosen.

    Arguments:
        settings: of the encoder: scaling, log, difference, counts.
        reason: why, in a line.
    """

    settings: dict[str, Any]
    reason: str


def planned_lags(season: int, second: int, longest: int) -> tuple[int, ...]:
    """Further inputs: the last few values and those of the season before.

    Arguments:
        season: values to a season.
        second: values to a longer season, as a week of hours; 1 for none.
        longest: steps of the longest history; lags reach back a third of it at most.
    """
    wanted = {2, 3}
    for period in (season, second):
        if period > 1:
            wanted |= {period - 1, period, period + 1, 2 * period}
    return tuple(sorted(lag for lag in wanted if 1 < lag <= longest // 3))


def choose_encoding(histories: Sequence[Floats], season: int, horizon: int) -> Encoding:
    """Log or not, differences or not: what lets a linear autoregression forecast the last third of these best.

    Forecasts are iterated over the horizon from several origins, by coefficients fitted before the first of them; errors
    are absolute, in units of each series' seasonal change. Among forms within 2 % of each other the simplest wins.

    Arguments:
        histories: columns of values, (T,) each; NaN where missing.
        season: values to a season.
        horizon: steps to forecast.
    """
    step = max(1, len(histories) // MOST_SERIES)
    some = [_filled(column)[-MOST_STEPS:] for column in histories[::step]]
    some = [column for column in some if len(column) > 1]
    known = [column[np.isfinite(column)] for column in histories]
    every = np.concatenate(known) if known else np.zeros(0)
    whole = bool(len(every)) and bool(((every >= 0) & (every == np.round(every))).all())
    if whole and float(every.mean()) <= LARGEST_COUNT and len(np.unique(every)) > 2:
        return Encoding({"counts": True}, f"counts: whole numbers, {every.mean():.3g} on average")
    forms = [(False, 0), (False, 1), (True, 0), (True, 1)]
    if season > 1:
        forms += [(False, season), (True, season)]
    scores: list[tuple[float, tuple[bool, int]]] = []
    for log, lag in forms:
        if log and (not len(every) or every.min() < 0):
            continue
        tried = [_error(column, log, lag, season, horizon) for column in some]
        found = [error for error in tried if error is not None]
        if found:
            scores.append((float(np.mean(found)), (log, lag)))
    if not scores:
        return Encoding(
            {"scaling": "standard"}, "the values themselves: too few to compare encodings"
        )
    best = min(score for score, _ in scores)
    score, (log, lag) = next(entry for entry in scores if entry[0] * GAIN <= best)
    what = "logarithms of 1 + x" if log else "the values themselves"
    if lag:
        what = f"changes of {'logarithms of 1 + x' if log else 'values'} over {'a step' if lag == 1 else f'a season of {lag}'}"
    settings: dict[str, Any] = {"log": log, "difference": lag, "scaling": "standard"}
    return Encoding(
        settings,
        f"{what}: a linear model forecasts them best (error {score:.2f}"
        + (f", plain values {scores[0][0]:.2f})" if log or lag else ")"),
    )


def _filled(column: Floats) -> Floats:
    """From the first known value to the last, straight lines over gaps."""
    (places,) = np.nonzero(np.isfinite(column))
    if not len(places):
        return np.zeros(0)
    filled: Floats = np.interp(np.arange(places[0], places[-1] + 1), places, column[places])
    return filled


def _error(column: Floats, log: bool, lag: int, season: int, horizon: int) -> float | None:
    """Mean absolute error of iterated forecasts in units of the seasonal change; None where there is too little."""
    levels = np.log1p(column) if log else column
    changes = levels[lag:] - levels[: len(levels) - lag] if lag else levels
    length = len(changes)
    horizon = max(1, min(horizon, length // 6))
    first = max(int(length * 0.6), length - horizon - 8 * max(horizon, season))
    lags = [*range(1, ORDER + 1)]
    if season > 1 and first > 3 * season:
        lags += [season, season + 1]
    reach = max(lags)
    if first < reach + 2 * len(lags) or length - horizon < first:
        return None
    shift, scale = column_scale(changes[:first], "standard")
    with np.errstate(over="ignore", invalid="ignore"):
        z: Floats = (changes - shift) / scale
        weights = _fit(z[:first], lags)
        origins = np.unique(np.linspace(first, length - horizon, ORIGINS).astype(int))
        past_OT: Floats = np.stack([z[origin - reach : origin] for origin in origins])
        for _ in range(horizon):
            picked_OL = past_OT[:, [past_OT.shape[1] - each for each in lags]]
            next_O = picked_OL @ weights[:-1] + weights[-1]
            past_OT = np.concatenate((past_OT, next_O[:, None]), axis=1, dtype=np.float64)
        ahead_OH = past_OT[:, reach:] * scale + shift
        forecast_OH = np.empty_like(ahead_OH)
        for row, origin in enumerate(origins):
            known = list(levels[: origin + lag])
            for step in range(horizon):
                known.append(ahead_OH[row, step] + (known[-lag] if lag else 0.0))
            forecast_OH[row] = known[origin + lag :]
        if log:
            forecast_OH = np.expm1(np.minimum(forecast_OH, 690.0))
        actual_OH = np.stack([column[o + lag : o + lag + horizon] for o in origins])
        back = season if season < len(column) else 1
        unit = float(np.abs(column[back:] - column[:-back]).mean())
        error = float(np.abs(forecast_OH - actual_OH).mean())
    if not unit > 0 or not np.isfinite(error):
        return None
    return min(error / unit, 1e6)


def _fit(z: Floats, lags: Sequence[int]) -> Floats:
    """Coefficients of the lags and a constant, by least squares with a little shrinkage."""
    reach = max(lags)
    rows = np.ones((len(z) - reach, len(lags) + 1))
    for place, lag in enumerate(lags):
        rows[:, place] = z[reach - lag : len(z) - lag]
    gram = rows.T @ rows + 1e-4 * len(rows) * np.eye(rows.shape[1])
    return np.asarray(np.linalg.solve(gram, rows.T @ z[reach:]), dtype=np.float64)
