"""Choice of an encoding, by linear forecasts of each series' past."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.encoding.series import column_extent, column_scale
from rhapsode.evaluation.statistical_methods import filled

Floats = NDArray[np.float64]

MOST_SERIES = 60
MOST_STEPS = 4_000
ORIGINS = 48
# Origins lie in so many seasons or horizons before the end, at most.
STRETCH = 32
ORDER = 4
# Share of the best error from which on the last value is as good a forecast.
WALKING = 1.03
# How much better a less simple form must be.
GAIN = 0.9
# Counts with a larger mean are as well taken for real numbers.
LARGEST_COUNT = 60.0
# Steps from which on more lags cost less than they tell.
MANY = 500
# Values that a level is the mean of, where there is no season.
NO_SEASON = 12
# Share of series whose level must drift.
DRIFTING = 0.4
LEAST_NATS = 0.05
# Parts of series that margins are measured after, and their least length.
MOST_MARGINS, PARTS, LEAST_PART = 500, 16, 6
# Margins in ranges; a share of the distances does not count, one odd series of many.
LEAST_MARGIN, MOST_MARGIN, RARE = 2.0, 1e6, 0.999
# A level may also be the mean of so many seasons, where series have so many.
SEASONS, LONG = 4, 30


@dataclass(frozen=True)
class Encoding:
    """An encoding that was chosen.

    Arguments:
        settings: of the encoder: scaling, log, difference, counts.
        reason: why, in a line.
    """

    settings: dict[str, Any]
    reason: str


def planned_lags(season: int, second: int, longest: int) -> tuple[int, ...]:
    """Further inputs: the last few values and those of the season before.

    Arguments:
        season: values to a season.
        second: values to a longer season, as a week of hours; 1 for none.
        longest: steps of the longest history; lags reach back a third of it at most.
    """
    many = longest >= MANY
    last, reach = (6, 2) if many else (3, 1)
    wanted = set(range(2, last + 1))
    for period in (season, second):
        if period > 1:
            wanted |= {*range(period - reach, period + reach + 1), 2 * period}
            wanted |= {2 * period - 1, 2 * period + 1, 3 * period} if many else set()
    return tuple(sorted(lag for lag in wanted if 1 < lag <= longest // 3))


@dataclass(frozen=True)
class _Form:
    """Form of an encoding.

    Values may be logarithms. Their reference is none, an earlier value, or the mean of the last
    values. A still form takes all differences for 0: each value repeats its reference.
    """

    log: bool = False
    difference: int = 0
    centre: int = 0
    still: bool = False

    @property
    def back(self) -> int:
        return self.difference or self.centre

    def in_words(self) -> str:
        if not self.back:
            return "logarithms of 1 + x" if self.log else "raw values"
        words = f"differences from the mean of the last {self.centre} values"
        if self.difference:
            over = "one step" if self.difference == 1 else f"a season of {self.difference}"
            words = f"differences over {over}"
        return f"{words} of the logarithms" if self.log else words

    def references(self, levels: Floats) -> Floats | float:
        if self.difference:
            return levels[: -self.difference]
        return _moving_means(levels, self.centre)[:-1] if self.centre else 0.0

    def next_references(self, recent_OB: Floats) -> Floats | float:
        if self.difference:
            return recent_OB[:, 0]
        return recent_OB.mean(axis=1) if self.centre else 0.0


LAST_VALUE = _Form(difference=1, still=True)


def choose_encoding(
    histories: Sequence[Floats],
    season: int,
    horizon: int,
    *,
    negative: bool = False,
    broken: bool = False,
) -> Encoding:
    """Choose the encoding that suits a linear autoregression best.

    Forecasts are iterated over the horizon from several origins, with coefficients fitted before
    the first origin. Errors are squared, in units of the seasonal change of each series. Among
    forms within 10 % of each other the simplest is chosen, with logarithms if they raise the
    density of the next value. Raw values are excluded if the last level of many series is outside
    their earlier levels. Where no form forecasts better than the last value, differences are
    chosen: then the value before is what a model begins with.

    Arguments:
        histories: columns of values, (T,) each; NaN where missing.
        season: values to a season.
        horizon: steps to forecast.
        negative: True if there are negative values elsewhere, which rule out logarithms.
        broken: True if there are fractional values elsewhere, which rule out counts.
    """
    step = max(1, len(histories) // MOST_SERIES)
    columns = [filled(column)[-MOST_STEPS:] for column in histories[::step]]
    columns = [column for column in columns if len(column) > 1]
    every = np.concatenate([np.zeros(0), *(column[np.isfinite(column)] for column in histories)])
    whole = bool(len(every)) and bool(((every >= 0) & (every == np.round(every))).all())
    if (
        whole
        and not (negative or broken)
        and float(every.mean()) <= LARGEST_COUNT
        and len(np.unique(every)) > 2
    ):
        return Encoding({"counts": True}, f"counts: whole numbers with mean {every.mean():.3g}")
    about = season if season > 1 else NO_SEASON
    compared = [_Form(), _Form(centre=about), _Form(difference=1)]
    forms = [replace(form, log=log) for log in (False, True) for form in compared]
    if all(len(column) > LONG * about for column in columns):
        forms += [_Form(log=log, centre=SEASONS * about) for log in (False, True)]
    if season > 1:
        forms += [_Form(log=log, difference=season) for log in (False, True)]
    if negative or not len(every) or every.min() < 0:
        forms = [form for form in forms if not form.log]
    forms.append(LAST_VALUE)
    scores: dict[_Form, float] = {}
    nats: dict[_Form, float] = {}
    for form in forms:
        tried = [_error(column, form, season, horizon, unit=season) for column in columns]
        found = [errors for errors in tried if errors is not None]
        if found:
            scores[form] = float(np.mean([error for error, _ in found]))
            nats[form] = float(np.mean([cost for _, cost in found]))
    if set(scores) <= {LAST_VALUE}:
        return Encoding({"scaling": "standard"}, "raw values: too few to compare encodings")
    plain = next(iter(scores.values()))
    drifting = sum(_drifts(column, about) for column in columns) > DRIFTING * len(columns)
    last = scores.pop(LAST_VALUE, math.inf)
    usable = [form for form in scores if form.back or not drifting] or list(scores)
    best = min(scores[form] for form in usable)
    walks = last <= best * WALKING
    if walks:
        usable = [form for form in usable if form.difference == 1] or usable
    least = min(scores[form] for form in usable)
    near = [form for form in usable if scores[form] * GAIN <= least]
    form = near[0]
    for logged in near:
        # Whether what varies grows with the level shows in the density rather than in the forecast.
        if logged == replace(form, log=True) and nats[logged] < nats[form] - LEAST_NATS:
            form = logged
    for wider in near:
        # A mean over more is surer, and over less follows sooner: the density tells which is
        # wanted.
        same = 0 < form.centre < wider.centre and wider.log == form.log
        if same and nats[wider] < nats[form]:
            form = wider
    score = scores[form]
    why = f"linear-model error {score:.2f}"
    if score != plain:
        why += f", against {plain:.2f} for raw values"
    drift = ": the level drifts" if drifting else ""
    if walks:
        drift = f": repeating the last value has an error of {last:.2f}"
    reason = f"{form.in_words()} ({why}){drift}"
    chosen = asdict(form)
    del chosen["still"]
    return Encoding({**chosen, "scaling": "standard"}, reason)


def planned_margin(histories: Sequence[Floats], horizon: int) -> float:
    """Limit of sample paths: see `SeriesEncoderSettings.margin`.

    Values after earlier parts of the series show how far series go beyond what came before.

    Arguments:
        histories: columns of values, (T,) each; NaN where missing.
        horizon: steps after each part.
    """
    step = max(1, len(histories) // MOST_MARGINS)
    distances = [0.0]
    for history in histories[::step]:
        column = filled(history)
        first = max(LEAST_PART, len(column) // 3)
        for part in np.unique(np.linspace(first, len(column) - horizon, PARTS).astype(int)):
            if not LEAST_PART <= part < len(column):
                continue
            low, high, width, step_width = column_extent(column[:part])
            later = column[part : part + horizon]
            room = width + len(later) * step_width
            if room > 0:
                distances.append(max(later.max() - high, low - later.min()) / room)
    return round(min(MOST_MARGIN, max(LEAST_MARGIN, 2 * float(np.quantile(distances, RARE)))), 2)


def season_error(histories: Sequence[Floats], season: int) -> float:
    """Ratio of the errors of linear forecasts with and without a season.

    Both are iterated from several origins, of values or of differences, whichever is better for a
    series. The ratio is a geometric mean over the series; 1 if there are too few values.

    Arguments:
        histories: columns of values, (T,) each; NaN where missing.
        season: values to a season.
    """
    step = max(1, len(histories) // MOST_SERIES)
    shares = []
    for history in histories[::step]:
        column = filled(history)[-MOST_STEPS:]
        errors = []
        for known in (season, 1):
            tried = [
                _error(column, _Form(difference=difference), known, season, unit=season)
                for difference in (0, known)
            ]
            errors.append(min((found[0] for found in tried if found), default=0.0))
        if min(errors) > 0:
            shares.append(errors[0] / errors[1])
    return float(np.exp(np.log(shares).mean())) if shares else 1.0


def _drifts(column: Floats, about: int) -> bool:
    """True if the last level is outside the range of earlier levels.

    A level is the mean of a season. Earlier levels are those of the first two thirds.
    """
    if len(column) < 4 * about:
        return False
    levels = _moving_means(column, about)
    before = levels[: 2 * len(levels) // 3]
    return bool(levels[-1] > before.max() or levels[-1] < before.min())


@np.errstate(over="ignore", invalid="ignore")
def _moving_means(column: Floats, width: int) -> Floats:
    """Means of every `width` consecutive values."""
    sums = np.cumsum(np.concatenate(([0.0], column / width)))
    return np.asarray(sums[width:] - sums[:-width])


@np.errstate(over="ignore", invalid="ignore")
def _error(
    column: Floats, form: _Form, season: int, horizon: int, *, unit: int
) -> tuple[float, float] | None:
    """Error of iterated forecasts, and nats of one-step forecasts.

    The error is a root mean square, in units of the change over `unit` steps. None if there are too
    few values.
    """
    levels = np.log1p(column) if form.log else column
    back = form.back
    changes = levels[back:] - form.references(levels)
    length = len(changes)
    horizon = max(1, min(horizon, length // 6))
    first = max(int(length * 0.6), length - horizon - STRETCH * max(horizon, season))
    # Without a season, no lag may reach it.
    order = ORDER if season > 1 or unit == 1 else min(ORDER, unit - 1)
    lags = [*range(1, order + 1)]
    if season > 1 and first > 3 * season:
        lags += [lag for lag in (season - 1, season, season + 1) if lag > ORDER]
    if season > 1 and first > 6 * season:
        lags += [2 * season]
    reach = max(lags)
    if first < reach + 2 * len(lags) or length - horizon < first:
        return None
    shift, scale = column_scale(changes[:first], "standard")
    z: Floats = (changes - shift) / scale
    weights = _fit(z[:first], lags)
    if form.still:
        weights = np.append(np.zeros(len(lags)), -shift / scale)
    rest = _left(z, lags, weights)
    inside, outside = rest[: first - reach], rest[first - reach :]
    width = max(float(inside.std()), 1e-6)
    cost = 0.5 * float(np.square(outside / width).mean()) + np.log(width * scale)
    if form.log:
        cost += float(levels[back + first :].mean())
    origins = np.unique(np.linspace(first, length - horizon, ORIGINS).astype(int))
    past_OT: Floats = np.stack([z[origin - reach : origin] for origin in origins])
    for _ in range(horizon):
        columns = [past_OT.shape[1] - lag for lag in lags]
        next_O = past_OT[:, columns] @ weights[:-1] + weights[-1]
        past_OT = np.concatenate((past_OT, next_O[:, None]), axis=1, dtype=np.float64)
    ahead_OH = past_OT[:, reach:] * scale + shift
    level_OT: Floats = np.stack([levels[origin : origin + back] for origin in origins])
    for step in range(horizon):
        next_O = ahead_OH[:, step] + form.next_references(level_OT[:, step:])
        level_OT = np.concatenate((level_OT, next_O[:, None]), axis=1)
    forecast_OH = level_OT[:, back:]
    if form.log:
        forecast_OH = np.expm1(np.minimum(forecast_OH, 690.0))
    actual_OH = np.stack([column[o + back : o + back + horizon] for o in origins])
    apart = unit if unit < len(column) else 1
    change = float(np.square(column[apart:] - column[:-apart]).mean()) ** 0.5
    error = float(np.square(forecast_OH - actual_OH).mean()) ** 0.5
    if not change > 0 or not np.isfinite([error, change, cost]).all():
        return None
    return float(min(error / change, 1e6)), float(cost)


def _left(z: Floats, lags: Sequence[int], weights: Floats) -> Floats:
    """Residuals of every value that has all lags before it."""
    reach = max(lags)
    told: Floats = np.full(len(z) - reach, weights[-1])
    for weight, lag in zip(weights[:-1], lags, strict=True):
        told += weight * z[reach - lag : len(z) - lag]
    return z[reach:] - told


def _fit(z: Floats, lags: Sequence[int]) -> Floats:
    """Coefficients of the lags and a constant, by lightly regularised least squares."""
    reach = max(lags)
    rows = np.ones((len(z) - reach, len(lags) + 1))
    for place, lag in enumerate(lags):
        rows[:, place] = z[reach - lag : len(z) - lag]
    gram = rows.T @ rows + 1e-4 * len(rows) * np.eye(rows.shape[1])
    return np.asarray(np.linalg.solve(gram, rows.T @ z[reach:]), dtype=np.float64)
