"""Which columns of a table hold the time, and what their cells mean.

Times are columns of dates, a date and a time of day apart, year and month and day apart, years, dates written as whole
numbers, seconds since 1970, or just whole numbers that go up.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from rhapsode.data.tables.frequency import TimeKind
from rhapsode.data.tables.parsing.columns import Column, Labels, Numbers, Stamps, Table
from rhapsode.data.tables.parsing.stamps import NO_TIME, Moments, as_bytes, parse_stamps
from rhapsode.errors import DataError

__all__ = ["Times", "find_times", "named_times", "plain_name", "times_of_names"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_DAY = 86_400_000_000_000
_FIRST_YEAR, _LAST_YEAR = 1678, 2261
_TIME_NAMES = frozenset({
    "time", "timestamp", "ts", "ds", "date", "datetime", "dt", "epoch", "unix", "unixtime",
    "unixtimestamp", "t", "step", "period", "year", "yr", "month", "quarter", "week", "day", "hour",
    "yyyymm", "yyyymmdd", "yyyy", "index", "idx", "no", "row", "timeidx", "timestep", "日期", "时间",
    "時間", "年", "年份", "月份", "年月", "datum", "zeit", "fecha", "data", "heure", "jour",
})  # fmt: skip
_PARTS = MappingProxyType(
    {
        "year": frozenset({"year", "yr", "yyyy", "jahr", "年", "年份"}),
        "quarter": frozenset({"quarter", "qtr", "季度"}),
        "month": frozenset({"month", "mon", "mo", "monat", "月", "月份"}),
        "day": frozenset({"day", "dd", "dayofmonth", "tag", "日"}),
        "hour": frozenset({"hour", "hr", "hh", "stunde", "时", "小时"}),
        "minute": frozenset({"minute", "min", "分", "分钟"}),
        "second": frozenset({"second", "sec", "秒"}),
    }
)
_RANGES = MappingProxyType(
    {
        "year": (_FIRST_YEAR, _LAST_YEAR), "quarter": (1, 4), "month": (1, 12), "day": (1, 31),
        "hour": (0, 24), "minute": (0, 59), "second": (0, 60),
    }
)  # fmt: skip
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


def plain_name(name: str) -> str:
    """A name in lower case, letters and digits only."""
    return "".join(character for character in name.lower() if character.isalnum())


def named_times(table: Table, places: Sequence[int]) -> Times:
    """The times that columns hold of which the user says that they do.

    Raises:
        DataError: a cell is no time, or the columns do not make one together.
    """
    columns = [table.columns[place] for place in places]
    if len(columns) == 1:
        return _single(table, places[0], columns[0])
    parts = _parts_of(columns)
    if parts is not None and len(parts) == len(columns):
        return _from_parts(table, {part: places[place] for part, place in parts.items()})
    if len(columns) == 2:
        first, second = columns
        if isinstance(first, Stamps) and isinstance(second, Stamps):
            if first.moments.clock:
                places, first, second = (places[1], places[0]), second, first
            if second.moments.clock and not first.moments.clock:
                return _together(table, (places[0], places[1]), first, second)
    names = ", ".join(repr(column.name) for column in columns)
    raise DataError(
        f"the columns {names} do not make a time together",
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
    stamped = [
        (place, column) for place in free if isinstance(column := table.columns[place], Stamps)
    ]
    dated = [(place, column) for place, column in stamped if not column.moments.clock]
    if dated:
        place, column = next(
            (pair for pair in dated if plain_name(pair[1].name) in _TIME_NAMES), dated[0]
        )
        clocks = [pair for pair in stamped if pair[1].moments.clock]
        if clocks and not column.moments.sub_daily:
            return _together(table, (place, clocks[0][0]), column, clocks[0][1])
        return _single(table, place, column)
    numbers = [place for place in free if isinstance(table.columns[place], Numbers)]
    parts = _parts_of([table.columns[place] for place in numbers])
    if parts is not None:
        return _from_parts(table, {part: numbers[place] for part, place in parts.items()})
    for place in numbers:
        column = table.columns[place]
        assert isinstance(column, Numbers)
        if column.bad is not None:
            continue
        named = plain_name(column.name) in _TIME_NAMES or not column.name.strip("# ")
        leading = place == 0 and len(numbers) > 1
        if not (named or leading) or len(numbers) < 2:
            continue
        found = _numeric(column.values_N, sure=False, named=named, header=table.header)
        if found is not None:
            times_N, kind, meaning = found
            words = f"column {column.name!r}{meaning}"
            return Times(times_N, kind, (place,), words)
    return None


def times_of_names(names: Sequence[str]) -> tuple[Ints, TimeKind] | None:
    """The times that names of columns are, rising; None if any is none."""
    cells = as_bytes([name.removeprefix("X") for name in names])
    none = np.zeros(len(names), bool)
    digits = all(name.isdigit() for name in names)
    if digits:
        found = _numeric(
            np.array([float(name) for name in names]), sure=True, named=True, header=True
        )
        if found is None or np.any(np.diff(found[0]) <= 0):
            return None
        return found[0], found[1]
    moments = parse_stamps(cells, none, "auto")
    if moments.bad is not None or moments.clock or moments.overflow is not None:
        return None
    if np.any(np.diff(moments.times_N) <= 0):
        return None
    return moments.times_N, "time"


def _single(table: Table, place: int, column: Column) -> Times:
    """The times of one column."""
    if isinstance(column, Stamps):
        times_N, notes = _checked(table, column)
        if column.moments.clock:
            raise DataError(
                "a time of day without a date",
                where=f"{table.where}, column {column.name!r}",
                hint="--frequency none takes values by their order, with --time-column left out",
            )
        return Times(times_N, "time", (place,), f"column {column.name!r}", tuple(notes))
    if isinstance(column, Labels):
        row = int(np.flatnonzero(~column.missing_N)[0]) if not column.missing_N.all() else 0
        for number in range(table.rows):
            code = column.codes_N[number]
            if (
                code >= 0
                and parse_stamps(as_bytes([column.levels[code]]), np.zeros(1, bool), "auto").bad
                is not None
            ):
                row = number
                break
        text = column.levels[column.codes_N[row]] if column.codes_N[row] >= 0 else ""
        raise DataError(
            f"not a time: {text[:60]!r}",
            where=table.place(row, column.name),
            hint="dates are read as 2020-01-31, 2020-01, 2020Q1, 31/01/2020 or Jan 31 2020",
        )
    if column.bad is not None:
        raise DataError(
            f"not a time: {column.bad.text[:60]!r}", where=table.place(column.bad.row, column.name)
        )
    found = _numeric(column.values_N, sure=True, named=True, header=table.header)
    if found is None:
        infinite = np.flatnonzero(~np.isfinite(column.values_N))
        row = (
            int(infinite[0])
            if len(infinite)
            else int(np.flatnonzero(column.values_N != np.floor(column.values_N))[0])
        )
        raise DataError(
            f"not a time: {column.values_N[row]:g}",
            where=table.place(row, column.name),
            hint="times in numbers are whole",
        )
    times_N, kind, meaning = found
    return Times(times_N, kind, (place,), f"column {column.name!r}{meaning}")


def _checked(table: Table, column: Stamps) -> tuple[Ints, list[str]]:
    """The times of a column of dates, and what there is to say."""
    moments = column.moments
    for row, what in ((moments.bad, "not a time"), (moments.overflow, "a year out of reach")):
        if row is not None:
            text = "" if column.cells_N is None else column.cells_N[row].decode("utf-8", "replace")
            raise DataError(
                f"{what}: {text.strip()[:60]!r}",
                where=table.place(row, column.name),
                hint="years go from 1678 to 2261"
                if what != "not a time"
                else "all times of a column are written alike",
            )
    notes = []
    if moments.order is not None:
        first = moments.order.partition("-")[0]
        if moments.doubtful:
            other = "month-first" if first == "day" else "day-first"
            notes.append(
                f"dates of column {column.name!r} do not say whether the day or the month comes first: read with the "
                f"{first} first; if not: --dates {other}"
            )
        else:
            notes.append(f"dates of column {column.name!r} have the {first} first")
    if moments.two_digits:
        notes.append(f"years of column {column.name!r} have two digits: 70 to 99 are read as 19xx")
    times_N = moments.times_N
    if moments.zones:
        times_N = _local_or_utc(moments, column.name, notes)
    return times_N, notes


def _local_or_utc(moments: Moments, name: str, notes: list[str]) -> Ints:
    """Times with a zone: by the clock on the wall where that is the same every day, otherwise in UTC."""
    if moments.local_N is None:
        if moments.offset:
            sign = "-" if moments.offset < 0 else "+"
            minutes = abs(moments.offset) // 60
            notes.append(
                f"times of column {name!r} are all at {sign}{minutes // 60:02}:{minutes % 60:02}: kept as local times"
            )
        return moments.times_N
    there = moments.local_N != NO_TIME
    clocks = np.unique(moments.local_N[there] % _DAY)
    if len(clocks) == 1:
        notes.append(f"times of column {name!r} change their offset from UTC: kept as local days")
        return moments.local_N
    notes.append(f"times of column {name!r} change their offset from UTC: turned into UTC")
    return moments.times_N


def _together(table: Table, places: tuple[int, int], date: Stamps, clock: Stamps) -> Times:
    """A date and a time of day."""
    days_N, notes = _checked(table, date)
    hours_N, _ = _checked(table, clock)
    missing = (days_N == NO_TIME) | (hours_N == NO_TIME)
    times_N = np.where(missing, NO_TIME, days_N + np.where(missing, 0, hours_N))
    words = f"columns {date.name!r} and {clock.name!r}"
    return Times(times_N, "time", places, words, tuple(notes))


def _parts_of(columns: Sequence[Column]) -> dict[str, int] | None:
    """Columns of year and month (or quarter) and so on, by name and cells: from part to place."""
    found: dict[str, int] = {}
    for place, column in enumerate(columns):
        if not isinstance(column, Numbers) or column.bad is not None:
            continue
        part = next((p for p, names in _PARTS.items() if plain_name(column.name) in names), None)
        if part is None or part in found:
            continue
        values = column.values_N[~np.isnan(column.values_N)]
        low, high = _RANGES[part]
        whole = len(values) > 0 and bool(np.all(values == np.floor(values)))
        if whole and values.min() >= low and values.max() <= high:
            found[part] = place
    if "year" not in found or not {"month", "quarter"} & set(found):
        return None
    # A day without a month, or a minute without an hour, is something else.
    for before, part in itertools.pairwise(("month", "day", "hour", "minute", "second")):
        if before not in found:
            found.pop(part, None)
    return found


def _from_parts(table: Table, parts: dict[str, int]) -> Times:
    values: dict[str, Floats] = {}
    for part, place in parts.items():
        column = table.columns[place]
        assert isinstance(column, Numbers)
        values[part] = column.values_N
    missing = np.any([np.isnan(v) for v in values.values()], axis=0)
    whole = {part: np.where(missing, 1, v).astype(np.int64) for part, v in values.items()}
    month = whole["month"] if "month" in whole else whole["quarter"] * 3 - 2
    year = np.where(missing, 1970, whole["year"])
    months = (year - 1970) * 12 + month - 1
    first = months.astype("datetime64[M]").astype("datetime64[D]")
    after = (months + 1).astype("datetime64[M]").astype("datetime64[D]")
    day = whole.get("day", np.ones(table.rows, np.int64))
    late = np.flatnonzero((day > (after - first).astype(np.int64)) & ~missing)
    if len(late):
        row = int(late[0])
        raise DataError(
            f"not a time: year {year[row]}, month {month[row]}, day {day[row]}",
            where=table.place(row),
        )
    zero = np.zeros(table.rows, np.int64)
    seconds = (
        whole.get("hour", zero) * 3600 + whole.get("minute", zero) * 60 + whole.get("second", zero)
    )
    times_N = (first.astype(np.int64) + day - 1) * _DAY + seconds * 1_000_000_000
    names = [table.columns[place].name for place in sorted(parts.values())]
    words = "columns " + ", ".join(repr(name) for name in names[:-1]) + f" and {names[-1]!r}"
    return Times(np.where(missing, NO_TIME, times_N), "time", tuple(parts.values()), words)


def _numeric(
    values_N: Floats, *, sure: bool, named: bool, header: bool
) -> tuple[Ints, TimeKind, str] | None:
    """What numbers say of time; None if nothing.

    Arguments:
        values_N: the numbers.
        sure: whether they are known to be times.
        named: whether their column has a name that says so.
        header: whether columns have names at all.
    """
    missing = np.isnan(values_N)
    there = values_N[~missing]
    if not len(there) or not np.all(np.isfinite(there)) or np.any(there != np.floor(there)):
        return None
    if missing.any() and not (sure or named):
        return None
    if np.abs(there).max() >= 2.0**63:
        return None
    whole = np.where(missing, 0, values_N).astype(np.int64)
    low, high = int(there.min()), int(there.max())
    rising = len(there) > 2 and bool(np.all(np.diff(there) > 0))
    if not (sure or named or rising):
        return None

    def told(times_N: Ints, meaning: str) -> tuple[Ints, TimeKind, str]:
        return np.where(missing, NO_TIME, times_N), "time", meaning

    if low >= _FIRST_YEAR and high <= _LAST_YEAR and (header or sure):
        return told(_first_days(whole, np.ones_like(whole), missing), " of years")
    if low >= 10_000 * _FIRST_YEAR and high < 10_000 * (_LAST_YEAR + 1):
        days = whole % 100
        months = whole // 100 % 100
        safe = (months >= 1) & (months <= 12) & (days >= 1) & (days <= 31)
        if np.all(safe | missing):
            times_N = _first_days(whole // 10_000, months, missing) + (days - 1) * _DAY
            return told(times_N, " of dates in eight digits")
    if low >= 100 * _FIRST_YEAR and high < 100 * (_LAST_YEAR + 1) and (named or sure):
        months = whole % 100
        if np.all(((months >= 1) & (months <= 12)) | missing):
            return told(_first_days(whole // 100, months, missing), " of months in six digits")
    for name, least, most, factor in _EPOCHS:
        if least <= low and high < most and (named or sure or low >= 3 * least):
            return told(whole * factor, f" of {name} since 1970")
    even = rising and len(np.unique(np.diff(there))) == 1
    if sure or named or (even and len(there) >= 10):
        return np.where(missing, NO_TIME, whole), "integer", " of whole numbers"
    return None


def _first_days(years: Ints, months: Ints, missing: NDArray[np.bool_]) -> Ints:
    """The first days of months, in nanoseconds."""
    counted = np.where(missing, 0, (years - 1970) * 12 + months - 1)
    return counted.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64) * _DAY
