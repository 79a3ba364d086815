"""Assemble a table and the roles of its columns into series."""

import itertools
from collections import defaultdict
from dataclasses import replace
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from rhapsode.data.tables.frequency import TimeKind, parse_frequency
from rhapsode.data.tables.grid import Observations, onto_grid
from rhapsode.data.tables.layout import Roles
from rhapsode.data.tables.parsing.columns import Table, listed
from rhapsode.data.tables.parsing.numerals import MISSING
from rhapsode.data.tables.parsing.stamps import NO_TIME
from rhapsode.data.tables.series_set import SeriesSet, format_time
from rhapsode.data.tables.settings import SeriesSettings
from rhapsode.errors import DataError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_MOST = 100_000_000


def assemble(table: Table, roles: Roles, settings: SeriesSettings) -> SeriesSet:
    """The series that a table holds.

    Raises:
        DataError: a cell of numbers is none or infinite, a row lacks its time or id, a time occurs
            twice, or there is no value at all.
        SettingsError: there is no such frequency.
    """
    frequency = None if settings.frequency == "auto" else parse_frequency(settings.frequency)
    notes = [*table.notes, *roles.notes]
    values_NK = np.column_stack([table.numbers(column) for column in roles.values])
    if values_NK.size > _MOST:
        raise DataError(
            f"{values_NK.size:,} values, more than the {_MOST:,} that are held in memory",
            where=table.where,
            hint="name fewer --value-columns, or cut the table",
        )
    ids, series_N = _ids(table, roles)
    seen = _observations(table, roles, values_NK, series_N, len(ids), notes)
    if seen.kind != "order" and frequency is not None and frequency.unit == "order":
        seen = seen.at(np.lexsort((seen.times_N, seen.series_N)))
        seen = replace(seen, times_N=_places(seen.series_N), kind="order")
    gridded = onto_grid(
        seen, ids.__getitem__, table.place, table.line, notes,
        duplicates=settings.duplicates, frequency=frequency,
    )  # fmt: skip
    irregular = sum(f.unit == "order" for f in gridded.frequencies)
    if seen.kind != "order" and irregular > int((np.diff(gridded.offsets) < 2).sum()):
        what = "times are" if seen.count == 1 else f"times of {irregular:,} series are"
        notes.append(
            f"{what} not evenly spaced: only the order of values is used; "
            "set the step with --frequency"
        )
    names = ("value",) if roles.rows else tuple(column.name for column in roles.values)
    series = SeriesSet(
        ids, gridded.offsets, gridded.times_N, gridded.values_NK, names, seen.kind,
        gridded.frequencies, gridded.known_NC, tuple(column.name for column in roles.known),
        *_statics(table, roles, series_N),
    )  # fmt: skip
    if not roles.rows and len(names) > 1 and not settings.joint:
        series = _apart(series, tuple(f"{i}/{n}" if roles.ids else n for i in ids for n in names))
    elif not roles.rows and not roles.ids:
        series = replace(series, ids=("+".join(names) if len(names) < 4 else table.where,))
    series = _trimmed(table, series, notes)
    notes.extend(_constants(series))
    notes.extend(_codes_for_missing(roles, values_NK))
    return replace(series, notes=(_summary(roles, series), *notes), left_out=roles.left_out)


def _ids(table: Table, roles: Roles) -> tuple[tuple[str, ...], Ints]:
    if not roles.ids:
        if roles.rows:
            return tuple(f"row {row + 1}" for row in range(table.rows)), np.arange(table.rows)
        return ("",), np.zeros(table.rows, np.int64)
    columns = [column.as_labels() for column in roles.ids]
    for column in columns:
        if (empty := column.entries_N < 0).any():
            where = table.place(int(empty.argmax()), column.name)
            raise DataError("a row without an id", where=where)
    numbers: dict[tuple[int, ...], int] = {}
    keys = zip(*(column.entries_N.tolist() for column in columns), strict=True)
    series_N = np.array([numbers.setdefault(key, len(numbers)) for key in keys])
    ids = tuple(
        "/".join(column.levels[code] for column, code in zip(columns, key, strict=True))
        for key in numbers
    )
    if roles.rows and len(ids) < table.rows:
        firsts = np.unique(series_N, return_index=True)[1]
        again = int(np.setdiff1d(np.arange(table.rows), firsts)[0])
        what = f"the series {ids[series_N[again]]!r} occurs twice"
        raise DataError(what, where=table.place(again))
    return ids, series_N


