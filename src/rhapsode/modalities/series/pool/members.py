"""Quantiles of a network and of simple methods from the same origins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import NETWORK
from rhapsode.data.tables import SeriesSet
from rhapsode.evaluation import seasonal_error
from rhapsode.modalities.series.facts import SeriesBundle
from rhapsode.modalities.series.forecasting.drawn_forecasts import LEAST_KNOWN, draw_forecasts
from rhapsode.modalities.series.pool.finished_paths import is_intermittent
from rhapsode.modalities.series.pool.simple_methods import SIMPLE, simple_forecasts

if TYPE_CHECKING:
    from rhapsode.bundle.value_predictor import ValuePredictor

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEVELS = np.arange(1, 20) / 20


@dataclass(frozen=True)
class MemberForecasts:
    """Forecasts of every member of a pool, in seasonal errors.

    Arguments:
        names: of the M members, the network first.
        quantiles_MBQH: at `LEVELS`.
        actual_BH: observations; NaN where missing, not scored, or after a constant history, which
            are continued exactly.
        series_B: series and number of each forecast.
        rows_B: rows before its first scored step.
        zeros_B: True after intermittent histories.
    """

    names: tuple[str, ...]
    quantiles_MBQH: Floats
    actual_BH: Floats
    series_B: Ints
    rows_B: Ints
    zeros_B: NDArray[np.bool_]

    def select(self, chosen_B: NDArray[np.bool_]) -> MemberForecasts:
        """Some of the forecasts."""
        return MemberForecasts(
            self.names,
            self.quantiles_MBQH[:, chosen_B],
            self.actual_BH[chosen_B],
            self.series_B[chosen_B],
            self.rows_B[chosen_B],
            self.zeros_B[chosen_B],
        )


@np.errstate(over="ignore", invalid="ignore")  # of the largest numbers, which choose nothing
def member_forecasts(
    predictor: ValuePredictor[SeriesBundle],
    given: SeriesSet,
    which: Ints,
    rows: Ints,
    horizon: int,
    *,
    samples: int,
    first_S: Ints | None = None,
    seed: int = 0,
    names: Sequence[str] = tuple(SIMPLE),
) -> MemberForecasts:
    """Forecast from origins by the network and by simple methods.

    Arguments:
        predictor: the network.
        given: the series.
        which: of it, one entry an origin.
        rows: history of each.
        horizon: steps ahead.
        samples: paths of the network.
        first_S: rows of each series before the first one that is scored. [default: all are scored]
        seed: of the paths.
        names: of simple methods.
    """
    paths_BSHK, _ = draw_forecasts(
        predictor,
        given,
        which,
        rows,
        horizon,
        samples=samples,
        seed=seed,
        wanted=False,
        kept=False,
    )
    width = paths_BSHK.shape[-1]
    histories, actual, series, firsts, scales = [], [], [], [], []
    for one, count in zip(which.tolist(), rows.tolist(), strict=True):
        values_TK = given.values_NK[given.rows(one)]
        unscored = 0 if first_S is None else max(0, int(first_S[one]) - count)
        for number in range(width):
            history = values_TK[:count, number]
            ahead = np.full(horizon, np.nan)
            there = values_TK[count + unscored : count + horizon, number]
            known = history[np.isfinite(history)]
            if len(known) < LEAST_KNOWN or known.min() < known.max():
                ahead[unscored : unscored + len(there)] = there
            histories.append(history)
            actual.append(ahead)
            series.append(one * width + number)
            firsts.append(count + unscored)
            scale = seasonal_error(history, predictor.bundle.facts.season)[0]
            scales.append(scale or (np.abs(known).mean() if len(known) else 0.0) or 1.0)
    drawn = np.quantile(paths_BSHK, LEVELS, axis=1, method="weibull")  # (Q, B, H, K)
    network = drawn.transpose(1, 3, 0, 2).reshape(-1, len(LEVELS), horizon)
    simple = simple_forecasts(histories, horizon, predictor.bundle.facts.season, names)
    members = [network, *(simple[name].quantiles(LEVELS) for name in names)]
    scale_B = np.array(scales)
    return MemberForecasts(
        (NETWORK, *names),
        np.stack(members) / scale_B[:, None, None],
        np.stack(actual) / scale_B[:, None],
        np.array(series),
        np.array(firsts),
        np.array(list(map(is_intermittent, histories)), dtype=bool),
    )
