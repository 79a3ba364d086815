"""Forecasts drawn from a model after histories, and finished paths."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import History
from rhapsode.data.tables import SeriesSet, future_times
from rhapsode.errors import DataError, SettingsError
from rhapsode.generation import Chain
from rhapsode.generation.paths import path_seed, sample_paths
from rhapsode.modalities.series.facts import Covariates, SeriesBundle
from rhapsode.modalities.series.pool.finished_paths import LEAST_PATHS, finish_paths

if TYPE_CHECKING:
    from rhapsode.bundle.value_predictor import ValuePredictor, ValueState


Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
# Known values, at least, from which a history is taken to be constant, or of whole numbers.
LEAST_KNOWN = 4
# Share of the 80 % interval by which one path may move a mean, a little below a tenth; fewer paths
# than `LEAST_DRAWN` have no such interval. A larger share of the paths than `MOST_DRAWN` is a rare
# event rather than chance.
MOST_MOVED, LEAST_DRAWN, MOST_DRAWN = 0.099, 20, 0.01
# Standard errors by which one path may move a mean of values that are mostly one.
MOST_ERRORS = 2.9
# Share of one value above which values are intermittent.
MOSTLY = 0.5
# Numbers of one forecast, 2 GB.
MOST_NUMBERS = 1 << 28


def state_after(
    predictor: ValuePredictor[SeriesBundle], given: SeriesSet, which: Ints, rows: Ints
) -> ValueState:
    """State of a predictor after the first rows of series.

    Arguments:
        predictor: the model.
        given: the series.
        which: of it, B; one may occur several times.
        rows: how many first rows of each are known, B.
    """
    facts = predictor.bundle.facts
    histories = []
    for series, count in zip(which.tolist(), rows.tolist(), strict=True):
        first = int(given.offsets[series])
        last = slice(first + max(0, count - facts.warm_up), first + count)
        known_TX = facts.covariates.rows(given, series, given.times_N[last], given.known_NC[last])
        histories.append(History(given.values_NK[first : first + count], known_TX))
    return predictor.begin(histories, facts.covariates.condition(given, which))


def future_covariates(
    given: SeriesSet,
    covariates: Covariates,
    series: int,
    rows: int,
    horizon: int,
    *,
    wanted: bool = True,
) -> tuple[Ints, NDArray[np.float32]]:
    """Times and covariates of the steps after the first rows.

    Arguments:
        given: the series; covariates known ahead are in its rows after `rows`.
        covariates: of the model.
        series: which.
        rows: how many rows are history.
        horizon: how many steps follow.
        wanted: True if covariates that are not known ahead are an error; else they are missing.

    Raises:
        DataError: covariates that must be known ahead are not given so far.
    """
    begin = int(given.offsets[series]) + rows
    there = slice(begin, min(begin + horizon, int(given.offsets[series + 1])))
    times, known_NC = given.times_N[there], given.known_NC[there]
    if len(times) < horizon:
        times = np.concatenate((times, future_times(given, series, horizon - len(times))))
    known_TC = np.full((horizon, len(given.known_names)), np.nan)
    known_TC[: len(known_NC)] = known_NC
    names = given.known_names
    missing = [
        each
        for each in covariates.known
        if each in names and np.isnan(known_TC[:, names.index(each)]).any()
    ]
    if wanted and missing:
        raise DataError(
            f"{missing[0]!r} must be known for all {horizon} steps of the forecast",
            where=f"series {given.ids[series]!r}",
            hint="add rows with it after the last value, or set a smaller horizon",
        )
    return times, covariates.rows(given, series, times, known_TC)


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
    kept: bool = True,
    calibrated: bool = True,
) -> tuple[NDArray[np.float64], list[Ints]]:
    """Sample paths (B, S, H, K) after the first rows, and times.

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
        wanted: True if covariates that are not known ahead are an error; else they are missing.
        kept: True to keep properties of the histories; see `keep_properties`.
        calibrated: True for the paths of the calibrated model, False for those of the network.
            Temperatures other than 1, filters and paths without `kept` are those of the network.

    Raises:
        SettingsError: more numbers than can be held.
        DataError: covariates are not known ahead.
    """
    facts = predictor.bundle.facts
    covariates = facts.covariates
    numbers = len(which) * samples * horizon * predictor.element_size
    if numbers > MOST_NUMBERS:
        raise SettingsError(
            f"{len(which):,} series x {samples:,} paths x {horizon:,} steps are "
            f"{numbers:,} numbers, too many to hold",
            where="--samples",
            hint="ask for fewer paths, steps or series at a time",
        )
    origins = list(zip(which.tolist(), rows.tolist(), strict=True))
    ahead = [
        future_covariates(given, covariates, series, count, horizon, wanted=wanted)
        for series, count in origins
    ]
    seeds = [path_seed(seed, f"{given.ids[series]}:{count}") for series, count in origins]
    plain = temperature == 1 and not (chain and chain.filters)
    calibrated = calibrated and kept and plain and predictor.bundle.calibration.paths is not None
    drawn = sample_paths(
        predictor,
        state_after(predictor, given, which, rows),
        np.stack([known_HX for _, known_HX in ahead]),
        samples=max(samples, LEAST_PATHS) if calibrated else samples,
        seeds=seeds,
        temperature=temperature,
        chain=chain,
        filter_seed=seed,
    )
    if kept:
        drawn = finished_forecasts(
            predictor.bundle, drawn, given, which, rows, seed=seed, calibrated=calibrated
        )
    return drawn[:, :samples], [times for times, _ in ahead]


def finished_forecasts(
    bundle: SeriesBundle,
    paths_BSHK: Floats,
    given: SeriesSet,
    which: Ints,
    rows: Ints,
    *,
    seed: int,
    calibrated: bool,
) -> Floats:
    """Paths of a network with its calibration and properties of the histories.

    Arguments:
        bundle: the model.
        paths_BSHK: of the network; they are not changed.
        given: the series.
        which: of it, B.
        rows: how many first rows of each are known, B.
        seed: of the order of equal values.
        calibrated: False to leave out the calibration.
    """
    facts, calibration = bundle.facts, bundle.calibration.paths
    firsts = given.offsets[which]
    histories = [
        given.values_NK[first : first + count]
        for first, count in zip(firsts.tolist(), rows.tolist(), strict=True)
    ]
    columns = [[*history_TK.T] for history_TK in histories]
    finished = paths_BSHK.copy()
    if calibrated and calibration is not None:
        for number, own in enumerate(zip(*columns, strict=True)):
            paths_BSH = paths_BSHK[..., number]
            finished[..., number] = finish_paths(
                calibration, paths_BSH, own, facts.season, seed=seed
            )
        steps_H1 = np.arange(paths_BSHK.shape[2])[:, None]
        for paths_SHK, history_TK in zip(finished, histories, strict=True):
            paths_SHK[:] = bundle.encoder.stats(history_TK).limited(paths_SHK, steps_H1)
    for number, own in enumerate(zip(*columns, strict=True)):
        lowest = None if facts.lowest is None else facts.lowest[number]
        for place, history_T in enumerate(own):
            draw_in_extremes(finished[place, :, :, number], history_T)
            keep_properties(finished[place, :, :, number], history_T, facts.season, lowest)
    return finished


@np.errstate(over="ignore", invalid="ignore")  # of the largest numbers, which are left as they are
def draw_in_extremes(paths_SH: Floats, history_T: Floats) -> None:
    """Draw in, in place, values of single paths that decide a mean.

    Each of the most extreme hundredth of the values of a step may move their mean by a tenth of the
    80 % interval, or lies no further out than the other values. Forecasts and histories that are
    mostly one value may have an empty interval: there it is three standard errors, from the
    spread of the other paths or of the history.

    Arguments:
        paths_SH: sample paths of one number.
        history_T: its values, NaN where missing.
    """
    count = len(paths_SH)
    known_T = history_T[np.isfinite(history_T)]
    if count < LEAST_DRAWN or not len(known_T):
        return
    few, spread = max(1, round(MOST_DRAWN * count)), float(known_T.std())
    rare = _commonest(known_T) > MOSTLY
    low, high = round(0.1 * (count - 1)), round(0.9 * (count - 1))
    parts_SH = np.partition(paths_SH, (low, high), axis=0)
    most_H = MOST_MOVED * (parts_SH[high] - parts_SH[low]) * (count - 1)
    away_H = np.abs(paths_SH - paths_SH.mean(axis=0)).max(axis=0)
    for step in np.flatnonzero(away_H > most_H):
        column_S = paths_SH[:, step]
        order_S = np.abs(column_S - np.median(column_S)).argsort()
        inner_R, outer = column_S[order_S[:-few]], order_S[-few:]
        most = most_H[step]
        if rare or _commonest(column_S) > MOSTLY:
            most = MOST_ERRORS * math.sqrt(count) * max(float(inner_R.std()), spread)
        mean = float(inner_R.mean())
        limit = max(most, float(np.abs(inner_R - mean).max()))
        if math.isfinite(limit):
            column_S[outer] = np.clip(column_S[outer], mean - limit, mean + limit)


def _commonest(values_N: Floats) -> float:
    """Share of the commonest value."""
    return float(np.unique(values_N, return_counts=True)[1].max() / len(values_N))


def keep_properties(
    paths_SH: Floats, history_T: Floats, season: int, lowest: float | None = None
) -> None:
    """Give paths, in place, properties that all values of their history have.

    A constant history is continued exactly. Paths of a history without negative values are never
    negative, and those of whole numbers are whole.

    Arguments:
        paths_SH: sample paths of one number.
        history_T: its values, NaN where missing.
        season: values to a season; a shorter history does not tell that there are no negative
            values.
        lowest: of all values in training; None if it is not known.
    """
    known_T = history_T[np.isfinite(history_T)]
    if not len(known_T):
        return
    least = float(known_T.min())
    if len(known_T) >= LEAST_KNOWN and least == known_T.max():
        paths_SH[:] = least
        return
    if least >= 0 and (len(known_T) >= 2 * season or (lowest is not None and lowest >= 0)):
        np.maximum(paths_SH, 0.0, out=paths_SH)
    if len(known_T) >= LEAST_KNOWN and (known_T == np.rint(known_T)).all():
        np.rint(paths_SH, out=paths_SH)
