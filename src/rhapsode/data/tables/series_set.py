"""Series of unequal length in flat arrays.

A set holds values, times, covariates and attributes, independent of files and tables.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from rhapsode.data.tables.frequency import Frequency, TimeKind, days_of_month, months_of
from rhapsode.errors import DataError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_DAY = 86_400_000_000_000


@dataclass(frozen=True)
class Zone:
    """Offsets from UTC of the times of a set, in nanoseconds.

    Arguments:
        times: the times from which on an offset holds.
        offsets: the offsets, from the first time on; the first holds before it too.
        utc: True if the times are in UTC, False if they are local.
    """

    times: tuple[int, ...]
    offsets: tuple[int, ...]
    utc: bool = True

    def offset(self, times_N: Ints) -> Ints:
        """The offset of each time."""
        places_N = np.searchsorted(self.times, times_N, side="right") - 1
        return np.asarray(np.array(self.offsets)[np.maximum(places_N, 0)])

    def local(self, times_N: Ints) -> Ints:
        """The times by the clock on the wall."""
        return times_N + self.offset(times_N) if self.utc else times_N

    def suffix(self, time: int) -> str:
        """The offset of a time as ISO 8601 writes it."""
        minutes = int(self.offset(np.array([time]))[0]) // 60_000_000_000
        sign, minutes = "-" if minutes < 0 else "+", abs(minutes)
        return f"{sign}{minutes // 60:02}:{minutes % 60:02}" if minutes else "Z"


@dataclass(frozen=True)
class SeriesSet:
    """Series in flat arrays, one after another.

    Series s has the rows `offsets[s]` to `offsets[s + 1]`.

    Arguments:
        ids: the name of each series; distinct.
        offsets: the first row of each series, and the number of rows.
        times_N: the time of each row, rising within a series.
        values_NK: values; NaN if missing.
        names: names of the K values.
        kind: unit of the times: nanoseconds since 1970-01-01, whole numbers, or places from 0.
        frequencies: the frequency of each series; "order" for times on no grid.
        known_NC: covariates that are known ahead; NaN if missing. Rows at the end of a series that
            hold nothing else are its future.
        known_names: names of the C covariates.
        static_SA: numeric attributes of series; NaN if missing.
        static_names: names of the A numbers.
        categories_SA: categorical attributes, as places in their levels; -1 if missing.
        category_names: names of the A categories.
        category_levels: the levels of each category.
        notes: remarks of the reader, a line each, the summary first.
        left_out: names of columns of the table that hold no numbers and play no part.
        texts: those of them that hold free text.
        columns: names of the columns of values.
        known_of: for each covariate, the column of words of which it marks one, or "".
        zone: offsets from UTC of the times; None if they have none.
    """

    ids: tuple[str, ...]
    offsets: Ints
    times_N: Ints
    values_NK: Floats
    names: tuple[str, ...]
    kind: TimeKind
    frequencies: tuple[Frequency, ...]
    known_NC: Floats
    known_names: tuple[str, ...]
    static_SA: Floats
    static_names: tuple[str, ...]
    categories_SA: Ints
    category_names: tuple[str, ...]
    category_levels: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = field(default=())
    left_out: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    known_of: tuple[str, ...] = ()
    zone: Zone | None = None

    def __len__(self) -> int:
        """The number of series."""
        return len(self.ids)

    @property
    def lengths(self) -> Ints:
        """The number of rows of each series."""
        return np.diff(self.offsets)

    @property
    def observed_NK(self) -> NDArray[np.bool_]:
        """Mask of the values that are not missing."""
        return ~np.isnan(self.values_NK)

    @property
    def frequency(self) -> Frequency:
        """The commonest frequency."""
        return Counter(self.frequencies).most_common(1)[0][0]

    @property
    def period(self) -> int:
        """Season length of the commonest frequency; 1 for no season."""
        return self.frequency.period

    def rows(self, series: int) -> slice:
        """The rows of a series."""
        return slice(int(self.offsets[series]), int(self.offsets[series + 1]))

    def select(self, series: Sequence[int] | Ints) -> SeriesSet:
        """The chosen series, in this order."""
        chosen = np.asarray(series, np.int64)
        cut = self.cut(self.offsets[:-1][chosen], self.offsets[1:][chosen])
        return replace(
            cut,
            ids=tuple(self.ids[number] for number in chosen),
            frequencies=tuple(self.frequencies[number] for number in chosen),
            static_SA=self.static_SA[chosen],
            categories_SA=self.categories_SA[chosen],
        )

    def cut(self, starts: Ints, stops: Ints) -> SeriesSet:
        """Some rows of each series.

        Arguments:
            starts: the first row of each series, counted over all series.
            stops: the row after its last.
        """
        offsets = np.concatenate([[0], np.cumsum(np.maximum(stops - starts, 0))]).astype(np.int64)
        return self.taken(ranges(starts, stops), offsets)

    def taken(self, keep: Ints | slice, offsets: Ints) -> SeriesSet:
        """Some rows in a new order, with the offsets of their series."""
        return replace(
            self,
            offsets=offsets,
            times_N=self.times_N[keep],
            values_NK=self.values_NK[keep],
            known_NC=self.known_NC[keep],
        )


def ranges(starts: Ints, stops: Ints) -> Ints:
    """The numbers from each start to each stop, one range after another."""
    lengths = np.maximum(stops - starts, 0)
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    return np.asarray(np.arange(total) + np.repeat(starts - (ends - lengths), lengths))


def future_times(series_set: SeriesSet, series: int, horizon: int) -> Ints:
    """The times that follow a series.

    Times on no grid go on by their usual distance.

    Arguments:
        series_set: the set.
        series: number of the series.
        horizon: number of times.

    Raises:
        DataError: the series is empty, or has a single time and no frequency.
    """
    times_N = series_set.times_N[series_set.rows(series)]
    steps = np.arange(1, horizon + 1)
    if series_set.kind == "order":
        return len(times_N) - 1 + steps
    frequency = series_set.frequencies[series]
    if not len(times_N) or (frequency.unit == "order" and len(times_N) < 2):
        raise DataError(
            "a single time has no time step",
            where=f"series {series_set.ids[series]!r}",
            hint="set the time step with --frequency",
        )
    last = np.full(horizon, times_N[-1])
    if frequency.unit == "order":
        return last + steps * max(1, int(np.median(np.diff(times_N))))
    return frequency.advance(last, steps)


def places(series_N: Ints) -> Ints:
    """The place of each row within its series, from 0."""
    order = np.argsort(series_N, kind="stable")
    ordered = series_N[order]
    found = np.empty(len(order), np.int64)
    found[order] = np.arange(len(order)) - np.searchsorted(ordered, ordered)
    return found


def format_time(time: int, kind: TimeKind, frequency: Frequency, zone: Zone | None = None) -> str:
    """Format a time as precisely as its frequency, or with its offset.

    Examples are 1949, 1998Q1, 1949-01, 2020-03-01 and 2020-03-01 00:00+01:00.
    """
    if kind != "time":
        return str(time)
    if zone is not None:
        local = int(zone.local(np.array([time]))[0])
        return format_time(local, kind, Frequency("hour")) + zone.suffix(time)
    stamp = np.datetime64(int(time), "ns")
    if frequency.unit == "month" and frequency.day in {0, 1, 31}:
        text = str(stamp.astype("datetime64[M]"))
        if frequency.step % 12 == 0:
            return text[:-3]
        if frequency.step == 3 and text[-2:] in {"01", "04", "07", "10", "03", "06", "09", "12"}:
            return f"{text[:-3]}Q{(int(text[-2:]) + 2) // 3}"
        return text
    if time % _DAY == 0 and frequency.unit in {"month", "business day", "week", "day", "order"}:
        return str(stamp.astype("datetime64[D]"))
    unit = "m" if time % 60_000_000_000 == 0 else "s" if time % 1_000_000_000 == 0 else "ms"
    return str(stamp.astype(f"datetime64[{unit}]")).replace("T", " ")


def _day_of_year(times_N: Ints) -> Ints:
    stamps = times_N.astype("datetime64[ns]")
    first = stamps.astype("datetime64[Y]").astype("datetime64[D]").astype(np.int64)
    return times_N // _DAY - first


def _week_of_year(times_N: Ints) -> Ints:
    # The week of ISO 8601 is that of its Thursday.
    days = times_N // _DAY
    thursday = days - (days + 3) % 7 + 3
    return _day_of_year(thursday * _DAY) // 7


_FEATURES: MappingProxyType[str, tuple[Callable[[Ints], Ints], int]] = MappingProxyType(
    {
        "second of minute": (lambda times_N: times_N // 1_000_000_000 % 60, 59),
        "minute of hour": (lambda times_N: times_N // 60_000_000_000 % 60, 59),
        "hour of day": (lambda times_N: times_N // 3_600_000_000_000 % 24, 23),
        "day of week": (lambda times_N: (times_N // _DAY + 3) % 7, 6),
        "day of month": (lambda times_N: days_of_month(times_N) - 1, 30),
        "day of year": (_day_of_year, 365),
        "week of year": (_week_of_year, 52),
        "month of year": (lambda times_N: months_of(times_N) % 12, 11),
    }
)
CALENDAR_VALUES: MappingProxyType[str, int] = MappingProxyType(
    {name: span + 1 for name, (_, span) in _FEATURES.items()}
)
"""The number of distinct values of each feature."""
_DAILY = ("day of week", "day of month", "day of year")
_BY_UNIT = MappingProxyType(
    {
        "month": ("month of year",),
        "week": ("day of month", "week of year"),
        "day": _DAILY,
        "business day": _DAILY,
        "hour": ("hour of day", *_DAILY),
        "minute": ("minute of hour", "hour of day", *_DAILY),
        "second": ("second of minute", "minute of hour", "hour of day", *_DAILY),
    }
)


def calendar_names(frequency: Frequency, kind: TimeKind = "time") -> tuple[str, ...]:
    """The names of `calendar_features` that can differ between times of a frequency.

    The choice is that of GluonTS (Alexandrov et al. 2020, gluonts.time_feature).
    """
    if kind != "time" or (frequency.unit == "month" and frequency.step % 12 == 0):
        return ()
    return _BY_UNIT.get(frequency.unit, ())


def calendar_features(times_N: Ints, frequency: Frequency, kind: TimeKind = "time") -> Floats:
    """Features of times, past or future, each scaled to [-0.5, 0.5].

    Arguments:
        times_N: nanoseconds since 1970-01-01.
        frequency: chooses the features.
        kind: unit of the times; whole numbers and places have no features.

    Returns:
        One row a time, one column for each of `calendar_names`.
    """
    columns = [
        _FEATURES[name][0](times_N) / _FEATURES[name][1] - 0.5
        for name in calendar_names(frequency, kind)
    ]
    return np.stack(columns, axis=1) if columns else np.zeros((len(times_N), 0))
