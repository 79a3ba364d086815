"""Time between the values of a series.

Frequencies are inferred from times, parsed from names, and used to continue times. Times are whole
numbers: nanoseconds since 1970, steps, or places in an order.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rhapsode.errors import SettingsError

Ints = NDArray[np.int64]
TimeKind = Literal["time", "integer", "order"]
"""Unit of times: nanoseconds since 1970-01-01, whole numbers, or places from 0."""
Unit = Literal[
    "month", "business day", "week", "day", "hour", "minute", "second", "millisecond",
    "microsecond", "nanosecond", "step", "order",
]  # fmt: skip

_NANOSECONDS: Mapping[Unit, int] = {
    "week": 604_800_000_000_000, "day": 86_400_000_000_000, "hour": 3_600_000_000_000,
    "minute": 60_000_000_000, "second": 1_000_000_000, "millisecond": 1_000_000,
    "microsecond": 1_000, "nanosecond": 1,
}  # fmt: skip
_SEASONS: Mapping[Unit, int] = {
    "month": 12, "business day": 5, "week": 52, "day": 7, "hour": 24, "minute": 1440,
    "second": 3600,
}  # fmt: skip
_DAY = _NANOSECONDS["day"]
_LEAST_FILL = 0.2
_NAMED: tuple[tuple[str, Unit, int, str], ...] = (
    ("yearly", "month", 12, "annual year y a ye ys as bye bys"),
    ("half-yearly", "month", 6, ""),
    ("quarterly", "month", 3, "quarter q qe qs bqe bqs"),
    ("monthly", "month", 1, "month m mo me bme bms"),
    ("weekly", "week", 1, "week w"),
    ("business daily", "business day", 1, "business-daily business business-day b c"),
    ("daily", "day", 1, "day d"),
    ("hourly", "hour", 1, "hour h"),
    ("every minute", "minute", 1, "minute min t"),
    ("every second", "second", 1, "second sec s"),
    ("every millisecond", "millisecond", 1, "millisecond ms l"),
    ("every microsecond", "microsecond", 1, "microsecond us u"),
    ("every nanosecond", "nanosecond", 1, "nanosecond ns n"),
    ("whole numbers", "step", 1, "step"),
    ("no regular time", "order", 1, "none"),
)
"""Name, unit and step of a frequency, and other names, among them those of pandas and polars."""
_NAMES = {(unit, step): name for name, unit, step, _ in _NAMED}
_UNITS = {name: (unit, step) for own, unit, step, more in _NAMED for name in (own, *more.split())}


@dataclass(frozen=True)
class Frequency:
    """Time from one value to the next.

    Arguments:
        unit: unit of time; "order" for values without times.
        step: number of units.
        day: for months, the day of the times, cut to the length of the month: 31 is the last one, 0
            that of the first time of a series.
    """

    unit: Unit
    step: int = 1
    day: int = 0

    @property
    def kind(self) -> TimeKind:
        """The unit of its times."""
        if self.unit == "order":
            return "order"
        return "integer" if self.unit == "step" else "time"

    @property
    def name(self) -> str:
        """In words, as "monthly" or "every 15 minutes"."""
        if (name := _NAMES.get((self.unit, self.step))) is not None:
            return name
        if self.unit == "step":
            return f"whole numbers, every {self.step}"
        if self.unit == "month" and self.step % 12 == 0:
            return f"every {self.step // 12} years"
        return f"every {self.step} {self.unit}s"

    @property
    def period(self) -> int:
        """Values in the likeliest season; 1 if there is none."""
        season = _SEASONS.get(self.unit, 1)
        return season // self.step if season % self.step == 0 else 1

    def ordinal(self, times_N: Ints) -> Ints:
        """Times counted in the unit; neighbours on the grid differ by `stride`."""
        if self.unit == "month":
            return months_of(times_N)
        if self.unit == "business day":
            days = times_N.astype("datetime64[ns]").astype("datetime64[D]")
            return np.busday_count(np.datetime64("1970-01-01"), days).astype(np.int64)
        return times_N

    @property
    def stride(self) -> int:
        """The distance between the `ordinal` of neighbours."""
        return _NANOSECONDS.get(self.unit, 1) * self.step

    def advance(self, times_N: Ints, steps_N: Ints) -> Ints:
        """Times a number of steps after others on the grid."""
        if self.unit == "month":
            months = months_of(times_N) + steps_N * self.step
            first, length = _days(months)
            days = np.minimum(self.day or days_of_month(times_N), length)
            return (first + days - 1) * _DAY + times_N % _DAY
        if self.unit == "business day":
            days = times_N.astype("datetime64[ns]").astype("datetime64[D]")
            moved = np.busday_offset(days, steps_N * self.step).astype(np.int64)
            return moved * _DAY + times_N % _DAY
        return times_N + steps_N * self.stride

    def joined(self, before_N: Ints, after_N: Ints) -> NDArray[np.bool_]:
        """Mask of the times that the grid connects to later ones."""
        if self.unit == "order":
            return np.ones(len(before_N), bool)
        gap = self.ordinal(after_N) - self.ordinal(before_N)
        fits = (gap > 0) & (gap % self.stride == 0)
        if self.unit == "business day":
            fits &= (before_N % _DAY) == (after_N % _DAY)
            fits &= _weekdays(before_N) & _weekdays(after_N)
        return np.asarray(fits)


def months_of(times_N: Ints) -> Ints:
    """Months since January 1970."""
    return times_N.astype("datetime64[ns]").astype("datetime64[M]").astype(np.int64)


def days_of_month(times_N: Ints) -> Ints:
    """The day of the month, from 1."""
    return times_N // _DAY - _days(months_of(times_N))[0] + 1


def _days(months_N: Ints) -> tuple[Ints, Ints]:
    """The first day of months, since 1970, and their lengths."""
    first, after = (
        (months_N + more).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
        for more in (0, 1)
    )
    return first, after - first


def _weekdays(times_N: Ints) -> NDArray[np.bool_]:
    return np.asarray((times_N // _DAY + 3) % 7 < 5)


def infer_frequency(times_N: Ints, kind: TimeKind = "time") -> Frequency | None:
    """Infer the frequency of one series.

    The result is "order" for no grid, and None for fewer than two times.

    Arguments:
        times_N: its times, rising, distinct; some may be missing.
        kind: their unit.
    """
    if kind == "order":
        return Frequency("order")
    if len(times_N) < 2:
        return None
    if kind == "integer":
        found = Frequency("step", int(np.gcd.reduce(np.diff(times_N))))
    else:
        found = _months(times_N) or _fixed(times_N)
    first, last = found.ordinal(times_N[[0, -1]]).tolist()
    places = (last - first) // found.stride + 1
    return found if len(times_N) >= _LEAST_FILL * places - 2 else Frequency("order")


def _months(times_N: Ints) -> Frequency | None:
    if times_N[1] - times_N[0] < 28 * _DAY:
        return None
    gaps = np.diff(times_N)
    if gaps.min() < 28 * _DAY or (steps := np.diff(months_of(times_N))).min() < 1:
        return None
    step, clock = int(np.gcd.reduce(steps)), times_N % _DAY
    if np.all(clock == clock[0]) and (day := _month_day(times_N)):
        return Frequency("month", step, day)
    # Days differ, as of the last trading day of each month; four weeks do not count as months.
    usual = float(np.median(gaps)) / _DAY / step
    even = bool(np.all(gaps % gaps.min() == 0))
    if len(times_N) < 3 or even or not 28 <= usual <= 31.5:
        return None
    return Frequency("month", step)


def _month_day(times_N: Ints) -> int:
    """Day of the month on which all times fall.

    31 stands for the last day, 0 for days that differ.
    """
    days, lengths = days_of_month(times_N), _days(months_of(times_N))[1]
    if np.all(days == lengths):
        return 31
    last = int(days.max())
    return last if np.all(days == np.minimum(last, lengths)) else 0


def _fixed(times_N: Ints) -> Frequency:
    gaps = np.diff(times_N)
    values, counts = gaps[:1], np.ones(1, np.int64)
    if (gaps != gaps[0]).any():
        values, counts = np.unique(gaps, return_counts=True)
    # Days without any week-end, over two week-ends at least.
    days = values[0] == _DAY and times_N[-1] - times_N[0] > 9 * _DAY and not np.any(values % _DAY)
    if days and np.all(_weekdays(times_N)):
        return Frequency("business day")
    length = int(values[counts.argmax()])
    if np.any(values % length):
        length = int(np.gcd.reduce(values))
    unit = next(unit for unit, size in _NANOSECONDS.items() if length % size == 0)
    return Frequency(unit, length // _NANOSECONDS[unit])


def parse_frequency(text: str) -> Frequency:
    """Parse the name of a frequency.

    Examples are monthly, business daily, "15 minutes", 15min, 2h and none. Names of pandas and
    polars are accepted too: MS, QE, BMS, W-SUN, 15T, 1mo; the days of months are those of the
    table.

    Raises:
        SettingsError: there is no such frequency.
    """
    plain = " ".join(text.lower().split()).replace("business d", "business-d")
    match = re.fullmatch(r"(?:every )?(\d{0,9}) ?([a-z-]+?)(?:-[a-z]{3})?", plain)
    if match is not None and int(match[1] or 1):
        unit = match[2] if match[2] in _UNITS else match[2].removesuffix("s")
        if unit == "ms" and text.rstrip().endswith("MS"):
            unit = "monthly"  # the start of a month; ms is a thousandth of a second
        if unit in _UNITS:
            name, factor = _UNITS[unit]
            return Frequency(name, int(match[1] or 1) * factor)
    raise SettingsError(
        f"no frequency {text!r}",
        where="[series] frequency",
        hint='name it as monthly, business daily, hourly, "15 minutes", "2 weeks" or none',
    )


def anchored(frequency: Frequency, times_N: Ints) -> Frequency:
    """The frequency with the day of the month of the times."""
    if frequency.unit != "month" or not len(times_N):
        return frequency
    return replace(frequency, day=_month_day(times_N))
