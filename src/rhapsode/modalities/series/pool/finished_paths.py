"""Transformation of sample paths by a pool and factors of their intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import NETWORK, PathCalibration
from rhapsode.errors import BundleError
from rhapsode.modalities.series.pool.simple_methods import SIMPLE, simple_forecasts

Floats = NDArray[np.float64]

# Paths of a forecast, at least, whose ranks place the pooled quantiles.
LEAST_PATHS = 100
# Part of the values of a history that are 0, beyond which its forecasts are those of the network.
MOST_ZEROS = 0.25


def is_intermittent(history_T: Floats) -> bool:
    """True if many values are 0, which normal distributions do not describe.

    Zeros before the first other value are those of a series that began later: they do not count.
    """
    known_T = history_T[np.isfinite(history_T)]
    begun_T = known_T[np.argmax(known_T != 0) :] if len(known_T) else known_T
    return bool((begun_T == 0).sum() > MOST_ZEROS * len(begun_T))


def step_factors(calibration: PathCalibration, horizon: int) -> Floats:
    """The factor of every step, (H,)."""
    if not calibration.factors:
        return np.ones(horizon)
    buckets_H = np.searchsorted(calibration.ends, np.arange(1, horizon + 1))
    return np.array(calibration.factors)[np.minimum(buckets_H, len(calibration.factors) - 1)]


def finish_paths(
    calibration: PathCalibration,
    paths_BSH: Floats,
    histories: Sequence[Floats],
    season: int,
    *,
    seed: int = 0,
) -> Floats:
    """Paths whose steps have the pooled quantiles, (B, S, H).

    The order of the paths at every step is kept, and with it the dependence between steps
    (ensemble copula coupling, Schefzik, Thorarinsdottir and Gneiting 2013).

    Arguments:
        calibration: weights and factors.
        paths_BSH: of the network.
        histories: values before each forecast; NaN where missing.
        season: steps in a season, 1 for none.
        seed: of the order of equal values.

    Returns:
        The paths; those of the network for intermittent histories without a calibration of their
        own, and where a simple method has no forecast.

    Raises:
        BundleError: an unknown method.
    """
    _, samples, horizon = paths_BSH.shape
    keys_SH = np.random.default_rng(seed).random((samples, horizon))
    zeros_B = np.array([is_intermittent(history) for history in histories], dtype=bool)
    finished_BSH = paths_BSH.copy()
    for own, chosen_B in ((calibration, ~zeros_B), (calibration.zeros, zeros_B)):
        if own is not None and chosen_B.any():
            some = [history for history, one in zip(histories, chosen_B, strict=True) if one]
            finished_BSH[chosen_B] = _finished(own, paths_BSH[chosen_B], some, season, keys_SH)
    return finished_BSH


@np.errstate(over="ignore", invalid="ignore")  # of forecasts that are replaced below
def _finished(
    calibration: PathCalibration,
    paths_BSH: Floats,
    histories: Sequence[Floats],
    season: int,
    keys_SH: Floats,
) -> Floats:
    """Paths of one group; `keys_SH` order equal values."""
    weights = dict(calibration.weights)
    own = weights.pop(NETWORK, 0.0)
    if unknown := weights.keys() - SIMPLE.keys():
        raise BundleError(f"unknown method {min(unknown)!r} in the pool of this model")
    _, samples, horizon = paths_BSH.shape
    order_BSH = np.lexsort((np.broadcast_to(keys_SH, paths_BSH.shape), paths_BSH), axis=1)
    pooled_BSH = np.take_along_axis(paths_BSH, order_BSH, axis=1)
    levels_S = np.arange(1, samples + 1) / (samples + 1)
    if weights:
        found = simple_forecasts(histories, horizon, season, tuple(weights))
        pooled_BSH = own * pooled_BSH if own else np.zeros_like(pooled_BSH)
        for name, weight in weights.items():
            pooled_BSH += weight * found[name].quantiles(levels_S)
    if calibration.factors:
        median_B1H = np.median(pooled_BSH, axis=1, keepdims=True)
        pooled_BSH = median_B1H + step_factors(calibration, horizon) * (pooled_BSH - median_B1H)
    finished_BSH = np.empty_like(pooled_BSH)
    np.put_along_axis(finished_BSH, order_BSH, pooled_BSH, axis=1)
    usable_B: NDArray[np.bool_] = np.asarray(np.isfinite(finished_BSH).all(axis=(1, 2)))
    return np.where(usable_B[:, None, None], finished_BSH, paths_BSH)
