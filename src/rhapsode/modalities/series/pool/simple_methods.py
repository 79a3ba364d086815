"""Naive, Theta and damped ETS forecasts of many histories at once.

Every method gives a normal distribution of each step, of the values or of their logarithms. Nothing
but NumPy is needed. Histories are columns of one array, sorted by length, and smoothing runs
through all of them and a grid of parameters in one pass over time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from rhapsode.evaluation.statistical_methods import filled

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Last values of a history that are read, and seasons of them where these are more.
MOST_STEPS, MOST_SEASONS = 1_000, 8
# Histories that are smoothed at once.
AT_ONCE = 256
# Differences, at least, from which the spread of a step is estimated.
LEAST_DIFFERENCES = 8
# Seasons of a history, at least, that seasonal smoothing needs.
LEAST_SEASONS = 3
LEVEL_RATES = (0.03, 0.1, 0.25, 0.5, 0.75, 0.95)
TREND_RATES = (0.05, 0.25)
DAMPING = (0.85, 0.96)
SEASON_RATES = (0.03, 0.15, 0.4)
# Effect of one error on a later value, from which on an autoregression is not used.
LARGEST_RESPONSE = 3.0
# Cost of an autoregression of the values, which return to their mean: short walks seem to.
MEAN_REVERSION = 6.0
THETA_RATES = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99)


@dataclass(frozen=True)
class NormalForecasts:
    """A normal distribution of every step of B forecasts.

    Arguments:
        centre_BH: means, of the values or of their logarithms.
        spread_BH: standard deviations.
        log_B: True where they are of logarithms.
    """

    centre_BH: Floats
    spread_BH: Floats
    log_B: NDArray[np.bool_]

    def quantiles(self, levels_Q: Floats) -> Floats:
        """Quantiles of every step, (B, Q, H)."""
        from scipy.special import ndtri  # type: ignore[import-untyped, unused-ignore]

        scores_Q1 = ndtri(levels_Q)[:, None]
        values_BQH = self.centre_BH[:, None] + self.spread_BH[:, None] * scores_Q1
        logs_BQH = np.minimum(values_BQH[self.log_B], 690.0)
        values_BQH[self.log_B] = np.exp(logs_BQH)
        return np.asarray(values_BQH)


@dataclass(frozen=True)
class _Histories:
    """Histories without gaps as columns, longest first.

    Arguments:
        values_TB: values or logarithms; NaN after the end of each.
        lengths_B: steps of each.
        season: steps in a season.
        steps: steps to forecast, those included that a history ends before its origin.
    """

    values_TB: Floats
    lengths_B: Ints
    season: int
    steps: int

    def last(self, back: int = 1) -> Floats:
        """The value so many steps before the end of each, (B,)."""
        return np.asarray(self.values_TB[self.lengths_B - back, np.arange(len(self.lengths_B))])

    def select(self, chosen: slice | NDArray[np.bool_]) -> _Histories:
        lengths_B = self.lengths_B[chosen]
        longest = int(lengths_B.max())
        return _Histories(self.values_TB[:longest, chosen], lengths_B, self.season, self.steps)

    def scaled(self) -> tuple[_Histories, NDArray[np.bool_]]:
        """The histories, logarithms of those that grow in proportion; and which these are.

        By the likelihood of damped smoothing.
        """
        positive_B = np.nanmin(self.values_TB, axis=0) > 0
        if not positive_B.any():
            return self, positive_B
        some = self.select(positive_B)
        logs = _Histories(np.log(some.values_TB), some.lengths_B, some.season, some.steps)
        plain, logged = _best_states(some), _best_states(logs)
        skipped_B = np.minimum(logged.skipped_B, some.lengths_B)
        counted_TB = np.arange(len(some.values_TB))[:, None] >= skipped_B
        jacobian_B = np.nansum(np.where(counted_TB, logs.values_TB, 0.0), axis=0)
        better_B = logged.cost_B + 2 * jacobian_B < plain.cost_B
        log_B = positive_B.copy()
        log_B[positive_B] = better_B
        values_TB = self.values_TB.copy()
        values_TB[: len(logs.values_TB), log_B] = logs.values_TB[:, better_B]
        return _Histories(values_TB, self.lengths_B, self.season, self.steps), log_B


@np.errstate(over="ignore", invalid="ignore", divide="ignore")  # squares of the largest numbers
def simple_forecasts(
    histories: Sequence[Floats], horizon: int, season: int, names: Sequence[str]
) -> dict[str, NormalForecasts]:
    """Forecasts by simple methods.

    Arguments:
        histories: values of each, (T,); NaN where missing. Gaps are interpolated. Zeros before
            the first other value tell nothing of the spread.
        horizon: steps to forecast, H.
        season: steps in a season, 1 for none.
        names: of `SIMPLE`.

    Returns:
        By method; not finite where a history has no value, or values too large to square.
    """
    most = max(MOST_STEPS, MOST_SEASONS * season)
    known = [filled(history[-most:]) for history in histories]
    gaps_B = np.array([_gap(history) for history in histories], dtype=np.int64)
    lengths_B = np.array(list(map(len, known)), dtype=np.int64)
    order_B = np.argsort(-lengths_B, kind="stable")
    order_B = order_B[lengths_B[order_B] > 0]
    shape = (len(histories), horizon)
    log_B = np.zeros(len(histories), dtype=bool)
    if not len(order_B):
        nothing = np.full(shape, np.nan)
        return {name: NormalForecasts(nothing, nothing, log_B) for name in names}
    values_TB = np.full((int(lengths_B.max()), len(order_B)), np.nan)
    for place, number in enumerate(order_B):
        values_TB[: lengths_B[number], place] = known[number]
    steps = horizon + int(gaps_B[order_B].max())
    whole = _Histories(values_TB, lengths_B[order_B], season, steps)
    parts = [
        whole.select(slice(first, first + AT_ONCE)).scaled()
        for first in range(0, len(order_B), AT_ONCE)
    ]
    log_B[order_B] = np.concatenate([logged_B for _, logged_B in parts])
    ahead_BH = gaps_B[order_B][:, None] + np.arange(horizon)
    begun_B = np.maximum(1, whole.lengths_B - np.argmax(values_TB != 0, axis=0))
    widened_B = np.sqrt(whole.lengths_B / begun_B)
    found = {}
    for name in names:
        drawn = [SIMPLE[name](part) for part, _ in parts]
        centre_BH, spread_BH = np.full(shape, np.nan), np.full(shape, np.nan)
        for target_BH, number in ((centre_BH, 0), (spread_BH, 1)):
            every = np.concatenate([part[number] for part in drawn])
            if number:
                every = every * widened_B[:, None]
            target_BH[order_B] = np.take_along_axis(every, ahead_BH, axis=1)
        found[name] = NormalForecasts(centre_BH, spread_BH, log_B)
    return found


def _gap(history_T: Floats) -> int:
    """Missing values at the end."""
    (known,) = np.nonzero(np.isfinite(history_T))
    return len(history_T) - 1 - int(known[-1]) if len(known) else 0


def _naive(given: _Histories, lag: int, *, drift: bool = False) -> tuple[Floats, Floats]:
    """Repeat the last `lag` values; a history too short for that repeats the last one.

    The spread of a step is that of changes over as many steps inside the history. It grows as the
    square root of time beyond the steps that can be estimated.
    """
    values_TB, lengths_B = given.values_TB, given.lengths_B
    rows = len(lengths_B)
    slope_B = np.zeros(rows)
    if drift:
        slope_B = (given.last() - values_TB[0]) / np.maximum(1, lengths_B - 1)
    cycles = -(-given.steps // lag)
    spread_CB = np.zeros((cycles, rows))
    for cycle in range(cycles):
        back = (cycle + 1) * lag
        changes_TB = values_TB[back:] - values_TB[:-back]
        counts_B = np.maximum(0, lengths_B - back)
        if drift:
            changes_TB = changes_TB - back * slope_B
        sums_B = np.nansum(np.square(changes_TB), axis=0)
        estimated_B = np.sqrt(sums_B / np.maximum(1, counts_B))
        if drift:
            estimated_B *= np.sqrt(1 + back / np.maximum(1, lengths_B))
        grown_B = spread_CB[cycle - 1] * np.sqrt((cycle + 1) / max(1, cycle))
        enough_B = counts_B >= (LEAST_DIFFERENCES if cycle else 1)
        spread_CB[cycle] = np.where(enough_B, estimated_B, grown_B)
    steps_H = np.arange(given.steps)
    places_BH = np.minimum(lag, lengths_B)[:, None] - steps_H % lag
    centre_BH = values_TB[
        np.maximum(0, lengths_B[:, None] - np.maximum(1, places_BH)), np.arange(rows)[:, None]
    ] + slope_B[:, None] * (1 + steps_H)
    return centre_BH, spread_CB[steps_H // lag].T


def _last_value(given: _Histories) -> tuple[Floats, Floats]:
    return _naive(given, 1)


def _drift(given: _Histories) -> tuple[Floats, Floats]:
    return _naive(given, 1, drift=True)


def _seasonal_naive(given: _Histories) -> tuple[Floats, Floats]:
    centre_BH, spread_BH = _naive(given, 1)
    long_B = given.lengths_B > given.season
    if given.season > 1 and long_B.any():
        centre_BH[long_B], spread_BH[long_B] = _naive(given.select(long_B), given.season)
    return centre_BH, spread_BH


def _theta(given: _Histories) -> tuple[Floats, Floats]:
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
            *(
                np.where(better_B, one, other)
                for one, other in zip(_fields(seasonal), _fields(plain), strict=True)
            )
        )
    ahead_H = np.arange(1, given.steps + 1)
    centre_BH = plain.level_B[:, None] + plain.slope_B[:, None] * ahead_H
    phase_BH = (given.lengths_B[:, None] + ahead_H - 1) % max(1, season)
    centre_BH += profiles_SB[phase_BH, np.arange(rows)[:, None]]
    growth_BH = 1 + np.square(plain.rate_B)[:, None] * (ahead_H - 1)
    variance_B = plain.errors_B / np.maximum(1, given.lengths_B - 3)
    return centre_BH, np.sqrt(variance_B[:, None] * growth_BH)


@dataclass(frozen=True)
class _SmoothedLine:
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


def _fields(line: _SmoothedLine) -> tuple[Floats, ...]:
    return line.level_B, line.slope_B, line.rate_B, line.errors_B


def _smoothed_line(values_TB: Floats, lengths_B: Ints) -> _SmoothedLine:
    time_TB = np.arange(len(values_TB))[:, None] - (lengths_B - 1) / 2
    time_TB[np.isnan(values_TB)] = 0.0
    squares_B = np.maximum(1.0, np.square(time_TB).sum(axis=0))
    slope_B = 0.5 * np.nansum(time_TB * values_TB, axis=0) / squares_B
    rates_G = np.array(THETA_RATES)
    level_BG = np.repeat(values_TB[0][:, None], len(rates_G), axis=1)
    errors_BG = np.zeros_like(level_BG)
    for value_B, count in _in_time(values_TB, lengths_B, 1):
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


def _in_time(values_TB: Floats, lengths_B: Ints, first: int) -> Iterator[tuple[Floats, int]]:
    """Values of the histories that have not ended, and their number, step by step."""
    counts_T = np.searchsorted(-lengths_B, -np.arange(len(values_TB)), side="left")
    for step in range(first, len(values_TB)):
        count = int(counts_T[step])
        yield values_TB[step, :count], count


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


def _damped_ets(given: _Histories) -> tuple[Floats, Floats]:
    return _best_states(given).forecast(given)


def _best_states(given: _Histories) -> _States:
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

    def forecast(self, given: _Histories) -> tuple[Floats, Floats]:
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
    given: _Histories, grid: Sequence[tuple[float, ...]], season: int, skipped: int
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
    for step, (value_B, count) in enumerate(_in_time(given.values_TB, given.lengths_B, 0)):
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


def _autoregression(given: _Histories) -> tuple[Floats, Floats]:
    """Least-squares autoregression of values or of their differences.

    Differences are over one step or a season, with a constant, which is a trend of the values. The
    Akaike criterion chooses. Histories too short for that are forecast by their drift.
    """
    season = given.season
    centre_BH, spread_BH = _drift(given)
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
    given: _Histories, lags: Sequence[int], back: int, reach: int
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


SIMPLE: dict[str, Callable[[_Histories], tuple[Floats, Floats]]] = {
    "last value": _last_value,
    "drift": _drift,
    "seasonal naive": _seasonal_naive,
    "theta": _theta,
    "ets": _damped_ets,
    "autoregression": _autoregression,
}
