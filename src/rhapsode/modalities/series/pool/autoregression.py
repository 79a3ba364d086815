"""Autoregressions of many histories at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rhapsode.modalities.series.pool.histories import Floats, Histories
from rhapsode.modalities.series.pool.naive_methods import drift

# Effect of one error on a later value, from which on an autoregression is not used.
LARGEST_RESPONSE = 3.0
# Cost of an autoregression of the values, which return to their mean: short walks seem to.
MEAN_REVERSION = 6.0


def autoregression(given: Histories) -> tuple[Floats, Floats]:
    """Least-squares autoregression of values or of their differences.

    Differences are over one step or a season, with a constant, which is a trend of the values. The
    Akaike criterion chooses. Histories too short for that are forecast by their drift.
    """
    season = given.season
    centre_BH, spread_BH = drift(given)
    for seasonal in (False, True) if season > 1 else (False,):
        lags = sorted({1, 2, 3, *((season, season + 1) if seasonal else ())})
        reach = max(lags) + (season if seasonal else 1)
        long_B = given.lengths_B >= reach + 3 * (len(lags) + 2)
        if not long_B.any():
            continue
        some = given.select(long_B)
        # All fits to long enough histories are to the same values: their criteria compare.
        least_B = np.full(int(long_B.sum()), np.inf)
        centre, spread = centre_BH[long_B], spread_BH[long_B]
        for back in (0, 1, season) if seasonal else (0, 1):
            found, wide, cost = _iterated(some, lags, back, reach)
            cost += 0 if back else MEAN_REVERSION
            better_B = cost < least_B
            centre[better_B], spread[better_B] = found[better_B], wide[better_B]
            least_B[better_B] = cost[better_B]
        centre_BH[long_B], spread_BH[long_B] = centre, spread
    return centre_BH, spread_BH


def _iterated(
    given: Histories, lags: Sequence[int], back: int, reach: int
) -> tuple[Floats, Floats, Floats]:
    """Iterated forecasts of an autoregression, their spreads and Akaike criterion.

    Arguments:
        given: the histories.
        lags: of the values, or of their differences.
        back: steps of the differences; 0 for the values themselves.
        reach: first values that are not fitted.
    """
    lengths_B, rows = given.lengths_B, len(given.lengths_B)
    shift_B = np.nanmean(given.values_TB, axis=0)
    scale_B = np.nanstd(given.values_TB, axis=0)
    scale_B = np.where(scale_B > 0, scale_B, 1.0)
    z_TB = (given.values_TB - shift_B) / scale_B
    changes_TB = z_TB[back:] - z_TB[: len(z_TB) - back] if back else z_TB
    first = reach - back
    columns = [changes_TB[first - lag : len(changes_TB) - lag] for lag in lags]
    inputs_PTB = np.stack([*columns, np.ones_like(columns[0])])
    known_TB = np.arange(first, len(changes_TB))[:, None] < lengths_B - back
    inputs_PTB = np.where(known_TB, inputs_PTB, 0.0)
    targets_TB = np.where(known_TB, changes_TB[first:], 0.0)
    size = len(inputs_PTB)
    gram_BPP = np.einsum("ptb,qtb->bpq", inputs_PTB, inputs_PTB) + 1e-3 * np.eye(size)
    weights_BP = np.linalg.solve(
        gram_BPP, np.einsum("ptb,tb->bp", inputs_PTB, targets_TB)[..., None]
    )[..., 0]
    left_TB = targets_TB - np.einsum("bp,ptb->tb", weights_BP, inputs_PTB)
    errors_B = np.square(left_TB).sum(axis=0)
    counts_B = lengths_B - reach
    # Coefficients of the values themselves, the nearest first.
    levels_BL = np.zeros((rows, reach + 1))
    if back:
        levels_BL[:, back] = 1.0
    for place, lag in enumerate(lags):
        levels_BL[:, lag] += weights_BP[:, place]
        if back:
            levels_BL[:, lag + back] -= weights_BP[:, place]
    turned_BL = levels_BL[:, :0:-1]
    places_BL = lengths_B[:, None] - reach + np.arange(reach)
    path_BT = np.concatenate(
        [z_TB[places_BL, np.arange(rows)[:, None]], np.zeros((rows, given.steps))], axis=1
    )
    response_BT = np.zeros((rows, reach + given.steps))
    response_BT[:, reach] = 1.0
    for step in range(given.steps):
        end = reach + step
        path_BT[:, end] = (path_BT[:, step:end] * turned_BL).sum(axis=1) + weights_BP[:, -1]
        if step:
            response_BT[:, end] = (response_BT[:, step:end] * turned_BL).sum(axis=1)
    response_BH = response_BT[:, reach:]
    cost_B = counts_B * np.log(errors_B / counts_B) + 2 * size
    cost_B[~(np.abs(response_BH).max(axis=1) < LARGEST_RESPONSE)] = np.inf
    spread_BH = np.sqrt(
        (errors_B / np.maximum(1, counts_B - size))[:, None]
        * np.cumsum(np.square(response_BH), axis=1)
    )
    centre_BH = path_BT[:, reach:] * scale_B[:, None] + shift_B[:, None]
    return centre_BH, spread_BH * scale_B[:, None], cost_B
