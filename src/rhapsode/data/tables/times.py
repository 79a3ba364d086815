"""Times of the rows of a table."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rhapsode.data.tables.frequency import TimeKind
from rhapsode.data.tables.parsing.columns import (
    TIME_NAMES,
    Column,
    Table,
    listed,
    plain_name,
)
from rhapsode.data.tables.parsing.stamps import DAY, PART_NAME, from_digits, time_column
from rhapsode.data.tables.series_set import Zone
from rhapsode.data.tables.settings import SeriesSettings
from rhapsode.errors import DataError

if TYPE_CHECKING:
    import polars as pl

PARTS: Mapping[str, tuple[frozenset[str], int, int]] = MappingProxyType({
    "year": (frozenset({"year", "yr", "yyyy", "jahr", "年", "年份"}), 1678, 2261),
    "quarter": (frozenset({"quarter", "qtr", "季度"}), 1, 4),
    "month": (frozenset({"month", "mon", "mo", "mm", "monat", "月", "月份"}), 1, 12),
    "day": (frozenset({"day", "dd", "dayofmonth", "tag", "日"}), 1, 31),
    "hour": (frozenset({"hour", "hr", "hh", "he", "hourending", "stunde", "时", "小时"}), 0, 24),
    "minute": (frozenset({"minute", "min", "分", "分钟"}), 0, 59),
    "second": (frozenset({"second", "sec", "秒"}), 0, 60),
})  # fmt: skip
"""Names of columns of the parts of a time, and the range of their numbers."""
_GLUE = {"quarter": "Q", "month": "-", "day": "-", "hour": " ", "minute": ":", "second": ":"}
_EPOCHS = (
    ("seconds", 10**8, 10**10, 10**9),
    ("milliseconds", 10**11, 10**13, 10**6),
    ("microseconds", 10**14, 10**16, 10**3),
    ("nanoseconds", 10**17, 9 * 10**18, 1),
)
_HEAD = 100
# Fewest rows of years with decimals, and how far these may be from even steps.
_LEAST_YEARS, _YEAR_DECIMALS = 10, 0.003


class Times(NamedTuple):
    """The time of every row, and its columns in words."""

    values: pl.Series
    kind: TimeKind
    columns: tuple[Column, ...]
    words: str
    notes: tuple[str, ...] = ()
    offset: pl.Series | None = None

    @property
    def instants(self) -> pl.Series:
        """The times in UTC, if their offset is known."""
        return self.values if self.offset is None else self.values - self.offset


def named_times(table: Table, settings: SeriesSettings, columns: Sequence[Column]) -> Times:
    """The times of columns that the settings name."""
    if len(columns) == 1:
        return _single(table, settings, columns[0])
    in_order = [part for part in PARTS if part != "quarter"]
    for known in ([column.name for column in columns], in_order):  # by name, or by order
        parts = _parts_of(zip(columns, known, strict=False)) or {}
        if len(parts) == len(columns):
            return _from_parts(table, settings, parts)
    if sorted(column.kind for column in columns) == ["clock", "time"]:
        dated = sorted(columns, key=lambda column: column.kind, reverse=True)
        return _joined(table, settings, dated, " ")
    raise DataError(
        f"the columns {listed(columns)} cannot be combined into a time",
        where=table.where,
        hint="name a date and a time of day, or columns year, month, day and so on",
    )


def find_times(table: Table, settings: SeriesSettings, free: Sequence[Column]) -> Times | None:
    """The times of a table; None if no column holds times."""
    if dates := [column for column in free if column.kind == "time"]:
        dates = [column for column in dates if column.values.n_unique() > 1] or dates
        likely = (column for column in dates if plain_name(column.name) in TIME_NAMES)
        date = next(likely, dates[0])
        clocks = (c for c in free if c.kind == "clock" or _part_of(c, c.name) == "hour")
        clock = next(clocks, None)
        if clock is not None and not date.labels.str.contains(":").any():
            return _joined(table, settings, [date, clock], " ")
        return _single(table, settings, date)
    if parts := _parts_of((column, column.name) for column in free):
        return _from_parts(table, settings, parts)
    numbers = [column for column in free if column.kind == "number"]
    unnamed = [column for column in free if not column.name.strip()]
    if len(unnamed) > 1 or (not table.header and len(numbers) > 2):
        lead = unnamed if table.header else numbers
        parts = _parts_of(zip(lead, ("year", "month"), strict=False))
        times = _from_parts(table, settings, parts) if parts else None
        if times is not None and (times.values.diff()[1:] > 0).all():
            return times
    candidates: list[Times] = []
    for column in numbers if len(numbers) > 1 else ():
        named = plain_name(column.name) in TIME_NAMES or not column.name.strip("# ")
        first = named or column is table.columns[0]
        hinted = not TIME_NAMES.isdisjoint(re.split(r"[\W_]+", column.name.lower()))
        if column.bad is None and (first or hinted or not table.header):
            found = numeric_times(column.values, named=named or hinted, header=table.header)
            if found is None or not (first or found[1] == "time"):
                continue
            if candidates and not (found[0].diff()[1:] > 0).all():
                continue
            words = f"column {column.name!r} of {found[2]}"
            candidates.append(Times(*found[:2], (column,), words))
    dated = (times for times in candidates if times.kind == "time")
    return next(dated, next(iter(candidates), None))


def _single(table: Table, settings: SeriesSettings, column: Column) -> Times:
    """The times of one column."""
    if column.kind != "number" or column.bad is not None:
        return _joined(table, settings, [column])
    if (found := numeric_times(column.values, sure=True)) is not None:
        return Times(*found[:2], (column,), f"column {column.name!r} of {found[2]}")
    row = int((column.values != column.values.floor()).fill_null(value=True).arg_max() or 0)
    raise DataError(
        f"not a time: {column.labels[row]}",
        where=table.place(row, column.name),
        hint="numeric times must be whole numbers",
    )


def _joined(
    table: Table, settings: SeriesSettings, columns: Sequence[Column], glue: str = ""
) -> Times:
    """The times that columns make together, with a character between each and the next."""
    time = first = columns[0]
    if first.kind != "time" or len(columns) > 1:
        cells = first.labels
        for between, column in zip(glue, columns[1:], strict=True):
            cells = cells + between + column.labels.str.zfill(2 if between == ":" else 0)
        time = time_column(first.name, cells, settings, least=0) or first
    if time.kind == "clock":
        raise DataError(
            "a time of day without a date",
            where=f"{table.where}, column {first.name!r}",
            hint="leave out --time-column, and "
            "use --frequency none to use only the order of values",
        )
    if time.bad is not None:
        table.refuse(first, time.bad)
    *names, last = [repr(c.name) for c in table.columns if c in columns]
    words = f"columns {', '.join(names)} and {last}" if names else f"column {last}"
    return Times(time.values, "time", tuple(columns), words, time.notes, time.offset)


def _from_parts(table: Table, settings: SeriesSettings, parts: Mapping[str, Column]) -> Times:
    """The times that years, months and other parts make together."""
    used = [p for p in PARTS if p in parts and not (p == "quarter" and "month" in parts)]
    glue = "".join(_GLUE[part] if parts[part].kind == "number" else "-" for part in used[1:])
    times = _joined(table, settings, [parts[part] for part in used], glue)
    return times._replace(columns=tuple(parts.values()))


def _part_of(column: Column, name: str) -> str | None:
    """The part of a time that a column holds by its name and cells."""
    plain = plain_name(name)
    part = next((part for part, (known, *_) in PARTS.items() if plain in known), None)
    if part in {"month", "quarter"} and column.kind == "label":
        names = all(re.fullmatch(PART_NAME, level.lower()) for level in column.levels)
        return part if names and column.levels else None
    if part is None or column.kind != "number" or column.bad is not None:
        return None
    values, (_, low, high) = column.values.drop_nulls(), PARTS[part]
    fits = len(values) and ((values == values.floor()) & values.is_between(low, high)).all()
    return part if fits else None


def _parts_of(named: Iterable[tuple[Column, str]]) -> dict[str, Column] | None:
    """Columns of year, month and other parts of a time.

    They are recognised by their names and numbers. None without a year and a month or quarter.
    """
    found: dict[str, Column] = {}
    for column, name in named:
        if (part := _part_of(column, name)) is not None:
            found.setdefault(part, column)
    if "year" not in found or not {"month", "quarter"} & set(found):
        return None
    # A day without a month, or a minute without an hour, is something else.
    for before, part in itertools.pairwise(("month", "day", "hour", "minute", "second")):
        if before not in found:
            found.pop(part, None)
    return found


def repeats_times(times: Times, column: Column) -> bool:
    """True of a column that repeats the times or parts of them."""
    import polars as pl

    if (part := _part_of(column, column.name)) is not None:
        same = getattr(times.values.cast(pl.Datetime("ns")).dt, part)() == column.values
    else:
        instants, head = times.instants, column.values.head(_HEAD)
        if numeric_times(head, sure=True) is None:  # the first rows tell most columns apart
            low, high = instants.min() or 0, instants.max() or 0
            span = int(high) - int(low)  # type: ignore[arg-type]
            if ((_of_years(head) - instants.head(_HEAD)).abs() > 2 * max(span, DAY)).any():
                return False
        found, years = numeric_times(column.values, sure=True), _of_years(column.values)
        other = found[0] if found is not None and found[1] == "time" else years
        steps = np.diff(instants.drop_nulls().unique().sort().to_numpy())
        same = (other - instants).abs() <= 2 * int(steps.max(initial=DAY))
    return len(same) > 2 and bool(same.fill_null(value=False).all())


def _of_years(values: pl.Series) -> pl.Series:
    """Nanoseconds since 1970 of years and parts of them."""
    return (values - 1970) * (365.2425 * DAY)


def numeric_times(
    values: pl.Series, *, sure: bool = False, named: bool = True, header: bool = True
) -> tuple[pl.Series, TimeKind, str] | None:
    """Times that numbers stand for, with their kind and form.

    None for other numbers.
    """
    import polars as pl

    there = values.drop_nulls()
    if (years := _decimal_years(values)) is not None:
        return years, "time", "decimal years"
    if not len(there) or not ((there == there.floor()) & (there.abs() < 2.0**63)).all():
        return None
    steps = there.diff()[1:]
    rising = len(there) > 2 and bool((steps > 0).all())
    if not (sure or named or (rising and len(there) == len(values))):
        return None
    whole = values.cast(pl.Int64)
    low, high = int(whole.min()), int(whole.max())  # type: ignore[arg-type]
    digits = len(str(high)) if low > 0 and len(str(low)) == len(str(high)) else 0
    if sure or {4: header, 6: named}.get(digits, True):
        found = from_digits(whole, digits)
        if found is not None:
            return found[0], "time", found[1]
    for name, least, most, factor in _EPOCHS:
        if least <= low and high < most and (named or sure or low >= 3 * least):
            return whole * factor, "time", f"{name} since 1970"
    even = rising and steps.n_unique() == 1 and len(there) >= 10
    return (whole, "integer", "whole numbers") if sure or named or even else None


def _decimal_years(values: pl.Series) -> pl.Series | None:
    """Times of years with decimals, in even steps: the months, or the days, that they lie in."""
    import polars as pl

    steps = values.diff()[1:]
    if len(values) < _LEAST_YEARS or values.null_count() or (values == values.floor()).all():
        return None
    step = float(steps.median())  # type: ignore[arg-type]
    even = (steps - step).abs() <= 0.2 * step + _YEAR_DECIMALS
    if not (even & (steps > 0)).all() or not values.is_between(1600, 2300).all():
        return None
    months, days = 12 * values.floor(), 365.2425 * (values - values.floor())
    if abs(step - 1 / 12) <= _YEAR_DECIMALS:
        months, days = (12 * values + 0.1).floor(), 0 * days
    day = (days + 0.1).floor()
    parts = pl.DataFrame({"year": months // 12, "month": months % 12 + 1}).cast(pl.Int32)
    first = parts.select(pl.datetime("year", "month", 1, time_unit="ns")).to_series()
    times = first.cast(pl.Int64) + day.cast(pl.Int64) * DAY
    return times if (times.diff()[1:] > 0).all() else None


def zoned_times(times: Times, notes: list[str]) -> tuple[pl.Series, Zone | None]:
    """Times on which a grid is laid, and their offsets from UTC.

    Times of day go by UTC where the offset changes; days are those of the clock on the wall.
    """
    import polars as pl

    if times.offset is None:
        return times.values, None
    of = f"times of {times.words}"
    pairs = pl.DataFrame({"time": times.values, "offset": times.offset}).drop_nulls()
    same = pairs["offset"].n_unique() == 1
    days = (pairs["time"] % DAY).n_unique() == 1
    utc = not (same or days)
    zone_times = pairs["time"] - pairs["offset"] if utc else pairs["time"]
    pairs = pairs.with_columns(time=zone_times).unique().sort("time")
    if pairs["time"].is_duplicated().any():
        notes.append(f"{of} have several offsets from UTC: turned into UTC")
        return times.instants, Zone((0,), (0,))
    changes = pairs.filter(pairs["offset"].ne_missing(pairs["offset"].shift(1)))
    zone = Zone(tuple(changes["time"]), tuple(changes["offset"]), utc=utc)
    if same and zone.offsets[0]:
        notes.append(f"{of} all have the offset {zone.suffix(0)}: kept as local times")
    elif not same:
        kept = "kept as local days" if days else "spaced by UTC, and written with their offset"
        notes.append(f"{of} change their offset from UTC: {kept}")
    return times.instants if utc else times.values, zone
