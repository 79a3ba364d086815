"""Roles of the columns of a table.

A role is time, id, value, known covariate or attribute of a series. Roles that the settings leave
open are found by rules over names and cells, and reported.
"""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rhapsode.config.registries import suggest
from rhapsode.data.tables.parsing.clocks import Times, find_times, named_times, times_of_names
from rhapsode.data.tables.parsing.columns import ID_NAMES, Column, Table, listed, plain_name
from rhapsode.data.tables.parsing.stamps import NO_TIME
from rhapsode.data.tables.settings import SeriesSettings
from rhapsode.errors import DataError

Columns = tuple[Column, ...]

_COUNTER_NAMES = frozenset(
    {"", "no", "nr", "index", "idx", "row", "rowid", "rownumber", "id", "unnamed0", "序号"}
)
_LISTED = 8


@dataclass(frozen=True)
class Roles:
    """The roles of the columns of a table.

    Arguments:
        rows: True if every row is a series.
        times: times of the rows, or of the values in a row if every row is a series; None if there
            is only their order.
        ids: columns that tell series apart.
        values: columns to learn.
        known: covariates known ahead.
        static: attributes of whole series.
        notes: remarks, a line each.
        left_out: names of columns that hold no numbers and play no part.
    """

    rows: bool
    times: Times | None
    ids: Columns
    values: Columns
    known: Columns
    static: Columns
    notes: tuple[str, ...]
    left_out: tuple[str, ...] = ()


class NoNumbersError(DataError):
    """A table in which no column holds numbers."""


def find_roles(table: Table, settings: SeriesSettings) -> Roles:
    """Find the role of every column.

    Raises:
        DataError: a column that is named is not there, a date is none, or no column holds numbers.
    """
    return _Finder(table, settings).roles()


