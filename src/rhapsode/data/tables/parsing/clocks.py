"""Columns of a table that hold the time.

Times are a column of dates, a date and a time of day, separate columns of year, month and so on,
years, dates written as whole numbers, seconds since 1970, or whole numbers that rise.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from rhapsode.data.tables.frequency import TimeKind
from rhapsode.data.tables.parsing.columns import Bad, Column, Table, listed, plain_name
from rhapsode.data.tables.parsing.numerals import MISSING
from rhapsode.data.tables.parsing.stamps import (
    DAY,
    NO_TIME,
    instants,
    is_stamp,
    parse_stamps,
    texts,
)
from rhapsode.errors import DataError

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
_PLACES = ((4, 4, 0), (6, 2, 1), (8, 2, 1), (10, 2, 0), (12, 2, 0), (14, 2, 0))
"""Last digit, count of digits and least value of year, month, day, hour, minute and second."""
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
        times_N: nanoseconds since 1970-01-01, or whole numbers; `NO_TIME` if missing.
        kind: the meaning of `times_N`.
        columns: the columns that hold the times.
        words: their description, such as "column 'date'".
        notes: remarks, a line each.
    """

    times_N: Ints
    kind: TimeKind
    columns: tuple[Column, ...]
    words: str
    notes: tuple[str, ...] = ()


def named_times(table: Table, columns: Sequence[Column]) -> Times:
    """The times of columns that the settings name.

    Raises:
        DataError: a cell is no time, or the columns do not make one together.
    """
    if len(columns) == 1:
        return _single(table, columns[0])
    names = [column.name for column in columns]
    in_order = [part for part in _PARTS if part != "quarter"]
    for known in (names, in_order):  # by their order, if the names say nothing
        parts = _parts_of(zip(columns, known, strict=False)) or {}
        if len(parts) == len(columns):
            return _from_parts(table, parts)
    stamps = sorted((c for c in columns if c.moments), key=_is_clock)
    if len(columns) == len(stamps) == 2 and [*map(_is_clock, stamps)] == [False, True]:
        return _together(table, *stamps)
    raise DataError(
        f"the columns {listed(columns)} cannot be combined into a time",
        where=table.where,
        hint="name a date and a time of day, or columns year, month, day and so on",
    )


def find_times(table: Table, free: Sequence[Column]) -> Times | None:
    """Find the times of a table by its cells and names.

    None if no column holds times.

    Arguments:
        table: the table.
        free: columns that have no other part.

    Raises:
        DataError: a column of dates has a cell that is none.
    """
    dates = [column for column in free if column.moments and not column.moments.clock]
    if dates:
        likely = (column for column in dates if plain_name(column.name) in _TIME_NAMES)
        date = next(likely, dates[0])
        clock = next(filter(_is_clock, free), None)
        if clock is not None and date.moments and not date.moments.sub_daily:
            return _together(table, date, clock)
        return _single(table, date)
    numbers = [column for column in free if column.kind == "number"]
    if parts := _parts_of((column, column.name) for column in numbers):
        return _from_parts(table, parts)
    if not table.header and len(numbers) > 2:
        parts = _parts_of(zip(numbers, ("year", "month"), strict=False))
        times = _from_parts(table, parts) if parts else None
        if times is not None and np.all(np.diff(times.times_N) > 0):
            return times
    for column in numbers if len(numbers) > 1 else ():
        named = plain_name(column.name) in _TIME_NAMES or not column.name.strip("# ")
        if column.bad is None and (named or column is table.columns[0]):
            found = _numeric(column.entries_N, named=named, header=table.header)
            if found is not None:
                return Times(*found[:2], (column,), f"column {column.name!r} of {found[2]}")
    return None


def times_of_names(names: Sequence[str]) -> tuple[Ints, TimeKind] | None:
    """Times given by the names of columns.

    None if a name is no time, or if the times do not rise.
    """
    kind: TimeKind = "time"
    if all(name.isdigit() for name in names):
        found = _numeric(np.array(names, np.float64), sure=True)
        if found is None:
            return None
        times_N, kind, _ = found
    elif is_stamp(names[0].removeprefix("X")):
        cells = texts([name.removeprefix("X") for name in names])
        moments = parse_stamps(cells, np.zeros(len(names), bool), "auto")
        if moments.bad is not None or moments.clock or moments.overflow is not None:
            return None
        times_N = moments.times_N
    else:
        return None
    return (times_N, kind) if np.all(np.diff(times_N) > 0) else None


def _is_clock(column: Column) -> bool:
    return column.moments is not None and column.moments.clock


def _single(table: Table, column: Column) -> Times:
    words = f"column {column.name!r}"
    if column.kind == "time":
        times_N, notes = _checked(table, column)
        if _is_clock(column):
            raise DataError(
                "a time of day without a date",
                where=f"{table.where}, {words}",
                hint="leave out --time-column, and "
                "use --frequency none to use only the order of values",
            )
        return Times(times_N, "time", (column,), words, tuple(notes))
    if column.kind == "number" and column.bad is None:
        values_N = column.entries_N
        found = _numeric(values_N, sure=True)
        if found is not None:
            return Times(*found[:2], (column,), f"{words} of {found[2]}")
        row = int((~np.isfinite(values_N) | (values_N != np.floor(values_N))).argmax())
        what, hint = f"{values_N[row]:g}", "numeric times must be whole numbers"
    else:
        row, text, _ = column.bad or _first_other(column)
        what = repr(text[:60])
        hint = "dates are read as 2020-01-31, 2020-01, 2020Q1, 31/01/2020 or Jan 31 2020"
    raise DataError(f"not a time: {what}", where=table.place(row, column.name), hint=hint)


