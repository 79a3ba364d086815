"""Roles of the columns of a table.

A role is time, id, value, known covariate or attribute of a series. Roles that the settings leave
open are found by rules over names and cells, and reported.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from rhapsode.config.registries import suggest
from rhapsode.data.tables.across import parts_in_names, series_in_rows
from rhapsode.data.tables.parsing.columns import (
    ID_NAMES,
    Column,
    Table,
    listed,
    others,
    plain_name,
)
from rhapsode.data.tables.parsing.numerals import is_missing
from rhapsode.data.tables.settings import SeriesSettings
from rhapsode.data.tables.times import (
    Times,
    find_times,
    named_times,
    repeats_times,
)
from rhapsode.errors import DataError

if TYPE_CHECKING:
    import polars as pl

Columns = tuple[Column, ...]

_COUNTERS = frozenset(
    {"", "no", "nr", "obs", "index", "idx", "row", "rowid", "rownumber", "id", "unnamed0", "序号"}
)
_ID_NAME = re.compile(
    r"(?i:(?:.*[\W_])?(?:id|nbr|nr|no|num|number|code|key|name))"
    r"|.*[a-z](?:Id|ID|Nr|No|Code|Name|Number)"
)
_FLAG_NAME = re.compile(r"(?i:(?:.*[\W_])?(?:flags?|status|qc|qf|qn|code)[\W_]?\d*(?:\s*\(.*\))?)")
_FEW_KINDS = 20
_DURATION = r"^(?:\d+[:.,])*\d+$"
_LEFT = {
    "label": "holding no numbers", "time": "a second column of times",
    "clock": "times of day or durations", "number": "holding no numbers",
}  # fmt: skip
_LISTED = 8


class Roles(NamedTuple):
    """The roles of columns, in a row for each time.

    `across` counts the columns of values if every row was a series.
    """

    table: Table
    times: Times | None
    ids: Columns
    values: Columns
    known: Columns
    static: Columns
    notes: tuple[str, ...]
    left_out: Columns = ()
    across: int = 0


class NoNumbersError(DataError):
    """A table in which no column holds numbers."""


def find_roles(table: Table, settings: SeriesSettings) -> Roles:
    """Find the role of every column."""
    return _Finder(table, settings).roles()


class _Finder:
    def __init__(self, table: Table, settings: SeriesSettings) -> None:
        self.table, self.settings = table, settings
        self.notes: list[str] = []
        self.left_out: list[Column] = []

    def roles(self) -> Roles:
        settings = self.settings
        if settings.layout != "rows":
            taken = (settings.value_columns, settings.known, settings.static, settings.id_column)
            taken_ = tuple(column for names in taken for column in self.named(names))
            when = next(iter(self.named(settings.time_column)), None)
            if (found := parts_in_names(self.table, settings, when, taken_)) is not None:
                self.table, self.notes = found.table, found.notes
                settings = replace(settings, time_column=())
        ids, times_, values, static, known = map(self.named, (
            settings.id_column, settings.time_column, settings.value_columns, settings.static,
            settings.known,
        ))  # fmt: skip
        free = others(self.table.columns, (*ids, *times_, *values, *static, *known))
        rows = series_in_rows(self.table, settings, free, ids=ids, values=values, static=static)
        if rows is not None:
            across = rows.table.rows // self.table.rows
            notes = (*self.notes, *rows.notes)
            value = rows.table.columns[-1:]
            return Roles(*rows[:1], rows.times, rows.ids, value, (), rows.static, notes, (), across)
        if times_:
            times: Times | None = named_times(self.table, settings, times_)
        else:
            times = find_times(self.table, settings, free)
        free = others(free, times.columns if times else ())
        if not ids and settings.layout in {"auto", "long"}:
            ids = self.find_ids(times, free)
        free = others(free, ids)
        if static and not ids:
            raise DataError(
                "attributes of series need a column that identifies the series",
                where=self.table.where,
                hint="name it with --id-column",
            )
        if not static and ids:
            static = self.attributes(ids, free)
        if not values:
            free = others(free, self.no_values(times, ids, free))
            values = self.value_columns(others(free, static))
        left = others(free, (*values, *static))
        self.tell_left([column for column in left if column.kind != "number"])
        return Roles(
            self.table, times, ids, values, known, static, tuple(self.notes), tuple(self.left_out)
        )

    def named(self, asked: Sequence[str]) -> Columns:
        """The columns that the settings name."""
        names = [" ".join(column.name.split()) for column in self.table.columns]
        plain = [" ".join(name.split()) for name in asked]
        for name, known in zip(asked, plain, strict=True):
            if known not in names:
                more = ", ..." if len(names) > _LISTED else ""
                columns = f"columns: {', '.join(map(repr, names[:_LISTED]))}{more}"
                hint = (suggest(known, names) if more else None) or columns
                raise DataError(f"no column {name!r}", where=self.table.where, hint=hint)
        return tuple(self.table.columns[names.index(name)] for name in plain)

    def tell(self, columns: Sequence[Column], what: str, *, plural: bool = True) -> None:
        """Note something about columns, if there are any."""
        if columns:
            head = f"column{'s' if len(columns) > 1 else ''} " if plural else ""
            self.notes.append(f"{head}{what}: {listed(columns)}")

    def tell_left(self, columns: Sequence[Column]) -> None:
        self.left_out.extend(columns)
        durations = [column for column in columns if _is_duration(column)]
        for kind, what in _LEFT.items():
            of_kind = [c for c in columns if ("clock" if c in durations else c.kind) == kind]
            self.tell(of_kind, f"left out, {what}")

    def no_values(self, times: Times | None, ids: Columns, free: Sequence[Column]) -> list[Column]:
        """Numbers of rows, times that stand in a second column, codes and constants of series."""
        if times is None:
            return []
        entries = [column.values for column in ids]
        groups = _distinct(entries) if ids else 1
        numbers = [c for c in free if c.kind == "number" and c.bad is None and c.values.count()]
        constant_text = any(c.kind == "label" and len(c.levels) == 1 for c in free)
        is_described = self.table.rows > 2 * groups and (bool(ids) or constant_text)
        found: list[Column] = []
        rules: dict[str, Callable[[Column], bool]] = {
            "numbering the rows": _is_counter,
            "a time again": lambda c: times.kind == "time" and repeats_times(times, c),
            "a code that rises with the time": lambda c: _rises_with(times, c),
            "a code or a flag": _is_flag,
            "the same in all rows of a series": lambda c: (
                (is_described or (_is_id_name(c.name) and c.is_whole))
                and _distinct([*entries, c.values], c.values.is_not_null()) <= groups
            ),
        }
        for what, rule in rules.items():
            these = [column for column in others(numbers, found) if rule(column)]
            if what in {"a code or a flag", *[*rules][-1:]} and len(these) == len(numbers) - len(
                found
            ):
                break  # nothing else is left to learn
            self.tell(these, f"left out, {what}")
            found += these
        return found

    def value_columns(self, free: Sequence[Column]) -> Columns:
        """Columns of numbers that have no other part."""
        numbers = [column for column in free if column.kind == "number"]
        there = {column: column.values.count() for column in numbers}
        text = [c for c in numbers if c.bad is not None and c.bad.total >= there[c]]
        empty = [c for c in numbers if not there[c] and c not in text]
        values = others(numbers, [*text, *empty])
        self.tell_left(text)
        if not values:
            what = "there are no values: every number is missing"
            problem = DataError if empty else NoNumbersError
            raise problem(
                f"{what if empty else 'no column holds numbers to learn'} "
                f"(columns: {listed(self.table.columns[:_LISTED])})",
                where=self.table.place(0),
                hint="name one with --value-columns, or use --header, "
                "--decimal or --missing-values",
            )
        self.tell(empty, "without any value left out")
        return tuple(values)

    def find_ids(self, times: Times | None, free: Sequence[Column]) -> Columns:
        """The columns that tell series apart; none if no time occurs twice."""
        hinted = [column for column in free if _is_id_name(column.name)]
        labels = [c for c in free if c.kind == "label" and len(c.levels) > 1]
        candidates = [column for column in labels if column in hinted]
        if times is not None:
            candidates += others(labels, hinted)
        candidates += [column for column in hinted if column.is_whole]
        if times is not None:
            back = times.instants[1:] <= times.instants[:-1]
            numbers = [column for column in free if column.kind == "number"]
            if back.any() and len(numbers) > 1:
                candidates += [c for c in others(numbers, hinted) if _changes_at(back, c)]
            found = self.telling(times, candidates)
        else:  # a column that is named as an id and whose entries recur
            most = self.table.rows // 2
            found = [c for c in candidates if c.values.n_unique() <= most][:1]
        if not found and self.settings.layout == "long":
            raise DataError(
                "no column that identifies the series was found "
                f"(columns: {listed(self.table.columns[:_LISTED])})",
                where=self.table.where,
                hint="name it with --id-column",
            )
        return tuple(column for column in self.table.columns if column in found)

    def telling(self, times: Times, candidates: Sequence[Column]) -> Sequence[Column]:
        """Fewest candidates that distinguish rows of the same time.

        If none do, the one that distinguishes most of them.
        """
        when, there = times.instants, times.values.is_not_null()
        if self.settings.layout == "auto" and (when[1:] > when[:-1]).all():
            return ()
        count = int(there.sum())

        def distinct(*columns: Column) -> int:
            return _distinct([when, *(c.values for c in columns)], there)

        def recur(*columns: Column) -> bool:
            sizes = _groups([c.values for c in columns], there)["len"]
            # Every series at every time, or names most of which stand in several rows.
            full = len(sizes) < count and len(sizes) * distinct() <= 2 * count
            return full or (2 * len(sizes) <= count and 2 * int((sizes > 2).sum()) >= len(sizes))

        candidates = [column for column in candidates if recur(column)]
        doubles = count - distinct()
        if not doubles and self.settings.layout == "auto":
            back = (when[1:] < when[:-1]).any() and (when[1:] > when[:-1]).any()
            return [c for c in candidates if back and _in_order_within(when, c)][:1]
        for size in range(1, min(len(candidates), 4) + 1):
            for columns in itertools.combinations(candidates, size):
                if distinct(*columns) == count and recur(*columns):
                    return columns
        repeats = {column: count - distinct(column) for column in candidates}
        best = min(repeats, key=repeats.__getitem__, default=None)
        return [best] if best is not None and repeats[best] < 0.5 * doubles else ()

    def attributes(self, ids: Columns, free: Sequence[Column]) -> Columns:
        """Text columns that are constant within every series, and those of a compound id."""
        entries = [column.values for column in ids]
        groups = _distinct(entries)
        found = list(ids) if len(ids) > 1 else []
        found += [
            column
            for column in free
            if column.kind == "label"
            and len(column.levels) > 1
            and _distinct([*entries, column.values]) == groups
        ]
        static = tuple(column for column in self.table.columns if column in found)
        self.tell(static, "attributes of series", plural=False)
        return static


def _is_id_name(name: str) -> bool:
    return plain_name(name) in ID_NAMES or _ID_NAME.fullmatch(name) is not None


def _is_counter(column: Column) -> bool:
    """True of a column that numbers the rows, perhaps of several parts of the table."""
    if plain_name(column.name) not in _COUNTERS:
        return False
    steps = column.values.diff()[1:]
    return len(steps) > 1 and 10 * int((steps == 1.0).sum()) >= 9 * len(steps)


def _is_duration(column: Column) -> bool:
    """True of texts such as 5:32 and 1:04:11.5, perhaps among numbers."""
    if column.kind != "label":
        return False
    cells = column.values.filter(~is_missing(column.values, ()))
    return bool(cells.str.contains(_DURATION).all() and cells.str.contains(":").any())


def _is_flag(column: Column) -> bool:
    """True of whole numbers of few kinds in a column that is named as a code or flag."""
    values = column.values.drop_nulls()
    named = _FLAG_NAME.fullmatch(column.name.strip()) is not None
    return named and bool((values == values.floor()).all()) and values.n_unique() <= _FEW_KINDS


def _rises_with(times: Times, column: Column) -> bool:
    """True of whole numbers, named as an id, of which each time has a greater one."""
    import polars as pl

    if not (_is_id_name(column.name) and column.is_whole):
        return False
    pairs = pl.DataFrame([times.instants.alias("time"), column.values.alias("code")]).unique()
    steps = pairs.sort("time").select(pl.all().diff().drop_nulls())
    return steps.height > 1 and bool((steps > 0).select(pl.all().all()).row(0) == (True, True))


def _changes_at(rows: pl.Series, column: Column) -> bool:
    """True of whole numbers that change at some rows and nowhere else."""
    return column.is_whole and bool((rows == (column.values[1:] != column.values[:-1])).all())


def _in_order_within(when: pl.Series, column: Column) -> bool:
    """True if times rise, or fall, within all rows of each entry of a column."""
    import polars as pl

    frame = pl.DataFrame([when.alias("time"), column.values.alias("entry")]).drop_nulls()
    steps = frame.select(pl.col("time").diff().over("entry")).to_series().drop_nulls()
    return bool((steps > 0).all() or (steps < 0).all())


def _groups(columns: Sequence[pl.Series], there: pl.Series | None = None) -> pl.DataFrame:
    """The distinct rows of columns, and how often each occurs."""
    import polars as pl

    frame = pl.DataFrame([column.alias(str(number)) for number, column in enumerate(columns)])
    return (frame if there is None else frame.filter(there)).group_by(pl.all()).len()


def _distinct(columns: Sequence[pl.Series], there: pl.Series | None = None) -> int:
    return _groups(columns, there).height
