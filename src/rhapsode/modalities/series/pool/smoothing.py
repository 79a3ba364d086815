"""Theta and damped exponential smoothing of many histories at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rhapsode.modalities.series.pool.histories import Floats, Histories, Ints, in_time

# Seasons of a history, at least, that seasonal smoothing needs.
LEAST_SEASONS = 3
LEVEL_RATES = (0.03, 0.1, 0.25, 0.5, 0.75, 0.95)
TREND_RATES = (0.05, 0.25)
DAMPING = (0.85, 0.96)
SEASON_RATES = (0.03, 0.15, 0.4)
THETA_RATES = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99)


def theta(given: Histories) -> tuple[Floats, Floats]:
    """Theta method: simple smoothing with half the slope of a straight line.

    Assimakopoulos and Nikolopoulos 2000, as Hyndman and Billah 2003 write it. The season is removed
    before where that lowers the Akaike criterion.
    """
    rows, season = len(given.lengths_B), given.season
    profiles_SB = np.zeros((max(1, season), rows))
    plain = _smoothed_line(given.values_TB, given.lengths_B)
    if season > 1:
        for row, length in enumerate(given.lengths_B):
            if length >= 2 * season:
                profiles_SB[:, row] = _season_of(given.values_TB[:length, row], season)
        phase_T = np.arange(len(given.values_TB)) % season
        without_TB = given.values_TB - profiles_SB[phase_T]
        seasonal = _smoothed_line(without_TB, given.lengths_B)
        cost_B = given.lengths_B * np.log(seasonal.errors_B / np.maximum(plain.errors_B, 1e-300))
        better_B = (cost_B + 2 * (season - 1) < 0) & (given.lengths_B >= 2 * season)
        profiles_SB[:, ~better_B] = 0.0
        plain = _SmoothedLine(
            *(np.where(better_B, one, other) for one, other in zip(seasonal, plain, strict=True))
        )
    ahead_H = np.arange(1, given.steps + 1)
    centre_BH = plain.level_B[:, None] + plain.slope_B[:, None] * ahead_H
    phase_BH = (given.lengths_B[:, None] + ahead_H - 1) % max(1, season)
    centre_BH += profiles_SB[phase_BH, np.arange(rows)[:, None]]
    growth_BH = 1 + np.square(plain.rate_B)[:, None] * (ahead_H - 1)
    variance_B = plain.errors_B / np.maximum(1, given.lengths_B - 3)
    return centre_BH, np.sqrt(variance_B[:, None] * growth_BH)


class _SmoothedLine(NamedTuple):
    """Simple smoothing with a fixed slope.

    Arguments:
        level_B: at the end.
        slope_B: of a step.
        rate_B: of smoothing, that of the least errors.
        errors_B: sum of squared one-step errors.
    """

    level_B: Floats
    slope_B: Floats
    rate_B: Floats
    errors_B: Floats


def _smoothed_line(values_TB: Floats, lengths_B: Ints) -> _SmoothedLine:
    time_TB = np.arange(len(values_TB))[:, None] - (lengths_B - 1) / 2
    time_TB[np.isnan(values_TB)] = 0.0
    squares_B = np.maximum(1.0, np.square(time_TB).sum(axis=0))
    slope_B = 0.5 * np.nansum(time_TB * values_TB, axis=0) / squares_B
    rates_G = np.array(THETA_RATES)
    level_BG = np.repeat(values_TB[0][:, None], len(rates_G), axis=1)
    errors_BG = np.zeros_like(level_BG)
    for value_B, count in in_time(values_TB, lengths_B, 1):
        level = level_BG[:count]
        level += slope_B[:count, None]
        error = value_B[:, None] - level
        errors_BG[:count] += error * error
        level += rates_G * error
    best_B = errors_BG.argmin(axis=1)
    rows_B = np.arange(len(lengths_B))
    return _SmoothedLine(
        level_BG[rows_B, best_B], slope_B, rates_G[best_B], errors_BG[rows_B, best_B]
    )


def _season_of(values_T: Floats, season: int) -> Floats:
    """Seasonal profile by classical decomposition; its mean is 0."""
    weights = np.ones(season + 1 - season % 2)
    if season % 2 == 0:
        weights[[0, -1]] = 0.5
    trend_T = np.convolve(values_T, weights / weights.sum(), mode="valid")
    first = len(weights) // 2
    padded = np.full(-(-len(values_T) // season) * season, np.nan)
    padded[first : first + len(trend_T)] = values_T[first : first + len(trend_T)] - trend_T
    table_CS = padded.reshape(-1, season)
    counts_S = np.isfinite(table_CS).sum(axis=0)
    profile_S = np.nansum(table_CS, axis=0) / np.maximum(1, counts_S)
    return np.asarray(profile_S - profile_S.mean())


def in_proportion(given: Histories) -> tuple[Histories, NDArray[np.bool_]]:
    """Histories with logarithms of those that grow in proportion.

    The second array tells which these are, by the likelihood of damped smoothing.
    """
    positive_B = np.nanmin(given.values_TB, axis=0) > 0
    if not positive_B.any():
        return given, positive_B
    some = given.select(positive_B)
    logs = replace(some, values_TB=np.log(some.values_TB))
    plain, logged = _best_states(some), _best_states(logs)
    skipped_B = np.minimum(logged.skipped_B, some.lengths_B)
    counted_TB = np.arange(len(some.values_TB))[:, None] >= skipped_B
    jacobian_B = np.nansum(np.where(counted_TB, logs.values_TB, 0.0), axis=0)
    better_B = logged.cost_B + 2 * jacobian_B < plain.cost_B
    log_B = positive_B.copy()
    log_B[positive_B] = better_B
    values_TB = given.values_TB.copy()
    values_TB[: len(logs.values_TB), log_B] = logs.values_TB[:, better_B]
    return replace(given, values_TB=values_TB), log_B


def damped_ets(given: Histories) -> tuple[Floats, Floats]:
    """Damped exponential smoothing with the best rates of each history."""
    return _best_states(given).forecast(given)


def _best_states(given: Histories) -> _States:
    """Additive smoothing of level, damped trend and season.

    Hyndman et al. 2008, models (A,N,N), (A,Ad,N), (A,N,A) and (A,Ad,A) with the rates of a grid.
    The first states are those of the first two seasons, and the errors after these choose the
    model.
    """
    season = given.season
    flat = [(level, 0.0, 0.0, 0.0) for level in LEVEL_RATES]
    trends = [
        (level, level * trend, 0.0, damping)
        for level, trend, damping in product(LEVEL_RATES[1:], TREND_RATES, DAMPING)
    ]
    plain = _states(given, flat + trends, 1, 2)
    if season > 1:
        seasonal_B = given.lengths_B >= LEAST_SEASONS * season
        if seasonal_B.any():
            long = given.select(seasonal_B)
            grid = [
                (level, slope, rate, damping)
                for (level, slope, _, damping), rate in product(flat + trends, SEASON_RATES)
            ]
            both = [
                _states(long, flat + trends, 1, 2 * season),
                _states(long, grid, season, 2 * season),
            ]
            best = both[0].better_of(both[1])
            plain = plain.replaced(seasonal_B, best)
    return plain


@dataclass(frozen=True)
class _States:
    """States at the end of histories, for the best rates of each.

    Arguments:
        level_B: at the end.
        trend_B: of a step.
        rates_B4: of level, trend and season, and the damping of the trend.
        profile_SB: season of the steps that follow.
        variance_B: of one-step errors.
        cost_B: Akaike criterion.
        skipped_B: first steps that it does not count.
    """

    level_B: Floats
    trend_B: Floats
    rates_B4: Floats
    profile_SB: Floats
    variance_B: Floats
    cost_B: Floats
    skipped_B: Ints

    def better_of(self, other: _States) -> _States:
        """The states of the lower cost."""
        return self.replaced(other.cost_B < self.cost_B, other, every=True)

    def replaced(
        self, chosen_B: NDArray[np.bool_], other: _States, *, every: bool = False
    ) -> _States:
        """These states, in the chosen rows those of another.

        Arguments:
            chosen_B: rows that change.
            other: states of all rows if `every`, else of the chosen ones.
            every: see `other`.
        """
        pick = chosen_B if every else slice(None)
        profile_SB = np.zeros((max(len(self.profile_SB), len(other.profile_SB)), len(chosen_B)))
        profile_SB[:] = np.resize(self.profile_SB, profile_SB.shape)
        profile_SB[:, chosen_B] = np.resize(
            other.profile_SB, (len(profile_SB), other.profile_SB.shape[1])
        )[:, pick]
        mixed = []
        for name in ("level_B", "trend_B", "rates_B4", "variance_B", "cost_B", "skipped_B"):
            values = getattr(self, name).copy()
            values[chosen_B] = getattr(other, name)[pick]
            mixed.append(values)
        level_B, trend_B, rates_B4, *others = mixed
        return _States(level_B, trend_B, rates_B4, profile_SB, *others)

    def forecast(self, given: Histories) -> tuple[Floats, Floats]:
        steps, season = given.steps, len(self.profile_SB)
        level, trend, rate, damping = self.rates_B4.T[:, :, None]
        damped_BH = np.cumsum(damping ** np.arange(1, steps + 1), axis=1)
        centre_BH = self.level_B[:, None] + damped_BH * self.trend_B[:, None]
        centre_BH += self.profile_SB[np.arange(steps) % season].T
        weights_BH = level + trend * damped_BH
        weights_BH[:, season - 1 :: season] += rate * (season > 1)
        sums_BH = 1 + np.cumsum(np.square(weights_BH), axis=1)
        growth_BH = np.concatenate([np.ones((len(sums_BH), 1)), sums_BH[:, :-1]], axis=1)
        return centre_BH, np.sqrt(self.variance_B[:, None] * growth_BH)


def _states(
    given: Histories, grid: Sequence[tuple[float, ...]], season: int, skipped: int
) -> _States:
    """Smooth histories with every entry of a grid, and keep the best states.

    Arguments:
        given: the histories.
        grid: rates of level, trend and season, and damping of the trend.
        season: steps in a season, 1 for a model without.
        skipped: first steps whose errors do not count.
    """
    rates_G4 = np.array(grid)
    rates_4G = rates_G4.T
    level_G, trend_G, season_G, damping_G = rates_4G
    rows, size = len(given.lengths_B), len(grid)
    profile_SBG = np.zeros((season, rows, size))
    trend_B, level_B = np.zeros(rows), given.values_TB[0].copy()
    if season > 1:
        two_SB = given.values_TB[: 2 * season].reshape(2, season, rows)
        first_B, second_B = two_SB.mean(axis=1)
        trend_B = (second_B - first_B) / season
        level_B = first_B - trend_B * (season + 1) / 2
        line_TB = level_B + trend_B * np.arange(1, 2 * season + 1)[:, None]
        profile_SBG += (two_SB - line_TB.reshape(two_SB.shape)).mean(axis=0)[:, :, None]
    level_BG = np.repeat(level_B[:, None], size, axis=1)
    trend_BG = np.repeat(trend_B[:, None], size, axis=1) * (damping_G > 0)
    errors_BG = np.zeros((rows, size))
    for step, (value_B, count) in enumerate(in_time(given.values_TB, given.lengths_B, 0)):
        level, trend = level_BG[:count], trend_BG[:count]
        profile = profile_SBG[step % season, :count]
        trend *= damping_G
        level += trend
        error = value_B[:, None] - level
        if season > 1:
            error -= profile
            profile += season_G * error
        level += level_G * error
        trend += trend_G * error
        if step >= skipped:
            errors_BG[:count] += error * error
    counts_B = np.maximum(1, given.lengths_B - skipped)
    freedom_G = 1 + 2 * (damping_G > 0) + (season > 1)
    cost_BG = counts_B[:, None] * np.log(errors_BG / counts_B[:, None]) + 2 * freedom_G
    best_B, rows_B = cost_BG.argmin(axis=1), np.arange(rows)
    turns_SB = (given.lengths_B + np.arange(season)[:, None]) % season
    freedom_B = np.maximum(1, counts_B - freedom_G[best_B])
    return _States(
        level_BG[rows_B, best_B],
        trend_BG[rows_B, best_B],
        rates_G4[best_B],
        profile_SBG[turns_SB, rows_B, best_B],
        errors_BG[rows_B, best_B] / freedom_B,
        cost_BG[rows_B, best_B],
        np.full(rows, skipped),
    )
