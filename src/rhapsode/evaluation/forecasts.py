"""Metrics of forecasts, pooled over series and origins.

Averages are taken over observed points of all forecasts together, as GluonTS does (gluonts.ev with
axis=None): a series counts by the points it is forecast for. Missing actual values count nowhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rhapsode.evaluation.intervals import mean_and_error

Floats = NDArray[np.float64]

LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
COVERAGES = (0.5, 0.8, 0.9)
_ALL_LEVELS = tuple(
    sorted(
        {*LEVELS, *(round(0.5 + side * share / 2, 6) for share in COVERAGES for side in (-1, 1))}
    )
)


@dataclass(frozen=True)
class Forecast:
    """A forecast of the steps after one history, one number a step.

    Arguments:
        levels: of the quantiles, rising; 0.5 among them.
        quantiles_QT: a row for each level.
        mean_T: expected values.
        samples_ST: the sample paths they come from, where there are any.
        even: True where the samples of a step are evenly spaced quantiles, False for random draws.

    Raises:
        ValueError: levels that do not rise, or lack 0.5.
    """

    levels: tuple[float, ...]
    quantiles_QT: Floats
    mean_T: Floats
    samples_ST: Floats | None = None
    even: bool = False

    def __post_init__(self) -> None:
        if list(self.levels) != sorted(set(self.levels)) or 0.5 not in self.levels:
            raise ValueError("levels must increase and include 0.5")

    def at(self, level: float) -> Floats:
        """The quantile of a level, (T,), interpolated linearly; NaN beyond."""
        if level in self.levels:
            return np.asarray(self.quantiles_QT[self.levels.index(level)])
        columns = self.quantiles_QT.T
        return np.array(
            [np.interp(level, self.levels, each, math.nan, math.nan) for each in columns]
        )


def forecast_of_samples(
    samples_ST: NDArray[np.floating], point_T: Floats | None = None, *, even: bool = False
) -> Forecast:
    """Summarise sample paths as a forecast.

    The quantile of level p is at position p (S + 1) of the sorted values. A further draw lies below
    it with probability p (exactly so if the position is whole), so that intervals have their
    nominal coverage for any number of paths.

    Arguments:
        samples_ST: S paths of T steps.
        point_T: taken for median and mean where the method has a point forecast of its own.
        even: True where the samples of a step are evenly spaced quantiles.
    """
    wide_ST: Floats = np.asarray(samples_ST, dtype=np.float64)
    quantiles_QT = np.quantile(wide_ST, _ALL_LEVELS, axis=0, method="weibull")
    if point_T is None:
        return Forecast(_ALL_LEVELS, quantiles_QT, wide_ST.mean(axis=0), wide_ST, even)
    quantiles_QT[_ALL_LEVELS.index(0.5)] = point_T
    return Forecast(_ALL_LEVELS, quantiles_QT, point_T, wide_ST, even)


def seasonal_error(history_T: NDArray[np.floating], season: int) -> tuple[float | None, str | None]:
    """Mean absolute error of the seasonal naive forecast inside a history.

    MASE divides by it.

    For a history no longer than a season, the previous step is the forecast, as in GluonTS.

    Arguments:
        history_T: values; NaN where missing.
        season: steps in a season, 1 for none.

    Returns:
        The error and None; or None and the reason why there is no error.
    """
    history_T = np.asarray(history_T, dtype=np.float64)
    lag = season if season < len(history_T) else 1
    errors = np.abs(history_T[lag:] - history_T[:-lag])
    errors = errors[np.isfinite(errors)]
    if not len(errors):
        return None, "a history too short"
    mean = float(errors.mean())
    if mean <= 0.0:
        return None, "a history that does not vary from season to season"
    return mean, None


def sample_crps(
    samples_ST: NDArray[np.floating], actual_T: NDArray[np.floating], *, even: bool = False
) -> Floats:
    """Continuous ranked probability score of sample paths at every step, (T,).

    Mean of abs(x - y) less half the mean of abs(x - x'). The fair estimator leaves a path's
    distance to itself out of the second mean and so does not depend on the number of paths
    (Ferro 2014). For a single path the score is its absolute error.

    Arguments:
        samples_ST: S paths of T steps.
        actual_T: observations.
        even: True where the samples of a step are evenly spaced quantiles; these are as far apart
            as the distribution without that correction.
    """
    sorted_ST = np.sort(np.asarray(samples_ST, dtype=np.float64), axis=0)
    count = len(sorted_ST)
    rank_S = 2.0 * np.arange(1, count + 1) - count - 1
    pairs = count * count if even else max(1, count * (count - 1))
    apart_T = (rank_S[:, None] * sorted_ST).sum(axis=0) / pairs
    return np.asarray(np.abs(sorted_ST - actual_T).mean(axis=0) - apart_T)


@dataclass(frozen=True)
class ForecastScore:
    """Sums of errors of one forecast over its observed points.

    Arguments:
        points: observed points.
        absolute: sum of absolute errors of the median.
        squared: sum of squared errors of the mean.
        error: sum of mean less actual.
        symmetric: sum of 200 |y - f| / (|y| + |f|), f the median; 0 where both are 0.
        size: sum of absolute actual values.
        scaled: sum of absolute errors over the seasonal error; None where there is no such error.
        unscaled: reason why `scaled` is None.
        quantile_losses: sum of 2 |(y - q) (1[y <= q] - level)| for each of `LEVELS`; NaN where a
            forecast lacks one.
        covered: points inside each central interval of `COVERAGES`; NaN where a forecast lacks one.
        intervals: sum of the interval score of each central interval of `COVERAGES`; NaN where a
            forecast lacks one.
        crps: sum of the fair CRPS; None without sample paths.
    """

    points: int
    absolute: float
    squared: float
    error: float
    symmetric: float
    size: float
    scaled: float | None
    unscaled: str | None
    quantile_losses: tuple[float, ...]
    covered: tuple[float, ...]
    intervals: tuple[float, ...]
    crps: float | None


@np.errstate(over="ignore", invalid="ignore")  # squares of the largest numbers
def score_forecast(
    forecast: Forecast,
    actual_T: NDArray[np.floating],
    history_T: NDArray[np.floating],
    season: int,
) -> ForecastScore:
    """Score one forecast against the observations.

    Arguments:
        forecast: of T steps.
        actual_T: observations; NaN where missing.
        history_T: observations before the forecast, for the seasonal error.
        season: steps in a season, 1 for none.
    """
    known_T = np.isfinite(actual_T)
    y = np.asarray(actual_T, dtype=np.float64)[known_T]
    median, mean = forecast.at(0.5)[known_T], forecast.mean_T[known_T]
    away = np.abs(y - median)
    both = np.abs(y) + np.abs(median)
    scale, unscaled = seasonal_error(history_T, season)
    covered, intervals = zip(
        *(_interval(forecast, known_T, y, share) for share in COVERAGES), strict=True
    )
    crps = None
    if forecast.samples_ST is not None:
        samples_ST = forecast.samples_ST[:, known_T]
        crps = float(sample_crps(samples_ST, y, even=forecast.even).sum())
    return ForecastScore(
        points=len(y),
        absolute=float(away.sum()),
        squared=float(np.square(y - mean).sum()),
        error=float((mean - y).sum()),
        symmetric=float((200 * away / np.where(both > 0, both, 1.0)).sum()),
        size=float(np.abs(y).sum()),
        scaled=None if scale is None else float(away.sum() / scale),
        unscaled=unscaled,
        quantile_losses=tuple(
            float(2 * np.abs((y - quantile) * ((y <= quantile) - level)).sum())
            for level, quantile in ((level, forecast.at(level)[known_T]) for level in LEVELS)
        ),
        covered=covered,
        intervals=intervals,
        crps=crps,
    )


def _interval(
    forecast: Forecast, known_T: NDArray[np.bool_], y: Floats, share: float
) -> tuple[float, float]:
    """Points in a central interval, and its interval score (Gneiting and Raftery 2007)."""
    low, high = (forecast.at(round(0.5 + side * share / 2, 6))[known_T] for side in (-1, 1))
    if np.isnan(low).any() or np.isnan(high).any():
        return math.nan, math.nan
    missed = np.maximum(low - y, 0.0) + np.maximum(y - high, 0.0)
    score = high - low + 2 / (1 - share) * missed
    return float(((low <= y) & (y <= high)).sum()), float(score.sum())


@dataclass(frozen=True)
class ForecastFigures:
    """Metrics of forecasts.

    A metric that cannot be computed is None, and `notes` gives the reason.

    Arguments:
        mase: mean absolute scaled error of the median: below 1 is better than the seasonal naive
            forecast was inside the histories (Hyndman and Koehler 2006).
        smape: symmetric mean absolute percentage error of the median, 0 to 200.
        crps: fair continuous ranked probability score, in the data's units.
        weighted_quantile_loss: mean over the levels 0.1 to 0.9 of the summed quantile loss over the
            summed absolute values (GluonTS: mean_weighted_sum_quantile_loss).
        weighted_quantile_losses: of each level.
        coverage: fraction of points inside the central 50, 80 and 90 % intervals.
        coverage_errors: standard errors of these, over independent groups of forecasts.
        interval_scores: mean interval score of each (Winkler 1972): width, and twice the distance
            of what lies outside over the nominal share outside; in the data's units.
        mae: mean absolute error of the median.
        rmse: root mean squared error of the mean.
        bias: mean of forecast mean less actual.
        forecasts: number of forecasts with at least one observed point.
        points: observed points.
        notes: what is left out of each metric, and why.
    """

    mase: float | None
    smape: float | None
    crps: float | None
    weighted_quantile_loss: float | None
    weighted_quantile_losses: dict[float, float | None]
    coverage: dict[float, float | None]
    coverage_errors: dict[float, float | None]
    interval_scores: dict[float, float | None]
    mae: float | None
    rmse: float | None
    bias: float | None
    forecasts: int
    points: int
    notes: tuple[str, ...]


def forecast_figures(
    scores: Iterable[ForecastScore], groups: Sequence[int] | None = None
) -> ForecastFigures:
    """Metrics of forecasts, pooled over series and origins.

    Arguments:
        scores: of each forecast.
        groups: a whole number for each; those of one number depend on each other. None: each is
            independent.
    """
    every_score = list(scores)
    numbered = range(len(every_score)) if groups is None else groups
    pairs = [
        (score, group) for score, group in zip(every_score, numbered, strict=True) if score.points
    ]
    kept = [score for score, _ in pairs]
    notes = []
    points = sum(score.points for score in kept)
    _, groups_F = np.unique([group for _, group in pairs], return_inverse=True)
    points_G = np.bincount(groups_F, [score.points for score in kept])

    def error(place: int) -> float | None:
        covered_G: Floats = np.bincount(groups_F, [score.covered[place] for score in kept]).astype(
            np.float64
        )
        if len(points_G) < 2 or np.isnan(covered_G).any():
            return None
        return mean_and_error(covered_G, points_G)[1]

    size = sum(score.size for score in kept)
    scaled = [score for score in kept if score.scaled is not None]
    for reason in sorted({score.unscaled for score in kept if score.unscaled}):
        count = sum(score.unscaled == reason for score in kept)
        notes.append(f"MASE leaves out {count} of {len(kept)} forecasts: {reason}")
    sampled = all(score.crps is not None for score in kept)
    if not sampled:
        notes.append("no CRPS: there are forecasts without sample paths")
    if kept and size <= 0:
        notes.append("no weighted quantile loss: all actual values are 0")

    def mean(total: float, count: float) -> float | None:
        return total / count if count > 0 and not math.isnan(total) else None

    losses = {
        level: mean(math.fsum(score.quantile_losses[place] for score in kept), size)
        for place, level in enumerate(LEVELS)
    }
    every = [loss for loss in losses.values() if loss is not None]
    squared = mean(math.fsum(score.squared for score in kept), points)
    return ForecastFigures(
        mase=mean(
            math.fsum(score.scaled or 0.0 for score in scaled),
            sum(score.points for score in scaled),
        ),
        smape=mean(math.fsum(score.symmetric for score in kept), points),
        crps=mean(math.fsum(score.crps or 0.0 for score in kept), points) if sampled else None,
        weighted_quantile_loss=(
            math.fsum(every) / len(LEVELS) if len(every) == len(LEVELS) else None
        ),
        weighted_quantile_losses=losses,
        coverage={
            share: mean(math.fsum(score.covered[place] for score in kept), points)
            for place, share in enumerate(COVERAGES)
        },
        coverage_errors={share: error(place) for place, share in enumerate(COVERAGES)},
        interval_scores={
            share: mean(math.fsum(score.intervals[place] for score in kept), points)
            for place, share in enumerate(COVERAGES)
        },
        mae=mean(math.fsum(score.absolute for score in kept), points),
        rmse=None if squared is None else math.sqrt(squared),
        bias=mean(math.fsum(score.error for score in kept), points),
        forecasts=len(kept),
        points=points,
        notes=tuple(notes),
    )


def rolling_origins(
    length: int, horizon: int, origins: int, stride: int | None = None
) -> list[int]:
    """Lengths of the histories of a backtest, rising.

    The last forecast ends with the series.

    Arguments:
        length: steps of the series.
        horizon: steps to forecast.
        origins: number of origins; fewer where histories would be empty.
        stride: steps from one origin to the next; the horizon where not given.
    """
    step = horizon if stride is None else stride
    ends = (length - horizon - step * back for back in range(origins))
    return sorted(end for end in ends if end > 0)
