"""What a calendar says of a time: month, day of the week, hour, each from -0.5 to 0.5."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from rhapsode.data.tables.frequency import Frequency, TimeKind, months_of

__all__ = ["CALENDAR_VALUES", "calendar_features", "calendar_names"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_DAY = 86_400_000_000_000


def _day_of_year(times_N: Ints) -> Ints:
    stamps = times_N.astype("datetime64[ns]")
    first = stamps.astype("datetime64[Y]").astype("datetime64[D]").astype(np.int64)
    return times_N // _DAY - first


def _day_of_month(times_N: Ints) -> Ints:
    first = months_of(times_N).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
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
        "day of month": (_day_of_month, 30),
        "day of year": (_day_of_year, 365),
        "week of year": (_week_of_year, 52),
        "month of year": (lambda times_N: months_of(times_N) % 12, 11),
    }
)
CALENDAR_VALUES: MappingProxyType[str, int] = MappingProxyType(
    {name: span + 1 for name, (_, span) in _FEATURES.items()}
)
"""How many values each feature can have."""
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
    """What `calendar_features` gives at a frequency: what may differ from one time of it to the next.

    The choice is that of GluonTS (Alexandrov et al. 2020, gluonts.time_feature).
    """
    if kind != "time" or (frequency.unit == "month" and frequency.step % 12 == 0):
        return ()
    return _BY_UNIT.get(frequency.unit, ())


def calendar_features(times_N: Ints, frequency: Frequency, kind: TimeKind = "time") -> Floats:
    """Features of times, past or future, each scaled to [-0.5, 0.5].

    Arguments:
        times_N: nanoseconds since 1970-01-01.
        frequency: decides which features there are.
        kind: what times are; whole numbers and places have no features.

    Returns:
        One row a time, one column for each of `calendar_names`.
    """
    columns = [
        _FEATURES[name][0](times_N) / _FEATURES[name][1] - 0.5
        for name in calendar_names(frequency, kind)
    ]
    return np.stack(columns, axis=1) if columns else np.zeros((len(times_N), 0))
