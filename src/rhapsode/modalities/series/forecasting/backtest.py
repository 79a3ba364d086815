"""Backtests: forecasts from many origins, beside baselines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.data.tables import SeriesSet
from rhapsode.errors import DataError
from rhapsode.evaluation import (
    ForecastFigures,
    ForecastScore,
    forecast_figures,
    forecast_of_samples,
    rolling_origins,
    score_forecast,
    seasonal_naive,
)
from rhapsode.evaluation.statistical_methods import statistical_forecast
from rhapsode.modalities.series.facts import SeriesBundle
from rhapsode.modalities.series.forecasting.drawn_forecasts import (
    draw_forecasts,
    finished_forecasts,
)
from rhapsode.modalities.series.output import times_in_words
from rhapsode.modalities.series.pool.finished_paths import LEAST_PATHS
from rhapsode.modalities.values.next_steps import LEVELS, plain_number, plain_row

if TYPE_CHECKING:
    from rhapsode.bundle.value_predictor import ValuePredictor


Ints = NDArray[np.int64]
FIGURES = ("mase", "smape", "crps", "weighted_quantile_loss", "mae", "rmse", "bias")
BACKTEST_COLUMNS = (
    "series",
    "name",
    "origin",
    "step",
    "time",
    "actual",
    "mean",
    *(f"q{level:g}" for level in LEVELS),
)
# Forecasts of one backtest; of more, evenly spread ones are taken.
MOST_FORECASTS = 2_000
NUMBERS_AT_ONCE = 1 << 24
# Series from which on they are the independent units of a standard error.
MANY_SERIES = 10


@dataclass(frozen=True)
class Backtest:
    """Figures of forecasts by several methods, of the same points.

    Arguments:
        figures: by method, the model's under "model".
        horizon: steps ahead.
        season: values to a season.
        forecasts: how many origins, over all series and numbers.
        notes: methods that failed, with reasons.
        scores: by method, of every forecast.
        places: the origin of each of these.
        rows: of a table, one for every step of the model's forecasts, where they were requested.
    """

    figures: dict[str, ForecastFigures]
    horizon: int
    season: int
    forecasts: int
    notes: tuple[str, ...]
    scores: dict[str, list[ForecastScore]]
    places: list[int]
    rows: list[list[Any]]

    @property
    def warning(self) -> str | None:
        """A warning if repeating the last season is as good."""
        model, naive = self.figures["model"], self.figures["seasonal naive"]
        what = "the last season" if self.season > 1 else "the last value"
        pairs = {"MASE": (model.mase, naive.mase), "CRPS": (model.crps, naive.crps)}
        for name, (ours, theirs) in pairs.items():
            if ours is not None and theirs is not None and ours >= theirs:
                return (
                    f"repeating {what} forecasts better than this model "
                    f"({name} {theirs:.3f} against {ours:.3f})"
                )
        return None

    def to_mapping(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "horizon": self.horizon,
            "season": self.season,
            "forecasts": self.forecasts,
            "methods": {name: figures_mapping(found) for name, found in self.figures.items()},
            "warning": self.warning,
            "notes": list(self.notes),
        }


def figures_mapping(found: ForecastFigures) -> dict[str, Any]:
    """Figures as plain values; None where one is no finite number."""
    return {
        **{name: plain_number(getattr(found, name)) for name in FIGURES},
        **{
            name: {f"{share:.0%}": plain_number(value) for share, value in figures.items()}
            for name, figures in (
                ("coverage", found.coverage),
                ("coverage_error", found.coverage_errors),
                ("interval_score", found.interval_scores),
            )
        },
        "points": found.points,
        "notes": list(found.notes),
    }


def origins_of(
    given: SeriesSet,
    first_S: Ints,
    horizon: int,
    *,
    origins: int | None,
    stride: int | None,
    most: int = MOST_FORECASTS,
) -> tuple[Ints, Ints]:
    """Series and lengths of history of every forecast.

    Arguments:
        given: the series.
        first_S: rows of each that every history has at least.
        horizon: steps ahead.
        origins: how many for each series; None: as many as fit into the rows after `first_S`.
        stride: steps between two origins; None: the horizon.
        most: forecasts in all; of more, evenly spread ones are taken.
    """
    which: list[int] = []
    rows: list[int] = []
    step = stride or horizon
    lengths, firsts = given.lengths.tolist(), first_S.tolist()
    for series, (length, first) in enumerate(zip(lengths, firsts, strict=True)):
        room = max(0, (length - first - horizon) // step + 1)
        ends = rolling_origins(
            length, horizon, room if origins is None else min(origins, room), step
        )
        if not ends and 0 < first < length and origins is None:
            ends = [first]  # fewer steps than the horizon: those that there are
        which += [series] * len(ends)
        rows += ends
    kept = np.unique(np.linspace(0, len(which) - 1, min(most, len(which))).astype(int))
    return np.array(which, dtype=np.int64)[kept], np.array(rows, dtype=np.int64)[kept]


def backtest(
    predictor: ValuePredictor[SeriesBundle],
    given: SeriesSet,
    which: Ints,
    rows: Ints,
    *,
    horizon: int,
    season: int,
    samples: int,
    seed: int = 0,
    methods: Sequence[str] = (),
    tabled: bool = False,
) -> Backtest:
    """Score forecasts from every origin, by the model and by baselines.

    Arguments:
        predictor: the model.
        given: the series.
        which: of it, one entry an origin.
        rows: history of each.
        horizon: steps ahead; fewer where a series ends before.
        season: values to a season.
        samples: paths.
        seed: of the paths.
        methods: of `STATISTICAL`, where statsforecast is installed.
        tabled: True to keep a row for every step.

    Raises:
        MissingExtraError: statistical methods are requested and statsforecast is not installed.
    """
    scores: dict[str, list[ForecastScore]] = {}
    places: list[int] = []
    groups: list[int] = []
    table: list[list[Any]] = []
    groups_B = independent_groups(which, rows, horizon)
    calibrated = predictor.bundle.calibration.paths is not None
    own = ("model", "network alone") if calibrated else ("model",)
    failed: Counter[str] = Counter()
    width = given.values_NK.shape[1]
    at_once = max(1, NUMBERS_AT_ONCE // max(1, samples * horizon * width))
    for start in range(0, len(which), at_once):
        part = slice(start, start + at_once)
        drawn, times = draw_forecasts(
            predictor,
            given,
            which[part],
            rows[part],
            horizon,
            samples=max(samples, LEAST_PATHS) if calibrated else samples,
            seed=seed,
            wanted=False,
            kept=False,
        )
        ours = {
            name: finished_forecasts(
                predictor.bundle,
                drawn,
                given,
                which[part],
                rows[part],
                seed=seed,
                calibrated=name == "model",
            )[:, :samples]
            for name in own
        }
        for place, (series, count) in enumerate(zip(which[part], rows[part], strict=True)):
            values_TK = given.values_NK[given.rows(int(series))]
            for number in range(width):
                history, actual = values_TK[:count, number], values_TK[count:, number][:horizon]
                if not np.isfinite(history).any() or not np.isfinite(actual).any():
                    continue
                steps = len(actual)
                forecasts = {
                    **{
                        name: forecast_of_samples(
                            paths_BSHK[place, :, :steps, number],
                            even=calibrated and name == "model",
                        )
                        for name, paths_BSHK in ours.items()
                    },
                    "seasonal naive": seasonal_naive(
                        history, steps, season, samples=samples, seed=seed
                    ),
                }
                for name in methods:
                    try:
                        forecasts[name] = statistical_forecast(name, history, steps, season)
                    except DataError:
                        failed[name] += 1
                if tabled:
                    paths_SH = ours["model"][place, :, :steps, number]
                    table += _backtest_rows(
                        given, (int(series), number, int(count)), times[place], actual, paths_SH
                    )
                places.append(start + place)
                groups.append(int(groups_B[start + place]))
                for name, forecast in forecasts.items():
                    score = score_forecast(forecast, actual, history, season)
                    scores.setdefault(name, []).append(score)
    notes = tuple(
        f"{name} cannot be fitted to {failed[name]} of {len(places)} histories"
        for name in methods
        if failed[name]
    )
    figures = {}
    for name in (*own, "seasonal naive", *methods):
        found = scores.setdefault(name, [])
        whole = len(found) == len(groups)
        figures[name] = forecast_figures(found, groups if whole else None)
    return Backtest(figures, horizon, season, len(places), notes, scores, places, table)


def _backtest_rows(
    given: SeriesSet,
    origin: tuple[int, int, int],
    times_H: Ints,
    actual_H: NDArray[np.float64],
    paths_SH: NDArray[np.float64],
) -> Iterator[list[Any]]:
    """A row for every step of one forecast, as `BACKTEST_COLUMNS` names them.

    Arguments:
        given: the series.
        origin: the series, its number, and rows of history.
        times_H: of the steps, at least as many as were observed.
        actual_H: observations.
        paths_SH: sample paths of the observed steps.
    """
    series, number, count = origin
    last = given.times_N[given.rows(series)][count - 1 : count]
    names = [given.ids[series], given.names[number], *times_in_words(given, series, last)]
    quantiles_HQ = np.quantile(paths_SH, LEVELS, axis=0, method="weibull").T
    words = times_in_words(given, series, times_H[: len(actual_H)])
    for step, (time, actual, mean, row) in enumerate(
        zip(words, actual_H, paths_SH.mean(axis=0), quantiles_HQ, strict=True), 1
    ):
        yield [*names, step, time, *plain_row(np.array([actual, mean])), *row.tolist()]


def independent_groups(which: Ints, rows: Ints, horizon: int) -> Ints:
    """Numbers of groups of forecasts that depend on each other.

    Series are the groups where there are at least `MANY_SERIES`; else forecasts of one series whose
    origins lie in the same stretch of a horizon.

    Arguments:
        which: series of each forecast.
        rows: history of each.
        horizon: steps ahead.
    """
    if len(np.unique(which)) >= MANY_SERIES:
        return which
    keys = np.stack((which, rows // horizon), axis=1)
    return np.asarray(np.unique(keys, axis=0, return_inverse=True)[1].ravel(), dtype=np.int64)
