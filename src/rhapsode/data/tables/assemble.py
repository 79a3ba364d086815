"""A table and the parts of its columns to a set of series."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rhapsode.data.tables.frequency import TimeKind, parse_frequency
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
        SettingsError: there is no such frequency.
    """
    frequency = None
    if settings.frequency != "auto":
        try:
            frequency = parse_frequency(settings.frequency)
        except SettingsError as problem:
            where = "[series] frequency"
            raise SettingsError(problem.what, where=where, hint=problem.hint) from None
    notes = [*table.notes, *roles.notes]
    values_NK = np.stack([table.numbers(place) for place in roles.values], axis=1)
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
        seen, ids.__getitem__, table.place, table.line,
        duplicates=settings.duplicates, frequency=frequency,
    )  # fmt: skip
    notes.extend(gridded.notes)
    irregular = sum(f.unit == "order" for f in gridded.frequencies)
    if seen.kind != "order" and irregular > int((np.diff(gridded.offsets) < 2).sum()):
        what = "times lie" if seen.count == 1 else f"times of {irregular:,} series lie"
        notes.append(
            f"{what} on no grid: values are taken by their order; --frequency names a grid"
        )
    names = ("value",) if roles.rows else tuple(table.names[place] for place in roles.values)
    if not roles.rows and len(names) > 1 and not settings.joint:
        gridded = _apart(gridded, len(names))
        ids = tuple(f"{i}/{n}" if roles.ids else n for i in ids for n in names)
        names, copies = ("value",), len(names)
    else:
        copies = 1
        if not roles.rows and not roles.ids:
            ids = ("+".join(names) if len(names) < 4 else table.where,)
    whole = SeriesSet(
        ids, gridded.offsets, gridded.times_N, gridded.values_NK, names, seen.kind,
        gridded.frequencies, gridded.known_NC, tuple(table.names[p] for p in roles.known),
        *_statics(table, roles, series_N, copies),
    )  # fmt: skip
    made = _trimmed(table, whole, notes)
    notes.extend(_constants(made))
    notes.extend(_codes_for_missing(table, roles, values_NK))
    return replace(made, notes=(_summary(table, roles, made), *notes), left_out=roles.left_out)


def _ids(table: Table, roles: Roles) -> tuple[tuple[str, ...], Ints]:
    """The names of series by first appearance, and the series of every row.

    Raises:
        DataError: a row has no id, or a series that is a row stands twice.
    """
    if not roles.ids:
        count = table.rows if roles.rows else 1
        ids = tuple(f"row {row + 1}" for row in range(count)) if roles.rows else ("",)
        return ids, np.arange(count) if roles.rows else np.zeros(table.rows, np.int64)
    import polars as pl

    keys = pl.DataFrame({str(place): table.texts(place) for place in roles.ids})
    for place in roles.ids:
        if (empty := keys[str(place)].is_null()).any():
            where = table.place(int(empty.arg_max() or 0), table.names[place])
            raise DataError("a row without an id", where=where)
    first = keys.unique(maintain_order=True).with_row_index("series")
    series = keys.join(first, on=keys.columns, how="left", maintain_order="left")["series"]
    ids = tuple("/".join(row) for row in first.drop("series").rows())
    if roles.rows and len(ids) < table.rows:
        again = int(np.flatnonzero(series.is_duplicated().to_numpy())[1])
        what = f"the series {ids[series[again]]!r} stands twice"
        raise DataError(what, where=table.place(again))
    return ids, series.to_numpy().astype(np.int64)