def _observations(  # noqa: PLR0917
    table: Table, roles: Roles, values_NK: Floats, series_N: Ints, count: int, notes: list[str]
) -> Observations:
    """All values with their series and times.

    Rows without time and values are left out.
    """
    kind: TimeKind = "order" if roles.times is None else roles.times.kind
    notes.extend(roles.times.notes if roles.times else ())
    if roles.rows:
        width = len(roles.values)
        times_N = np.arange(width) if roles.times is None else roles.times.times_N
        rows_N = np.repeat(np.arange(count), width)
        known_NC = np.zeros((count * width, 0))
        values = values_NK.reshape(-1, 1)
        return Observations(rows_N, np.tile(times_N, count), kind, values, known_NC, rows_N, count)
    known = [table.numbers(column) for column in roles.known]
    known_NC = np.column_stack([np.zeros((table.rows, 0)), *known])
    times_N = _places(series_N) if roles.times is None else roles.times.times_N
    rows_N = np.arange(table.rows)
    seen = Observations(series_N, times_N, kind, values_NK, known_NC, rows_N, count)
    lost = times_N == NO_TIME
    filled = lost & ~np.isnan(values_NK).all(axis=1)
    if filled.any():
        raise DataError("a row of values without a time", where=table.place(int(filled.argmax())))
    if lost.all():
        raise DataError("no row has a time", where=table.where)
    if lost.any():
        notes.append(f"{int(lost.sum()):,} rows without time and values left out")
    return seen.at(~lost)


def _places(series_N: Ints) -> Ints:
    order = np.argsort(series_N, kind="stable")
    ordered = series_N[order]
    places = np.empty(len(order), np.int64)
    places[order] = np.arange(len(order)) - np.searchsorted(ordered, ordered)
    return places


def _apart(joint: SeriesSet, ids: tuple[str, ...]) -> SeriesSet:
    """Every value column as a separate series.

    The columns of one series follow one another.
    """
    count = len(joint.names)
    parts = [joint.values_NK[joint.rows(series)].T.ravel() for series in range(len(joint))]
    # Values are set afterwards: repeated with all columns, they might not fit into memory.
    bare = replace(joint, values_NK=joint.values_NK[:, :0])
    single = bare.select(np.repeat(np.arange(len(joint)), count))
    return replace(single, ids=ids, names=("value",), values_NK=np.concatenate(parts)[:, None])


Statics = tuple[Floats, tuple[str, ...], Ints, tuple[str, ...], tuple[tuple[str, ...], ...]]


def _statics(table: Table, roles: Roles, series_N: Ints) -> Statics:
    firsts = np.unique(series_N, return_index=True)[1]
    numbers, kinds, levels = [], [], []
    for column in roles.static:
        if column.kind == "label":
            kept = [level.lower() not in MISSING for level in column.levels]
            codes = np.where(kept, np.cumsum(kept) - 1, -1)
            entries_N = np.append(codes, -1)[column.entries_N]
            kinds.append((column.name, entries_N[firsts]))
            levels.append(tuple(itertools.compress(column.levels, kept)))
        else:
            entries_N = table.numbers(column)
            numbers.append((column.name, entries_N[firsts]))
        first_N = entries_N[firsts[series_N]]
        changed = (entries_N != first_N) & ~(np.isnan(entries_N) & np.isnan(first_N))
        if changed.any():
            raise DataError(
                "an attribute of a series changes within the series",
                where=table.place(int(changed.argmax()), column.name),
                hint="name it with --known if it is known in advance",
            )
    none = np.zeros((len(firsts), 0))
    return (
        np.column_stack([none, *(entries for _, entries in numbers)]),
        tuple(name for name, _ in numbers),
        np.column_stack([none.astype(np.int64), *(entries for _, entries in kinds)]),
        tuple(name for name, _ in kinds),
        tuple(levels),
    )


