"""Series on a regular grid of times.

Rows are sorted by time, duplicates are resolved, and gaps are filled as missing.
"""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rhapsode.data.tables.frequency import Frequency, anchored, infer_frequency
from rhapsode.data.tables.parsing.columns import Table
from rhapsode.data.tables.series_set import SeriesSet, format_time
from rhapsode.errors import DataError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

HOUR, DAY = 3_600_000_000_000, 86_400_000_000_000
_ASKED = 64
_USUAL_FILL = 0.5
_MOST_PLACES = 100


class Gridder:
    """Series on their way to a grid."""

    def __init__(self, given: SeriesSet, table: Table, notes: list[str]) -> None:
        self.given, self.table, self.notes = given, table, notes
        self.orders: list[Ints] = []

    def onto_grid(self, frequency: Frequency | None, duplicates: str) -> SeriesSet:
        """The series on their grids."""
        times_N = self.given.times_N
        rising = not self.along(times_N[1:] <= times_N[:-1]).any()
        if not rising:
            self.sort()
        if frequency is not None and frequency.unit == "order":
            steps = np.concatenate([np.arange(length) for length in self.given.lengths])
            self.given = replace(self.given, kind="order", times_N=steps.astype(np.int64))
        elif not rising:
            self.merge(duplicates)
        if frequency is None:
            self.without_events()
            frequencies = self.inferred()
        else:
            frequencies = (self.fitting(frequency),) * len(self.given)
        self.given = replace(self.given, frequencies=frequencies)
        return self.filled()

    @property
    def series_N(self) -> Ints:
        """The series of each row."""
        return np.repeat(np.arange(len(self.given)), self.given.lengths)

    def along(self, steps: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Steps from row to row within series."""
        inner = self.given.offsets[1:-1]
        steps[inner[(inner > 0) & (inner <= len(steps))] - 1] = False
        return steps

    def time(self, row: int) -> str:
        """The time of a row in words."""
        return format_time(int(self.given.times_N[row]), self.given.kind, Frequency("second"))

    def named(self, series: int) -> str:
        """The name of a series, if there are several."""
        return f" {self.given.ids[series]!r}" if len(self.given) > 1 else ""

    def row(self, places: int | Ints) -> int:
        """The first row of the table among those taken to some places."""
        for order in reversed(self.orders):
            places = order[places]
        return int(np.min(places))

    def gaps(self, frequency: Frequency) -> NDArray[np.bool_]:
        """Steps from row to row that are not those of the grid."""
        steps = np.diff(frequency.ordinal(self.given.times_N))
        return self.along(steps != frequency.stride)

    def take(self, keep: Ints | slice, series_N: Ints) -> None:
        """Some rows in a new order; sets where series begin."""
        if not isinstance(keep, slice):
            self.orders.append(keep)
        offsets = np.searchsorted(series_N, np.arange(len(self.given) + 1)).astype(np.int64)
        self.given = self.given.taken(keep, offsets)

    def sort(self) -> None:
        """Sort the rows of each series by time."""
        times_N = self.given.times_N
        moved = np.flatnonzero(self.along(times_N[1:] < times_N[:-1])) + 1
        if not len(moved):
            return
        self.notes.append(
            f"{len(moved):,} row{'s come' if len(moved) > 1 else ' comes'} before an earlier time, "
            f"the first in {self.table.line(self.row(moved))}: sorted by time"
        )
        self.take(np.lexsort((times_N, self.series_N)), self.series_N)

    def merge(self, duplicates: str) -> None:
        """Merge rows of the same time."""
        again = self.along(self.given.times_N[1:] == self.given.times_N[:-1])
        if not again.any():
            return
        again = np.append(False, again)
        first, count, series_N = int(again.argmax()), int(again.sum()), self.series_N
        of = f" in series{name}" if (name := self.named(series_N[first])) else ""
        if duplicates == "error" and self.is_clock_change(np.flatnonzero(again)):
            self.notes.append(
                f"clocks go back on {self.time(first)[:10]}, and an hour occurs twice without an "
                "offset from UTC; --duplicates last takes its second reading"
            )
            duplicates = "mean"
        if duplicates == "error":
            more = f", the first of {count:,} such rows" if count > 1 else ""
            before = self.table.line(self.row(first - 1))
            raise DataError(
                f"the time {self.time(first)} occurs twice{of}, first in {before}{more}",
                where=self.table.place(self.row(first)),
                hint="use --duplicates sum, mean or last, or name the column that "
                "identifies the series with --id-column",
            )
        rows = "rows" if count > 1 else "row"
        taken = "the last is used" if duplicates == "last" else f"their {duplicates} is used"
        self.notes.append(
            f"{count:,} {rows} with a repeated time, the first {self.time(first)}{of}: {taken}"
        )
        begins = np.flatnonzero(~again)
        ends = np.append(begins[1:], len(again))
        values, known = (
            means(part, begins, ends, total=duplicates == "sum" and part is self.given.values_NK)
            for part in (self.given.values_NK, self.given.known_NC)
        )
        # Rows of one time are still in the order of the table.
        self.take(ends - 1, series_N[begins])
        if duplicates != "last":
            self.given = replace(self.given, values_NK=values, known_NC=known)

    def is_clock_change(self, again_R: Ints) -> bool:
        """True if one hour of a Sunday night occurs twice."""
        times = self.given.times_N
        if self.given.kind != "time" or np.any(times[again_R - 2] == times[again_R]):
            return False
        days = {*(times[again_R] // DAY).tolist()}
        months = {*(np.asarray([*days]) * DAY).astype("M8[ns]").astype("M8[M]").astype(int) % 12}
        hours = times[again_R] % DAY // HOUR
        steps = np.diff(times[max(again_R[0] - 4, 0) : again_R[0]])
        step = steps[steps > 0].min(initial=DAY)
        weekly = all((day + 3) % 7 == 6 for day in days)
        count = len(days) * len(self.given) * HOUR
        return bool(
            weekly and months <= {2, 3, 9, 10} and step <= HOUR and np.ptp(hours) == 0
            and 0 <= hours[0] <= 3 and len(again_R) * step <= count
        )  # fmt: skip

    def without_events(self) -> None:
        """Leave out rows without values between the times of a grid."""
        given = self.given
        if given.kind != "time" or len(given) > 1 or not np.isnan(given.values_NK[:, 0].min()):
            return
        empty = np.asarray(np.isnan(given.values_NK).all(axis=1))
        filled = given.times_N[~empty]
        if not empty.any() or len(filled) < 3:
            return
        whole, frequency = (infer_frequency(times, given.kind) for times in (given.times_N, filled))
        if whole != Frequency("order") or frequency is None or frequency.unit == "order":
            return
        firsts = np.full(len(given), filled[0])
        off = frequency.joined(np.minimum(firsts, given.times_N), np.maximum(firsts, given.times_N))
        off = empty & ~off & (firsts != given.times_N)
        if off.any():
            row = int(off.argmax())
            self.notes.append(
                f"{int(off.sum()):,} rows without values between the times of the others left "
                f"out, the first in {self.table.line(self.row(row))}"
            )
            self.take(np.flatnonzero(~off), self.series_N[~off])

    def fitting(self, wanted: Frequency) -> Frequency:
        """The given frequency, if the times fit it."""
        given = self.given
        if wanted.unit == "order":
            return wanted
        if given.kind == "order":
            self.notes.append(
                f"there are no times: values are treated as {wanted.name}, and numbered in order"
            )
            return wanted
        if wanted.kind != given.kind:
            what = "whole numbers" if given.kind == "integer" else "dates"
            raise DataError(f"times are {what}, which cannot be {wanted.name}", where="frequency")
        wanted = anchored(wanted, given.times_N)
        odd = self.along(~wanted.joined(given.times_N[:-1], given.times_N[1:]))
        if odd.any():
            row = int(odd.argmax()) + 1
            raise DataError(
                f"the time {self.time(row)} does not fit a series that is {wanted.name}",
                where=self.table.place(self.row(row)),
                hint="use --frequency none to use only the order of values",
            )
        return wanted

    def inferred(self) -> tuple[Frequency, ...]:
        """Frequency of each series: the common one or its own."""
        given = self.given
        if given.kind == "order":
            return (Frequency("order"),) * len(given)
        lengths, times_N = given.lengths, given.times_N
        times = [times_N[start:stop] for start, stop in itertools.pairwise(given.offsets)]
        # The frequency of most of some series, the longer ones first.
        longest = np.argsort(-lengths, kind="stable")
        votes: Counter[Frequency] = Counter()
        for number in longest[sorted({*np.linspace(0, len(given) - 1, _ASKED, dtype=int)})]:
            if (voted := infer_frequency(times[number], given.kind)) is not None:
                votes[voted] += 1 + (lengths[number] > 3)
        common = votes.most_common(1)[0][0] if votes else Frequency("order")
        found = [common] * len(given)
        # Business days may differ in their time of day.
        if common.unit == "business day" or (common.unit != "order" and self.gaps(common).any()):
            odd = self.along(~common.joined(times_N[:-1], times_N[1:]))
            misfits = np.bincount(self.series_N[1:][odd], minlength=len(given))
            for number in np.flatnonzero(lengths > 1):
                sparse = lengths[number] > 3 and _is_sparse(common, times[number])
                if misfits[number] or sparse:
                    own = infer_frequency(times[number], given.kind) or common
                    even = own.unit != "order" and _is_sparse(own, times[number])
                    found[number] = common if even and not misfits[number] else own
        counts = Counter(found)
        if len(counts) > 1:
            words = ", ".join(f"{count:,} {f.name}" for f, count in counts.most_common(5))
            self.notes.append(f"series of several frequencies: {words}; each keeps its own")
        irregular = sum(frequency.unit == "order" for frequency in found)
        if irregular > int((lengths < 2).sum()):
            what = "times are" if len(given) == 1 else f"times of {irregular:,} series are"
            self.notes.append(
                f"{what} not evenly spaced: only the order of values is used; "
                "set the step with --frequency"
            )
        return tuple(found)

    def filled(self) -> SeriesSet:
        """Rows at their places of the grid, the rows between them missing."""
        given, lengths, count = self.given, self.given.lengths, len(self.given.times_N)
        if len({*given.frequencies}) == 1 and given.kind != "order":
            (only,) = {*given.frequencies}
            ends_2S = only.ordinal(given.times_N[[given.offsets[:-1], given.offsets[1:] - 1]])
            if ((ends_2S[1] - ends_2S[0]) // only.stride + 1 == lengths).all():
                return given
        firsts_N = np.repeat(given.offsets[:-1], lengths)
        place_N = np.arange(count) - firsts_N
        regular = {
            frequency: np.array([own == frequency for own in given.frequencies])
            for frequency in dict.fromkeys(given.frequencies)
            if given.kind != "order" and frequency.unit != "order"
        }
        for frequency, chosen_S in regular.items():
            ordinal, rows = frequency.ordinal(given.times_N), np.repeat(chosen_S, lengths)
            place_N[rows] = ((ordinal - ordinal[firsts_N]) // frequency.stride)[rows]
        sizes = np.where(lengths > 0, place_N[np.maximum(given.offsets[1:] - 1, 0)] + 1, 0)
        ends = np.append(0, np.cumsum(sizes)).astype(np.int64)
        total = int(ends[-1])
        if total == count:
            return given
        if total > _MOST_PLACES * max(count, 10):
            raise DataError(
                f"a grid that is {given.frequencies[0].name} has {total:,} times "
                f"for {count:,} rows",
                where=self.table.place(self.row(0)),
                hint="set the time step with --frequency, for example monthly",
            )
        target = place_N + np.repeat(ends[:-1], lengths)
        steps = np.arange(total) - np.repeat(ends[:-1], sizes)
        starts = np.repeat(given.times_N[np.minimum(given.offsets[:-1], count - 1)], sizes)
        times = np.empty(total, np.int64)
        for frequency, chosen_S in regular.items():
            rows = np.repeat(chosen_S, sizes)
            times[rows] = frequency.advance(starts[rows], steps[rows])
        times[target] = given.times_N
        values, known = (
            np.full((total, part.shape[1]), np.nan) for part in (given.values_NK, given.known_NC)
        )
        values[target], known[target] = given.values_NK, given.known_NC
        empty = np.setdiff1d(np.arange(total), target)
        series = np.searchsorted(ends, empty, side="right") - 1
        of = f" in {len({*series}):,} of {len(given):,} series" if len(given) > 1 else ""
        which = f" of{name}" if (name := self.named(series[0])) else ""
        stamp = format_time(int(times[empty[0]]), given.kind, given.frequencies[series[0]])
        self.notes.append(
            f"{len(empty):,} time{'s have' if len(empty) > 1 else ' has'} no row{of}, "
            f"the first {stamp}{which}: filled in as missing"
        )
        return replace(given, offsets=ends, times_N=times, values_NK=values, known_NC=known)


def means(values_NK: Floats, begins: Ints, ends: Ints, *, total: bool = False) -> Floats:
    """Means or sums of groups of rows, missing values aside."""
    there = ~np.isnan(values_NK)
    sums = np.add.reduceat(np.where(there, values_NK, 0.0), begins, axis=0)
    counts = np.add.reduceat(there.astype(np.float64), begins, axis=0)
    mean = np.where(counts > 0, sums / (1 if total else np.maximum(counts, 1)), np.nan)
    return np.where((ends - begins == 1)[:, None], values_NK[begins], mean)


def _is_sparse(frequency: Frequency, times_N: Ints) -> bool:
    """True if over half of a grid would be empty."""
    first, last = frequency.ordinal(times_N[[0, -1]]).tolist()
    return bool(len(times_N) < _USUAL_FILL * ((last - first) // frequency.stride + 1))


def constants_of(series: SeriesSet) -> list[str]:
    """A note on series whose values are all equal."""
    values, starts = series.values_NK, series.offsets[:-1]
    seconds = np.minimum(starts + 1, len(values) - 1)
    if (np.abs(values[seconds] - values[starts]) > 0).any(axis=1).all():
        return []
    low, high = (each.reduceat(values, starts, axis=0) for each in (np.fmin, np.fmax))
    still = np.flatnonzero((low == high).all(axis=1) & (series.lengths > 1))
    if len(series) == 1 and len(still):
        return ["the series is constant"]
    named = ", ".join(repr(series.ids[number]) for number in still[:4])
    more = ", ..." if len(still) > 4 else ""
    are = "are" if len(still) > 1 else "is"
    return [f"{len(still):,} series {are} constant: {named}{more}"] if len(still) else []
