"""A table in memory, with columns of numbers, times or labels."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rhapsode.errors import DataError

if TYPE_CHECKING:
    import polars as pl

ID_NAMES = frozenset({
    "id", "ids", "uniqueid", "uid", "seriesid", "itemid", "series", "item", "name", "key", "symbol",
    "ticker", "store", "shop", "product", "sku", "station", "stn", "location", "region",
    "country", "city", "state", "sensor", "device", "unit", "group", "category", "customer",
    "user", "meter", "zone", "site", "code", "编号", "名称", "股票代码",
})  # fmt: skip
"""Plain names of columns that may tell series apart."""
TIME_NAMES = frozenset({
    "time", "timestamp", "ts", "ds", "date", "datetime", "dt", "epoch", "unix", "unixtime",
    "unixtimestamp", "t", "step", "period", "year", "yr", "month", "quarter", "week", "day", "hour",
    "yyyymm", "yyyymmdd", "yyyy", "index", "idx", "no", "row", "timeidx", "timestep", "日期", "时间",
    "時間", "年", "年份", "月份", "年月", "datum", "zeit", "fecha", "data", "heure", "jour",
    "periodo", "période", "период", "дата", "tid", "okres", "tarih", "시점",
})  # fmt: skip
"""Plain names of columns of times."""


def plain_name(name: str) -> str:
    """A name in lower case, letters and digits only."""
    return "".join(filter(str.isalnum, name.lower()))


class Bad(NamedTuple):
    """The first invalid cell of a column, and the count of all."""

    row: int
    text: str
    total: int = 1
    what: str = "not a number"
    hint: str = (
        "use --missing-values if it marks a missing value, or "
        "name other columns with --value-columns"
    )


@dataclass(frozen=True, eq=False)
class Column:
    """A column of a table.

    Arguments:
        name: of the column; names may repeat.
        kind: type of the entries; clock for times of day without a date.
        values: numbers, nanoseconds since 1970 or texts; null where missing.
        cells: the cells as they are written, if they are texts.
        bad: the first cell that is none of its kind.
        notes: remarks for a column that is used.
        offset: the offset from UTC of each time, in nanoseconds, which are local.
    """

    name: str
    kind: Literal["number", "time", "clock", "label"]
    values: pl.Series
    cells: pl.Series | None = None
    bad: Bad | None = None
    notes: tuple[str, ...] = ()
    offset: pl.Series | None = None

    @property
    def is_whole(self) -> bool:
        """True of whole numbers, none of them missing."""
        return (
            self.kind == "number"
            and self.bad is None
            and not self.values.null_count()
            and bool((self.values.is_finite() & (self.values == self.values.floor())).all())
        )

    @cached_property
    def labels(self) -> pl.Series:
        """The cells as labels: an id 007 is not 7."""
        import polars as pl

        if self.kind == "label":
            return self.values
        if self.cells is not None:
            return self.cells.str.strip_chars().set(self.values.is_null(), None)
        if self.kind in {"time", "clock"}:
            form = "%Y-%m-%d" if self.kind == "time" else "%H:%M:%S"
            return self.values.cast(pl.Datetime("ns")).dt.to_string(form)
        return self.values.cast(pl.Int64 if self.is_whole else self.values.dtype).cast(pl.String)

    @cached_property
    def levels(self) -> tuple[str, ...]:
        """The distinct labels, by first appearance."""
        return tuple(self.labels.drop_nulls().unique(maintain_order=True))

    @property
    def is_text(self) -> bool:
        """True of free text: several words in most cells, few repeated."""
        there = self.values.drop_nulls()
        if self.kind != "label" or 2 * len(there) < len(self.values) or len(there) < 2:
            return False
        words = there.str.count_matches(r"\p{Han}{2}|[\p{L}\p{N}]+").to_numpy()
        return bool(np.median(words) >= 4) and 2 * there.n_unique() > len(there)


@dataclass(frozen=True)
class Table:
    """Columns of equal length.

    Arguments:
        where: source of the table, for messages.
        columns: the columns, in order.
        header: True if the table names its columns.
        notes: remarks of the reader, a line each.
        lines: gives the line of the file on which each row ended; None if rows are counted from 1.
    """

    where: str
    columns: tuple[Column, ...]
    header: bool = True
    notes: tuple[str, ...] = ()
    lines: Callable[[], Sequence[int]] | None = None

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self.columns[0].values) if self.columns else 0

    def numbers(
        self, column: Column, out: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        """The numbers of a column, NaN where missing.

        Arguments:
            column: a column of the table.
            out: the array to write to. [default: a new one]

        Raises:
            DataError: a cell is no number, or infinite.
        """
        wrong = column.bad
        if column.kind != "number":
            row = int(column.values.is_not_null().arg_max() or 0)
            wrong = Bad(row, column.labels[row] or "")
        if wrong is not None:
            self.refuse(column, wrong)
        # A sum is quicker than a mask, but is infinite too for numbers near the largest.
        is_finite = math.isfinite(column.values.sum())
        if not is_finite and (infinite := column.values.is_infinite()).any():
            row = int(infinite.arg_max() or 0)
            raise DataError(
                f"an infinite number: {column.values[row]:g}",
                where=self.place(row, column.name),
                hint="use --missing-values inf to treat it as missing",
            )
        chunks = column.values.fill_null(np.nan).get_chunks()
        return np.concatenate([chunk.to_numpy() for chunk in chunks], out=out)

    def refuse(self, column: Column, bad: Bad) -> None:
        """Raise the error of a cell."""
        where = self.place(bad.row, column.name)
        raise DataError(f"{bad.what}: {bad.text[:60]!r}", where=where, hint=bad.hint)

    def line(self, row: int) -> str:
        """The line of a row, as "line 17"."""
        return f"row {row + 1}" if self.lines is None else f"line {self.lines()[row]}"

    def place(self, row: int, column: str | None = None) -> str:
        """The place of a cell for messages: file, line and column."""
        named = f", column {column!r}" if column is not None else ""
        return f"{self.where}, {self.line(row)}{named}"


def listed(columns: Iterable[Column | str], most: int = 8) -> str:
    """The names of columns in quotation marks."""
    names = [column if isinstance(column, str) else column.name for column in columns]
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(map(repr, names[:most])) + more


def others(columns: Sequence[Column], taken: Sequence[Column]) -> list[Column]:
    """The columns that are not taken."""
    return [column for column in columns if column not in taken]
