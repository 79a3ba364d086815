"""Assemble a table and the roles of its columns into series."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rhapsode.data.tables.frequency import TimeKind, parse_frequency
from rhapsode.data.tables.grid import Gridder, constants_of
from rhapsode.data.tables.parsing.columns import TIME_NAMES, Column, Table, listed, plain_name
from rhapsode.data.tables.parsing.numerals import MISSING, amounts_of
from rhapsode.data.tables.roles import find_roles
from rhapsode.data.tables.series_set import SeriesSet, format_time, places
from rhapsode.data.tables.settings import SeriesSettings
from rhapsode.data.tables.times import zoned_times
from rhapsode.errors import DataError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_MOST = 100_000_000
_MOST_WORDS = 100
# Numbers beside a code that tell it from a number.
_FEW = 12
_CODE = re.compile(r"-([789])\1(?:\1+|\.\1|\1+\.\1)\1*")


class _Parts(NamedTuple):
    """The roles of columns in words; `across` counts columns if every row was a series."""

    times: str
    ids: Sequence[str]
    values: Sequence[str]
    known: Sequence[str] = ()
    across: int = 0


def assemble(table: Table, settings: SeriesSettings) -> SeriesSet:
    """The series that a table holds.

    Raises:
        DataError: a cell of numbers is none or infinite, a row lacks its time or id, a time occurs
            twice, or there is no value at all.
        SettingsError: there is no such frequency.
    """
    roles = find_roles(table, settings)
    table = roles.table
    told = [note for column in (*roles.values, *roles.known) for note in column.notes]
    notes = [*table.notes, *roles.notes, *dict.fromkeys(told)]
    values_NK = np.empty((table.rows, len(roles.values)), order="F")
    for number, column in enumerate(roles.values):
        table.numbers(column, values_NK[:, number])
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
        times, zone = zoned_times(roles.times, notes)
        times_N = times.fill_null(0).to_numpy()
        if count := times.null_count():
            rows_N = np.flatnonzero(times.is_not_null())
            empty = np.asarray(np.isnan(values_NK).all(axis=1))
            empty[rows_N] = True
            if not empty.all():
                where = table.place(int(empty.argmin()))
                raise DataError("a row of values without a time", where=where)
            if not len(rows_N):
                raise DataError("no row has a time", where=table.where)
            notes.append(f"{count:,} row{'s' * (count > 1)} without time and values left out")
    owners = series_N[rows_N]
    if len(ids) > 1 and (owners[1:] < owners[:-1]).any():
        rows_N = np.arange(table.rows)[rows_N][np.argsort(owners, kind="stable")]
    ids_, values, known = (tuple(c.name for c in g) for g in (roles.ids, roles.values, roles.known))
    given = SeriesSet(
        ids, np.zeros(1, np.int64), times_N, values_NK, values, kind, (), known_NC, known_names,
        **_statics(table, roles.static, series_N, len(ids)),
        left_out=tuple(c.name for c in roles.left_out),
        texts=tuple(c.name for c in roles.left_out if c.is_text), columns=values,
        known_of=known_of, zone=zone, notes=tuple(notes),
    )  # fmt: skip
    parts = _Parts(roles.times.words if roles.times else "", ids_, values, known, roles.across)
    table = replace(table, columns=())  # the memory of its cells is free now
    del roles, column
    return _gridded(given, rows_N, series_N, table=table, parts=parts, settings=settings)


def assemble_arrays(
    arrays: Mapping[str, NDArray[Any]], where: str, settings: SeriesSettings
) -> SeriesSet:
    """The series of arrays of numbers and times, without polars.

    Raises:
        DataError: a number is infinite, a time occurs twice, or there is no value at all.
    """
    values, words, table = dict(arrays), "", Table(where, ())
    series_N = np.zeros(max(map(len, arrays.values())), np.int64)
    times_N = places(series_N)
    kind: TimeKind = "order"
    for name, array in arrays.items():
        whole = array.dtype.kind == "i" and plain_name(name) in TIME_NAMES
        if len(values) > 1 and (whole or array.dtype.kind == "M") and not words:
            words = f"column {name!r}{' of whole numbers' * whole}"
            kind = "integer" if whole else "time"
            times_N = values.pop(name).astype("i8" if whole else "M8[ns]").astype(np.int64)
    values_NK = np.stack([array.astype(np.float64) for array in values.values()]).T
    values_NK[np.isin(values_NK, amounts_of(settings.missing_values))] = np.nan
    if (infinite := np.argwhere(np.isinf(values_NK))).size:
        row, column = infinite[0]
        place = table.place(int(row), [*values][column])
        raise DataError(f"an infinite number: {values_NK[row, column]:g}", where=place)
    given = SeriesSet(
        ("",), np.zeros(1, np.int64), times_N, values_NK, tuple(values), kind, (),
        np.zeros((len(values_NK), 0)), (), **_statics(table, (), series_N, 1),
    )  # fmt: skip
    parts = _Parts(words, (), [*values])
    return _gridded(given, slice(None), series_N, table=table, parts=parts, settings=settings)


def _gridded(
    given: SeriesSet,
    rows_N: Ints | slice,
    series_N: Ints,
    *,
    table: Table,
    parts: _Parts,
    settings: SeriesSettings,
) -> SeriesSet:
    """Series on their grids, from the sorted rows of a table, and notes."""
    frequency = None if settings.frequency == "auto" else parse_frequency(settings.frequency)
    names, ids = given.names, given.ids
    if given.values_NK.size > _MOST:
        raise DataError(
            f"{given.values_NK.size:,} values, more than the {_MOST:,} that are held in memory",
            where=table.where,
            hint="name fewer --value-columns, or cut the table",
        )
    codes, hints = _codes_for_missing(given)
    notes = [*given.notes, *codes]
    gridder = Gridder(given, table, notes)
    gridder.take(rows_N, series_N[rows_N])
    series = gridder.onto_grid(frequency, settings.duplicates)
    apart = not parts.across and len(names) > 1 and not settings.joint
    if apart:
        series = _apart(series, tuple(f"{i}/{n}" if parts.ids else n for i in ids for n in names))
    elif not parts.ids:
        series = replace(series, ids=("+".join(names) if len(names) < 4 else table.where,))
    described = bool(series.static_names or series.category_names)
    described = described and not (apart or parts.across)
    series = _trimmed(table, series, notes, described=described)
    notes += [*constants_of(series), *hints]
    return replace(series, notes=(_summary(parts, series), *notes))


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


def _trimmed(table: Table, whole: SeriesSet, notes: list[str], *, described: bool) -> SeriesSet:
    """Cut off missing values at both ends; leave out empty series.

    Rows at the end stay while all known covariates are there: they are the future. Series that are
    described by attributes stay without any value: their first row is the first step to forecast.

    Raises:
        DataError: no series has a value.
    """
    firsts, ends = whole.offsets[:-1], whole.offsets[1:]
    if (
        whole.lengths.all()
        and not np.isnan(whole.values_NK[np.append(firsts, ends - 1)]).all(axis=1).any()
    ):
        return whole
    there_N = ahead_N = np.asarray(~np.isnan(whole.values_NK).all(axis=1))
    if whole.known_names:
        ahead_N = there_N | ~np.isnan(whole.known_NC).any(axis=1)
    filled, ahead = np.flatnonzero(there_N), np.flatnonzero(ahead_N)
    before = np.searchsorted(filled, whole.offsets)
    empty = np.diff(before) == 0
    if empty.all() and not described:
        raise DataError(
            "there are no values: every number is missing",
            where=table.place(0),
            hint="use --missing-values and --value-columns",
        )
    starts = np.append(filled, len(there_N))[before[:-1]]
    future = np.append(ahead, -1)[np.searchsorted(ahead, ends) - 1]
    stops = np.where(empty, starts, future + 1)
    if described:
        starts = np.where(empty, firsts, starts)
        stops = np.where(empty, np.minimum(np.maximum(firsts, future) + 1, ends), stops)
    late, left = (starts > firsts) & ~empty, np.where(empty, 0, ends - stops)
    several = len(whole) > 1
    if late.any():
        of = f" of {late.sum():,} series" if several else ""
        notes.append(f"missing values before the first value{of} cut off")
    if (left > 0).any():
        which = int(left.argmax())
        final, end = (_stamp(whole, row, which) for row in (stops[which] - 1, ends[which] - 1))
        of = f" of {(left > 0).sum():,} series" if several else ""
        name = f" of {whole.ids[which]!r}" if several else ""
        notes.append(
            f"missing values after the last value{of} cut off: a forecast{name} begins after "
            f"{final}, and reaches the end of the table, {end}, with --horizon {left[which]}"
        )
    if empty.any():
        names = [whole.ids[number] for number in np.flatnonzero(empty)]
        what = "" if described else " left out"
        notes.append(f"series without any value{what}: {listed(names)}")
    cut = whole.cut(starts, stops)
    if whole.kind == "order" and late.any():  # places count from the first value
        cut = replace(cut, times_N=places(np.repeat(np.arange(len(cut)), cut.lengths)))
    return cut.select(np.flatnonzero(~empty)) if empty.any() and not described else cut


def _stamp(series: SeriesSet, row: int, number: int) -> str:
    time, frequency = int(series.times_N[row]), series.frequencies[number]
    return format_time(time, series.kind, frequency, series.zone)


def _codes_for_missing(given: SeriesSet) -> tuple[list[str], list[str]]:
    """Set to missing what only a code can be, and hint at what may be one.

    Both are the lowest number of a column, below zero and far from all others: -999.9, -9999 and
    the like, or any number that is frequent.
    """
    marks: dict[str, int] = defaultdict(int)
    likely: dict[float, list[tuple[float, str]]] = defaultdict(list)
    for name, values in zip(given.names, given.values_NK.T, strict=True):
        low = float(np.fmin.reduce(values, initial=0))
        count = int(np.count_nonzero(values == low))
        is_code = _CODE.fullmatch(f"{low:.6f}".rstrip("0").rstrip(".")) is not None
        if low > -1 or not (is_code or count >= 5):
            continue
        others = values[~np.isnan(values) & (values != low)]
        total = count + len(others)
        if not len(others):
            continue
        gap, span = others.min() - low, np.ptp(others)
        if is_code and len(others) > _FEW and gap > max(span, 1.0):
            marks[f"{low:g}"] += count
            values[values == low] = np.nan
        elif count >= max(5, 0.01 * total) and total >= 20 and (others.min() >= 0 or gap > span):
            likely[low].append((count / total, name))
    told = [
        f"{code} marks missing values ({count:,}); name other codes with --missing-values"
        for code, count in marks.items()
    ]
    hints = []
    for low, hits in likely.items():
        share, worst = max(hits, key=itemgetter(0))
        more = f" and others of {len(hits) - 1} more" if len(hits) > 1 else ""
        hints.append(
            f"{low:g} makes up {100 * share:.0f} % of column {worst!r}{more} and nothing else is "
            f"near it: if it marks missing values, use --missing-values {low:g}"
        )
    return told, hints


def _summary(parts: _Parts, series: SeriesSet) -> str:
    told = ["time: none, values by their order"]
    if parts.times and series.kind != "order":
        firsts, ends = series.times_N[series.offsets[:-1]], series.times_N[series.offsets[1:] - 1]
        begin, end = (
            format_time(int(time), series.kind, series.frequency, series.zone)
            for time in (firsts.min(), ends.max())
        )
        told = [f"time: {parts.times} ({series.frequency.name}, {begin} to {end})"]
    if any(parts.ids):
        told.append(f"id: {listed(parts.ids)}")
    if parts.across:
        told.append(f"values: {parts.across:,} columns, a series in each row")
    else:
        joint = ", together" if len(series.names) > 1 else ""
        plural = "s" if len(parts.values) > 1 else ""
        told.append(f"value{plural}: {listed(parts.values)}{joint}")
    if parts.known:
        told.append(f"known ahead: {listed(parts.known)}")
    shortest, longest = int(series.lengths.min()), int(series.lengths.max())
    of = f"{longest:,}" if shortest == longest else f"{shortest:,} to {longest:,}"
    missing = np.count_nonzero(np.isnan(series.values_NK))
    lacking = f", {missing:,} of {series.values_NK.size:,} values missing" if missing else ""
    return "; ".join([*told, f"{len(series):,} series of {of}{lacking}"])