def _observations(  # noqa: PLR0917
    table: Table, roles: Roles, values_NK: Floats, series_N: Ints, count: int, notes: list[str]
) -> Observations:
    """Every value with its series and time; rows without time and values left out."""
    kind: TimeKind = "order" if roles.times is None else roles.times.kind
    notes.extend(roles.times.notes if roles.times else ())
    if roles.rows:
        width = len(roles.values)
        times_N = np.arange(width) if roles.times is None else roles.times.times_N
        rows_N = np.repeat(np.arange(count), width)
        known_NC = np.zeros((count * width, 0))
        values = values_NK.reshape(-1, 1)
        return Observations(rows_N, np.tile(times_N, count), kind, values, known_NC, rows_N, count)
    known = [table.numbers(place) for place in roles.known]
    known_NC = np.stack(known, axis=1) if known else np.zeros((table.rows, 0))
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
    """Of every row its place within its series."""
    order = np.argsort(series_N, kind="stable")
    ordered = series_N[order]
    places = np.empty(len(order), np.int64)
    places[order] = np.arange(len(order)) - np.searchsorted(ordered, ordered)
    return places


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


Statics = tuple[Floats, tuple[str, ...], Ints, tuple[str, ...], tuple[tuple[str, ...], ...]]


def _statics(table: Table, roles: Roles, series_N: Ints, copies: int) -> Statics:
    """Attributes, one value a series: numbers and their names, kinds, their names and levels.

    Raises:
        DataError: one changes within a series.
    """
    firsts = np.unique(series_N, return_index=True)[1]
    numbers: dict[str, Floats] = {}
    kinds: dict[str, tuple[Ints, tuple[str, ...]]] = {}
    for place in roles.static:
        name, column = table.names[place], table.columns[place]
        if table.kind(place) == "label":
            import polars as pl

            column = column.set(pl.Series(table.missing(place)), None)
            levels = tuple(column.unique(maintain_order=True).drop_nulls().to_list())
            codes = dict(zip(levels, range(len(levels)), strict=True))
            column = column.replace_strict(codes, default=-1, return_dtype=pl.Int64)
            kinds[name] = np.repeat(column.to_numpy()[firsts], copies), levels
        else:
            numbers[name] = np.repeat(table.numbers(place)[firsts], copies)
        changed = column.gather(firsts[series_N]).ne_missing(column)
        if changed.any():
            raise DataError(
                "an attribute of a series that changes within it",
                where=table.place(int(changed.arg_max() or 0), name),
                hint="name it with --known if it is known ahead",
            )
    none = np.zeros((len(firsts) * copies, 0))
    return (
        np.stack([*numbers.values()], axis=1) if numbers else none,
        tuple(numbers),
        np.stack([codes for codes, _ in kinds.values()], axis=1)
        if kinds
        else none.astype(np.int64),
        tuple(kinds),
        tuple(levels for _, levels in kinds.values()),
    )


def _trimmed(table: Table, whole: SeriesSet, notes: list[str]) -> SeriesSet:
    """Missing values before the first and after the last one cut off; series without any left out.

    Rows at the end stay where all known covariates are there: they are the future.

    Raises:
        DataError: no series has a value.
    """
    there = np.asarray(~np.isnan(whole.values_NK).all(axis=1))
    ahead = there
    if whole.known_NC.shape[1]:
        ahead = there | ~np.isnan(whole.known_NC).any(axis=1)
    rows = np.arange(len(there))
    starts, stops = whole.offsets[:-1].copy(), whole.offsets[1:].copy()
    some = whole.lengths > 0
    if some.any():
        begins = whole.offsets[:-1][some]
        first = np.minimum.reduceat(np.where(there, rows, len(rows)), begins)
        starts[some] = np.minimum(first, whole.offsets[1:][some])
        last = np.maximum.reduceat(np.where(ahead, rows, -1), begins)
        stops[some] = np.maximum(last + 1, starts[some])
    empty = starts >= whole.offsets[1:]
    if empty.all():
        raise DataError(
            "no value is there: every number is missing",
            where=table.place(0),
            hint="--missing-values and --value-columns say how the table is read",
        )
    late = int(((starts > whole.offsets[:-1]) & ~empty).sum())
    early = int(((stops < whole.offsets[1:]) & ~empty).sum())
    for number, what in ((late, "before the first value"), (early, "after the last value")):
        if number:
            which = "" if len(whole) == 1 else f" of {number:,} series"
            notes.append(f"missing values {what}{which} cut off")
    if empty.any():
        left = [whole.ids[number] for number in np.flatnonzero(empty)]
        notes.append(f"series without any value left out: {_listed(left)}")
    cut = whole.cut(starts, stops)
    if whole.kind == "order" and late:  # places count from the first value
        places = np.arange(len(cut.times_N)) - np.repeat(cut.offsets[:-1], cut.lengths)
        cut = replace(cut, times_N=places)
    return cut.select(np.flatnonzero(~empty)) if empty.any() else cut


