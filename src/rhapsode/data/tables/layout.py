"""Which part each column of a table plays: time, id, value, known covariate, attribute of a series.

What the settings leave open is found by rules over names and cells, none of which knows a corpus, and told in words.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rhapsode.config.registries import suggest
from rhapsode.data.tables.parsing.clocks import (
    Times,
    find_times,
    named_times,
    plain_name,
    times_of_names,
)
from rhapsode.data.tables.parsing.columns import Labels, Numbers, Stamps, Table
from rhapsode.data.tables.parsing.stamps import NO_TIME
from rhapsode.data.tables.settings import SeriesSettings
from rhapsode.errors import DataError

__all__ = ["Roles", "find_roles"]

Ints = NDArray[np.int64]

_ID_NAMES = frozenset({
    "id", "ids", "uniqueid", "uid", "seriesid", "itemid", "series", "item", "name", "key", "symbol",
    "ticker", "store", "shop", "product", "sku", "station", "location", "region", "country", "city",
    "state", "sensor", "device", "unit", "group", "category", "customer", "user", "meter", "zone",
    "site", "code", "编号", "名称", "股票代码",
})  # fmt: skip
_COUNTER_NAMES = frozenset(
    {"", "no", "nr", "index", "idx", "row", "rowid", "rownumber", "id", "unnamed0", "序号"}
)
_LISTED = 8


@dataclass(frozen=True)
class Roles:
    """The parts that columns play, by their places.

    Arguments:
        rows: whether every row is a series.
        times: of the rows; None where their order is all there is. Where every row is a series: of the values of a row.
        ids: columns that tell series apart.
        values: columns to learn.
        known: covariates known ahead.
        static: attributes of whole series.
        notes: what there is to say, a line each.
        left_out: names of columns that hold no numbers and play no part.
    """

    rows: bool
    times: Times | None
    ids: tuple[int, ...]
    values: tuple[int, ...]
    known: tuple[int, ...]
    static: tuple[int, ...]
    notes: tuple[str, ...]
    left_out: tuple[str, ...] = ()


class NoNumbersError(DataError):
    """A table in which no column holds numbers."""


@dataclass
class _Finder:
    table: Table
    settings: SeriesSettings
    notes: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def place(self, name: str) -> int:
        """The place of a column that the settings name."""
        plain = " ".join(name.split())
        names = [" ".join(column.name.split()) for column in self.table.columns]
        if plain not in names:
            known = ", ".join(repr(column.name) for column in self.table.columns[:_LISTED])
            more = ", ..." if len(names) > _LISTED else ""
            near = suggest(plain, names) if len(names) > _LISTED else None
            raise DataError(
                f"no column {name!r}",
                where=self.table.where,
                hint=near or f"columns: {known}{more}",
            )
        return names.index(plain)

    def places(self, names: Sequence[str]) -> tuple[int, ...]:
        return tuple(self.place(name) for name in names)


def find_roles(table: Table, settings: SeriesSettings) -> Roles:
    """Find the part of every column.

    Raises:
        DataError: a column that is named is not there, a date is none, or no column holds numbers.
    """
    finder = _Finder(table, settings)
    claimed = {
        place: part
        for part in ("id_column", "time_column", "value_columns", "known", "static")
        for place in finder.places(getattr(settings, part))
    }
    free = [place for place in range(len(table.columns)) if place not in claimed]
    rows = _as_rows(finder, free)
    if rows is not None:
        return rows
    times: Times | None = None
    if settings.time_column:
        times = named_times(table, finder.places(settings.time_column))
    else:
        times = find_times(table, free)
    used = set(times.columns) if times is not None else set()
    free = [place for place in free if place not in used]
    ids = finder.places(settings.id_column)
    if not ids and settings.layout in {"auto", "long"}:
        ids = _find_ids(finder, times, free)
    free = [place for place in free if place not in ids]
    values = finder.places(settings.value_columns)
    static = finder.places(settings.static)
    known = finder.places(settings.known)
    if static and not ids:
        raise DataError(
            "attributes of series need a column that tells series apart",
            where=table.where,
            hint="name it with --id-column",
        )
    if not settings.static and ids:
        static = _attributes(finder, ids, free, values)
    if not values:
        counting = _counters(finder, free) if times is not None else []
        free = [place for place in free if place not in counting]
        values = tuple(_value_columns(finder, [p for p in free if p not in static]))
    left = [
        table.columns[place]
        for place in free
        if place not in values and place not in static and place not in known
    ]
    _tell_left(finder, [column.name for column in left if not isinstance(column, Numbers)])
    return Roles(
        False, times, ids, values, known, static, tuple(finder.notes), tuple(finder.left_out)
    )


def _tell_left(finder: _Finder, names: Sequence[str]) -> None:
    if names:
        finder.left_out.extend(names)
        listed = ", ".join(repr(name) for name in names[:_LISTED])
        more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
        plural = "s" if len(names) > 1 else ""
        finder.notes.append(f"column{plural} left out, holding no numbers: {listed}{more}")


def _counters(finder: _Finder, free: Sequence[int]) -> list[int]:
    """Columns that only number the rows."""
    found = []
    for place in free:
        column = finder.table.columns[place]
        if not isinstance(column, Numbers) or len(column.values_N) < 3:
            continue
        if plain_name(column.name) in _COUNTER_NAMES and np.all(np.diff(column.values_N) == 1):
            finder.notes.append(f"column left out, numbering the rows: {column.name!r}")
            found.append(place)
    return found


def _mostly_bad(column: Numbers) -> bool:
    if column.bad is None:
        return False
    return column.bad.count >= int(np.count_nonzero(~np.isnan(column.values_N)))


def _value_columns(finder: _Finder, free: Sequence[int]) -> Iterator[int]:
    """Columns of numbers that have no other part."""
    table = finder.table
    some = False
    empty: list[str] = []
    text: list[str] = []
    for place in free:
        column = table.columns[place]
        if not isinstance(column, Numbers):
            continue
        if _mostly_bad(column):
            text.append(column.name)
            continue
        if column.bad is None and np.isnan(column.values_N).all():
            empty.append(column.name)
            continue
        some = True
        yield place
    _tell_left(finder, text)
    if empty and some:
        listed = ", ".join(repr(name) for name in empty[:_LISTED])
        finder.notes.append(
            f"column{'s' if len(empty) > 1 else ''} without any value left out: {listed}"
        )
    if not some:
        names = ", ".join(repr(column.name) for column in table.columns[:_LISTED])
        what = (
            "no value is there: every number is missing"
            if empty
            else "no column holds numbers to learn"
        )
        problem = DataError if empty else NoNumbersError
        raise problem(
            f"{what} (columns: {names})",
            where=_first_place(table),
            hint="--value-columns names one; --header, --decimal and --missing-values say how to read it",
        )


def _first_place(table: Table) -> str:
    return table.place(0) if table.rows else table.where


def _as_rows(finder: _Finder, free: Sequence[int]) -> Roles | None:
    """The roles where every row is a series."""
    table, settings = finder.table, finder.settings
    if settings.layout not in {"auto", "rows"}:
        return None
    asked = settings.layout == "rows"
    if not asked and (settings.time_column or settings.known or settings.joint):
        return None
    ids = finder.places(settings.id_column)
    values = finder.places(settings.value_columns) or tuple(
        place for place in free if isinstance(table.columns[place], Numbers)
    )
    labels = [place for place in free if isinstance(table.columns[place], Labels)]
    stamped = [place for place in free if isinstance(table.columns[place], Stamps)]
    names = [table.columns[place].name for place in values]
    if not asked and len(values) < 3:
        return None
    when = times_of_names(names) if names and table.header else None
    if not asked:
        if stamped or not table.header:
            return None
        if when is None and not (_numbered(names) and (ids or _distinct(table, labels))):
            return None
    if not values:
        raise NoNumbersError("no column holds numbers to learn", where=_first_place(table))
    if not ids:
        ids = tuple(_distinct(table, labels))
    static = finder.places(settings.static)
    if not settings.static:
        static = tuple(place for place in labels if place not in ids)
        if static:
            named = ", ".join(repr(table.columns[place].name) for place in static)
            finder.notes.append(f"attributes of series: {named}")
    times = None if when is None else Times(when[0], when[1], (), "the names of columns")
    return Roles(True, times, ids, values, (), static, tuple(finder.notes))


def _numbered(names: Sequence[str]) -> bool:
    """Whether names are V1, V2, V3 and so on."""
    parts = [re.fullmatch(r"(.*?)(\d+)", name) for name in names]
    if any(part is None for part in parts):
        return False
    heads = {part[1] for part in parts if part}
    numbers = [int(part[2]) for part in parts if part]
    return len(heads) == 1 and all(b == a + 1 for a, b in itertools.pairwise(numbers))


def _distinct(table: Table, labels: Sequence[int]) -> list[int]:
    """The first column of text in which no text occurs twice, if there is one."""
    for place in labels:
        column = table.columns[place]
        assert isinstance(column, Labels)
        if len(np.unique(column.codes_N)) == table.rows and not np.any(column.codes_N < 0):
            return [place]
    return []


def _codes(table: Table, place: int) -> Ints:
    """For every row the number of its different text or number."""
    column = table.columns[place]
    if isinstance(column, Labels):
        return column.codes_N.astype(np.int64)
    assert isinstance(column, Numbers)
    return np.unique(column.values_N, return_inverse=True)[1].astype(np.int64)


def _joined(table: Table, places: Sequence[int]) -> Ints:
    """For every row the number of its combination over some columns."""
    joined = np.zeros(table.rows, np.int64)
    for place in places:
        codes = _codes(table, place)
        joined = np.unique(
            joined * (int(codes.max(initial=0)) + 2) + codes + 1, return_inverse=True
        )[1].astype(np.int64)
    return joined


def _repeats(times_N: Ints, groups: Ints | None = None) -> int:
    """How many rows have a time (in a group) that another row had."""
    there = times_N != NO_TIME
    _, codes = np.unique(times_N[there], return_inverse=True)
    if groups is not None:
        codes = groups[there] * (int(codes.max(initial=0)) + 1) + codes
    return len(codes) - len(np.unique(codes))


def _find_ids(finder: _Finder, times: Times | None, free: Sequence[int]) -> tuple[int, ...]:
    """The columns that tell series apart; none where no time occurs twice."""
    table, settings = finder.table, finder.settings
    labels = [
        place
        for place in free
        if isinstance(column := table.columns[place], Labels) and len(column.levels) > 1
    ]
    hinted = [place for place in labels if plain_name(table.columns[place].name) in _ID_NAMES]
    labels = hinted + [place for place in labels if place not in hinted]
    whole = [
        place
        for place in free
        if isinstance(table.columns[place], Numbers)
        and plain_name(table.columns[place].name) in _ID_NAMES
        and _whole(table, place)
    ]
    if times is None:
        # Without times, a column that is named as an id and whose entries recur.
        recurring = [
            place
            for place in hinted + whole
            if (len(np.unique(_codes(table, place))) <= table.rows // 2)
        ]
        if recurring:
            return tuple(recurring[:1])
        if settings.layout == "long":
            raise _no_id(finder)
        return ()
    doubles = _repeats(times.times_N)
    if not doubles and settings.layout == "auto":
        return ()
    candidates = labels + whole
    for size in range(1, min(len(candidates), 4) + 1):
        for places in itertools.combinations(candidates, size):
            if not _repeats(times.times_N, _joined(table, places)):
                return tuple(sorted(places))
    if candidates:
        best = min(
            ((place,) for place in candidates),
            key=lambda places: _repeats(times.times_N, _joined(table, places)),
        )
        if _repeats(times.times_N, _joined(table, best)) < 0.5 * doubles:
            return best
    if settings.layout == "long":
        raise _no_id(finder)
    return ()


def _no_id(finder: _Finder) -> DataError:
    names = ", ".join(repr(column.name) for column in finder.table.columns[:_LISTED])
    return DataError(
        f"no column is found that tells series apart (columns: {names})",
        where=finder.table.where,
        hint="name it with --id-column",
    )


def _whole(table: Table, place: int) -> bool:
    column = table.columns[place]
    assert isinstance(column, Numbers)
    values = column.values_N
    if column.bad is not None or not np.all(np.isfinite(values)):
        return False
    return bool(np.all(values == np.floor(values)))


def _attributes(
    finder: _Finder, ids: Sequence[int], free: Sequence[int], values: Sequence[int]
) -> tuple[int, ...]:
    """Columns of text that never change within a series, and the parts of an id of several columns."""
    table = finder.table
    groups = _joined(table, ids)
    found = list(ids) if len(ids) > 1 else []
    for place in free:
        column = table.columns[place]
        if place in values or not isinstance(column, Labels) or len(column.levels) < 2:
            continue
        pairs = _joined(table, (*ids, place))
        if len(np.unique(pairs)) == len(np.unique(groups)):
            found.append(place)
    found.sort()
    if found:
        named = ", ".join(repr(table.columns[place].name) for place in found)
        finder.notes.append(f"attributes of series: {named}")
    return tuple(found)
