"""Search for seasons in values that have no telling times.

A season is a set of lines in the spectrum, at the multiples of its frequency. Each line is compared
with the powers between the lines, which are those of the same smooth spectrum if there is no
season, whatever that spectrum is: noise, a random walk, a trend and an autoregression have none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rhapsode.evaluation.statistical_methods import filled

Floats = NDArray[np.float64]

MOST_SERIES, FIRST_SERIES = 500, 40
MOST_STEPS = 8_192
# A season is at least so long, and seen at least so many times.
SHORTEST, CYCLES = 2, 3
# Powers on each side of a line that it is compared with, at most.
BESIDE = 8
# Rate of false alarms in one series, over all seasons.
FALSE_ALARMS = 1e-3
# Seasons of a day, a week, a month and a year in the usual frequencies.
USUAL = (4, 5, 7, 12, 24, 30, 48, 52, 60, 96, 144, 168, 260, 288, 336, 365, 672, 1440)
# Peaks of the autocorrelation that are tested beside them.
PEAKS = 24
# A usual season is preferred to others near it if its lines score at least this share of theirs.
PREFERRED = 0.8
# Least share of the series, and number of them, that show a season. Whether it helps all of them
# is for forecasts to tell.
SHOWING, LEAST_SHOWING = 0.1, 2
# Autocorrelation of the shortest season, as a share of that of the clearest one.
SHARE = 0.7
# Deviations beyond which a change is cut: a single one would hide everything.
CUT = 6.0


@dataclass(frozen=True)
class Seasons:
    """Seasons that were found.

    Arguments:
        first: values to the shorter season.
        second: values to a multiple of it with lines of its own; 1 for none.
        autocorrelation: at the first season, without the moving mean; median over the series.
        series: number of series that show it.
        tested: number of series long enough to show it.
    """

    first: int
    second: int
    autocorrelation: float
    series: int
    tested: int

    def __str__(self) -> str:
        of = f" in {self.series:,} of {self.tested:,} series" if self.tested > 1 else ""
        found = f"autocorrelation {self.autocorrelation:.2f} at {self.first}{of}"
        longer = f"; {self.second} above it" if self.second > 1 else ""
        return f"season {self.first}, found in the values: {found}{longer}"


def search_seasons(histories: Sequence[Floats]) -> Seasons | None:
    """Find the clearest season of many series, and one above it.

    Arguments:
        histories: columns of values, (T,) each; NaN where missing.

    Returns:
        None if the values show no season.
    """
    step = max(1, -(-len(histories) // MOST_SERIES))
    columns = [filled(column)[-MOST_STEPS:] for column in histories[::step]]
    shown = [column for column in columns if len(column) > SHORTEST * CYCLES and np.ptp(column) > 0]
    if 2 * len(shown) < len(columns) or not shown:
        return None
    changes = [_changes(column) for column in shown]
    longest = int(np.median([len(column) for column in changes])) // CYCLES
    seasons = _candidates(shown, changes, longest)
    # Most candidates fail in a few series.
    tests: dict[int, _Test] = {}
    for group in (changes[:: -(-len(changes) // FIRST_SERIES)], changes):
        tests = {season: _Test.of(group, season) for season in seasons}
        seasons = [season for season, test in tests.items() if test.clear]
    tests = {season: test for season, test in tests.items() if test.passed}
    seasons = [
        season for season in _distinct(tests, longest * CYCLES) if _is_whole(changes, season)
    ]
    if not seasons:
        return None
    own = {season: _autocorrelation(shown, season, season) for season in seasons}
    clearest = max(seasons, key=own.__getitem__)
    least = SHARE * own[clearest]
    if least <= 0:
        return None
    shorter = (
        season
        for season in sorted(seasons)
        if (season in USUAL or clearest not in USUAL)
        and _autocorrelation(shown, season, clearest) >= least
    )
    first = next(shorter, clearest)
    above = (
        season
        for season in sorted(seasons)
        if season > first
        and not season % first
        and own[season] >= least
        and _Test.of(changes, season, without=season // first).passed
    )
    test = tests[first]
    return Seasons(first, next(above, 1), own[first], test.clear, test.series)


@dataclass(frozen=True)
class _Test:
    """Test of one season in many series.

    Arguments:
        clear: number of series that show it.
        series: number of series that are long enough.
        short: number of series that are not.
        score: mean of -log p over the series.
    """

    clear: int
    series: int
    short: int
    score: float

    @property
    def passed(self) -> bool:
        least = min(max(LEAST_SHOWING, SHOWING * self.series), self.series)
        return self.series > self.short and self.clear >= least

    @classmethod
    def of(cls, changes: Sequence[Floats], season: int, without: int = 0) -> _Test:
        long = [column for column in changes if len(column) >= CYCLES * season]
        scores = np.array([_line_score(column, season, without) for column in long])
        limits = np.log([len(column) / CYCLES / FALSE_ALARMS for column in long])
        clear = int((scores > limits).sum())
        mean = float(scores.mean()) if long else 0.0
        return cls(clear, len(long), len(changes) - len(long), mean)


def _is_whole(changes: Sequence[Floats], season: int) -> bool:
    """True if a season has lines that no shorter season within it has."""
    factors = [
        p for p in range(2, season + 1) if not season % p and all(p % q for q in range(2, p))
    ]
    return all(_Test.of(changes, season, without=factor).passed for factor in factors)


def _changes(column: Floats) -> Floats:
    """Changes from each value to the next, without extreme ones."""
    changes = np.diff(column / max(float(np.abs(column).max()), 1e-300))
    changes -= np.median(changes)
    width = CUT * float(np.sqrt(np.square(changes).mean()))
    return np.clip(changes, -width, width)


def _candidates(columns: Sequence[Floats], changes: Sequence[Floats], longest: int) -> list[int]:
    """Usual seasons, and peaks of the mean autocorrelations of values and changes."""
    seasons = {season for season in USUAL if season <= longest}
    straight = [column - np.linspace(column[0], column[-1], len(column)) for column in columns]
    for group in (straight, changes):
        total = np.zeros(longest + 2)
        for column in group:
            if len(column) > longest + 2:
                total += _autocovariances(column - column.mean(), longest + 1)
        peaks = 1 + np.flatnonzero((total[1:-1] >= total[:-2]) & (total[1:-1] > total[2:]))
        peaks = peaks[peaks >= SHORTEST]
        seasons |= set(peaks[np.argsort(-total[peaks])][:PEAKS].tolist())
    return sorted(seasons)


def _autocovariances(column: Floats, longest: int) -> Floats:
    """Autocorrelations at the lags from 0 to `longest`."""
    size = 1 << (2 * len(column) - 1).bit_length()
    column = column / max(float(np.abs(column).max()), 1e-300)  # whose square is finite
    power = np.square(np.abs(np.fft.rfft(column, size)))
    found = np.fft.irfft(power, size)[: longest + 1]
    return np.asarray(found / max(float(found[0]), 1e-300))


def _line_score(changes: Floats, season: int, without: int = 0) -> float:
    """Minus the logarithm of the p-value of a season's lines.

    A line's power over the mean power beside it has an F distribution with 2 and 4 J degrees of
    freedom, J powers on each side; that of alternating values, with all powers on one side, has 1
    and 4 J. The lines are combined by Fisher's method and by the clearest one alone.

    Arguments:
        changes: from each value to the next.
        season: values to a season.
        without: leave out the lines of a season of so many times fewer values; 0 for none.
    """
    from scipy.special import fdtrc, gammaincc

    cycles = len(changes) // season
    own = changes[-cycles * season :]
    power = np.square(np.abs(np.fft.rfft(own - own.mean())))
    numbers = np.arange(1, season // 2 + 1)
    if without:
        numbers = numbers[numbers % without > 0]
    if not len(numbers):
        return 0.0
    beside = min((cycles - 1) // 2, BESIDE)
    apart = np.concatenate((np.arange(-beside, 0), np.arange(1, beside + 1)))
    lines = cycles * numbers
    # The last line of an even season is at the end of the spectrum.
    ends = 2 * lines == len(own)
    places = lines[:, None] + np.where(ends[:, None], np.arange(-2 * beside, 0), apart)
    between = power[places].mean(axis=1)
    ratio = power[lines] / np.maximum(between, 1e-12 * max(float(power.max()), 1e-300))
    each = 2 * beside * np.log1p(ratio / (2 * beside))
    each[ends] = -np.log(np.maximum(fdtrc(1, 4 * beside, ratio[ends]), 1e-300))
    together = float(gammaincc(len(each), each.sum()))
    joint = -np.log(max(together, 1e-300))
    return float(max(joint, each.max() - np.log(len(each))) - np.log(2))


def _distinct(tests: dict[int, _Test], length: int) -> list[int]:
    """Seasons without others too near to be told apart, the clearest of each group."""

    def rank(season: int) -> float:
        return tests[season].score / (PREFERRED if season in USUAL else 1.0)

    kept: list[int] = []
    for season in sorted(tests, key=rank, reverse=True):
        if all(abs(season - other) * length > season * other for other in kept):
            kept.append(season)
    return kept


def _autocorrelation(columns: Sequence[Floats], season: int, width: int) -> float:
    """Median autocorrelation at a season, of values without their mean over `width` values."""
    found = []
    width += 1 - width % 2
    for column in columns:
        if len(column) < CYCLES * max(season, width - 1):
            continue
        unit = column / max(float(np.abs(column).max()), 1e-300)
        sums = np.cumsum(np.concatenate(([0.0], unit)))
        means = (sums[width:] - sums[:-width]) / width
        rest = unit[width // 2 :][: len(means)] - means
        rest -= rest.mean()
        spread = float(np.square(rest).sum())
        if spread > 0 and len(rest) > season:
            size = len(rest) / (len(rest) - season)
            found.append(float(rest[season:] @ rest[:-season]) * size / spread)
    return float(np.median(found)) if found else 0.0