def _constants(made: SeriesSet) -> list[str]:
    """A word on series that never change."""
    values, starts = made.values_NK, made.offsets[:-1]
    low = np.minimum.reduceat(np.where(np.isnan(values), np.inf, values), starts, axis=0)
    high = np.maximum.reduceat(np.where(np.isnan(values), -np.inf, values), starts, axis=0)
    still = np.flatnonzero((low == high).all(axis=1) & (made.lengths > 1))
    if not len(still):
        return []
    if len(made) == 1:
        return ["the series is constant"]
    named = ", ".join(repr(made.ids[number]) for number in still[:4])
    more = ", ..." if len(still) > 4 else ""
    return [f"{len(still):,} series {'are' if len(still) > 1 else 'is'} constant: {named}{more}"]


def _codes_for_missing(table: Table, roles: Roles, values_NK: Floats) -> list[str]:
    """A hint where one negative number far from all others makes up a good part of columns."""
    found: Mapping[float, list[tuple[float, str]]] = defaultdict(list)
    for place, values in zip(roles.values, values_NK.T, strict=True):
        there = values[~np.isnan(values)]
        low = float(there.min(initial=0))
        rest = there[there != low]
        count = len(there) - len(rest)
        # Beside numbers from 0 up, a lone -1 or less; a constant column tells nothing.
        if low > -1 or len(there) < 20 or not len(rest) or count < max(5, 0.01 * len(there)):
            continue
        if rest.min() >= 0 or rest.min() - low > rest.max() - rest.min():
            found[low].append((count / len(there), table.names[place]))
    hints = []
    for low, hits in found.items():
        share, worst = max(hits, key=lambda hit: hit[0])
        more = f" and others of {len(hits) - 1} more" if len(hits) > 1 else ""
        hints.append(
            f"{low:g} makes up {100 * share:.0f} % of column {worst!r}{more} and nothing else is near it: "
            f"if it stands for missing, --missing-values {low:g}"
        )
    return hints


def _summary(table: Table, roles: Roles, made: SeriesSet) -> str:
    """What was inferred, in one line."""
    parts = ["time: none, values by their order"]
    if roles.times is not None and made.kind != "order":
        ends = made.times_N[made.offsets[:-1]].min(), made.times_N[made.offsets[1:] - 1].max()
        begin, end = (format_time(int(time), made.kind, made.frequency) for time in ends)
        parts = [f"time: {roles.times.words} ({made.frequency.name}, {begin} to {end})"]
    if roles.ids:
        parts.append(f"id: {table.listed(roles.ids)}")
    if roles.rows:
        parts.append(f"values: {len(roles.values):,} columns, a series in each row")
    else:
        joint = ", together" if len(made.names) > 1 else ""
        plural = "s" if len(roles.values) > 1 else ""
        parts.append(f"value{plural}: {table.listed(roles.values)}{joint}")
    if roles.known:
        parts.append(f"known ahead: {table.listed(roles.known)}")
    shortest, longest = int(made.lengths.min()), int(made.lengths.max())
    of = f"{longest:,}" if shortest == longest else f"{shortest:,} to {longest:,}"
    missing = int(np.isnan(made.values_NK).sum())
    lacking = f", {missing:,} of {made.values_NK.size:,} values missing" if missing else ""
    parts.append(f"{len(made):,} series of {of}{lacking}")
    return "; ".join(parts)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED:,} more" if len(names) > _LISTED else ""
    return ", ".join(map(repr, names[:_LISTED])) + more
