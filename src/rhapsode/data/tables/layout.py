"""Which part each column of a table plays: time, id, value, known covariate, attribute of a series.

What the settings leave open is found by rules over names and cells, none of which knows a corpus, and told in words.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rhapsode.config.registries import suggest
from rhapsode.data.tables.parsing.clocks import Times, find_times, named_times, times_of_names
from rhapsode.data.tables.parsing.columns import ID_NAMES, Table, plain_name
from rhapsode.data.tables.parsing.stamps import NO_TIME
from rhapsode.data.tables.settings import SeriesSettings
from rhapsode.errors import DataError

if TYPE_CHECKING:
    import polars as pl

__all__ = ["NoNumbersError", "Roles", "find_roles"]

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
        free = [place for place in range(len(table.names)) if place not in claimed]
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
        parts = (*values, *static)
        self.tell_left([p for p in free if p not in parts and table.kind(p) != "number"])
        return Roles(
            False, times, ids, values, known, static, tuple(self.notes), tuple(self.left_out)
        )

    def places(self, asked: Sequence[str]) -> Places:
        """The places of columns that the settings name."""
        names = [" ".join(name.split()) for name in self.table.names]
        for name in asked:
            known = " ".join(name.split())
            if known not in names:
                many = len(names) > _LISTED
                raise DataError(
                    f"no column {name!r}",
                    where=self.table.where,
                    hint=(suggest(known, names) if many else None)
                    or f"columns: {', '.join(map(repr, names[:_LISTED]))}{', ...' if many else ''}",
                )
        return tuple(names.index(" ".join(name.split())) for name in asked)

    def tell(self, places: Sequence[int], what: str, *, plural: bool = True) -> None:
        """Note something of columns, if there are any."""
        if places:
            head = f"column{'s' if len(places) > 1 else ''} " if plural else ""
            self.notes.append(f"{head}{what}: {self.table.listed(places)}")

    def tell_left(self, places: Sequence[int]) -> None:
        self.left_out.extend(self.table.names[place] for place in places)
        self.tell(places, "left out, holding no numbers")

    def counters(self, free: Sequence[int]) -> list[int]:
        """Columns that only number the rows."""
        table = self.table
        found = [
            place
            for place in free
            if plain_name(table.names[place]) in _COUNTER_NAMES
            and table.kind(place) == "number"
            and table.rows > 2
            and bool((table.columns[place].diff().drop_nulls() == 1).all())
        ]
        for place in found:
            self.tell([place], "left out, numbering the rows")
        return found

    def value_columns(self, free: Sequence[int]) -> Places:
        """Columns of numbers that have no other part."""
        table = self.table
        numbers = [place for place in free if table.kind(place) == "number"]
        there = {place: int((~table.missing(place)).sum()) for place in numbers}
        text = [p for p in numbers if (bad := table.bad.get(p)) and bad.total >= there[p]]
        empty = [p for p in numbers if not there[p] and p not in text]
        self.tell_left(text)
        values = tuple(place for place in numbers if place not in (*text, *empty))
        if not values:
            what = "no value is there: every number is missing"
            problem = DataError if empty else NoNumbersError
            raise problem(
                f"{what if empty else 'no column holds numbers to learn'} "
                f"(columns: {', '.join(map(repr, table.names[:_LISTED]))})",
                where=table.place(0),
                hint="--value-columns names one; --header, --decimal and --missing-values say how to read it",
            )
        self.tell(empty, "without any value left out")
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
        labels = [place for place in free if table.kind(place) == "label"]
        values = values or tuple(place for place in free if table.kind(place) == "number")
        names = [table.names[place] for place in values]
        # The first column of text in which no text occurs twice.
        distinct = [p for p in labels if table.columns[p].drop_nulls().n_unique() == table.rows][:1]
        if not asked and (len(values) < 3 or any(table.kind(place) == "time" for place in free)):
            return None
        when = times_of_names(names) if names and table.header else None
        if not asked and when is None and not (_numbered(names) and (ids or distinct)):
            return None
        if not values:
            raise NoNumbersError("no column holds numbers to learn", where=table.place(0))
        ids = ids or tuple(distinct)
        if not static:
            static = tuple(place for place in labels if place not in ids)
            self.tell(static, "attributes of series", plural=False)
        times = None if when is None else Times(*when, (), "the names of columns")
        return Roles(True, times, ids, values, (), static, tuple(self.notes))

    def combinations(self, places: Sequence[int], times: pl.Series | None = None) -> int:
        """How many different rows some columns have, at times that are there."""
        import polars as pl

        columns = {str(place): self.table.columns[place] for place in places}
        frame = pl.DataFrame(columns if times is None else columns | {"time": times})
        return (frame if times is None else frame.drop_nulls("time")).n_unique()

    def find_ids(self, times: Times | None, free: Sequence[int]) -> Places:
        """The columns that tell series apart; none where no time occurs twice."""
        table = self.table
        hinted = [place for place in free if plain_name(table.names[place]) in ID_NAMES]
        labels = [
            place
            for place in free
            if table.kind(place) == "label" and table.columns[place].drop_nulls().n_unique() > 1
        ]
        candidates = [place for place in labels if place in hinted]
        if times is not None:
            candidates += [place for place in labels if place not in hinted]
        candidates += [
            place
            for place in hinted
            if table.kind(place) == "number"
            and place not in table.bad
            and bool((table.columns[place] == table.columns[place].floor()).all())
            and bool(table.columns[place].is_finite().all())
        ]
        if times is not None:
            found = self.telling(times, candidates)
        else:  # a column that is named as an id and whose entries recur
            found = [p for p in candidates if self.combinations([p]) <= table.rows // 2][:1]
        if not found and self.settings.layout == "long":
            names = ", ".join(map(repr, table.names[:_LISTED]))
            raise DataError(
                f"no column is found that tells series apart (columns: {names})",
                where=table.where,
                hint="name it with --id-column",
            )
        return tuple(found)

    def telling(self, times: Times, candidates: Sequence[int]) -> Sequence[int]:
        """The fewest candidates that tell rows of one time apart, or the one that does so for most."""
        import polars as pl

        when = pl.Series(times.times_N)
        when = when.set(when == NO_TIME, None)
        there = len(when) - when.null_count()
        doubles = there - self.combinations([], when)
        if not doubles and self.settings.layout == "auto":
            return ()
        for size in range(1, min(len(candidates), 4) + 1):
            for places in itertools.combinations(candidates, size):
                if self.combinations(places, when) == there:
                    return sorted(places)
        repeats = {place: there - self.combinations([place], when) for place in candidates}
        best = min(repeats, key=repeats.__getitem__, default=None)
        return [best] if best is not None and repeats[best] < 0.5 * doubles else ()

    def attributes(self, ids: Places, free: Sequence[int]) -> Places:
        """Columns of text that never change within a series, and the parts of an id of several columns."""
        groups = self.combinations(ids)
        found = list(ids) if len(ids) > 1 else []
        found += [
            place
            for place in free
            if self.table.kind(place) == "label"
            and self.table.columns[place].drop_nulls().n_unique() > 1
            and self.combinations((*ids, place)) == groups
        ]
        self.tell(sorted(found), "attributes of series", plural=False)
        return tuple(sorted(found))


def _numbered(names: Sequence[str]) -> bool:
    """True of V1, V2, V3 and so on."""
    parts = [re.fullmatch(r"(.*?)(\d+)", name) for name in names]
    found = [(part[1], int(part[2])) for part in parts if part is not None]
    return len(found) == len(names) and all(
        before == (head, number - 1) for before, (head, number) in itertools.pairwise(found)
    )
