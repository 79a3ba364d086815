"""Forecasts from rolling origins beside what came, and beside what needs no model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle.value_predictor import ValuePredictor
from rhapsode.data.tables import SeriesSet
from rhapsode.errors import DataError, SettingsError
from rhapsode.evaluation import (
    ForecastFigures,
    forecast_figures,
    forecast_of_samples,
    rolling_origins,
    score_forecast,
    seasonal_naive,
)
from rhapsode.evaluation.statistical_methods import STATISTICAL, statistical_forecast
from rhapsode.generation.chain import Chain
from rhapsode.generation.paths import path_seed, sample_paths
from rhapsode.modalities.series.corpus import future_covariates, histories_of
from rhapsode.modalities.series.facts import SeriesBundle

__all__ = ["Backtest", "backtest", "draw_forecasts", "figures_mapping", "origins_of"]

Ints = NDArray[np.int64]
MOST_FORECASTS = 2_000
"""Forecasts of one backtest; of more, evenly spread ones are taken."""
MOST_NUMBERS = 1 << 28
"""Numbers of one forecast, 2 GB."""
NUMBERS_AT_ONCE = 1 << 24


@dataclass(frozen=True)
class Backtest:
    """Figures of forecasts by several methods, of the same points.

    Arguments:
        figures: by method, the model's under "model".
        horizon: steps ahead.
        season: values to a season.
        forecasts: how many origins, over all series and numbers.
        notes: what could not be done.
    """

    figures: dict[str, ForecastFigures]
    horizon: int
    season: int
    forecasts: int
    notes: tuple[str, ...]

    @property
    def warning(self) -> str | None:
        """A sentence where the model is no better than repeating the last season."""
        model, naive = self.figures["model"], self.figures["seasonal naive"]
        for name, ours, theirs in (
            ("MASE", model.mase, naive.mase),
            ("CRPS", model.crps, naive.crps),
        ):
            if ours is not None and theirs is not None and ours >= theirs:
                what = "the last season" if self.season > 1 else "the last value"
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
    plain = {
        "mase": found.mase,
        "smape": found.smape,
        "crps": found.crps,
        "weighted_quantile_loss": found.weighted_quantile_loss,
        "mae": found.mae,
        "rmse": found.rmse,
        "bias": found.bias,
    }
    return {
        **{name: _finite(value) for name, value in plain.items()},
        "coverage": {f"{share:.0%}": _finite(value) for share, value in found.coverage.items()},
        "points": found.points,
        "notes": list(found.notes),
    }


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


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
        origins: how many for each series; None: as many as the rows behind `first_S` have room for.
        stride: steps between two origins; None: the horizon.
        most: forecasts in all; of more, evenly spread ones are taken.
    """
    which: list[int] = []
    rows: list[int] = []
    for series, length in enumerate(given.lengths.tolist()):
        first, step = int(first_S[series]), stride or horizon
        room = (length - first - horizon) // step + 1 if length - first >= horizon else 0
        ends = rolling_origins(
            length, horizon, room if origins is None else min(origins, room), step
        )
        if not ends and first and length - first > 0 and origins is None:
            ends = [first]  # fewer steps than the horizon: those that there are
        which += [series] * len(ends)
        rows += ends
    if len(which) > most:
        kept = np.unique(np.linspace(0, len(which) - 1, most).astype(int))
        return np.array(which)[kept], np.array(rows)[kept]
    return np.array(which, dtype=np.int64), np.array(rows, dtype=np.int64)


