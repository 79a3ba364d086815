"""Which part each column of a table plays: time, id, value, known covariate, attribute of a series.

What the settings leave open is found by rules over names and cells, none of which knows a corpus, and told in words.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rhapsode.config.registries import suggest
from rhapsode.data.tables.parsing.clocks import Times, find_times, named_times, times_of_names
from rhapsode.data.tables.parsing.columns import ID_NAMES, Column, Table, plain_name
from rhapsode.data.tables.parsing.stamps import NO_TIME
from rhapsode.data.tables.settings import SeriesSettings
from rhapsode.errors import DataError

__all__ = ["NoNumbersError", "Roles", "find_roles", "listed"]

Ints = NDArray[np.int64]
Places = tuple[int, ...]

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
    ids: Places
    values: Places
    known: Places
    static: Places
    notes: tuple[str, ...]
    left_out: tuple[str, ...] = ()


class NoNumbersError(DataError):
    """A table in which no column holds numbers."""


def listed(names: Sequence[str]) -> str:
    """Some names in quotation marks, and how many there are beside them."""
    more = f" and {len(names) - _LISTED:,} more" if len(names) > _LISTED else ""
    return ", ".join(map(repr, names[:_LISTED])) + more


def find_roles(table: Table, settings: SeriesSettings) -> Roles:
    """Find the part of every column.

    Raises:
        DataError: a column that is named is not there, a date is none, or no column holds numbers.
    """
    return _Finder(table, settings).roles()


@dataclass
class _Finder:
    table: Table
    settings: SeriesSettings
    notes: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def roles(self) -> Roles:
        """The part of every column."""
        table, settings = self.table, self.settings
        ids, times_, values, static, known = (
            self.places(names)
            for names in (
                settings.id_column, settings.time_column, settings.value_columns, settings.static,
                settings.known,
            )
        )  # fmt: skip
        claimed = {*ids, *times_, *values, *static, *known}
        free = [place for place in range(len(table.columns)) if place not in claimed]
        rows = self.as_rows(free, ids, values, static)
        if rows is not None:
            return rows
        times = named_times(table, times_) if times_ else find_times(table, free)
        free = [place for place in free if times is None or place not in times.columns]
        if not ids and settings.layout in {"auto", "long"}:
            ids = self.find_ids(times, free)
        free = [place for place in free if place not in ids]
        if static and not ids:
            raise DataError(
                "attributes of series need a column that tells series apart",
                where=table.where,
                hint="name it with --id-column",
            )
        if not static and ids:
            static = self.attributes(ids, free)
        if not values:
            counting = self.counters(free) if times is not None else []
            free = [place for place in free if place not in counting]
            values = self.value_columns([place for place in free if place not in static])
        left = [self.name(place) for place in free
                if place not in (*values, *static) and self.column(place).kind != "number"]  # fmt: skip
        self.tell_left(left)
        return Roles(
            False, times, ids, values, known, static, tuple(self.notes), tuple(self.left_out)
        )

    def column(self, place: int) -> Column:
        return self.table.columns[place]

    def name(self, place: int) -> str:
        return self.table.columns[place].name

    def places(self, asked: Sequence[str]) -> Places:
        """The places of columns that the settings name."""
        names = [" ".join(column.name.split()) for column in self.table.columns]
        plain = [" ".join(name.split()) for name in asked]
        for name, known in zip(asked, plain, strict=True):
            if known not in names:
                many = len(names) > _LISTED
                raise DataError(
                    f"no column {name!r}",
                    where=self.table.where,
                    hint=(suggest(known, names) if many else None)
                    or f"columns: {', '.join(map(repr, names[:_LISTED]))}{', ...' if many else ''}",
                )
        return tuple(map(names.index, plain))

    def tell_left(self, names: Sequence[str]) -> None:
        if names:
            self.left_out.extend(names)
            plural = "s" if len(names) > 1 else ""
            self.notes.append(f"column{plural} left out, holding no numbers: {listed(names)}")

    def counters(self, free: Sequence[int]) -> list[int]:
        """Columns that only number the rows."""
        found = []
        for place in free:
            column = self.column(place)
            if column.kind != "number" or self.table.rows < 3:
                continue
            if plain_name(column.name) in _COUNTER_NAMES and np.all(np.diff(column.data_N) == 1):
                self.notes.append(f"column left out, numbering the rows: {column.name!r}")
                found.append(place)
        return found

    def value_columns(self, free: Sequence[int]) -> Places:
        """Columns of numbers that have no other part."""
        numbers = [place for place in free if self.column(place).kind == "number"]
        there = {place: int((~self.column(place).missing_N).sum()) for place in numbers}
        text = [p for p in numbers if (bad := self.column(p).bad) and bad.count >= there[p]]
        empty = [p for p in numbers if not there[p] and p not in text]
        values = tuple(place for place in numbers if place not in (*text, *empty))
        self.tell_left([self.name(place) for place in text])
        if not values:
            names = ", ".join(repr(column.name) for column in self.table.columns[:_LISTED])
            what = "no value is there: every number is missing"
            problem = DataError if empty else NoNumbersError
            raise problem(
                f"{what if empty else 'no column holds numbers to learn'} (columns: {names})",
                where=self.table.place(0),
                hint="--value-columns names one; --header, --decimal and --missing-values say how to read it",
            )
        if empty:
            names = ", ".join(repr(self.name(place)) for place in empty[:_LISTED])
            plural = "s" if len(empty) > 1 else ""
            self.notes.append(f"column{plural} without any value left out: {names}")
        return values

    def as_rows(
        self, free: Sequence[int], ids: Places, values: Places, static: Places
    ) -> Roles | None:
        """The roles where every row is a series."""
        table, settings = self.table, self.settings
        asked = settings.layout == "rows"
        parts = settings.time_column or settings.known or settings.joint
        if not asked and (settings.layout != "auto" or parts or not table.header):
            return None
        kinds = {kind: [p for p in free if self.column(p).kind == kind] for kind in ("number", "label", "time")}  # fmt: skip
        values = values or tuple(kinds["number"])
        names = [self.name(place) for place in values]
        distinct = self.distinct(kinds["label"])
        when = times_of_names(names) if names and table.header else None
        if not asked:
            if len(values) < 3 or kinds["time"]:
                return None
            if when is None and not (_numbered(names) and (ids or distinct)):
                return None
        if not values:
            raise NoNumbersError("no column holds numbers to learn", where=table.place(0))
        ids = ids or distinct
        static = static or tuple(place for place in kinds["label"] if place not in ids)
        if not settings.static:
            self.tell_attributes(static)
        times = None if when is None else Times(*when, (), "the names of columns")
        return Roles(True, times, ids, values, (), static, tuple(self.notes))

    def distinct(self, labels: Sequence[int]) -> Places:
        """The first column of text in which no text occurs twice, if there is one."""
        for place in labels:
            codes = self.column(place).codes_N
            if len(np.unique(codes)) == self.table.rows and not np.any(codes < 0):
                return (place,)
        return ()

    def joined(self, places: Sequence[int]) -> Ints:
        """For every row the number of its combination over some columns."""
        joined = np.zeros(self.table.rows, np.int64)
        for place in places:
            codes = self.column(place).codes_N + 1
            joined = joined * (int(codes.max(initial=0)) + 1) + codes
            joined = np.unique(joined, return_inverse=True)[1].astype(np.int64)
        return joined

    def find_ids(self, times: Times | None, free: Sequence[int]) -> Places:
        """The columns that tell series apart; none where no time occurs twice."""
        hinted = [place for place in free if plain_name(self.name(place)) in ID_NAMES]
        labels = [
            p for p in free if self.column(p).kind == "label" and len(self.column(p).levels) > 1
        ]
        whole = [place for place in hinted if self.is_whole(place)]
        first = [place for place in labels if place in hinted]
        if times is None:
            # Without times, a column that is named as an id and whose entries recur.
            found = [
                p for p in first + whole if len(np.unique(self.joined([p]))) <= self.table.rows // 2
            ]
        else:
            found = self.telling(times, first + [p for p in labels if p not in hinted] + whole)
        if not found and self.settings.layout == "long":
            names = ", ".join(repr(column.name) for column in self.table.columns[:_LISTED])
            raise DataError(
                f"no column is found that tells series apart (columns: {names})",
                where=self.table.where,
                hint="name it with --id-column",
            )
        return tuple(found if times is not None else found[:1])

    def telling(self, times: Times, candidates: Sequence[int]) -> Sequence[int]:
        """The fewest candidates that tell rows of one time apart, or the one that does so for most."""

        def repeats(places: Sequence[int]) -> int:
            there = times.times_N != NO_TIME
            codes = np.unique(times.times_N[there], return_inverse=True)[1]
            codes = self.joined(places)[there] * (int(codes.max(initial=0)) + 1) + codes
            return len(codes) - len(np.unique(codes))

        doubles = repeats(())
        if not doubles and self.settings.layout == "auto":
            return ()
        for size in range(1, min(len(candidates), 4) + 1):
            for places in itertools.combinations(candidates, size):
                if not repeats(places):
                    return sorted(places)
        best = min(([place] for place in candidates), key=repeats, default=[])
        return best if best and repeats(best) < 0.5 * doubles else ()

    def is_whole(self, place: int) -> bool:
        column = self.column(place)
        values = column.data_N
        whole = column.kind == "number" and column.bad is None and np.all(np.isfinite(values))
        return bool(whole and np.all(values == np.floor(values)))

    def attributes(self, ids: Places, free: Sequence[int]) -> Places:
        """Columns of text that never change within a series, and the parts of an id of several columns."""
        groups = len(np.unique(self.joined(ids)))
        found = list(ids) if len(ids) > 1 else []
        for place in free:
            column = self.column(place)
            if column.kind == "label" and len(column.levels) > 1:
                if len(np.unique(self.joined((*ids, place)))) == groups:
                    found.append(place)
        self.tell_attributes(sorted(found))
        return tuple(sorted(found))

    def tell_attributes(self, places: Sequence[int]) -> None:
        if places:
            named = ", ".join(repr(self.name(place)) for place in places)
            self.notes.append(f"attributes of series: {named}")


def _numbered(names: Sequence[str]) -> bool:
    """True of V1, V2, V3 and so on."""
    parts = [re.fullmatch(r"(.*?)(\d+)", name) for name in names]
    found = [(part[1], int(part[2])) for part in parts if part is not None]
    return len(found) == len(names) and all(
        before == (head, number - 1) for before, (head, number) in itertools.pairwise(found)
    )
