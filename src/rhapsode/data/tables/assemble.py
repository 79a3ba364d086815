"""Assemble a table and the roles of its columns into series."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.data.tables.frequency import TimeKind, parse_frequency
from rhapsode.data.tables.grid import Gridder
from rhapsode.data.tables.parsing.columns import TIME_NAMES, Column, Table, listed, plain_name
from rhapsode.data.tables.parsing.numerals import MISSING, amounts_of
from rhapsode.data.tables.parsing.stamps import DAY
from rhapsode.data.tables.roles import Roles, find_roles
from rhapsode.data.tables.series_set import SeriesSet, Zone, format_time, places
from rhapsode.data.tables.settings import SeriesSettings
from rhapsode.data.tables.times import Times
from rhapsode.errors import DataError

if TYPE_CHECKING:
    import polars as pl

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_MOST = 100_000_000
_MOST_WORDS = 100
# Numbers beside a code that tell it from a number.
_FEW = 12
_CODE = re.compile(r"-([789])\1(?:\1+|\.\1|\1+\.\1)\1*")


def assemble(table: Table, settings: SeriesSettings) -> SeriesSet:
    """The series that a table holds.

    Raises:
        DataError: a cell of numbers is none or infinite, a row lacks its time or id, a time occurs
            twice, or there is no value at all.
        SettingsError: there is no such frequency.
    """
    roles = find_roles(table, settings)
    table = roles.table
    notes = [*table.notes, *roles.notes]
    told = [note for column in (*roles.values, *roles.known) for note in column.notes]
    notes += dict.fromkeys(told)
    values_NK = np.empty((table.rows, len(roles.values)), order="F")
    for number, column in enumerate(roles.values):
        table.numbers(column, values_NK[:, number])
    notes += _set_missing(values_NK)
    ids, series_N = _ids(table, roles.ids)
    known_NC, known_names, known_of = _known(table, roles.known, notes)
    kind: TimeKind = "order"
    rows_N: Ints | slice = slice(None)
    zone = None
    if roles.times is None:
        times_N = places(series_N)
    else:
        kind = roles.times.kind
        notes.extend(roles.times.notes)
        times, zone = _zoned(roles.times, notes)
        times_N = times.fill_null(0).to_numpy()
        if times.null_count():
            rows_N = np.flatnonzero(times.is_not_null())
            empty = np.asarray(np.isnan(values_NK).all(axis=1))
            empty[rows_N] = True
            if not empty.all():
                where = table.place(int(empty.argmin()))
                raise DataError("a row of values without a time", where=where)
            if not len(rows_N):
                raise DataError("no row has a time", where=table.where)
            count = times.null_count()
            notes.append(f"{count:,} row{'s' * (count > 1)} without time and values left out")
    owners = series_N[rows_N]
    if len(ids) > 1 and (owners[1:] < owners[:-1]).any():
        rows_N = np.arange(table.rows)[rows_N][np.argsort(owners, kind="stable")]
    names = tuple(column.name for column in roles.values)
    given = SeriesSet(
        ids, np.zeros(1, np.int64), times_N, values_NK, names, kind, (), known_NC, known_names,
        **_statics(table, roles.static, series_N, len(ids)),
        left_out=tuple(c.name for c in roles.left_out),
        texts=tuple(c.name for c in roles.left_out if c.is_text), columns=names,
        known_of=known_of, zone=zone, notes=tuple(notes),
    )  # fmt: skip
    roles = roles.without_cells()
    del table, column
    return _gridded(given, rows_N, series_N, roles, settings)


def assemble_arrays(
    arrays: Mapping[str, NDArray[Any]], where: str, settings: SeriesSettings
) -> SeriesSet:
    """The series of arrays of numbers and times, without polars.

    Raises:
        DataError: a number is infinite, a time occurs twice, or there is no value at all.
    """
    nothing: Any = None  # only the names of columns count here
    values, times, place = dict(arrays), None, "{}, row {}".format
    series_N = np.zeros(max(map(len, arrays.values())), np.int64)
    times_N = places(series_N)
    for name, array in arrays.items():
        whole = array.dtype.kind == "i" and plain_name(name) in TIME_NAMES
        if len(values) > 1 and (whole or array.dtype.kind == "M") and times is None:
            words = f"column {name!r}{' of whole numbers' * whole}"
            times = Times(nothing, "integer" if whole else "time", (), words)
            times_N = values.pop(name).astype("i8" if whole else "M8[ns]").astype(np.int64)
    values_NK = np.stack([array.astype(np.float64) for array in values.values()]).T
    values_NK[np.isin(values_NK, amounts_of(settings.missing_values))] = np.nan
    if (infinite := np.argwhere(np.isinf(values_NK))).size:
        row, column = infinite[0]
        where = f"{place(where, row + 1)}, column {[*values][column]!r}"
        raise DataError(f"an infinite number: {values_NK[row, column]:g}", where=where)
    columns = tuple(Column(name, "number", nothing) for name in values)
    roles = Roles(Table(where, ()), times, (), columns, (), (), ())
    kind = times.kind if times else "order"
    given = SeriesSet(
        ("",), np.zeros(1, np.int64), times_N, values_NK, tuple(values), kind, (),
        np.zeros((len(values_NK), 0)), (), **_statics(roles.table, (), series_N, 1),
    )  # fmt: skip
    return _gridded(given, slice(None), series_N, roles, settings)


def _gridded(
    given: SeriesSet, rows_N: Ints | slice, series_N: Ints, roles: Roles, settings: SeriesSettings
) -> SeriesSet:
    """Series on their grids, from the sorted rows of a table, and notes."""
    frequency = None if settings.frequency == "auto" else parse_frequency(settings.frequency)
    table, names, ids, notes = roles.table, given.names, given.ids, [*given.notes]
    if given.values_NK.size > _MOST:
        raise DataError(
            f"{given.values_NK.size:,} values, more than the {_MOST:,} that are held in memory",
            where=table.where,
            hint="name fewer --value-columns, or cut the table",
        )
    gridder = Gridder(given, table.place, table.line, notes)
    gridder.take(rows_N, series_N[rows_N])
    hints = _codes_for_missing(given)
    series = gridder.onto_grid(frequency, settings.duplicates)
    if not roles.across and len(names) > 1 and not settings.joint:
        series = _apart(series, tuple(f"{i}/{n}" if roles.ids else n for i in ids for n in names))
    elif not roles.ids:
        series = replace(series, ids=("+".join(names) if len(names) < 4 else table.where,))
    series = _trimmed(table, series, notes)
    notes += [*_constants(series), *hints]
    return replace(series, notes=(_summary(roles, series), *notes))


def _ids(table: Table, columns: Sequence[Column]) -> tuple[tuple[str, ...], Ints]:
    """The names of the series by first appearance, and the series of each row."""
    import polars as pl

    if not columns:
        return ("",), np.zeros(table.rows, np.int64)
    for column in columns:
        if column.labels.null_count():
            row = int(column.labels.is_null().arg_max() or 0)
            raise DataError("a row without an id", where=table.place(row, column.name))
    labels = pl.DataFrame([column.labels.alias(str(n)) for n, column in enumerate(columns)])
    distinct = labels.unique(maintain_order=True)
    codes = labels.join(distinct.with_row_index(), on=labels.columns, maintain_order="left")
    names = distinct.select(pl.concat_str(pl.all(), separator="/")).to_series()
    return tuple(names), codes["index"].cast(pl.Int64).to_numpy()


def _zoned(times: Times, notes: list[str]) -> tuple[pl.Series, Zone | None]:
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


def _known(
    table: Table, columns: Sequence[Column], notes: list[str]
) -> tuple[Floats, tuple[str, ...], tuple[str, ...]]:
    """Covariates, their names, and the column of words whose level each marks."""
    numbers, names, of = [np.zeros((table.rows, 0))], [], []
    for column in columns:
        if column.kind == "label" and len(column.levels) > _MOST_WORDS:
            raise DataError(
                f"{len(column.levels):,} different words in a covariate",
                where=f"{table.where}, column {column.name!r}",
                hint=f"give numbers, or at most {_MOST_WORDS} words",
            )
        if column.kind != "label":
            numbers.append(table.numbers(column)[:, None])
            names.append(column.name)
            of.append("")
            continue
        labels = column.labels
        marks = [(labels == level).cast(float).fill_null(np.nan) for level in column.levels]
        numbers.append(np.column_stack([mark.to_numpy() for mark in marks]))
        names += [f"{column.name}={level}" for level in column.levels]
        of += [column.name] * len(column.levels)
        count = len(column.levels)
        notes.append(f"column {column.name!r}: {count} words, a covariate of 0 and 1 for each")
    return np.concatenate(numbers, axis=1), tuple(names), tuple(of)


def _apart(joint: SeriesSet, ids: tuple[str, ...]) -> SeriesSet:
    """Every value column as a separate series.

    The columns of one series follow one another.
    """
    count, all_rows = len(joint.names), [joint.rows(series) for series in range(len(joint))]
    chosen = np.repeat(np.arange(len(joint)), count)
    bare = replace(
        joint, values_NK=np.zeros((0, 0)), times_N=np.zeros(0, np.int64), known_NC=np.zeros((0, 0)),
        offsets=np.zeros(len(joint) + 1, np.int64),
    ).select(chosen)  # fmt: skip
    return replace(
        bare,
        ids=ids,
        names=("value",),
        offsets=np.append(0, np.cumsum(joint.lengths[chosen])),
        times_N=_joined([np.tile(joint.times_N[rows], count) for rows in all_rows]),
        values_NK=_joined([joint.values_NK[rows].T.ravel() for rows in all_rows])[:, None],
        known_NC=_joined([np.tile(joint.known_NC[rows], (count, 1)) for rows in all_rows]),
    )


def _joined(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Arrays one after another; a single one is not copied."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _statics(table: Table, columns: Sequence[Column], series_N: Ints, count: int) -> dict[str, Any]:
    """Attributes of series as fields of `SeriesSet`."""
    firsts = np.unique(series_N, return_index=True)[1] if columns else np.zeros(count, np.int64)
    labels = [column for column in columns if column.kind == "label"]
    numbers = [column for column in columns if column.kind != "label"]
    for column in columns:
        changed = column.values.ne_missing(column.values.gather(firsts[series_N]))
        if changed.any():
            raise DataError(
                "an attribute of a series changes within the series",
                where=table.place(int(changed.arg_max() or 0), column.name),
                hint="name it with --known if it is known in advance",
            )
    levels = [tuple(each for each in c.levels if each.lower() not in MISSING) for c in labels]
    codes = [
        column.labels.gather(firsts)
        .replace_strict({each: code for code, each in enumerate(own)}, default=-1)
        .fill_null(-1)
        for column, own in zip(labels, levels, strict=True)
    ]
    none = np.zeros((len(firsts), 0))
    return {
        "static_SA": np.column_stack([none, *(table.numbers(c)[firsts] for c in numbers)]),
        "static_names": tuple(column.name for column in numbers),
        "categories_SA": np.column_stack([none.astype(np.int64), *codes]),
        "category_names": tuple(column.name for column in labels),
        "category_levels": tuple(levels),
    }


def _trimmed(table: Table, whole: SeriesSet, notes: list[str]) -> SeriesSet:
    """Cut off missing values at both ends; leave out empty series.

    Rows at the end stay while all known covariates are there: they are the future.

    Raises:
        DataError: no series has a value.
    """
    ends = np.concatenate([whole.offsets[:-1], whole.offsets[1:] - 1])
    if whole.lengths.all() and not np.isnan(whole.values_NK[ends]).all(axis=1).any():
        return whole
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
    left = np.where(empty, 0, whole.offsets[1:] - stops)
    early = int((left > 0).sum())
    if late:
        of = "" if len(whole) == 1 else f" of {late:,} series"
        notes.append(f"missing values before the first value{of} cut off")
    if early:
        which = int(left.argmax())
        last, end = (
            format_time(int(whole.times_N[row]), whole.kind, whole.frequencies[which], whole.zone)
            for row in (stops[which] - 1, whole.offsets[which + 1] - 1)
        )
        of = "" if len(whole) == 1 else f" of {early:,} series"
        name = "" if len(whole) == 1 else f" of {whole.ids[which]!r}"
        notes.append(
            f"missing values after the last value{of} cut off: a forecast{name} begins after "
            f"{last}, and reaches the end of the table, {end}, with --horizon {left[which]}"
        )
    if empty.any():
        names = [whole.ids[number] for number in np.flatnonzero(empty)]
        notes.append(f"series without any value left out: {listed(names)}")
    if not (late or early or empty.any()):
        return whole
    cut = whole.cut(starts, stops)
    if whole.kind == "order" and late:  # places count from the first value
        series_N = np.repeat(np.arange(len(cut)), cut.lengths)
        cut = replace(cut, times_N=places(series_N))
    return cut.select(np.flatnonzero(~empty)) if empty.any() else cut


def _constants(series: SeriesSet) -> list[str]:
    values, starts = series.values_NK, series.offsets[:-1]
    seconds = np.minimum(starts + 1, len(values) - 1)
    if (np.abs(values[seconds] - values[starts]) > 0).any(axis=1).all():
        return []
    low = np.fmin.reduceat(values, starts, axis=0)
    high = np.fmax.reduceat(values, starts, axis=0)
    still = np.flatnonzero((low == high).all(axis=1) & (series.lengths > 1))
    if not len(still):
        return []
    if len(series) == 1:
        return ["the series is constant"]
    named = ", ".join(repr(series.ids[number]) for number in still[:4])
    more = ", ..." if len(still) > 4 else ""
    return [f"{len(still):,} series {'are' if len(still) > 1 else 'is'} constant: {named}{more}"]


def _set_missing(values_NK: Floats) -> list[str]:
    """Set to missing what only a code can be: -999.9, -9999 and the like, far from all others."""
    found: dict[str, int] = defaultdict(int)
    for values in values_NK.T:
        low = float(np.fmin.reduce(values, initial=0))
        if low > -77.7 or not _CODE.fullmatch(f"{low:.6f}".rstrip("0").rstrip(".")):
            continue
        others = values[~np.isnan(values) & (values != low)]
        if len(others) > _FEW and others.min() - low > max(np.ptp(others), 1.0):
            found[f"{low:g}"] += int((values == low).sum())
            values[values == low] = np.nan
    return [
        f"{code} marks missing values ({count:,}); name other codes with --missing-values"
        for code, count in found.items()
    ]


def _codes_for_missing(given: SeriesSet) -> list[str]:
    """Hints at numbers that may stand for missing values.

    Such a number is negative, far from all others, and frequent in its column.
    """
    found: dict[float, list[tuple[float, str]]] = defaultdict(list)
    for name, values in zip(given.names, given.values_NK.T, strict=True):
        # Beside numbers from 0 up, a lone -1 or less; a constant column tells nothing.
        low = float(np.fmin.reduce(values, initial=0))
        count = 0 if low > -1 else int(np.count_nonzero(values == low))
        if count < 5 or count < 0.01 * np.count_nonzero(~np.isnan(values)):
            continue
        there = values[~np.isnan(values)]
        rest = there[there != low]
        if len(there) < 20 or not len(rest):
            continue
        if rest.min() >= 0 or rest.min() - low > rest.max() - rest.min():
            found[low].append((count / len(there), name))
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
        begin, end = (
            format_time(int(time), series.kind, series.frequency, series.zone) for time in ends
        )
        parts = [f"time: {roles.times.words} ({series.frequency.name}, {begin} to {end})"]
    if roles.across:
        if roles.ids[0].name:
            parts.append(f"id: {listed(roles.ids)}")
        parts.append(f"values: {roles.across:,} columns, a series in each row")
    else:
        if roles.ids:
            parts.append(f"id: {listed(roles.ids)}")
        joint = ", together" if len(series.names) > 1 else ""
        plural = "s" if len(roles.values) > 1 else ""
        parts.append(f"value{plural}: {listed(roles.values)}{joint}")
    if roles.known:
        parts.append(f"known ahead: {listed(roles.known)}")
    shortest, longest = int(series.lengths.min()), int(series.lengths.max())
    of = f"{longest:,}" if shortest == longest else f"{shortest:,} to {longest:,}"
    has_missing = np.isnan(series.values_NK.min())
    missing = np.count_nonzero(np.isnan(series.values_NK)) if has_missing else 0
    lacking = f", {missing:,} of {series.values_NK.size:,} values missing" if missing else ""
    parts.append(f"{len(series):,} series of {of}{lacking}")
    return "; ".join(parts)
