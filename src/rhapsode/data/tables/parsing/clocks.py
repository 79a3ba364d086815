"""Which columns of a table hold the time, and what their cells mean.

Times are columns of dates, a date and a time of day apart, year and month and day apart, years, dates written as whole
numbers, seconds since 1970, or just whole numbers that go up.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from rhapsode.data.tables.frequency import TimeKind
from rhapsode.data.tables.parsing.columns import Table, plain_name
from rhapsode.data.tables.parsing.stamps import (
    DAY,
    NO_TIME,
    are_stamps,
    as_bytes,
    instants,
    parse_stamps,
)
from rhapsode.errors import DataError

__all__ = ["Times", "find_times", "named_times", "times_of_names"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_TIME_NAMES = frozenset({
    "time", "timestamp", "ts", "ds", "date", "datetime", "dt", "epoch", "unix", "unixtime",
    "unixtimestamp", "t", "step", "period", "year", "yr", "month", "quarter", "week", "day", "hour",
    "yyyymm", "yyyymmdd", "yyyy", "index", "idx", "no", "row", "timeidx", "timestep", "日期", "时间",
    "時間", "年", "年份", "月份", "年月", "datum", "zeit", "fecha", "data", "heure", "jour",
})  # fmt: skip
_PARTS: Mapping[str, tuple[frozenset[str], int, int]] = MappingProxyType({
    "year": (frozenset({"year", "yr", "yyyy", "jahr", "年", "年份"}), 1678, 2261),
    "quarter": (frozenset({"quarter", "qtr", "季度"}), 1, 4),
    "month": (frozenset({"month", "mon", "mo", "monat", "月", "月份"}), 1, 12),
    "day": (frozenset({"day", "dd", "dayofmonth", "tag", "日"}), 1, 31),
    "hour": (frozenset({"hour", "hr", "hh", "stunde", "时", "小时"}), 0, 24),
    "minute": (frozenset({"minute", "min", "分", "分钟"}), 0, 59),
    "second": (frozenset({"second", "sec", "秒"}), 0, 60),
})  # fmt: skip
_DIGITS = MappingProxyType({
    4: "years", 8: "dates in eight digits", 6: "months in six digits", 10: "hours in ten digits",
    12: "minutes in twelve digits", 14: "seconds in fourteen digits",
})  # fmt: skip
_EPOCHS = (
    ("seconds", 10**8, 10**10, 10**9),
    ("milliseconds", 10**11, 10**13, 10**6),
    ("microseconds", 10**14, 10**16, 10**3),
    ("nanoseconds", 10**17, 9 * 10**18, 1),
)


@dataclass(frozen=True)
class Times:
    """The time of every row.

    Arguments:
        times_N: nanoseconds since 1970-01-01, or whole numbers; `NO_TIME` where it is missing.
        kind: which.
        columns: the places of the columns that it was made of.
        words: what they are, as "column 'date'".
        notes: what there is to say of it, a line each.
    """

    times_N: Ints
    kind: TimeKind
    columns: tuple[int, ...]
    words: str
    notes: tuple[str, ...] = ()


def named_times(table: Table, places: Sequence[int]) -> Times:
    """The times that columns hold of which the user says that they do.

    Raises:
        DataError: a cell is no time, or the columns do not make one together.
    """
    if len(places) == 1:
        return _single(table, places[0])
    names = [table.names[place] for place in places]
    in_order = [part for part in _PARTS if part != "quarter"][: len(places)]
    for known in (names, in_order):  # by their order, where names say nothing
        parts = _parts_of(table, dict(zip(places, known, strict=False))) or {}
        if len(parts) == len(places):
            return _from_parts(table, parts)
    clocks = [place for place in places if place in table.moments and table.moments[place].clock]
    dates = [place for place in places if place in table.moments and place not in clocks]
    if len(places) == 2 and len(clocks) == len(dates) == 1:
        return _together(table, dates[0], clocks[0])
    raise DataError(
        f"the columns {table.listed(places)} do not make a time together",
        where=table.where,
        hint="name a date and a time of day, or columns year, month, day and so on",
    )


def find_times(table: Table, free: Sequence[int]) -> Times | None:
    """The times that some columns hold, by their cells and names; None where none does.

    Arguments:
        table: the table.
        free: places of columns that have no other part.

    Raises:
        DataError: a column of dates has a cell that is none.
    """
    moments = {place: table.moments[place] for place in free if place in table.moments}
    dates = [place for place, facts in moments.items() if not facts.clock]
    clocks = [place for place, facts in moments.items() if facts.clock]
    if dates:
        named = (place for place in dates if plain_name(table.names[place]) in _TIME_NAMES)
        place = next(named, dates[0])
        if clocks and not moments[place].sub_daily:
            return _together(table, place, clocks[0])
        return _single(table, place)
    numbers = [place for place in free if table.kind(place) == "number"]
    if parts := _parts_of(table, {place: table.names[place] for place in numbers}):
        return _from_parts(table, parts)
    nameless = dict(zip(numbers, () if table.header else ("year", "month"), strict=False))
    if len(numbers) > 2 and (parts := _parts_of(table, nameless)):
        times = _from_parts(table, parts)
        if np.all(np.diff(times.times_N) > 0):
            return times
    for place in numbers if len(numbers) > 1 else ():
        name = table.names[place]
        is_named = plain_name(name) in _TIME_NAMES or not name.strip("# ")
        if place not in table.bad and (is_named or place == 0):
            values_N = table.columns[place].to_numpy()
            found = _numeric(values_N, named=is_named, header=table.header)
            if found is not None:
                return Times(*found[:2], (place,), f"column {name!r} of {found[2]}")
    return None


def times_of_names(names: Sequence[str]) -> tuple[Ints, TimeKind] | None:
    """The times that names of columns are, rising; None if any is none."""
    kind: TimeKind = "time"
    if all(name.isdigit() for name in names):
        found = _numeric(np.array(names, np.float64), sure=True)
        if found is None:
            return None
        times_N, kind, _ = found
    else:
        cells = as_bytes([name.removeprefix("X") for name in names])
        moments = parse_stamps(cells, np.zeros(len(names), bool), "auto")
        if moments.bad is not None or moments.clock or moments.overflow is not None:
            return None
        times_N = moments.times_N
    return (times_N, kind) if np.all(np.diff(times_N) > 0) else None


def _single(table: Table, place: int) -> Times:
    """The times of one column."""
    name, kind = table.names[place], table.kind(place)
    words = f"column {name!r}"
    if kind == "time":
        times_N, notes = _checked(table, place)
        if table.moments[place].clock:
            raise DataError(
                "a time of day without a date",
                where=f"{table.where}, {words}",
                hint="--frequency none takes values by their order, with --time-column left out",
            )
        return Times(times_N, "time", (place,), words, tuple(notes))
    hint = "dates are read as 2020-01-31, 2020-01, 2020Q1, 31/01/2020 or Jan 31 2020"
    if place in table.bad:
        row, text = table.bad[place][:2]
    elif kind == "number":
        values_N = table.columns[place].to_numpy()
        found = _numeric(values_N, sure=True)
        if found is not None:
            return Times(*found[:2], (place,), f"{words} of {found[2]}")
        row = int((~np.isfinite(values_N) | (values_N != np.floor(values_N))).argmax())
        text, hint = f"{values_N[row]:g}", "times in numbers are whole"
    else:
        wrong = ~are_stamps(table.columns[place].fill_null("")) & ~table.missing(place)
        row = int(wrong.argmax())
        text = table.text(place, row)
    what = text if hint.startswith("times") else repr(text[:60])
    raise DataError(f"not a time: {what}", where=table.place(row, name), hint=hint)


def _checked(table: Table, place: int) -> tuple[Ints, list[str]]:
    """The times of a column of dates, and what there is to say."""
    moments, notes = table.moments[place], []
    of = f"of column {table.names[place]!r}"
    for row, what, hint in (
        (moments.bad, "not a time", "all times of a column are written alike"),
        (moments.overflow, "a year out of reach", "years go from 1678 to 2261"),
    ):
        if row is not None:
            text = table.text(place, row)[:60]
            raise DataError(
                f"{what}: {text!r}", where=table.place(row, table.names[place]), hint=hint
            )
    if moments.order is not None:
        first = moments.order.partition("-")[0]
        other = "month-first" if first == "day" else "day-first"
        notes.append(
            f"dates {of} do not say whether the day or the month comes first: read with the "
            f"{first} first; if not: --dates {other}"
            if moments.doubtful
            else f"dates {of} have the {first} first"
        )
    if moments.two_digits:
        notes.append(f"years {of} have two digits: 70 to 99 are read as 19xx")
    if moments.local_N is None:
        if moments.offset:
            sign, minutes = "-" if moments.offset < 0 else "+", abs(moments.offset) // 60
            at = f"{sign}{minutes // 60:02}:{minutes % 60:02}"
            notes.append(f"times {of} are all at {at}: kept as local times")
        return moments.times_N, notes
    # By the clock on the wall where that is the same every day, otherwise in UTC.
    local = len(np.unique(moments.local_N[moments.local_N != NO_TIME] % DAY)) == 1
    what = "kept as local days" if local else "turned into UTC"
    notes.append(f"times {of} change their offset from UTC: {what}")
    return moments.local_N if local else moments.times_N, notes


def _together(table: Table, date: int, clock: int) -> Times:
    """A date and a time of day."""
    days_N, notes = _checked(table, date)
    hours_N, _ = _checked(table, clock)
    missing = (days_N == NO_TIME) | (hours_N == NO_TIME)
    times_N = np.where(missing, NO_TIME, days_N + np.where(missing, 0, hours_N))
    words = f"columns {table.names[date]!r} and {table.names[clock]!r}"
    return Times(times_N, "time", (date, clock), words, tuple(notes))


def _parts_of(table: Table, names: Mapping[int, str]) -> dict[str, int] | None:
    """Columns of year and month (or quarter) and so on, by name and cells: from part to place.

    Arguments:
        table: the table.
        names: of the columns, by place.
    """
    found: dict[str, int] = {}
    for place, name in names.items():
        plain = plain_name(name)
        part = next((part for part, (known, *_) in _PARTS.items() if plain in known), None)
        if part is None or part in found or table.kind(place) != "number" or place in table.bad:
            continue
        values = table.columns[place].drop_nans()
        _, low, high = _PARTS[part]
        if len(values) and bool(((values == values.floor()) & values.is_between(low, high)).all()):
            found[part] = place
    if "year" not in found or not {"month", "quarter"} & set(found):
        return None
    # A day without a month, or a minute without an hour, is something else.
    for before, part in itertools.pairwise(("month", "day", "hour", "minute", "second")):
        if before not in found:
            found.pop(part, None)
    return found


def _from_parts(table: Table, parts: Mapping[str, int]) -> Times:
    values = {part: table.columns[place].to_numpy() for part, place in parts.items()}
    missing = np.any([np.isnan(numbers) for numbers in values.values()], axis=0)
    whole = {part: np.where(missing, 1, v).astype(np.int64) for part, v in values.items()}
    one = np.ones(table.rows, np.int64)
    month = whole["month"] if "month" in whole else whole["quarter"] * 3 - 2
    year, day = np.where(missing, 1970, whole["year"]), whole.get("day", one)
    hours, minutes, seconds = (whole.get(part, 0 * one) for part in ("hour", "minute", "second"))
    times_N, odd, _ = instants(year, month, day, hours * 3600 + minutes * 60 + seconds)
    if (odd & ~missing).any():
        row = int((odd & ~missing).argmax())
        what = f"year {year[row]}, month {month[row]}, day {day[row]}"
        raise DataError(f"not a time: {what}", where=table.place(row))
    *names, last = [repr(table.names[place]) for place in sorted(parts.values())]
    words = f"columns {', '.join(names)} and {last}"
    return Times(np.where(missing, NO_TIME, times_N), "time", tuple(parts.values()), words)


def _numeric(
    values_N: Floats, *, sure: bool = False, named: bool = True, header: bool = True
) -> tuple[Ints, TimeKind, str] | None:
    """The times that numbers are, and how they are written; None if they are none.

    Arguments:
        values_N: the numbers.
        sure: whether they are known to be times.
        named: whether their column has a name that says so.
        header: whether columns have names at all.
    """
    missing = np.isnan(values_N)
    there = values_N[~missing]
    if not len(there) or np.any(there != np.floor(there)) or np.abs(there).max() >= 2.0**63:
        return None
    rising = len(there) > 2 and bool(np.all(np.diff(there) > 0))
    if not (sure or named or (rising and not missing.any())):
        return None
    low, high = int(there.min()), int(there.max())
    whole = np.where(missing, low, values_N).astype(np.int64)
    digits = len(str(high)) if low > 0 and len(str(low)) == len(str(high)) else 0
    if digits in _DIGITS and (sure or {4: header, 6: named}.get(digits, True)):
        year, month, day, hour, minute, second = (
            whole // 10 ** (digits - end) % 10**size
            if digits >= end
            else np.full(len(whole), least)
            for end, size, least in (
                (4, 4, 0),
                (6, 2, 1),
                (8, 2, 1),
                (10, 2, 0),
                (12, 2, 0),
                (14, 2, 0),
            )
        )
        times_N, odd, far = instants(year, month, day, hour * 3600 + minute * 60 + second)
        far |= (year < 1900) & (digits > 8)  # seconds since 1970 are likelier
        if not np.any(odd | far | (hour > 24) | (minute > 59) | (second > 60)):
            return np.where(missing, NO_TIME, times_N), "time", _DIGITS[digits]
    for name, least, most, factor in _EPOCHS:
        if least <= low and high < most and (named or sure or low >= 3 * least):
            return np.where(missing, NO_TIME, whole * factor), "time", f"{name} since 1970"
    even = rising and len(np.unique(np.diff(there))) == 1 and len(there) >= 10
    return (
        (np.where(missing, NO_TIME, whole), "integer", "whole numbers")
        if sure or named or even
        else None
    )
