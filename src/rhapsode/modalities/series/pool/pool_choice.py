"""Choice of pool weights and interval factors on rolling origins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import NETWORK, PathCalibration
from rhapsode.modalities.series.corpus import SeriesCorpus, until
from rhapsode.modalities.series.facts import SeriesBundle
from rhapsode.modalities.series.pool.members import LEVELS, MemberForecasts, member_forecasts
from rhapsode.modalities.series.settings import CalibrationSettings

if TYPE_CHECKING:
    from rhapsode.bundle.value_predictor import ValuePredictor

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SAMPLES = 100
# Forecasts of single numbers, at most; with long horizons, steps of them, but so many forecasts.
FORECASTS, STEPS, LEAST_FORECASTS = 400, 12_000, 50
# Rate of the exponential weights: of a relative difference, for each independent origin. Of more
# than so many origins they are not surer: later values are not like those of the split.
RATE, SUREST = 3.0, 12.0
# Part of the weights that is equal among methods whose score is at most so many times the least;
# with few independent origins, one over their number times the second is added.
EQUAL, NEAR = 0.5, (1.2, 0.5)
# The network's score is raised by these parts: its weights were chosen on the same values.
OPTIMISM = (0.05, 0.2)
# Methods that are fitted, whose scores are shrunk towards their mean by so many origins.
FITTED, COMMON = (NETWORK, "theta", "ets", "autoregression"), 3.0
# Independent origins below which a simple method replaces the pool only if it is clearly better.
FEW = 8.0
# Independent origins that a factor above 1, and one below 1, is shrunk by.
WIDENING, NARROWING = 2.0, 20.0
LEAST_SCORES = 9
COVERAGE = 0.9
# Standard errors of the coverage, from so many independent origins, that are added to it.
SAFETY = 0.5
LARGEST_FACTOR = 4.0
# Share of the quantile scores before, above which wider intervals are worse.
WORSE = 1.02
# Independent origins from which on there is a factor for each of several buckets of steps.
MANY, BUCKETS = 40.0, 3
LEAST_WEIGHT = 0.02


def choose_calibration(
    predictor: ValuePredictor[SeriesBundle], corpus: SeriesCorpus, settings: CalibrationSettings
) -> PathCalibration | None:
    """Choose weights and factors on the validation split.

    Returns:
        None if both are switched off, or the split is empty.
    """
    if not (settings.pool or settings.intervals):
        return None
    most = settings.forecasts or min(FORECASTS, max(LEAST_FORECASTS, STEPS // corpus.horizon))
    which, rows = validation_origins(corpus, most)
    if not len(which):
        return None
    given = until(corpus.given, corpus.chosen_S)
    horizon = corpus.horizon
    found = member_forecasts(
        predictor, given, which, rows, horizon, samples=SAMPLES, first_S=corpus.train_S
    )
    return calibration_of(found, horizon, settings)


def validation_origins(corpus: SeriesCorpus, most: int) -> tuple[Ints, Ints]:
    """Series and histories of forecasts of the validation split.

    At least half of the steps of a forecast lie in the split if it is long enough. If it is shorter
    than a horizon, forecasts begin before it, so that later steps are scored too; their steps
    inside the training split are not.

    Arguments:
        corpus: the series.
        most: forecasts of single numbers; of more, evenly spread ones are taken.
    """
    width = corpus.given.values_NK.shape[1]
    most = max(1, most // width)
    bounds = list(zip(corpus.train_S.tolist(), corpus.chosen_S.tolist(), strict=True))
    (with_values,) = np.nonzero(corpus.chosen_S - corpus.train_S)
    kept = with_values[np.unique(_spread(len(with_values), most))]
    each = max(1, most // max(1, len(kept)))
    which, rows = [], []
    for turn, series in enumerate(kept.tolist()):
        first, end = bounds[series]
        begin = min(first, max(1, end - corpus.horizon))
        ends = np.arange(begin, max(first, end - (corpus.horizon + 1) // 2) + 1)
        # One origin of each of many series is an earlier one of some, a later one of others.
        ends = (
            ends[np.unique(_spread(len(ends), each))] if each > 1 else ends[turn % len(ends), None]
        )
        which.append(np.full(len(ends), series))
        rows.append(ends)
    if not which:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    rows_O, which_O = np.concatenate(rows), np.concatenate(which)
    begun_O = rows_O > 0
    return which_O[begun_O], rows_O[begun_O]


def _spread(count: int, most: int) -> Ints:
    return np.linspace(0, count - 1, min(count, most)).round().astype(np.int64)


def calibration_of(
    found: MemberForecasts, horizon: int, settings: CalibrationSettings
) -> PathCalibration | None:
    """Weights and factors from forecasts and what came.

    Those of intermittent histories are chosen apart. One method makes their forecasts: averages of
    quantiles would have fewer zeros than any of them.

    Arguments:
        found: forecasts of every member; at least one value came.
        horizon: steps ahead.
        settings: what to choose.
    """
    zeros = _chosen(found.select(found.zeros_B), horizon, settings, averaged=False)
    plain = _chosen(found.select(~found.zeros_B), horizon, settings)
    if plain is None and zeros is not None:
        plain = PathCalibration({NETWORK: 1.0})
    return plain and replace(plain, zeros=zeros)


def _chosen(
    found: MemberForecasts,
    horizon: int,
    settings: CalibrationSettings,
    *,
    averaged: bool = True,
) -> PathCalibration | None:
    """Weights and factors of one group of histories; None if nothing tells them."""
    scored_B: NDArray[np.bool_] = np.asarray(np.isfinite(found.actual_BH).any(axis=1))
    scored_B = scored_B & np.isfinite(found.quantiles_MBQH).all(axis=(0, 2, 3))
    if not scored_B.any():
        return None
    found = found.select(scored_B)
    scores_MB = forecast_scores(found.quantiles_MBQH, found.actual_BH)
    naive = max(float(scores_MB[found.names.index("seasonal naive")].mean()), 1e-12)
    scores_M = scores_MB.mean(axis=1) / naive
    independent = independent_origins(found, horizon)
    # Series of the same times depend on each other: they count as the root of their number.
    series = len(np.unique(found.series_B))
    units = independent / np.sqrt(series)
    weights_M = np.eye(len(found.names))[0]
    reason = ""
    told = dict(zip(found.names, scores_M.tolist(), strict=True))
    if settings.pool:
        weights_M = pool_weights(found.names, scores_M, units)
        if not averaged:
            weights_M = np.eye(len(found.names))[scores_M.argmin()]
        pooled_BQH = np.tensordot(weights_M, found.quantiles_MBQH, axes=1)
        pooled_B = forecast_scores(pooled_BQH, found.actual_BH)
        told["pool"] = float(pooled_B.mean()) / naive
        best = 1 + int(scores_M[1:].argmin())
        gain_B = (scores_MB[best] - pooled_B) / naive
        reason = (
            f"CRPS of {len(gain_B):,} validation forecasts, naive forecast 1: network "
            f"{scores_M[0]:.2f}, {found.names[best]} {scores_M[best]:.2f}, pool {told['pool']:.2f}"
        )
        if averaged and prefers_simple(gain_B, units):
            weights_M = np.eye(len(found.names))[best]
            reason = f"the pool with the network is not clearly better: {reason}"
    ends: tuple[int, ...] = ()
    factors: tuple[float, ...] = ()
    if settings.intervals:
        ends = _buckets(horizon, independent)
        pooled_BQH = np.tensordot(weights_M, found.quantiles_MBQH, axes=1)
        firsts = (0, *ends[:-1])
        factors = tuple(
            width_factor(
                pooled_BQH[..., first:end], found.actual_BH[:, first:end], independent, series
            )
            for first, end in zip(firsts, ends, strict=True)
        )
    return PathCalibration(
        weights={
            name: weight
            for name, weight in zip(found.names, weights_M.tolist(), strict=True)
            if weight
        },
        ends=ends,
        factors=factors,
        scores=told,
        forecasts=len(found.rows_B),
        reason=reason,
    )


def forecast_scores(quantiles_BQH: Floats, actual_BH: Floats) -> Floats:
    """Mean quantile score of each forecast, an estimate of its CRPS, (B,).

    Arguments:
        quantiles_BQH: at `LEVELS`, with any axes before.
        actual_BH: observations, at least one in each row; NaN where missing.
    """
    known_BH = np.isfinite(actual_BH)
    away = np.where(known_BH, actual_BH, 0.0)[:, None] - quantiles_BQH
    levels_Q1 = LEVELS[:, None]
    scores = 2 * np.maximum(levels_Q1 * away, (levels_Q1 - 1) * away).mean(axis=-2)
    return np.asarray((scores * known_BH).sum(axis=-1) / known_BH.sum(axis=-1))


def independent_origins(found: MemberForecasts, horizon: int) -> float:
    """Number of forecasts without common steps."""
    count = 0.0
    for series in np.unique(found.series_B):
        rows_O = found.rows_B[found.series_B == series]
        count += float(rows_O.max() - rows_O.min()) / horizon + 1.0
    return count


def prefers_simple(gain_B: Floats, independent: float) -> bool:
    """True if the best simple method replaces the pool.

    With many origins it does unless the pool is better by one paired standard error. With few, that
    error is large and tells little: it does if it is better by one itself.

    Arguments:
        gain_B: score of the best simple method less that of the pool, for each forecast.
        independent: number of independent forecasts.
    """
    if len(gain_B) < 2:
        return False
    error = float(gain_B.std(ddof=1)) / np.sqrt(independent)
    return bool(gain_B.mean() < -error if independent < FEW else gain_B.mean() <= error)


def pool_weights(names: Sequence[str], scores_M: Floats, independent: float) -> Floats:
    """Weights of the members of a pool, 1 in all.

    Arguments:
        names: of the members.
        scores_M: mean score of each member as a share of the naive forecast's.
        independent: number of independent forecasts.
    """
    scores_M = np.maximum(scores_M, 1e-9)
    own_M = np.array([name == NETWORK for name in names])
    scores_M *= 1 + own_M * (OPTIMISM[0] + OPTIMISM[1] / independent)
    fitted_M = np.array([name in FITTED for name in names])
    logs = np.log(scores_M[fitted_M])
    trust = independent / (independent + COMMON)
    scores_M[fitted_M] = np.exp(logs.mean() + trust * (logs - logs.mean()))
    relative_M = scores_M / scores_M.min()
    near_M = relative_M <= NEAR[0] + NEAR[1] / independent
    weights_M = np.exp(-RATE * min(independent, SUREST) * (relative_M - 1))
    weights_M = (1 - EQUAL) * weights_M / weights_M.sum() + EQUAL * near_M / near_M.sum()
    weights_M[weights_M < LEAST_WEIGHT] = 0.0
    return np.asarray(weights_M / weights_M.sum())


def _buckets(horizon: int, independent: float) -> tuple[int, ...]:
    count = BUCKETS if independent >= MANY and horizon >= 2 * BUCKETS else 1
    return tuple(-(-horizon * (place + 1) // count) for place in range(count))


def width_factor(
    quantiles_BQH: Floats, actual_BH: Floats, independent: float, series: int = 1
) -> float:
    """Choose the factor that gives 90 % intervals their coverage.

    Split conformal prediction: the ceil((n + 1) 0.9)-th of n distances from the median, in units of
    the half-width of the 90 % interval on that side. Where few forecasts are independent, a larger
    one is taken, by part of the standard error of 0.9, and the factor is shrunk towards 1. Where
    wider intervals make the forecasts worse, it is its square root: errors have heavy tails.

    Arguments:
        quantiles_BQH: at `LEVELS`.
        actual_BH: observations.
        independent: number of independent forecasts.
        series: that they are of.
    """
    low_BH, middle_BH, high_BH = (quantiles_BQH[:, place] for place in (0, 9, 18))
    half_BH = np.where(actual_BH > middle_BH, high_BH - middle_BH, middle_BH - low_BH)
    usable_BH = np.isfinite(actual_BH) & (half_BH > 0)
    scores = np.sort(np.abs(actual_BH - middle_BH)[usable_BH] / half_BH[usable_BH])
    if len(scores) < LEAST_SCORES:
        return 1.0
    level = COVERAGE + SAFETY * np.sqrt(COVERAGE * (1 - COVERAGE) / independent)
    place = min(len(scores), int(np.ceil((len(scores) + 1) * level)))
    factor = float(np.clip(scores[place - 1], 1 / LARGEST_FACTOR, LARGEST_FACTOR))
    shrinking = WIDENING if factor > 1 else NARROWING
    units = independent / float(np.sqrt(series))
    factor **= units / (units + shrinking)
    if factor > 1:
        scored_B: NDArray[np.bool_] = np.asarray(np.isfinite(actual_BH).any(axis=1))
        middle_BQH = quantiles_BQH[scored_B, 9:10]
        wider_BQH = middle_BQH + factor * (quantiles_BQH[scored_B] - middle_BQH)
        before_B, after_B = (
            forecast_scores(each, actual_BH[scored_B])
            for each in (quantiles_BQH[scored_B], wider_BQH)
        )
        if after_B.mean() > WORSE * before_B.mean():
            factor **= 0.5
    return float(factor)
