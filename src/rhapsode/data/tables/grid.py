"""Series on a regular grid of times.

Rows are sorted by time, duplicates are resolved, and gaps are filled as missing. Rows are arrays;
functions name their places in the table.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rhapsode.data.tables.frequency import Frequency, TimeKind, anchored, infer_frequency
from rhapsode.data.tables.series_set import format_time
from rhapsode.errors import DataError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Words = Callable[[int], str]

_ASKED = 64
_USUAL_FILL = 0.5
_MOST_PLACES = 100


@dataclass(frozen=True)
class Observations:
    """Rows of some series, in any order.

    Arguments:
        series_N: the number of the series.
        times_N: the time.
        kind: the meaning of the times.
        values_NK: values; NaN if missing.
        known_NC: covariates; NaN if missing.
        rows_N: the row of the table.
        count: the number of series.
    """

    series_N: Ints
    times_N: Ints
    kind: TimeKind
    values_NK: Floats
    known_NC: Floats
    rows_N: Ints
    count: int

    def at(self, keep: Bools | Ints) -> Observations:
        """Some rows, or all in another order."""
        return Observations(
            self.series_N[keep], self.times_N[keep], self.kind, self.values_NK[keep],
            self.known_NC[keep], self.rows_N[keep], self.count,
        )  # fmt: skip

    def time(self, row: int) -> str:
        """The time of a row in words."""
        return format_time(int(self.times_N[row]), self.kind, Frequency("second"))


@dataclass(frozen=True)
class Gridded:
    """Series on their grids, one after another.

    Arguments:
        offsets: the first row of each series, and the number of rows.
        times_N: times; rising.
        values_NK: values; NaN if missing.
        known_NC: covariates; NaN if missing.
        frequencies: the frequency of each series.
    """

    offsets: Ints
    times_N: Ints
    values_NK: Floats
    known_NC: Floats
    frequencies: tuple[Frequency, ...]


def onto_grid(
    seen: Observations,
    names: Words,
    place: Words,
    line: Words,
    notes: list[str],
    *,
    duplicates: str,
    frequency: Frequency | None,
) -> Gridded:
    """Sort rows, and put each series onto a grid of times.

    Arguments:
        seen: the rows.
        names: the name of a series, by number.
        place: the place of a row of the table, for messages.
        line: the same, shorter.
        notes: receives remarks, a line each.
        duplicates: "error", "mean" or "last".
        frequency: the frequency; None infers it.

    Raises:
        DataError: a time occurs twice in a series, does not fit the given frequency, or leads to a
            grid that is nearly empty.
    """
    by_series = np.argsort(seen.series_N, kind="stable")
    back = np.diff(seen.times_N[by_series]) < 0
    moved = np.sort(by_series[1:][back & (np.diff(seen.series_N[by_series]) == 0)])
    if len(moved):
        notes.append(
            f"{len(moved):,} row{'s come' if len(moved) > 1 else ' comes'} before an earlier time, "
            f"the first in {line(int(seen.rows_N[moved[0]]))}: sorted by time"
        )
    seen = seen.at(np.lexsort((seen.times_N, seen.series_N)))
    again = np.zeros(len(seen.times_N), bool)
    again[1:] = (np.diff(seen.times_N) == 0) & (np.diff(seen.series_N) == 0)
    if again.any():
        first, count = int(again.argmax()), int(again.sum())
        of = f" in series {names(int(seen.series_N[first]))!r}" if seen.count > 1 else ""
        if duplicates == "error":
            more = f", the first of {count:,} such rows" if count > 1 else ""
            before = line(int(seen.rows_N[first - 1]))
            raise DataError(
                f"the time {seen.time(first)} occurs twice{of}, first in {before}{more}",
                where=place(int(seen.rows_N[first])),
                hint="use --duplicates mean or last, or name the column that "
                "identifies the series with --id-column",
            )
        rows = "rows" if count > 1 else "row"
        taken = "the last is used" if duplicates == "last" else "their mean is used"
        notes.append(
            f"{count:,} {rows} with a repeated time, the first {seen.time(first)}{of}: {taken}"
        )
        seen = _without(seen, again, last=duplicates == "last")
    offsets = np.searchsorted(seen.series_N, np.arange(seen.count + 1)).astype(np.int64)
    if frequency is not None:
        frequencies = (_fitting(seen, frequency, place, notes),) * seen.count
    else:
        frequencies = _inferred(seen, offsets, notes)
    return _filled(seen, offsets, frequencies, names, place, notes)


def _without(seen: Observations, again: Bools, *, last: bool) -> Observations:
    """Merge rows of the same time.

    The result is the last row, or the means of the values.
    """
    begins = np.flatnonzero(~again)
    ends = np.append(begins[1:], len(again)) - 1
    if last:  # rows of one time are still in the order of the table
        return seen.at(ends)

    def means(values_NK: Floats) -> Floats:
        there = ~np.isnan(values_NK)
        sums = np.add.reduceat(np.where(there, values_NK, 0.0), begins, axis=0)
        counts = np.add.reduceat(there.astype(np.float64), begins, axis=0)
        mean = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
        return np.where((begins == ends)[:, None], values_NK[begins], mean)

    values, known = means(seen.values_NK), means(seen.known_NC)
    return replace(seen.at(begins), values_NK=values, known_NC=known)


def _fitting(seen: Observations, given: Frequency, place: Words, notes: list[str]) -> Frequency:
    """The given frequency, if the times fit it."""
    if given.unit == "order":
        return given
    if seen.kind == "order":
        notes.append(
            f"there are no times: values are treated as {given.name}, and numbered in order"
        )
        return given
    if given.kind != seen.kind:
        what = "whole numbers" if seen.kind == "integer" else "dates"
        raise DataError(f"times are {what}, which cannot be {given.name}", where="frequency")
    given = anchored(given, seen.times_N)
    fits = given.joined(seen.times_N[:-1], seen.times_N[1:]) | (np.diff(seen.series_N) != 0)
    if not fits.all():
        row = int(fits.argmin()) + 1
        raise DataError(
            f"the time {seen.time(row)} does not fit a series that is {given.name}",
            where=place(int(seen.rows_N[row])),
            hint="use --frequency none to use only the order of values",
        )
    return given


def _inferred(seen: Observations, offsets: Ints, notes: list[str]) -> tuple[Frequency, ...]:
    """Frequency of each series.

    It is the common frequency if that fits, otherwise that of the series.
    """
    if seen.kind == "order":
        return (Frequency("order"),) * seen.count
    lengths = np.diff(offsets)
    times = [seen.times_N[start:stop] for start, stop in itertools.pairwise(offsets)]
    # The frequency of most of some series, the longer ones first.
    longest = np.argsort(-lengths, kind="stable")
    votes: Counter[Frequency] = Counter()
    for number in longest[np.unique(np.linspace(0, seen.count - 1, _ASKED).astype(np.int64))]:
        if (voted := infer_frequency(times[number], seen.kind)) is not None:
            votes[voted] += 1 + (lengths[number] > 3)
    common = votes.most_common(1)[0][0] if votes else Frequency("order")
    found = [common] * seen.count
    if common.unit != "order":
        apart = np.diff(seen.series_N) != 0
        fits = common.joined(seen.times_N[:-1], seen.times_N[1:]) | apart
        misfits = np.bincount(seen.series_N[1:][~fits], minlength=seen.count)
        for number in np.flatnonzero(lengths > 1):
            sparse = lengths[number] > 3 and _is_sparse(common, times[number])
            if misfits[number] or sparse:
                own = infer_frequency(times[number], seen.kind) or common
                even = own.unit != "order" and _is_sparse(own, times[number])
                found[number] = common if even and not misfits[number] else own
    counts = Counter(found)
    if len(counts) > 1:
        words = ", ".join(f"{count:,} {f.name}" for f, count in counts.most_common(5))
        notes.append(f"series of several frequencies: {words}; each keeps its own")
    return tuple(found)


def _is_sparse(frequency: Frequency, times_N: Ints) -> bool:
    """True if over half of a grid would be empty."""
    first, last = frequency.ordinal(times_N[[0, -1]])
    return bool(len(times_N) < _USUAL_FILL * ((last - first) // frequency.stride + 1))


def _filled(  # noqa: PLR0917
    seen: Observations,
    offsets: Ints,
    frequencies: tuple[Frequency, ...],
    names: Words,
    place: Words,
    notes: list[str],
) -> Gridded:
    """Rows at their places of the grid, the rows between them missing."""
    count, lengths = len(seen.times_N), np.diff(offsets)
    firsts_N = np.repeat(offsets[:-1], lengths)
    place_N = np.arange(count) - firsts_N
    regular = {
        frequency: np.array([own == frequency for own in frequencies])
        for frequency in dict.fromkeys(frequencies)
        if seen.kind != "order" and frequency.unit != "order"
    }
    for frequency, chosen_S in regular.items():
        ordinal = frequency.ordinal(seen.times_N)
        rows = np.repeat(chosen_S, lengths)
        place_N[rows] = ((ordinal - ordinal[firsts_N]) // frequency.stride)[rows]
    filled = np.zeros(len(lengths), np.int64)
    filled[lengths > 0] = place_N[offsets[1:][lengths > 0] - 1] + 1
    ends = np.concatenate([[0], np.cumsum(filled)]).astype(np.int64)
    total = int(ends[-1])
    if total == count:
        return Gridded(offsets, seen.times_N, seen.values_NK, seen.known_NC, frequencies)
    if total > _MOST_PLACES * max(count, 10):
        raise DataError(
            f"a grid that is {frequencies[0].name} has {total:,} times for {count:,} rows",
            where=place(int(seen.rows_N[0])),
            hint="set the time step with --frequency, for example monthly",
        )
    target = place_N + np.repeat(ends[:-1], lengths)
    steps = np.arange(total) - np.repeat(ends[:-1], filled)
    starts = np.repeat(seen.times_N[np.minimum(offsets[:-1], count - 1)], filled)
    times = np.empty(total, np.int64)
    for frequency, chosen_S in regular.items():
        rows = np.repeat(chosen_S, filled)
        times[rows] = frequency.advance(starts[rows], steps[rows])
    values = np.full((total, seen.values_NK.shape[1]), np.nan)
    known = np.full((total, seen.known_NC.shape[1]), np.nan)
    times[target], values[target], known[target] = seen.times_N, seen.values_NK, seen.known_NC
    empty = np.setdiff1d(np.arange(total), target)
    series = np.searchsorted(ends, empty, side="right") - 1
    of, which = "", ""
    if len(lengths) > 1:
        of = f" in {len(np.unique(series)):,} of {len(lengths):,} series"
        which = f" of {names(int(series[0]))!r}"
    stamp = format_time(int(times[empty[0]]), seen.kind, frequencies[series[0]])
    notes.append(
        f"{len(empty):,} time{'s have' if len(empty) > 1 else ' has'} no row{of}, "
        f"the first {stamp}{which}: filled in as missing"
    )
    return Gridded(ends, times, values, known, frequencies)