def draw_forecasts(
    predictor: ValuePredictor[SeriesBundle],
    given: SeriesSet,
    which: Ints,
    rows: Ints,
    horizon: int,
    *,
    samples: int,
    seed: int,
    temperature: float = 1.0,
    chain: Chain | None = None,
    wanted: bool = True,
) -> tuple[NDArray[np.float64], list[Ints]]:
    """Paths (B, S, H, K) that follow the first rows of series, and the times of their steps.

    Arguments:
        predictor: the model.
        given: the series.
        which: of it, B; one may occur several times.
        rows: how many first rows of each are known, B.
        horizon: steps, H.
        samples: paths of each, S.
        seed: of the paths.
        temperature: as in `sample_paths`.
        chain: as in `sample_paths`.
        wanted: whether covariates that are not known ahead are an error; if not, they are missing.

    Raises:
        SettingsError: more numbers than can be held.
        DataError: covariates are not known ahead.
    """
    covariates = predictor.bundle.facts.covariates
    numbers = len(which) * samples * horizon * predictor.element_size
    if numbers > MOST_NUMBERS:
        raise SettingsError(
            f"{len(which):,} series x {samples:,} paths x {horizon:,} steps are {numbers:,} numbers, too many to hold",
            where="--samples",
            hint="ask for fewer paths, steps or series at a time",
        )
    ahead = [
        future_covariates(given, covariates, series, count, horizon, wanted=wanted)
        for series, count in zip(which.tolist(), rows.tolist(), strict=True)
    ]
    run_up = predictor.bundle.facts.run_up
    state = predictor.begin(
        histories_of(given, covariates, which, rows, run_up=run_up),
        covariates.condition(given, which),
    )
    known_BHX = np.stack([known for _, known in ahead])
    seeds = [
        path_seed(seed, f"{given.ids[series]}:{count}")
        for series, count in zip(which.tolist(), rows.tolist(), strict=True)
    ]
    drawn = sample_paths(
        predictor,
        state,
        known_BHX,
        samples=samples,
        seeds=seeds,
        temperature=temperature,
        chain=chain,
        filter_seed=seed,
    )
    return drawn, [times for times, _ in ahead]


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
) -> Backtest:
    """Forecast from every origin and score it, with seasonal naive beside it, and with what else is asked for.

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

    Raises:
        MissingExtraError: statistical methods are asked for and statsforecast is not installed.
    """
    names = ("model", "seasonal naive", *methods)
    scores: dict[str, list[Any]] = {name: [] for name in names}
    notes: list[str] = []
    failed: dict[str, int] = dict.fromkeys(methods, 0)
    width = given.values_NK.shape[1]
    at_once = max(1, NUMBERS_AT_ONCE // max(1, samples * horizon * width))
    for start in range(0, len(which), at_once):
        some = slice(start, start + at_once)
        drawn, _ = draw_forecasts(
            predictor,
            given,
            which[some],
            rows[some],
            horizon,
            samples=samples,
            seed=seed,
            wanted=False,
        )
        for place, (series, count) in enumerate(zip(which[some], rows[some], strict=True)):
            values_TK = given.values_NK[given.rows(int(series))]
            for number in range(values_TK.shape[1]):
                history, actual = values_TK[:count, number], values_TK[count:, number][:horizon]
                if not np.isfinite(history).any() or not np.isfinite(actual).any():
                    continue
                steps = len(actual)
                own = forecast_of_samples(drawn[place, :, :steps, number])
                scores["model"].append(score_forecast(own, actual, history, season))
                plain = seasonal_naive(history, steps, season, samples=samples, seed=seed)
                naive = forecast_of_samples(plain.samples_ST, plain.point_T)
                scores["seasonal naive"].append(score_forecast(naive, actual, history, season))
                for name in methods:
                    try:
                        other = statistical_forecast(name, history, steps, season)
                        scores[name].append(score_forecast(other, actual, history, season))
                    except DataError:
                        failed[name] += 1
    for name, count in failed.items():
        if count:
            notes.append(f"{name} cannot be fitted to {count} of {len(scores['model'])} histories")
    figures = {name: forecast_figures(found) for name, found in scores.items()}
    return Backtest(figures, horizon, season, len(scores["model"]), tuple(notes))


def statistical_methods() -> tuple[str, ...]:
    """Those that can be fitted here: none without statsforecast."""
    import importlib.util

    return tuple(STATISTICAL) if importlib.util.find_spec("statsforecast") else ()
