"""Rows for each time, from times in names of columns."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rhapsode.data.tables.frequency import TimeKind
from rhapsode.data.tables.parsing.columns import Column, Table, listed, others, plain_name
from rhapsode.data.tables.parsing.stamps import PART_NAME, are_stamps, time_column
from rhapsode.data.tables.settings import SeriesSettings
from rhapsode.data.tables.times import PARTS, Times, numeric_times
from rhapsode.errors import DataError

if TYPE_CHECKING:
    import polars as pl

Columns = tuple[Column, ...]

# Names of columns that go on from the time of a row, what joins them to it, and the fewest.
_GOES_ON = ((" ", rf"{PART_NAME}|[012]?\d:\d\d", 4), ("-", "1[0-2]|0?[1-9]", 12))


class Stretched(NamedTuple):
    """A table with a row for each time, and known roles."""

    table: Table
    notes: list[str]
    ids: Columns = ()
    static: Columns = ()
    times: Times | None = None


def _stretch(table: Table, kept: Sequence[Column], across: Columns, *more: Column) -> Stretched:
    """Turn each row of numbers into a row for each of them."""
    import polars as pl

    numbers = np.column_stack([table.numbers(column) for column in across]).ravel()
    value = Column("value", "number", pl.Series(numbers).fill_nan(None))
    at, old = np.repeat(np.arange(table.rows), len(across)), table.lines
    columns = (Column(c.name, c.kind, c.values.gather(at), bad=c.bad) for c in kept)
    lines = None if old is None else lambda: [line for line in old() for _ in across]
    table = replace(table, columns=(*columns, *more, value), lines=lines)
    return Stretched(table, [*dict.fromkeys(note for column in across for note in column.notes)])


def parts_in_names(
    table: Table, settings: SeriesSettings, when: Column | None, taken: Columns
) -> Stretched | None:
    """Turn columns of months, hours and the like into rows.

    Arguments:
        table: the table.
        settings: the order of dates.
        when: the column of times that the settings name.
        taken: columns with another role.
    """
    import polars as pl

    for between, pattern, fewest in _GOES_ON if table.header else ():
        across = tuple(
            c
            for c in others(table.columns, taken)
            if c.kind == "number" and re.fullmatch(pattern, c.name.strip().lower())
        )
        rest = others(table.columns, across)
        years = (c for c in rest if c.kind == "time" or plain_name(c.name) in PARTS["year"][0])
        first = when or next(years, rest[0] if rest else None)
        if len(across) < fewest or first is None:
            continue
        names = [between + column.name.strip() for column in across]
        rows = np.repeat(np.arange(table.rows), len(across))
        cells = first.labels.gather(rows) + pl.Series(names * table.rows)
        time = time_column(first.name, cells, settings, least=1)
        if time is None or time.bad is not None:
            continue
        labels = [c for c in rest if c.kind == "label"]
        found = _stretch(table, labels, across, time)
        what = f"{first.name!r} in each row and {across[0].name!r} to {across[-1].name!r}"
        found.notes.append(f"times go on in the names of columns: {what}, read as one series")
        if left := others(rest, [*labels, first]):
            plural = "s" * (len(left) > 1)
            what = f"left out, beside the times in the names: {listed(left)}"
            found.notes.append(f"column{plural} {what}")
        return found
    return None


def series_in_rows(
    table: Table,
    settings: SeriesSettings,
    free: Sequence[Column],
    *,
    ids: Columns,
    values: Columns,
    static: Columns,
) -> Stretched | None:
    """Turn a row a series into rows; None for another layout.

    Arguments:
        table: the table.
        settings: the layout, if it is named.
        free: columns without a role.
        ids: columns that identify series, if they are named.
        values: columns of values, if they are named.
        static: attributes of series, if they are named.
    """
    import polars as pl

    forced = settings.layout == "rows"
    other = settings.layout != "auto" or settings.time_column or settings.known or settings.joint
    if not forced and (other or not table.header):
        return None
    labels = [column for column in free if column.kind == "label"]
    if not values:
        values = tuple(column for column in free if column.kind == "number")
        if len(dates := _named_as_times(values)) > len(values) / 2:
            static, values = static or tuple(others(values, dates)), tuple(dates)
    names = [column.name for column in values]
    if not values or (not forced and len(values) < 3):
        return None
    if not ids:  # the first column of text in which no text occurs twice
        ids = tuple(column for column in labels if len(column.levels) == table.rows)[:1]
        distinct = pl.DataFrame([c.labels.alias(str(n)) for n, c in enumerate(labels)]).n_unique()
        ids = ids or tuple(labels if distinct == table.rows else ())
    when = times_of_names(names, settings) if table.header else None
    if when is not None and when[0][0] > when[0][-1]:  # the newest first
        values, when = values[::-1], (when[0].reverse(), when[1])
    dates = [column for column in free if column.kind == "time"]
    if not forced and when is None and (dates or not (_numbered(names) and ids)):
        return None
    if not settings.static:
        static = (*others(labels, ids), *static)
    ids = ids or (Column("", "label", pl.Series([f"row {n + 1}" for n in range(table.rows)])),)
    named = pl.DataFrame([c.labels.alias(str(n)) for n, c in enumerate(ids)]).to_struct()
    if (again := ~named.is_first_distinct()).any():
        row = int(again.arg_max() or 0)
        name = "/".join(map(str, named[row].values()))
        raise DataError(f"the series {name!r} occurs twice", where=table.place(row))
    found = _stretch(table, (*ids, *static), values)
    times = None
    if when is not None:
        times = Times(pl.concat([when[0]] * table.rows), when[1], (), "the names of columns")
    if static and not settings.static:
        found.notes.insert(0, f"attributes of series: {listed(static)}")
    if dates:
        found.notes.append(f"left out, beside the times in the names: {listed(dates)}")
    kept = found.table.columns[:-1]
    return found._replace(ids=kept[: len(ids)], static=kept[len(ids) :], times=times)


def times_of_names(
    names: Sequence[str], settings: SeriesSettings
) -> tuple[pl.Series, TimeKind] | None:
    """Times in the names of columns, if they rise or fall."""
    import polars as pl

    cells = pl.Series([name.removeprefix("X") for name in names])
    found: tuple[pl.Series, TimeKind] | None = None
    if all(name.isdigit() for name in names):
        numeric = numeric_times(cells.cast(pl.Float64), sure=True)
        found = numeric and numeric[:2]
    else:
        column = time_column("", cells, settings, least=1)
        if column is not None and column.bad is None and column.kind == "time":
            found = column.values, "time"
    if found is None:
        return None
    steps = found[0].diff()[1:]
    return found if (steps > 0).all() or (steps < 0).all() else None


def _named_as_times(columns: Sequence[Column]) -> list[Column]:
    import polars as pl

    names = pl.Series([c.name.removeprefix("X") for c in columns], dtype=pl.String)
    named = are_stamps(names) | names.str.contains(r"^(1[6-9]|2[01])\d\d$")
    return [*itertools.compress(columns, named)]


def _numbered(names: Sequence[str]) -> bool:
    """True of V1, V2, V3 and so on."""
    parts = [re.fullmatch(r"(.*?)(\d+)", name) for name in names]
    found = [(part[1], int(part[2])) for part in parts if part is not None]
    return len(found) == len(names) and all(
        before == (head, number - 1) for before, (head, number) in itertools.pairwise(found)
    )
