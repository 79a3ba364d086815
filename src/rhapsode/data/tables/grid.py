"""Rows with a time to series on a regular grid: sorted, duplicates settled, gaps filled as missing.

Knows rows as arrays; where they came from only through a function that names their place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rhapsode.data.tables.frequency import (
    Frequency,
    TimeKind,
    anchored,
    infer_frequency,
)
from rhapsode.data.tables.series_set import format_time, ranges
from rhapsode.errors import DataError

__all__ = ["Gridded", "Observations", "onto_grid"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_ASKED = 64
_USUAL_FILL = 0.5


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
        DataError: a time stands twice in a series, or does not fit the frequency that was given.
    """
    notes: list[str] = []
    order = np.lexsort((seen.times_N, seen.series_N))
    moved = np.flatnonzero(_unordered(seen))
    if len(moved):
        notes.append(
            f"{len(moved):,} row{'s come' if len(moved) > 1 else ' comes'} before an earlier time, "
            f"the first in {line(int(seen.rows_N[moved[0]]))}: sorted by time"
        )
    seen = _without_duplicates(seen.at(order), names, place, line, duplicates, notes)
    offsets = np.searchsorted(seen.series_N, np.arange(seen.count + 1)).astype(np.int64)
    frequencies = _frequencies(seen, offsets, frequency, place, notes)
    return _filled(seen, offsets, frequencies, names, notes)


def _unordered(seen: Observations) -> NDArray[np.bool_]:
    """Rows of which the one before, in the same series, is later."""
    order = np.argsort(seen.series_N, kind="stable")
    series, times = seen.series_N[order], seen.times_N[order]
    later = np.zeros(len(order), bool)
    later[order[1:]] = (times[1:] < times[:-1]) & (series[1:] == series[:-1])
    return later


def _without_duplicates(  # noqa: PLR0917
    seen: Observations,
    names: Callable[[int], str],
    place: Callable[[int], str],
    line: Callable[[int], str],
    duplicates: str,
    notes: list[str],
) -> Observations:
    again = np.zeros(len(seen.times_N), bool)
    again[1:] = (np.diff(seen.times_N) == 0) & (np.diff(seen.series_N) == 0)
    count = int(again.sum())
    if not count:
        return seen
    first = int(np.flatnonzero(again)[0])
    time = format_time(int(seen.times_N[first]), seen.kind, Frequency("second"))
    of = f" in series {names(int(seen.series_N[first]))!r}" if seen.count > 1 else ""
    if duplicates == "error":
        more = "" if count == 1 else f", the first of {count:,} such rows"
        raise DataError(
            f"the time {time} stands twice{of}, first in {line(int(seen.rows_N[first - 1]))}{more}",
            where=place(int(seen.rows_N[first])),
            hint="--duplicates mean or last settles it, or --id-column tells series apart",
        )
    begins = np.flatnonzero(~again)
    if duplicates == "last":
        # Rows of one time are still in the order of the table.
        last = np.append(begins[1:], len(again)) - 1
        kept = seen.at(last)
        word = "the last taken"
    else:
        kept = seen.at(begins)
        sizes = np.diff(np.append(begins, len(again)))
        kept = Observations(
            kept.series_N, kept.times_N, kept.kind, _means(seen.values_NK, begins, sizes),
            _means(seen.known_NC, begins, sizes), kept.rows_N, kept.count,
        )  # fmt: skip
        word = "their mean taken"
    notes.append(
        f"{count:,} row{'s' if count > 1 else ''} of a time that was there already, the first {time}{of}: {word}"
    )
    return kept


def _means(values_NK: Floats, begins: Ints, sizes: Ints) -> Floats:
    """Means of runs of rows, of what is there."""
    if not values_NK.shape[1]:
        return values_NK[begins]
    there = ~np.isnan(values_NK)
    sums = np.add.reduceat(np.where(there, values_NK, 0.0), begins, axis=0)
    counts = np.add.reduceat(there.astype(np.float64), begins, axis=0)
    means = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    return np.where((sizes == 1)[:, None], values_NK[begins], means)


def _frequencies(
    seen: Observations,
    offsets: Ints,
    given: Frequency | None,
    place: Callable[[int], str],
    notes: list[str],
) -> tuple[Frequency, ...]:
    """The frequency of each series."""
    if seen.kind == "order":
        if given is not None and given.unit != "order":
            notes.append(f"no times are there: values count as {given.name}, and times are places")
        taken = given or Frequency("order")
        return (taken,) * seen.count
    if given is not None and given.unit != "order":
        if given.kind != seen.kind:
            what = "whole numbers" if seen.kind == "integer" else "dates"
            raise DataError(f"times are {what}, which cannot be {given.name}", where="frequency")
        whole = anchored(given, seen.times_N)
        _all_on(seen, whole, place)
        return (whole,) * seen.count
    if given is not None:
        return (given,) * seen.count
    common = _commonest(seen, offsets)
    if common is None:
        return (Frequency("order"),) * seen.count
    lengths = np.diff(offsets)
    fits = common.joined(seen.times_N[:-1], seen.times_N[1:])
    crossing = np.zeros(max(0, len(seen.times_N) - 1), bool)
    inner = offsets[1:-1]
    crossing[inner[(inner > 0) & (inner < len(seen.times_N))] - 1] = True
    misfits = np.concatenate([[0], np.cumsum(~(fits | crossing))])
    inside = misfits[np.maximum(offsets[1:] - 1, 0)] - misfits[np.minimum(offsets[:-1], len(fits))]
    found: list[Frequency] = [common] * seen.count
    if common.unit != "order":
        ends = common.ordinal(seen.times_N)
        span = ends[np.maximum(offsets[1:] - 1, 0)] - ends[np.minimum(offsets[:-1], len(ends) - 1)]
        places = span // common.stride + 1
        odd = (inside > 0) | ((lengths > 3) & (lengths < _USUAL_FILL * places))
        for number in np.flatnonzero(odd & (lengths > 1)):
            times = seen.times_N[offsets[number] : offsets[number + 1]]
            found[number] = infer_frequency(times, seen.kind) or common
            if inside[number] == 0 and _coarse(found[number], times):
                found[number] = common
    counts = Counter(found)
    if len(counts) > 1:
        words = ", ".join(f"{count:,} {f.name}" for f, count in counts.most_common(5))
        notes.append(f"series of several frequencies: {words}; each keeps its own")
    return tuple(found)


