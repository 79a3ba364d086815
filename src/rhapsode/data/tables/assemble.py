"""A table and the parts of its columns to a set of series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rhapsode.data.tables.frequency import Frequency, TimeKind, parse_frequency
from rhapsode.data.tables.grid import Gridded, Observations, onto_grid
from rhapsode.data.tables.layout import Roles
from rhapsode.data.tables.parsing.columns import Table
from rhapsode.data.tables.parsing.stamps import NO_TIME
from rhapsode.data.tables.series_set import SeriesSet, format_time, ranges
from rhapsode.data.tables.settings import SeriesSettings
from rhapsode.errors import DataError, SettingsError

__all__ = ["assemble"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_LISTED = 8
_MOST = 100_000_000


def assemble(table: Table, roles: Roles, settings: SeriesSettings) -> SeriesSet:
    """The series that a table holds.

    Raises:
        DataError: a cell of numbers is none or infinite, a row lacks its time or id, a time stands twice, or no value
            is there at all.
    """
    if settings.frequency == "auto":
        frequency = None
    else:
        try:
            frequency = parse_frequency(settings.frequency)
        except SettingsError as problem:
            raise SettingsError(
                problem.what, where="[series] frequency", hint=problem.hint
            ) from None
    notes = [*table.notes, *roles.notes]
    columns = [_numbers(table, place) for place in roles.values]
    if len(columns) * table.rows > _MOST:
        raise DataError(
            f"{len(columns) * table.rows:,} values, more than the {_MOST:,} that are held in memory",
            where=table.where,
            hint="name fewer --value-columns, or cut the table",
        )
    hint = _codes_for_missing(table, roles, columns)
    if roles.rows:
        made = _rows(table, roles, columns, frequency, notes)
    else:
        made = _columns(table, roles, columns, settings, frequency, notes)
    constant = _constants(made)
    if constant:
        notes.append(constant)
    notes.extend(hint)
    summary = _summary(table, roles, made)
    return replace(made, notes=(summary, *notes), left_out=roles.left_out)


def _numbers(table: Table, place: int) -> Floats:
    """The numbers of a column that is to be used.

    Raises:
        DataError: a cell is no number, or infinite.
    """
    column = table.columns[place]
    if column.kind != "number" or column.bad is not None:
        row = column.bad.row if column.bad else int((~column.missing_N).argmax())
        raise _no_number(
            table, row, column.name, column.bad.text if column.bad else column.text(row)
        )
    infinite = np.flatnonzero(np.isinf(column.data_N))
    if len(infinite):
        row = int(infinite[0])
        raise DataError(
            f"an infinite number: {column.data_N[row]:g}",
            where=table.place(row, column.name),
            hint="--missing-values inf takes it as missing",
        )
    return np.asarray(column.data_N)


def _no_number(table: Table, row: int, name: str, text: str) -> DataError:
    return DataError(
        f"not a number: {text[:60]!r}",
        where=table.place(row, name),
        hint="--missing-values takes it as missing, --value-columns names other columns",
    )


def _codes_for_missing(table: Table, roles: Roles, columns: Sequence[Floats]) -> list[str]:
    """A hint where one negative number far from all others makes up a good part of columns."""
    found: dict[float, list[tuple[str, float]]] = {}
    for place, values in zip(roles.values, columns, strict=True):
        there = values[~np.isnan(values)]
        if len(there) < 20:
            continue
        low = there.min()
        if low >= 0:
            continue
        count = int(np.count_nonzero(there == low))
        rest = there[there != low]
        if count < max(5, 0.01 * len(there)) or (
            len(rest) and rest.min() < 0 and rest.min() - low <= rest.max() - rest.min()
        ):
            continue
        # Beside numbers from 0 up, a lone -1 or less; a constant column tells nothing.
        if not len(rest) or low > -1:
            continue
        found.setdefault(float(low), []).append((table.columns[place].name, count / len(there)))
    hints = []
    for low, hits in found.items():
        worst, share = max(hits, key=lambda hit: hit[1])
        more = f" and others of {len(hits) - 1} more" if len(hits) > 1 else ""
        hints.append(
            f"{low:g} makes up {100 * share:.0f} % of column {worst!r}{more} and nothing else is near it: "
            f"if it stands for missing, --missing-values {low:g}"
        )
    return hints


def _columns(  # noqa: PLR0917
    table: Table,
    roles: Roles,
    columns: Sequence[Floats],
    settings: SeriesSettings,
    frequency: Frequency | None,
    notes: list[str],
) -> SeriesSet:
    """Series one below the other or one beside the other."""
    values_NK = np.stack(columns, axis=1)
    names = tuple(table.columns[place].name for place in roles.values)
    known = [_numbers(table, place) for place in roles.known]
    known_NC = np.stack(known, axis=1) if known else np.zeros((table.rows, 0))
    ids, series_N = _ids(table, roles)
    times_N = _places(series_N) if roles.times is None else roles.times.times_N
    kind: TimeKind = "order" if roles.times is None else roles.times.kind
    seen = Observations(
        series_N,
        times_N,
        kind,
        values_NK,
        known_NC,
        np.arange(table.rows),
        len(ids),
    )
    lost = times_N == NO_TIME
    if lost.any():
        bare = lost & np.isnan(values_NK).all(axis=1)
        if bool((lost & ~bare).any()):
            row = int(np.flatnonzero(lost & ~bare)[0])
            raise DataError("a row of values without a time", where=table.place(row))
        notes.append(f"{int(bare.sum()):,} rows without time and values left out")
        seen = seen.at(~lost)
        if not len(seen.times_N):
            raise DataError("no row has a time", where=table.where)
    notes.extend(roles.times.notes if roles.times else ())
    if kind != "order" and frequency is not None and frequency.unit == "order":
        order = np.lexsort((seen.times_N, seen.series_N))
        if np.any(order != np.arange(len(order))):
            seen = seen.at(order)
        seen = Observations(
            seen.series_N, _places(seen.series_N), "order", seen.values_NK, seen.known_NC,
            seen.rows_N, seen.count,
        )  # fmt: skip
    gridded = onto_grid(
        seen, lambda number: ids[number], table.place, table.line,
        duplicates=settings.duplicates, frequency=frequency,
    )  # fmt: skip
    notes.extend(gridded.notes)
    irregular = sum(f.unit == "order" for f in gridded.frequencies)
    single = int((np.diff(gridded.offsets) < 2).sum())
    if seen.kind != "order" and irregular > single:
        what = "times lie" if seen.count == 1 else f"times of {irregular:,} series lie"
        notes.append(
            f"{what} on no grid: values are taken by their order; --frequency names a grid"
        )
    statics = _statics(table, roles, series_N, len(ids))
    if settings.joint or len(names) == 1:
        series_ids = ids if roles.ids else ("+".join(names) if len(names) < 4 else table.where,)
        return _trimmed(table, series_ids, names, seen.kind, gridded, roles, statics, notes)
    return _trimmed(
        table,
        tuple(f"{i}/{n}" if roles.ids else n for i in ids for n in names),
        ("value",),
        seen.kind,
        _apart(gridded, len(names)),
        roles,
        replace(
            statics,
            numbers_SA=np.repeat(statics.numbers_SA, len(names), axis=0),
            kinds_SA=np.repeat(statics.kinds_SA, len(names), axis=0),
        ),
        notes,
    )


def _apart(gridded: Gridded, count: int) -> Gridded:
    """Every value column a series of its own: those of one series behind each other."""
    starts, stops = gridded.offsets[:-1], gridded.offsets[1:]
    rows = ranges(np.repeat(starts, count), np.repeat(stops, count))
    lengths = np.repeat(stops - starts, count)
    column = np.repeat(np.tile(np.arange(count), len(starts)), lengths)
    return Gridded(
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        gridded.times_N[rows],
        gridded.values_NK[rows, column][:, None],
        gridded.known_NC[rows],
        tuple(f for f in gridded.frequencies for _ in range(count)),
        (),
    )


@dataclass(frozen=True)
class _Statics:
    """Attributes of series: numbers and kinds."""

    numbers_SA: Floats
    kinds_SA: Ints
    number_names: tuple[str, ...]
    kind_names: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...]


def _statics(table: Table, roles: Roles, series_N: Ints, count: int) -> _Statics:
    """Attributes, one value a series.

    Raises:
        DataError: one changes within a series.
    """
    numbers: list[Floats] = []
    kinds: list[Ints] = []
    number_names: list[str] = []
    kind_names: list[str] = []
    levels: list[tuple[str, ...]] = []
    first = np.zeros(count, np.int64)
    first[series_N[::-1]] = np.arange(table.rows)[::-1]
    for place in roles.static:
        column = table.columns[place]
        if column.kind == "label":
            codes = np.where(column.missing_N, -1, column.codes_N)
            used, turned = np.unique(codes[codes >= 0], return_inverse=True)
            renamed = codes.copy()
            renamed[codes >= 0] = turned
            changed = np.flatnonzero(renamed != renamed[first][series_N])
            kinds.append(renamed[first])
            kind_names.append(column.name)
            levels.append(tuple(column.levels[code] for code in used))
        else:
            values = _numbers(table, place)
            mine = values[first][series_N]
            changed = np.flatnonzero(~((values == mine) | (np.isnan(values) & np.isnan(mine))))
            numbers.append(values[first])
            number_names.append(column.name)
        if len(changed):
            raise DataError(
                "an attribute of a series that changes within it",
                where=table.place(int(changed[0]), column.name),
                hint="name it with --known if it is known ahead",
            )
    return _Statics(
        np.stack(numbers, axis=1) if numbers else np.zeros((count, 0)),
        np.stack(kinds, axis=1) if kinds else np.zeros((count, 0), np.int64),
        tuple(number_names),
        tuple(kind_names),
        tuple(levels),
    )


def _ids(table: Table, roles: Roles) -> tuple[tuple[str, ...], Ints]:
    """The names of series by first appearance, and the series of every row.

    Raises:
        DataError: a row has no id.
    """
    if not roles.ids:
        return ("",), np.zeros(table.rows, np.int64)
    joined = np.zeros(table.rows, np.int64)
    for place in roles.ids:
        column = table.columns[place]
        codes = column.codes_N
        if (codes < 0).any():
            row = int((codes < 0).argmax())
            raise DataError("a row without an id", where=table.place(row, column.name))
        joined = joined * (int(codes.max(initial=0)) + 1) + codes
        joined = np.unique(joined, return_inverse=True)[1].astype(np.int64)
    _, first, inverse = np.unique(joined, return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")
    turn = np.empty(len(order), np.int64)
    turn[order] = np.arange(len(order))
    ids = tuple(
        "/".join(table.columns[place].text(int(first[n])) for place in roles.ids) for n in order
    )
    return ids, turn[inverse.ravel()].astype(np.int64)


def _places(series_N: Ints) -> Ints:
    """Of every row its place within its series."""
    order = np.argsort(series_N, kind="stable")
    ordered = series_N[order]
    starts = np.searchsorted(ordered, ordered)
    places = np.empty(len(order), np.int64)
    places[order] = np.arange(len(order)) - starts
    return places


def _rows(
    table: Table,
    roles: Roles,
    columns: Sequence[Floats],
    frequency: Frequency | None,
    notes: list[str],
) -> SeriesSet:
    """Every row a series."""
    matrix = np.stack(columns, axis=1)
    count, width = matrix.shape
    if roles.ids:
        ids, numbers = _ids(table, roles)
        if len(ids) < count:
            again = int(np.flatnonzero(np.bincount(numbers)[numbers] > 1)[1])
            raise DataError(
                f"the series {ids[numbers[again]]!r} stands twice", where=table.place(again)
            )
    else:
        ids = tuple(f"row {row + 1}" for row in range(count))
    kind: TimeKind = "order" if roles.times is None else roles.times.kind
    times = np.arange(width) if roles.times is None else roles.times.times_N
    seen = Observations(
        np.repeat(np.arange(count), width), np.tile(times, count), kind,
        matrix.reshape(-1, 1), np.zeros((count * width, 0)),
        np.repeat(np.arange(count), width), count,
    )  # fmt: skip
    gridded = onto_grid(
        seen, ids.__getitem__, table.place, table.line, duplicates="error", frequency=frequency
    )
    notes.extend(gridded.notes)
    statics = _statics(table, roles, np.arange(count), count)
    return _trimmed(table, ids, ("value",), kind, gridded, roles, statics, notes)


def _trimmed(  # noqa: PLR0917
    table: Table,
    ids: tuple[str, ...],
    names: tuple[str, ...],
    kind: TimeKind,
    gridded: Gridded,
    roles: Roles,
    statics: _Statics,
    notes: list[str],
) -> SeriesSet:
    """Missing values before the first and after the last one cut off; series without any left out.

    Rows at the end stay where all known covariates are there: they are the future.

    Raises:
        DataError: no series has a value.
    """
    there = np.asarray(~np.isnan(gridded.values_NK).all(axis=1))
    known = gridded.known_NC
    ahead = np.asarray(there | ~np.isnan(known).any(axis=1)) if known.shape[1] else there
    rows = np.arange(len(there))
    lengths = np.diff(gridded.offsets)
    starts, stops = gridded.offsets[:-1].copy(), gridded.offsets[1:].copy()
    some = lengths > 0
    if len(there):
        begins = gridded.offsets[:-1][some]
        first = np.minimum.reduceat(np.where(there, rows, len(rows)), begins)
        last = np.maximum.reduceat(np.where(ahead, rows, -1), begins)
        starts[some] = np.minimum(first, gridded.offsets[1:][some])
        stops[some] = np.maximum(last + 1, starts[some])
    empty = starts >= gridded.offsets[1:]
    if empty.all():
        raise DataError(
            "no value is there: every number is missing",
            where=table.place(0),
            hint="--missing-values and --value-columns say how the table is read",
        )
    late = int(((starts > gridded.offsets[:-1]) & ~empty).sum())
    early = int(((stops < gridded.offsets[1:]) & ~empty).sum())
    for number, what in ((late, "before the first value"), (early, "after the last value")):
        if number:
            which = "" if len(ids) == 1 else f" of {number:,} series"
            notes.append(f"missing values {what}{which} cut off")
    if empty.any():
        left = [ids[number] for number in np.flatnonzero(empty)[:_LISTED]]
        more = "" if empty.sum() <= _LISTED else f" and {int(empty.sum()) - _LISTED:,} more"
        notes.append(f"series without any value left out: {', '.join(map(repr, left))}{more}")
    whole = SeriesSet(
        ids, gridded.offsets, gridded.times_N, gridded.values_NK, names, kind,
        gridded.frequencies, gridded.known_NC,
        tuple(table.columns[place].name for place in roles.known),
        statics.numbers_SA, statics.number_names, statics.kinds_SA, statics.kind_names, statics.levels,
    )  # fmt: skip
    cut = whole.cut(starts, stops)
    if kind == "order" and late:
        # Places count from the first value.
        cut = _with_places(cut)
    return cut if not empty.any() else cut.select(np.flatnonzero(~empty))


def _with_places(series_set: SeriesSet) -> SeriesSet:
    places = np.arange(len(series_set.times_N)) - np.repeat(
        series_set.offsets[:-1], series_set.lengths
    )
    return replace(series_set, times_N=places)


def _constants(made: SeriesSet) -> str:
    """A word on series that never change."""
    values = made.values_NK
    if not len(values):
        return ""
    starts = made.offsets[:-1]
    low = np.minimum.reduceat(np.where(np.isnan(values), np.inf, values), starts, axis=0)
    high = np.maximum.reduceat(np.where(np.isnan(values), -np.inf, values), starts, axis=0)
    still = np.flatnonzero((low == high).all(axis=1) & (made.lengths > 1))
    if not len(still):
        return ""
    if len(made) == 1:
        return "the series is constant"
    named = ", ".join(repr(made.ids[number]) for number in still[:4])
    return f"{len(still):,} series {'are' if len(still) > 1 else 'is'} constant: {named}{', ...' if len(still) > 4 else ''}"


def _summary(table: Table, roles: Roles, made: SeriesSet) -> str:
    """What was inferred, in one line."""
    parts = []
    kind, frequency = made.kind, made.frequency
    if roles.times is None or kind == "order":
        parts.append("time: none, values by their order")
    else:
        starts = made.times_N[made.offsets[:-1]]
        ends = made.times_N[made.offsets[1:] - 1]
        begin = format_time(int(starts.min()), kind, frequency)
        end = format_time(int(ends.max()), kind, frequency)
        parts.append(f"time: {roles.times.words} ({frequency.name}, {begin} to {end})")
    if roles.ids:
        parts.append(f"id: {_listed([table.columns[place].name for place in roles.ids])}")
    values = [table.columns[place].name for place in roles.values]
    if roles.rows:
        parts.append(f"values: {len(values):,} columns, a series in each row")
    else:
        joint = ", together" if len(made.names) > 1 else ""
        parts.append(f"value{'s' if len(values) > 1 else ''}: {_listed(values)}{joint}")
    if roles.known:
        parts.append(
            f"known ahead: {_listed([table.columns[place].name for place in roles.known])}"
        )
    lengths = made.lengths
    shortest, longest = int(lengths.min()), int(lengths.max())
    of = f"{longest:,}" if shortest == longest else f"{shortest:,} to {longest:,}"
    missing = int(np.isnan(made.values_NK).sum())
    lacking = f", {missing:,} of {made.values_NK.size:,} values missing" if missing else ""
    parts.append(f"{len(made):,} series of {of}{lacking}")
    return "; ".join(parts)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(repr(name) for name in names[:_LISTED]) + more