def _trimmed(table: Table, whole: SeriesSet, notes: list[str]) -> SeriesSet:
    """Cut off missing values at both ends; leave out empty series.

    Rows at the end stay while all known covariates are there: they are the future.

    Raises:
        DataError: no series has a value.
    """
    there_N = np.asarray(~np.isnan(whole.values_NK).all(axis=1))
    ahead_N = there_N
    if whole.known_names:
        ahead_N = there_N | ~np.isnan(whole.known_NC).any(axis=1)
    filled, ahead = np.flatnonzero(there_N), np.flatnonzero(ahead_N)
    before = np.searchsorted(filled, whole.offsets)
    empty = np.diff(before) == 0
    if empty.all():
        raise DataError(
            "there are no values: every number is missing",
            where=table.place(0),
            hint="use --missing-values and --value-columns",
        )
    starts = np.append(filled, len(there_N))[before[:-1]]
    stops = ahead[np.searchsorted(ahead, whole.offsets[1:]) - 1] + 1
    stops = np.where(empty, starts, stops)
    late = int(((starts > whole.offsets[:-1]) & ~empty).sum())
    early = int(((stops < whole.offsets[1:]) & ~empty).sum())
    for number, what in ((late, "before the first value"), (early, "after the last value")):
        if number:
            which = "" if len(whole) == 1 else f" of {number:,} series"
            notes.append(f"missing values {what}{which} cut off")
    if empty.any():
        left = [whole.ids[number] for number in np.flatnonzero(empty)]
        notes.append(f"series without any value left out: {listed(left)}")
    cut = whole.cut(starts, stops)
    if whole.kind == "order" and late:  # places count from the first value
        places = np.arange(len(cut.times_N)) - np.repeat(cut.offsets[:-1], cut.lengths)
        cut = replace(cut, times_N=places)
    return cut.select(np.flatnonzero(~empty)) if empty.any() else cut


def _constants(series: SeriesSet) -> list[str]:
    values, starts = series.values_NK, series.offsets[:-1]
    low = np.minimum.reduceat(np.where(np.isnan(values), np.inf, values), starts, axis=0)
    high = np.maximum.reduceat(np.where(np.isnan(values), -np.inf, values), starts, axis=0)
    still = np.flatnonzero((low == high).all(axis=1) & (series.lengths > 1))
    if not len(still):
        return []
    if len(series) == 1:
        return ["the series is constant"]
    named = ", ".join(repr(series.ids[number]) for number in still[:4])
    more = ", ..." if len(still) > 4 else ""
    return [f"{len(still):,} series {'are' if len(still) > 1 else 'is'} constant: {named}{more}"]


def _codes_for_missing(roles: Roles, values_NK: Floats) -> list[str]:
    """Hints at numbers that may stand for missing values.

    Such a number is negative, far from all others, and frequent in its column.
    """
    found: dict[float, list[tuple[float, str]]] = defaultdict(list)
    for column, values in zip(roles.values, values_NK.T, strict=True):
        there = values[~np.isnan(values)]
        low = float(there.min(initial=0))
        rest = there[there != low]
        count = len(there) - len(rest)
        # Beside numbers from 0 up, a lone -1 or less; a constant column tells nothing.
        if low > -1 or len(there) < 20 or not len(rest) or count < max(5, 0.01 * len(there)):
            continue
        if rest.min() >= 0 or rest.min() - low > rest.max() - rest.min():
            found[low].append((count / len(there), column.name))
    hints = []
    for low, hits in found.items():
        share, worst = max(hits, key=itemgetter(0))
        more = f" and others of {len(hits) - 1} more" if len(hits) > 1 else ""
        hints.append(
            f"{low:g} makes up {100 * share:.0f} % of column {worst!r}{more} and nothing else is "
            f"near it: if it marks missing values, use --missing-values {low:g}"
        )
    return hints


def _summary(roles: Roles, series: SeriesSet) -> str:
    parts = ["time: none, values by their order"]
    if roles.times is not None and series.kind != "order":
        ends = (
            series.times_N[series.offsets[:-1]].min(),
            series.times_N[series.offsets[1:] - 1].max(),
        )
        begin, end = (format_time(int(time), series.kind, series.frequency) for time in ends)
        parts = [f"time: {roles.times.words} ({series.frequency.name}, {begin} to {end})"]
    if roles.ids:
        parts.append(f"id: {listed(roles.ids)}")
    if roles.rows:
        parts.append(f"values: {len(roles.values):,} columns, a series in each row")
    else:
        joint = ", together" if len(series.names) > 1 else ""
        plural = "s" if len(roles.values) > 1 else ""
        parts.append(f"value{plural}: {listed(roles.values)}{joint}")
    if roles.known:
        parts.append(f"known ahead: {listed(roles.known)}")
    shortest, longest = int(series.lengths.min()), int(series.lengths.max())
    of = f"{longest:,}" if shortest == longest else f"{shortest:,} to {longest:,}"
    missing = int(np.isnan(series.values_NK).sum())
    lacking = f", {missing:,} of {series.values_NK.size:,} values missing" if missing else ""
    parts.append(f"{len(series):,} series of {of}{lacking}")
    return "; ".join(parts)