def _first_other(column: Column) -> Bad:
    """The first label that does not have the form of a time."""
    levels = (level.lower() in MISSING or is_stamp(level) for level in column.levels)
    number = next((number for number, usual in enumerate(levels) if not usual), 0)
    row = int((column.entries_N == number).argmax())
    return Bad(row, column.text(row), 1)


def _checked(table: Table, column: Column) -> tuple[Ints, list[str]]:
    moments, notes, of = column.moments, [], f"of column {column.name!r}"
    assert moments is not None
    for row, what, hint in (
        (moments.bad, "not a time", "all times of a column are written alike"),
        (moments.overflow, "a year out of reach", "years go from 1678 to 2261"),
    ):
        if row is not None:
            text = column.text(row)[:60]
            raise DataError(f"{what}: {text!r}", where=table.place(row, column.name), hint=hint)
    if moments.order is not None:
        first = moments.order.partition("-")[0]
        other = "month-first" if first == "day" else "day-first"
        notes.append(
            f"dates {of} are ambiguous: read with the {first} first; otherwise set --dates {other}"
            if moments.doubtful
            else f"dates {of} have the {first} first"
        )
    if moments.two_digits:
        notes.append(f"years {of} have two digits: 70 to 99 are read as 19xx")
    if moments.local_N is not None:
        # By the clock on the wall if that is the same every day, otherwise in UTC.
        local = len(np.unique(moments.local_N[moments.local_N != NO_TIME] % DAY)) == 1
        what = "kept as local days" if local else "turned into UTC"
        notes.append(f"times {of} change their offset from UTC: {what}")
        return moments.local_N if local else moments.times_N, notes
    if moments.offset:
        sign, minutes = "-" if moments.offset < 0 else "+", abs(moments.offset) // 60
        at = f"{sign}{minutes // 60:02}:{minutes % 60:02}"
        notes.append(f"times {of} all have the offset {at}: kept as local times")
    return moments.times_N, notes


def _together(table: Table, date: Column, clock: Column) -> Times:
    days_N, notes = _checked(table, date)
    hours_N, _ = _checked(table, clock)
    missing = (days_N == NO_TIME) | (hours_N == NO_TIME)
    times_N = np.where(missing, NO_TIME, days_N + np.where(missing, 0, hours_N))
    words = f"columns {date.name!r} and {clock.name!r}"
    return Times(times_N, "time", (date, clock), words, tuple(notes))


def _parts_of(named: Iterable[tuple[Column, str]]) -> dict[str, Column] | None:
    """Columns of year, month and other parts of a time.

    They are recognised by their names and numbers. None without a year and a month or quarter.
    """
    found: dict[str, Column] = {}
    for column, name in named:
        plain = plain_name(name)
        part = next((part for part, (known, *_) in _PARTS.items() if plain in known), None)
        if part is None or part in found or column.kind != "number" or column.bad is not None:
            continue
        values = column.entries_N[~column.missing_N]
        _, low, high = _PARTS[part]
        if len(values) and np.all(
            (values == np.floor(values)) & (values >= low) & (values <= high)
        ):
            found[part] = column
    if "year" not in found or not {"month", "quarter"} & set(found):
        return None
    # A day without a month, or a minute without an hour, is something else.
    for before, part in itertools.pairwise(("month", "day", "hour", "minute", "second")):
        if before not in found:
            found.pop(part, None)
    return found


def _from_parts(table: Table, parts: Mapping[str, Column]) -> Times:
    columns = [column for column in table.columns if column in parts.values()]
    missing = np.any([column.missing_N for column in columns], axis=0)
    numbers = {
        part: np.where(missing, 1, column.entries_N).astype(np.int64)
        for part, column in parts.items()
    }
    one = np.ones(table.rows, np.int64)
    month = numbers["month"] if "month" in numbers else numbers["quarter"] * 3 - 2
    year, day = np.where(missing, 1970, numbers["year"]), numbers.get("day", one)
    hours, minutes, seconds = (numbers.get(part, 0 * one) for part in ("hour", "minute", "second"))
    times_N, odd, _ = instants(year, month, day, hours * 3600 + minutes * 60 + seconds)
    if (odd & ~missing).any():
        row = int((odd & ~missing).argmax())
        what = f"year {year[row]}, month {month[row]}, day {day[row]}"
        raise DataError(f"not a time: {what}", where=table.place(row))
    *names, last = [repr(column.name) for column in columns]
    words = f"columns {', '.join(names)} and {last}"
    return Times(np.where(missing, NO_TIME, times_N), "time", tuple(columns), words)


def _numeric(
    values_N: Floats, *, sure: bool = False, named: bool = True, header: bool = True
) -> tuple[Ints, TimeKind, str] | None:
    """Times that numbers stand for, with their kind and form.

    None for other numbers.

    Arguments:
        values_N: the numbers.
        sure: True if they are known to be times.
        named: True if the name of their column is one of a time.
        header: True if the columns have names.
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
            for end, size, least in _PLACES
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
