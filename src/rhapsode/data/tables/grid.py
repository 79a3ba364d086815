"""Rows with a time to series on a regular grid: sorted, duplicates settled, gaps filled as missing.

Knows rows as arrays; where they came from only through a function that names their place.
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

__all__ = ["Gridded", "Observations", "onto_grid"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_ASKED = 64
_USUAL_FILL = 0.5
_MOST_PLACES = 100


@dataclass(frozen=True)
class Observations:
    """Rows of some series, in any order.

    Arguments:
        series_N: the number of the series.
        times_N: when.
        kind: what times are.
        values_NK: values; NaN is missing.
        known_NC: covariates; NaN is missing.
        rows_N: the row of the table that each was.
        count: how many series there are.
    """

    series_N: Ints
    times_N: Ints
    kind: TimeKind
    values_NK: Floats
    known_NC: Floats
    rows_N: Ints
    count: int

    def at(self, keep: NDArray[np.bool_] | Ints) -> Observations:
        """Only some rows, or all in another order."""
        return Observations(
            self.series_N[keep], self.times_N[keep], self.kind, self.values_NK[keep],
            self.known_NC[keep], self.rows_N[keep], self.count,
        )  # fmt: skip


@dataclass(frozen=True)
class Gridded:
    """Series on their grids, one behind the other.

    Arguments:
        offsets: where each begins, and the end.
        times_N: when; rising.
        values_NK: values; missing ones where a row was missing.
        known_NC: covariates, likewise.
        frequencies: of each series.
        notes: what there is to say.
    """

    offsets: Ints
    times_N: Ints
    values_NK: Floats
    known_NC: Floats
    frequencies: tuple[Frequency, ...]
    notes: tuple[str, ...]


def onto_grid(
    seen: Observations,
    names: Callable[[int], str],
    place: Callable[[int], str],
    line: Callable[[int], str],
    *,
    duplicates: str,
    frequency: Frequency | None,
) -> Gridded:
    """Sort rows and put those of each series onto a grid of times.

    Arguments:
        seen: the rows.
        names: of series, by number.
        place: where a row of the table stands, for messages.
        line: the same, shortly.
        duplicates: "error", "mean" or "last".
        frequency: the frequency; None infers it.

    Raises:
        DataError: a time stands twice in a series, does not fit the frequency that was given, or leads to a grid that
            is nearly empty.
    """
    notes: list[str] = []
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
        first = int(again.argmax())
        time = format_time(int(seen.times_N[first]), seen.kind, Frequency("second"))
        of = f" in series {names(int(seen.series_N[first]))!r}" if seen.count > 1 else ""
        count = int(again.sum())
        if duplicates == "error":
            more = f", the first of {count:,} such rows" if count > 1 else ""
            before = line(int(seen.rows_N[first - 1]))
            raise DataError(
                f"the time {time} stands twice{of}, first in {before}{more}",
                where=place(int(seen.rows_N[first])),
                hint="--duplicates mean or last settles it, or --id-column tells series apart",
            )
        rows = "rows" if count > 1 else "row"
        taken = "the last taken" if duplicates == "last" else "their mean taken"
        notes.append(
            f"{count:,} {rows} of a time that was there already, the first {time}{of}: {taken}"
        )
        seen = _without(seen, again, last=duplicates == "last")
    offsets = np.searchsorted(seen.series_N, np.arange(seen.count + 1)).astype(np.int64)
    frequencies = _frequencies(seen, offsets, frequency, place, notes)
    return _filled(seen, offsets, frequencies, names, place, notes)


def _without(seen: Observations, again: NDArray[np.bool_], *, last: bool) -> Observations:
    """One row for each time: the last one, or the means of what is there."""
    begins = np.flatnonzero(~again)
    ends = np.append(begins[1:], len(again)) - 1
    if last:  # rows of one time are still in the order of the table
        return seen.at(ends)

    def means(values_NK: Floats) -> Floats:
        if not values_NK.shape[1]:
            return values_NK[begins]
        there = ~np.isnan(values_NK)
        sums = np.add.reduceat(np.where(there, values_NK, 0.0), begins, axis=0)
        counts = np.add.reduceat(there.astype(np.float64), begins, axis=0)
        mean = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
        return np.where((begins == ends)[:, None], values_NK[begins], mean)

    values, known = means(seen.values_NK), means(seen.known_NC)
    return replace(seen.at(begins), values_NK=values, known_NC=known)


def _frequencies(
    seen: Observations,
    offsets: Ints,
    given: Frequency | None,
    place: Callable[[int], str],
    notes: list[str],
) -> tuple[Frequency, ...]:
    """The frequency of each series."""
    if given is not None and seen.kind == "order" and given.unit != "order":
        notes.append(f"no times are there: values count as {given.name}, and times are places")
    if given is not None and seen.kind != "order" and given.unit != "order":
        if given.kind != seen.kind:
            what = "whole numbers" if seen.kind == "integer" else "dates"
            raise DataError(f"times are {what}, which cannot be {given.name}", where="frequency")
        given = anchored(given, seen.times_N)
        within = np.diff(seen.series_N) == 0
        wrong = np.flatnonzero(within & ~given.joined(seen.times_N[:-1], seen.times_N[1:]))
        if len(wrong):
            row = int(wrong[0]) + 1
            time = format_time(int(seen.times_N[row]), seen.kind, Frequency("second"))
            raise DataError(
                f"the time {time} does not fit a series that is {given.name}",
                where=place(int(seen.rows_N[row])),
                hint="--frequency none takes values by their order",
            )
    if given is not None or seen.kind == "order":
        return (given or Frequency("order"),) * seen.count
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
    """True where more than half of the places of a grid would be empty."""
    first, last = frequency.ordinal(times_N[[0, -1]])
    return bool(len(times_N) < _USUAL_FILL * ((last - first) // frequency.stride + 1))


def _filled(  # noqa: PLR0917
    seen: Observations,
    offsets: Ints,
    frequencies: tuple[Frequency, ...],
    names: Callable[[int], str],
    place: Callable[[int], str],
    notes: list[str],
) -> Gridded:
    """Rows at their places of the grid, those between them missing."""
    count, lengths = len(seen.times_N), np.diff(offsets)
    begins_N = np.repeat(offsets[:-1], lengths)
    place_N = np.arange(count) - begins_N
    distinct = [*dict.fromkeys(frequencies)]
    kind_S = np.array([distinct.index(frequency) for frequency in frequencies], np.int64)
    regular = [f for f in distinct if seen.kind != "order" and f.unit != "order"]
    for frequency in regular:
        ordinal = frequency.ordinal(seen.times_N)
        rows = np.repeat(kind_S == distinct.index(frequency), lengths)
        place_N[rows] = ((ordinal - ordinal[begins_N]) // frequency.stride)[rows]
    some = lengths > 0
    filled = np.zeros(len(lengths), np.int64)
    filled[some] = place_N[offsets[1:][some] - 1] + 1
    ends = np.concatenate([[0], np.cumsum(filled)]).astype(np.int64)
    total = int(ends[-1])
    if total == count:
        return Gridded(
            offsets, seen.times_N, seen.values_NK, seen.known_NC, frequencies, tuple(notes)
        )
    if total > _MOST_PLACES * max(count, 10):
        raise DataError(
            f"a grid that is {frequencies[0].name} has {total:,} times for {count:,} rows",
            where=place(int(seen.rows_N[0])),
            hint="--frequency names the time from one value to the next, as monthly",
        )
    target = place_N + np.repeat(ends[:-1], lengths)
    steps = np.arange(total) - np.repeat(ends[:-1], filled)
    starts = np.repeat(seen.times_N[np.minimum(offsets[:-1], count - 1)], filled)
    times = np.empty(total, np.int64)
    for frequency in regular:
        rows = np.repeat(kind_S == distinct.index(frequency), filled)
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
        f"{len(empty):,} time{'s have' if len(empty) > 1 else ' has'} no row{of}, the first {stamp}{which}: "
        "filled in as missing"
    )
    return Gridded(ends, times, values, known, frequencies, tuple(notes))