def _coarse(frequency: Frequency, times_N: Ints) -> bool:
    """Whether a frequency is no more regular than gaps would be: no grid, or itself half empty."""
    if frequency.unit == "order":
        return False
    ends = frequency.ordinal(times_N[[0, -1]])
    places = int((ends[1] - ends[0]) // frequency.stride + 1)
    return len(times_N) < _USUAL_FILL * places


def _commonest(seen: Observations, offsets: Ints) -> Frequency | None:
    """The frequency of most of some series, the longer ones asked first."""
    lengths = np.diff(offsets)
    longest = np.argsort(-lengths, kind="stable")
    asked = longest[np.unique(np.linspace(0, len(longest) - 1, _ASKED).astype(np.int64))]
    votes: Counter[Frequency] = Counter()
    for number in asked:
        times = seen.times_N[offsets[number] : offsets[number + 1]]
        found = infer_frequency(times, seen.kind)
        if found is not None:
            votes[found] += 1 + (len(times) > 3)
    return votes.most_common(1)[0][0] if votes else None


def _all_on(seen: Observations, frequency: Frequency, place: Callable[[int], str]) -> None:
    same = np.diff(seen.series_N) == 0
    wrong = np.flatnonzero(~frequency.joined(seen.times_N[:-1], seen.times_N[1:]) & same)
    if len(wrong):
        row = int(wrong[0]) + 1
        time = format_time(int(seen.times_N[row]), seen.kind, Frequency("second"))
        raise DataError(
            f"the time {time} does not fit a series that is {frequency.name}",
            where=place(int(seen.rows_N[row])),
            hint="--frequency none takes values by their order",
        )


def _filled(
    seen: Observations,
    offsets: Ints,
    frequencies: tuple[Frequency, ...],
    names: Callable[[int], str],
    notes: list[str],
) -> Gridded:
    """Rows at their places of the grid, those between them missing."""
    count = len(seen.times_N)
    lengths = np.diff(offsets)
    place_N = np.arange(count) - np.repeat(offsets[:-1], lengths)
    numbers = {frequency: number for number, frequency in enumerate(dict.fromkeys(frequencies))}
    kind_S = np.array([numbers[frequency] for frequency in frequencies], np.int64)
    for frequency, number in numbers.items():
        chosen = np.flatnonzero((kind_S == number) & (lengths > 0))
        if seen.kind == "order" or frequency.unit == "order" or not len(chosen):
            continue
        rows = ranges(offsets[:-1][chosen], offsets[1:][chosen])
        ordinal = frequency.ordinal(seen.times_N[rows])
        begins = np.concatenate([[0], np.cumsum(lengths[chosen])[:-1]]).astype(np.int64)
        start = np.repeat(ordinal[begins], lengths[chosen])
        place_N[rows] = (ordinal - start) // frequency.stride
    filled = np.zeros(len(lengths), np.int64)
    some = lengths > 0
    filled[some] = place_N[offsets[1:][some] - 1] + 1
    ends = np.concatenate([[0], np.cumsum(filled)]).astype(np.int64)
    if int(ends[-1]) == count:
        return Gridded(
            offsets, seen.times_N, seen.values_NK, seen.known_NC, frequencies, tuple(notes)
        )
    target = place_N + np.repeat(ends[:-1], lengths)
    values = np.full((ends[-1], seen.values_NK.shape[1]), np.nan)
    known = np.full((ends[-1], seen.known_NC.shape[1]), np.nan)
    times = np.empty(ends[-1], np.int64)
    steps = np.arange(ends[-1]) - np.repeat(ends[:-1], filled)
    first = np.zeros(len(lengths), np.int64)
    first[some] = seen.times_N[offsets[:-1][some]]
    for frequency, number in numbers.items():
        rows = np.flatnonzero(np.repeat(kind_S == number, filled))
        if frequency.unit != "order":
            times[rows] = frequency.advance(np.repeat(first, filled)[rows], steps[rows])
    times[target], values[target], known[target] = seen.times_N, seen.values_NK, seen.known_NC
    empty = np.ones(ends[-1], bool)
    empty[target] = False
    gap = int(np.flatnonzero(empty)[0])
    series = int(np.searchsorted(ends, gap, side="right")) - 1
    many = len(np.unique(np.searchsorted(ends, np.flatnonzero(empty), side="right")))
    of = f" in {many:,} of {len(lengths):,} series" if len(lengths) > 1 else ""
    which = f" of {names(series)!r}" if len(lengths) > 1 else ""
    lost = int(empty.sum())
    stamp = format_time(int(times[gap]), seen.kind, frequencies[series])
    notes.append(
        f"{lost:,} time{'s have' if lost > 1 else ' has'} no row{of}, the first {stamp}{which}: "
        "filled in as missing"
    )
    return Gridded(ends, times, values, known, frequencies, tuple(notes))
