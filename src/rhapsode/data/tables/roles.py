"""Roles of the columns of a table.

A role is time, id, value, known covariate or attribute of a series. Roles that the settings leave
open are found by rules over names and cells, and reported.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rhapsode.config.registries import suggest
from rhapsode.data.tables.frequency import TimeKind
from rhapsode.data.tables.parsing.columns import (
    ID_NAMES,
    TIME_NAMES,
    Column,
    Table,
    listed,
    plain_name,
)
from rhapsode.data.tables.parsing.stamps import (
    DAY,
    MONTH_NAME,
    are_stamps,
    from_digits,
    time_column,
)
from rhapsode.data.tables.settings import SeriesSettings
from rhapsode.errors import DataError

if TYPE_CHECKING:
    import polars as pl

Columns = tuple[Column, ...]

_COUNTERS = frozenset(
    {"", "no", "nr", "obs", "index", "idx", "row", "rowid", "rownumber", "id", "unnamed0", "序号"}
)
_PARTS: Mapping[str, tuple[frozenset[str], int, int]] = MappingProxyType({
    "year": (frozenset({"year", "yr", "yyyy", "jahr", "年", "年份"}), 1678, 2261),
    "quarter": (frozenset({"quarter", "qtr", "季度"}), 1, 4),
    "month": (frozenset({"month", "mon", "mo", "monat", "月", "月份"}), 1, 12),
    "day": (frozenset({"day", "dd", "dayofmonth", "tag", "日"}), 1, 31),
    "hour": (frozenset({"hour", "hr", "hh", "he", "hourending", "stunde", "时", "小时"}), 0, 24),
    "minute": (frozenset({"minute", "min", "分", "分钟"}), 0, 59),
    "second": (frozenset({"second", "sec", "秒"}), 0, 60),
})  # fmt: skip
_GLUE = {"quarter": "Q", "month": "-", "day": "-", "hour": " ", "minute": ":", "second": ":"}
_EPOCHS = (
    ("seconds", 10**8, 10**10, 10**9),
    ("milliseconds", 10**11, 10**13, 10**6),
    ("microseconds", 10**14, 10**16, 10**3),
    ("nanoseconds", 10**17, 9 * 10**18, 1),
)
_ID_NAME = re.compile(
    r"(?i:(?:.*[\W_])?(?:id|nbr|nr|no|num|number|code|key|name))"
    r"|.*[a-z](?:Id|ID|Nr|No|Code|Name|Number)"
)
# Names of columns that go on from the time of a row, and what joins them to it.
_GOES_ON = (
    (" ", rf"(?:{MONTH_NAME})\.?|q[1-4]|[012]?\d:\d\d"), ("-", "1[0-2]|0?[1-9]"),
)  # fmt: skip
_LEFT = {
    "label": "holding no numbers", "time": "a second column of times",
    "clock": "times of day or durations", "number": "holding no numbers",
}  # fmt: skip
_LISTED = 8
_HEAD = 100


class Times(NamedTuple):
    """The time of every row, and its columns in words."""

    values: pl.Series
    kind: TimeKind
    columns: Columns
    words: str
    notes: tuple[str, ...] = ()
    offset: pl.Series | None = None

    @property
    def instants(self) -> pl.Series:
        """The times in UTC, if their offset is known."""
        return self.values if self.offset is None else self.values - self.offset


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

    def without_cells(self) -> Roles:
        """The same roles of columns without cells, whose memory is free then."""
        groups = (self.table.columns[:1], self.ids, self.values, self.known)
        first, ids, values, known = (
            tuple(Column(c.name, c.kind, c.values.clear(1)) for c in group) for group in groups
        )
        times = self.times and Times(
            self.times.values.clear(), *self.times[1:2], (), self.times.words
        )
        table = replace(self.table, columns=first)
        return Roles(table, times, ids, values, known, (), (), across=self.across)


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
        if settings.layout in {"auto", "long", "wide"}:
            self.go_on_in_names()
        ids, times_, values, static, known = map(self.named, (
            settings.id_column, settings.time_column, settings.value_columns, settings.static,
            settings.known,
        ))  # fmt: skip
        free = _others(self.table.columns, (*ids, *times_, *values, *static, *known))
        if (rows := self.as_rows(free, ids, values, static)) is not None:
            return rows
        times = self.named_times(times_) if times_ else self.find_times(free)
        free = _others(free, times.columns if times else ())
        if not ids and settings.layout in {"auto", "long"}:
            ids = self.find_ids(times, free)
        free = _others(free, ids)
        if static and not ids:
            raise DataError(
                "attributes of series need a column that identifies the series",
                where=self.table.where,
                hint="name it with --id-column",
            )
        if not static and ids:
            static = self.attributes(ids, free)
        if not values:
            free = _others(free, self.no_values(times, ids, free))
            values = self.value_columns(_others(free, static))
        left = _others(free, (*values, *static))
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
        for kind, what in _LEFT.items():
            self.tell([c for c in columns if c.kind == kind], f"left out, {what}")

    def no_values(self, times: Times | None, ids: Columns, free: Sequence[Column]) -> list[Column]:
        """Numbers of rows, times that stand in a second column, and codes of series."""
        if times is None:
            return []
        entries = [column.values for column in ids]
        groups = _distinct(entries) if ids else 1
        numbers = [c for c in free if c.kind == "number" and c.bad is None]
        found: list[Column] = []
        rules: dict[str, Callable[[Column], bool]] = {
            "numbering the rows": _is_counter,
            "a time again": lambda c: times.kind == "time" and _is_again(times, c),
            "the same in all rows of a series": lambda c: (
                _is_id_name(c.name) and c.is_whole and _distinct([*entries, c.values]) == groups
            ),
        }
        for what, rule in rules.items():
            these = [column for column in _others(numbers, found) if rule(column)]
            self.tell(these, f"left out, {what}")
            found += these
        return found

    def value_columns(self, free: Sequence[Column]) -> Columns:
        """Columns of numbers that have no other part."""
        numbers = [column for column in free if column.kind == "number"]
        there = {column: column.values.count() for column in numbers}
        text = [c for c in numbers if c.bad is not None and c.bad.total >= there[c]]
        empty = [c for c in numbers if not there[c] and c not in text]
        values = _others(numbers, [*text, *empty])
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

    def go_on_in_names(self) -> None:
        """Turn a row a year and a column a month, or the like, into a row for each time."""
        import polars as pl

        settings, table = self.settings, self.table
        taken = {*settings.value_columns, *settings.known, *settings.static, *settings.id_column}
        free = [c for c in table.columns if c.kind == "number" and c.name not in taken]
        for between, pattern in _GOES_ON if table.header else ():
            across = [c for c in free if re.fullmatch(pattern, c.name.strip().lower())]
            rest = _others(table.columns, across)
            years = (c for c in rest if c.kind == "time" or plain_name(c.name) in _PARTS["year"][0])
            when = next(
                iter(self.named(settings.time_column)), next(years, rest[0] if rest else None)
            )
            if len(across) < (12 if between == "-" else 4) or when is None:
                continue
            names = pl.Series([between + column.name.strip() for column in across])
            cells = when.labels.gather(_repeated(table.rows, len(across))) + pl.concat(
                [names] * table.rows
            )
            time = time_column(when.name, cells, settings, least=1)
            if time is None or time.bad is not None:
                continue
            labels = [c for c in rest if c.kind == "label"]
            self.stretch(labels, across, time)
            what = f"{when.name!r} in each row and {across[0].name!r} to {across[-1].name!r}"
            self.notes.append(f"times go on in the names of columns: {what}, read as one series")
            self.tell(_others(rest, [*labels, when]), "left out, beside the times in the names")
            self.settings = replace(settings, time_column=())
            return

    def stretch(self, kept: Sequence[Column], across: Sequence[Column], *more: Column) -> None:
        """Turn each row of numbers into a row for each of them."""
        import polars as pl

        self.notes += dict.fromkeys(note for column in across for note in column.notes)
        numbers = np.column_stack([self.table.numbers(column) for column in across]).ravel()
        value = Column("value", "number", pl.Series(numbers).fill_nan(None))
        at, old = _repeated(self.table.rows, len(across)), self.table.lines
        columns = (Column(c.name, c.kind, c.values.gather(at), bad=c.bad) for c in kept)
        lines = None if old is None else lambda: [line for line in old() for _ in across]
        self.table = replace(self.table, columns=(*columns, *more, value), lines=lines)

    def as_rows(
        self, free: Sequence[Column], ids: Columns, values: Columns, static: Columns
    ) -> Roles | None:
        """The roles if every row is a series."""
        import polars as pl

        table, settings = self.table, self.settings
        forced = settings.layout == "rows"
        parts = settings.time_column or settings.known or settings.joint
        dated = any(column.kind == "time" for column in free)
        if not forced and (settings.layout != "auto" or parts or dated or not table.header):
            return None
        labels = [column for column in free if column.kind == "label"]
        asked = bool(values)
        values = values or tuple(column for column in free if column.kind == "number")
        if (
            not asked
            and len(dates := [c for c in values if _is_time_name(c.name)]) > len(values) / 2
        ):
            static = static or tuple(_others(values, dates))
            values = tuple(dates)
        names = [column.name for column in values]
        if not forced and len(values) < 3:
            return None
        if not ids:  # the first column of text in which no text occurs twice
            ids = tuple(column for column in labels if len(column.levels) == table.rows)[:1]
        when = _times_of_names(names, settings) if names and table.header else None
        if when is None and names and table.header:  # the newest first
            values = values[::-1]
            when = _times_of_names(names[::-1], settings)
            values = values if when else values[::-1]
        if not forced and when is None and not (_numbered(names) and ids):
            return None
        if not values:
            raise NoNumbersError("no column holds numbers to learn", where=table.place(0))
        if not settings.static:
            static = (*_others(labels, ids), *static)
            self.tell(static, "attributes of series", plural=False)
        ids = ids or (Column("", "label", pl.Series([f"row {n + 1}" for n in range(table.rows)])),)
        named = pl.DataFrame([c.labels.alias(str(n)) for n, c in enumerate(ids)]).to_struct()
        if (again := ~named.is_first_distinct()).any():
            row = int(again.arg_max() or 0)
            name = "/".join(map(str, named[row].values()))
            raise DataError(f"the series {name!r} occurs twice", where=table.place(row))
        self.stretch((*ids, *static), values)
        times = None
        if when is not None:
            times = Times(pl.concat([when[0]] * table.rows), when[1], (), "the names of columns")
        *kept, value = self.table.columns
        return Roles(
            self.table, times, tuple(kept[: len(ids)]), (value,), (), tuple(kept[len(ids) :]),
            tuple(self.notes), across=len(values),
        )  # fmt: skip

    def find_ids(self, times: Times | None, free: Sequence[Column]) -> Columns:
        """The columns that tell series apart; none if no time occurs twice."""
        hinted = [column for column in free if _is_id_name(column.name)]
        labels = [c for c in free if c.kind == "label" and len(c.levels) > 1]
        candidates = [column for column in labels if column in hinted]
        if times is not None:
            candidates += _others(labels, hinted)
        candidates += [column for column in hinted if column.is_whole]
        if times is not None:
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
            groups = _distinct([c.values for c in columns], there)
            hinted = all(_is_id_name(column.name) for column in columns)
            return 2 * groups <= count or distinct() == 1 or (hinted and groups < count)

        candidates = [column for column in candidates if recur(column)]
        doubles = count - distinct()
        if not doubles and self.settings.layout == "auto":
            return ()
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

    def named_times(self, columns: Columns) -> Times:
        """The times of columns that the settings name."""
        if len(columns) == 1:
            return self.single(columns[0])
        in_order = [part for part in _PARTS if part != "quarter"]
        for known in ([column.name for column in columns], in_order):  # by name, or by order
            parts = _parts_of(zip(columns, known, strict=False)) or {}
            if len(parts) == len(columns):
                return self.from_parts(parts)
        if sorted(column.kind for column in columns) == ["clock", "time"]:
            return self.joined(sorted(columns, key=lambda column: column.kind, reverse=True), " ")
        raise DataError(
            f"the columns {listed(columns)} cannot be combined into a time",
            where=self.table.where,
            hint="name a date and a time of day, or columns year, month, day and so on",
        )

    def find_times(self, free: Sequence[Column]) -> Times | None:
        """The times of a table by its cells and names; None if no column holds times."""
        if dates := [column for column in free if column.kind == "time"]:
            likely = (column for column in dates if plain_name(column.name) in TIME_NAMES)
            date = next(likely, dates[0])
            clock = next(
                (c for c in free if c.kind == "clock" or _part_of(c, c.name) == "hour"), None
            )
            if clock is not None and not date.labels.str.contains(":").any():
                return self.joined([date, clock], " ")
            return self.single(date)
        if parts := _parts_of((column, column.name) for column in free):
            return self.from_parts(parts)
        numbers = [column for column in free if column.kind == "number"]
        unnamed = [column for column in free if not column.name.strip()]
        if len(unnamed) > 1 or (not self.table.header and len(numbers) > 2):
            lead = unnamed if self.table.header else numbers
            parts = _parts_of(zip(lead, ("year", "month"), strict=False))
            times = self.from_parts(parts) if parts else None
            if times is not None and (times.values.diff()[1:] > 0).all():
                return times
        candidates: list[Times] = []
        for column in numbers if len(numbers) > 1 else ():
            named = plain_name(column.name) in TIME_NAMES or not column.name.strip("# ")
            first = named or column is self.table.columns[0]
            hinted = not TIME_NAMES.isdisjoint(re.split(r"[\W_]+", column.name.lower()))
            if column.bad is None and (first or hinted):
                found = _numeric(column.values, named=named or hinted, header=self.table.header)
                if found is None or not (first or found[1] == "time"):
                    continue
                if candidates and not (found[0].diff()[1:] > 0).all():
                    continue
                words = f"column {column.name!r} of {found[2]}"
                candidates.append(Times(*found[:2], (column,), words))
        dated = (times for times in candidates if times.kind == "time")
        return next(dated, next(iter(candidates), None))

    def single(self, column: Column) -> Times:
        """The times of one column."""
        if column.kind != "number" or column.bad is not None:
            return self.joined([column])
        if (found := _numeric(column.values, sure=True)) is not None:
            return Times(*found[:2], (column,), f"column {column.name!r} of {found[2]}")
        row = int((column.values != column.values.floor()).fill_null(value=True).arg_max() or 0)
        raise DataError(
            f"not a time: {column.labels[row]}",
            where=self.table.place(row, column.name),
            hint="numeric times must be whole numbers",
        )

    def joined(self, columns: Sequence[Column], glue: str = "") -> Times:
        """The times that columns make together, with a character between each and the next."""
        time = first = columns[0]
        if first.kind != "time" or len(columns) > 1:
            cells = first.labels
            for between, column in zip(glue, columns[1:], strict=True):
                cells = cells + between + column.labels.str.zfill(2 if between == ":" else 0)
            time = time_column(first.name, cells, self.settings, least=0) or first
        if time.kind == "clock":
            raise DataError(
                "a time of day without a date",
                where=f"{self.table.where}, column {first.name!r}",
                hint="leave out --time-column, and "
                "use --frequency none to use only the order of values",
            )
        if time.bad is not None:
            self.table.refuse(first, time.bad)
        *names, last = [repr(c.name) for c in self.table.columns if c in columns]
        words = f"columns {', '.join(names)} and {last}" if names else f"column {last}"
        return Times(time.values, "time", tuple(columns), words, time.notes, time.offset)

    def from_parts(self, parts: Mapping[str, Column]) -> Times:
        """The times that years, months and other parts make together."""
        used = [
            part
            for part in _PARTS
            if part in parts and not (part == "quarter" and "month" in parts)
        ]
        glue = "".join(_GLUE[part] if parts[part].kind == "number" else "-" for part in used[1:])
        times = self.joined([parts[part] for part in used], glue)
        return times._replace(columns=tuple(parts.values()))


def _is_id_name(name: str) -> bool:
    return plain_name(name) in ID_NAMES or _ID_NAME.fullmatch(name) is not None


def _is_counter(column: Column) -> bool:
    """True of a column that numbers the rows, perhaps of several parts of the table."""
    if plain_name(column.name) not in _COUNTERS:
        return False
    steps = column.values.diff()[1:]
    return len(steps) > 1 and 10 * int((steps == 1.0).sum()) >= 9 * len(steps)


def _is_again(times: Times, column: Column) -> bool:
    """True of a column that holds the times again, or their end, or a part of them."""
    import polars as pl

    if (part := _part_of(column, column.name)) is not None:
        same = getattr(times.values.cast(pl.Datetime("ns")).dt, part)() == column.values
    else:
        instants, head = times.instants, column.values.head(_HEAD)
        if _numeric(head, sure=True) is None:  # the first rows tell most columns apart
            low, high = instants.min() or 0, instants.max() or 0
            span = int(high) - int(low)  # type: ignore[arg-type]
            if ((_of_years(head) - instants.head(_HEAD)).abs() > 2 * max(span, DAY)).any():
                return False
        found, years = _numeric(column.values, sure=True), _of_years(column.values)
        other = found[0] if found is not None and found[1] == "time" else years
        steps = np.diff(instants.drop_nulls().unique().sort().to_numpy())
        same = (other - instants).abs() <= 2 * int(steps.max(initial=DAY))
    return len(same) > 2 and bool(same.fill_null(value=False).all())


def _of_years(values: pl.Series) -> pl.Series:
    """Nanoseconds since 1970 of years and parts of them."""
    return (values - 1970) * (365.2425 * DAY)


def _others(columns: Sequence[Column], taken: Sequence[Column]) -> list[Column]:
    return [column for column in columns if column not in taken]


def _distinct(columns: Sequence[pl.Series], there: pl.Series | None = None) -> int:
    import polars as pl

    frame = pl.DataFrame([column.alias(str(number)) for number, column in enumerate(columns)])
    return (frame if there is None else frame.filter(there)).n_unique()


def _is_time_name(name: str) -> bool:
    import polars as pl

    plain = name.removeprefix("X")
    return (
        re.fullmatch(r"(1[6-9]|2[01])\d\d", plain) is not None or are_stamps(pl.Series([plain]))[0]
    )


def _repeated(rows: int, times: int) -> pl.Series:
    import polars as pl

    return pl.Series(np.repeat(np.arange(rows), times))


def _part_of(column: Column, name: str) -> str | None:
    """The part of a time that a column holds by its name and cells."""
    plain = plain_name(name)
    part = next((part for part, (known, *_) in _PARTS.items() if plain in known), None)
    if part in {"month", "quarter"} and column.kind == "label":
        names = all(re.fullmatch(_GOES_ON[0][1], level.lower()) for level in column.levels)
        return part if names and column.levels else None
    if part is None or column.kind != "number" or column.bad is not None:
        return None
    values, (_, low, high) = column.values.drop_nulls(), _PARTS[part]
    fits = len(values) and ((values == values.floor()) & values.is_between(low, high)).all()
    return part if fits else None


def _parts_of(named: Iterable[tuple[Column, str]]) -> dict[str, Column] | None:
    """Columns of year, month and other parts of a time.

    They are recognised by their names and numbers. None without a year and a month or quarter.
    """
    found: dict[str, Column] = {}
    for column, name in named:
        if (part := _part_of(column, name)) is not None:
            found.setdefault(part, column)
    if "year" not in found or not {"month", "quarter"} & set(found):
        return None
    # A day without a month, or a minute without an hour, is something else.
    for before, part in itertools.pairwise(("month", "day", "hour", "minute", "second")):
        if before not in found:
            found.pop(part, None)
    return found


def _times_of_names(
    names: Sequence[str], settings: SeriesSettings
) -> tuple[pl.Series, TimeKind] | None:
    """Times given by the names of columns; None if a name is no time, or they do not rise."""
    import polars as pl

    cells = pl.Series([name.removeprefix("X") for name in names])
    found: tuple[pl.Series, TimeKind] | None = None
    if all(name.isdigit() for name in names):
        numeric = _numeric(cells.cast(pl.Float64), sure=True)
        found = numeric and numeric[:2]
    else:
        column = time_column("", cells, settings, least=1)
        if column is not None and column.bad is None and column.kind == "time":
            found = column.values, "time"
    return found if found is not None and (found[0].diff()[1:] > 0).all() else None


def _numeric(
    values: pl.Series, *, sure: bool = False, named: bool = True, header: bool = True
) -> tuple[pl.Series, TimeKind, str] | None:
    """Times that numbers stand for, with their kind and form.

    None for other numbers.
    """
    import polars as pl

    there = values.drop_nulls()
    if not len(there) or not ((there == there.floor()) & (there.abs() < 2.0**63)).all():
        return None
    steps = there.diff()[1:]
    rising = len(there) > 2 and bool((steps > 0).all())
    if not (sure or named or (rising and len(there) == len(values))):
        return None
    whole = values.cast(pl.Int64)
    low, high = int(whole.min()), int(whole.max())  # type: ignore[arg-type]
    digits = len(str(high)) if low > 0 and len(str(low)) == len(str(high)) else 0
    if sure or {4: header, 6: named}.get(digits, True):
        found = from_digits(whole, digits)
        if found is not None:
            return found[0], "time", found[1]
    for name, least, most, factor in _EPOCHS:
        if least <= low and high < most and (named or sure or low >= 3 * least):
            return whole * factor, "time", f"{name} since 1970"
    even = rising and steps.n_unique() == 1 and len(there) >= 10
    return (whole, "integer", "whole numbers") if sure or named or even else None


def _numbered(names: Sequence[str]) -> bool:
    """True of V1, V2, V3 and so on."""
    parts = [re.fullmatch(r"(.*?)(\d+)", name) for name in names]
    found = [(part[1], int(part[2])) for part in parts if part is not None]
    return len(found) == len(names) and all(
        before == (head, number - 1) for before, (head, number) in itertools.pairwise(found)
    )