class _Finder:
    def __init__(self, table: Table, settings: SeriesSettings) -> None:
        self.table, self.settings = table, settings
        self.notes: list[str] = []
        self.left_out: list[str] = []

    def roles(self) -> Roles:
        table, settings = self.table, self.settings
        ids, times_, values, static, known = map(self.named, (
            settings.id_column, settings.time_column, settings.value_columns, settings.static,
            settings.known,
        ))  # fmt: skip
        free = _others(table.columns, (*ids, *times_, *values, *static, *known))
        if (rows := self.as_rows(free, ids, values, static)) is not None:
            return rows
        times = named_times(table, times_) if times_ else find_times(table, free)
        free = _others(free, times.columns if times else ())
        if not ids and settings.layout in {"auto", "long"}:
            ids = self.find_ids(times, free)
        free = _others(free, ids)
        if static and not ids:
            raise DataError(
                "attributes of series need a column that identifies the series",
                where=table.where,
                hint="name it with --id-column",
            )
        if not static and ids:
            static = self.attributes(ids, free)
        if not values:
            free = _others(free, self.counters(free) if times is not None else ())
            values = self.value_columns(_others(free, static))
        left = _others(free, (*values, *static))
        self.tell_left([column for column in left if column.kind != "number"])
        return Roles(
            False, times, ids, values, known, static, tuple(self.notes), tuple(self.left_out)
        )

    def named(self, asked: Sequence[str]) -> Columns:
        """The columns that the settings name."""
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
        return tuple(self.table.columns[names.index(name)] for name in plain)

    def tell(self, columns: Sequence[Column], what: str, *, plural: bool = True) -> None:
        """Note something about columns, if there are any."""
        if columns:
            head = f"column{'s' if len(columns) > 1 else ''} " if plural else ""
            self.notes.append(f"{head}{what}: {listed(columns)}")

    def tell_left(self, columns: Sequence[Column]) -> None:
        self.left_out.extend(column.name for column in columns)
        self.tell(columns, "left out, holding no numbers")

    def counters(self, free: Sequence[Column]) -> list[Column]:
        """Columns that only number the rows."""
        found = [
            column
            for column in free
            if plain_name(column.name) in _COUNTER_NAMES
            and column.kind == "number"
            and self.table.rows > 2
            and np.all(np.diff(column.entries_N) == 1)
        ]
        for column in found:
            self.tell([column], "left out, numbering the rows")
        return found

    def value_columns(self, free: Sequence[Column]) -> Columns:
        """Columns of numbers that have no other part."""
        numbers = [column for column in free if column.kind == "number"]
        there = {column: int((~column.missing_N).sum()) for column in numbers}
        text = [c for c in numbers if c.bad is not None and c.bad.total >= there[c]]
        empty = [c for c in numbers if not there[c] and c not in text]
        values = _others(numbers, [*text, *empty])
        self.tell_left(text)
        if not values:
            what = "there are no values: every number is missing"
            problem = DataError if empty else NoNumbersError
            names = [column.name for column in self.table.columns[:_LISTED]]
            raise problem(
                f"{what if empty else 'no column holds numbers to learn'} "
                f"(columns: {', '.join(map(repr, names))})",
                where=self.table.place(0),
                hint="name one with --value-columns, or use --header, "
                "--decimal or --missing-values",
            )
        self.tell(empty, "without any value left out")
        return tuple(values)

    def as_rows(
        self, free: Sequence[Column], ids: Columns, values: Columns, static: Columns
    ) -> Roles | None:
        """The roles if every row is a series."""
        table, settings = self.table, self.settings
        forced = settings.layout == "rows"
        parts = settings.time_column or settings.known or settings.joint
        if not forced and (settings.layout != "auto" or parts or not table.header):
            return None
        labels = [column for column in free if column.kind == "label"]
        values = values or tuple(column for column in free if column.kind == "number")
        names = [column.name for column in values]
        if not forced and (len(values) < 3 or any(column.kind == "time" for column in free)):
            return None
        if not ids:  # the first column of text in which no text occurs twice
            ids = tuple(column for column in labels if len(column.levels) == table.rows)[:1]
        when = times_of_names(names) if names and table.header else None
        if not forced and when is None and not (_numbered(names) and ids):
            return None
        if not values:
            raise NoNumbersError("no column holds numbers to learn", where=table.place(0))
        if not static:
            static = tuple(_others(labels, ids))
            self.tell(static, "attributes of series", plural=False)
        times = None if when is None else Times(*when, (), "the names of columns")
        return Roles(True, times, ids, values, (), static, tuple(self.notes))

    def find_ids(self, times: Times | None, free: Sequence[Column]) -> Columns:
        """The columns that tell series apart; none if no time occurs twice."""
        hinted = [column for column in free if plain_name(column.name) in ID_NAMES]
        labels = [column for column in free if column.kind == "label" and len(column.levels) > 1]
        candidates = [column for column in labels if column in hinted]
        if times is not None:
            candidates += _others(labels, hinted)
        candidates += [column for column in hinted if column.is_whole]
        if times is not None:
            found = self.telling(times, candidates)
        else:  # a column that is named as an id and whose entries recur
            most = self.table.rows // 2
            found = [c for c in candidates if _distinct([c.entries_N]) <= most][:1]
        if not found and self.settings.layout == "long":
            names = ", ".join(repr(column.name) for column in self.table.columns[:_LISTED])
            raise DataError(
                f"no column that identifies the series was found (columns: {names})",
                where=self.table.where,
                hint="name it with --id-column",
            )
        return tuple(column for column in self.table.columns if column in found)

    def telling(self, times: Times, candidates: Sequence[Column]) -> Sequence[Column]:
        """Fewest candidates that distinguish rows of the same time.

        If none do, the one that distinguishes most of them.
        """
        there = times.times_N != NO_TIME
        when, count = _codes(times.times_N[there]), int(there.sum())
        entries = {column: _codes(column.entries_N[there]) for column in candidates}
        doubles = count - _distinct([when])
        if not doubles and self.settings.layout == "auto":
            return ()
        for size in range(1, min(len(candidates), 4) + 1):
            for columns in itertools.combinations(candidates, size):
                if _distinct([when, *(entries[column] for column in columns)]) == count:
                    return columns
        repeats = {column: count - _distinct([when, codes]) for column, codes in entries.items()}
        best = min(repeats, key=repeats.__getitem__, default=None)
        return [best] if best is not None and repeats[best] < 0.5 * doubles else ()

    def attributes(self, ids: Columns, free: Sequence[Column]) -> Columns:
        """Text columns that are constant within every series.

        The columns of a compound id are included.
        """
        entries = [column.entries_N for column in ids]
        groups = _distinct(entries)
        found = list(ids) if len(ids) > 1 else []
        found += [
            column
            for column in free
            if column.kind == "label"
            and len(column.levels) > 1
            and _distinct([*entries, column.entries_N]) == groups
        ]
        static = tuple(column for column in self.table.columns if column in found)
        self.tell(static, "attributes of series", plural=False)
        return static


def _others(columns: Sequence[Column], taken: Sequence[Column]) -> list[Column]:
    return [column for column in columns if column not in taken]


def _codes(entries_N: NDArray[np.generic]) -> NDArray[np.int64]:
    return np.asarray(np.unique(entries_N, return_inverse=True)[1])


def _distinct(columns: Sequence[NDArray[np.generic]]) -> int:
    rows_N = _codes(columns[0])
    for entries_N in columns[1:]:
        codes_N = _codes(entries_N)
        rows_N = _codes(rows_N * (codes_N.max(initial=0) + 1) + codes_N)
    return int(rows_N.max(initial=-1)) + 1


def _numbered(names: Sequence[str]) -> bool:
    """True of V1, V2, V3 and so on."""
    parts = [re.fullmatch(r"(.*?)(\d+)", name) for name in names]
    found = [(part[1], int(part[2])) for part in parts if part is not None]
    return len(found) == len(names) and all(
        before == (head, number - 1) for before, (head, number) in itertools.pairwise(found)
    )
