"""A table in memory: named columns of numbers, labels or times, and where each row came from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from rhapsode.data.tables.parsing.numerals import MISSING
from rhapsode.data.tables.parsing.stamps import DAY, NO_TIME, Moments

if TYPE_CHECKING:
    import polars as pl

__all__ = ["ID_NAMES", "Bad", "Column", "Kind", "Table", "label_column", "plain_name"]

Ints = NDArray[np.int64]
Kind = Literal["number", "time", "label"]

ID_NAMES = frozenset({
    "id", "ids", "uniqueid", "uid", "seriesid", "itemid", "series", "item", "name", "key", "symbol",
    "ticker", "store", "shop", "product", "sku", "station", "location", "region", "country", "city",
    "state", "sensor", "device", "unit", "group", "category", "customer", "user", "meter", "zone",
    "site", "code", "编号", "名称", "股票代码",
})  # fmt: skip
"""Plain names of columns that may tell series apart."""


def plain_name(name: str) -> str:
    """A name in lower case, letters and digits only."""
    return "".join(character for character in name.lower() if character.isalnum())


@dataclass(frozen=True)
class Bad:
    """Cells of a column of numbers that are none: row and text of the first, and their count."""

    row: int
    text: str
    count: int


@dataclass(frozen=True)
class Column:
    """A named column.

    Arguments:
        name: its name.
        kind: what it holds.
        data_N: numbers, NaN where missing; nanoseconds, `NO_TIME` where missing; or the place of each text among
            `levels`, -1 where there is none.
        levels: the different texts of labels, by first appearance.
        cells: the cells of times and of numbers that may be ids, where they were text.
        bad: cells that are no numbers.
        moments: facts of times that were text.
    """

    name: str
    kind: Kind
    data_N: NDArray[Any]
    levels: tuple[str, ...] = ()
    cells: pl.Series | None = None
    bad: Bad | None = None
    moments: Moments = Moments(np.zeros(0, np.int64))

    @property
    def missing_N(self) -> NDArray[np.bool_]:
        """Cells that hold nothing, or a word for nothing."""
        if self.kind == "number":
            return np.isnan(self.data_N)
        if self.kind == "time":
            return np.asarray(self.data_N == NO_TIME)
        nothing = np.array([level.strip().lower() in MISSING for level in self.levels] + [True])
        return np.asarray(nothing[self.data_N])

    @property
    def codes_N(self) -> Ints:
        """For every row the number of its text, number or time; -1 where there is none."""
        if self.kind == "label":
            return self.data_N.astype(np.int64)
        codes = np.unique(self.data_N, return_inverse=True)[1].astype(np.int64)
        return np.where(self.missing_N, -1, codes)

    def text(self, row: int) -> str:
        """A cell in words."""
        value = self.data_N[row]
        if self.kind == "label":
            return self.levels[value] if value >= 0 else ""
        if self.cells is not None:
            return str(self.cells[row]).strip()
        if self.kind == "number":
            return str(int(value)) if float(value).is_integer() else f"{value:g}"
        unit = "s" if value % DAY else "D"
        return str(np.datetime64(int(value), "ns").astype(f"datetime64[{unit}]")).replace("T", " ")

    def as_labels(self) -> Column:
        """The same as text where it was read from text: an id 007 is not 7."""
        return self if self.cells is None else label_column(self.name, self.cells)


def label_column(name: str, cells: pl.Series) -> Column:
    """A column of text, coded by first appearance, white space around it taken away."""
    import polars as pl

    text = cells.str.strip_chars()
    levels = tuple(level for level in text.unique(maintain_order=True).to_list() if level)
    codes = dict(zip(levels, range(len(levels)), strict=True))
    coded = text.replace_strict(codes, default=-1, return_dtype=pl.Int64)
    return Column(name, "label", coded.to_numpy(), levels)


@dataclass(frozen=True)
class Table:
    """Named columns of equal length.

    Arguments:
        where: what it was read from, for messages.
        columns: in order; names may repeat.
        rows: how many there are.
        lines_N: the line of the file that each row ended on; None where rows are just counted, from 1.
        header: whether the columns' names were in the table.
        notes: what reading has noticed, a line each.
    """

    where: str
    columns: tuple[Column, ...]
    rows: int
    lines_N: Ints | None = None
    header: bool = True
    notes: tuple[str, ...] = ()

    def line(self, row: int) -> str:
        """The line of a row, as "line 17"."""
        return f"row {row + 1}" if self.lines_N is None else f"line {self.lines_N[row]}"

    def place(self, row: int, column: str | None = None) -> str:
        """Where a cell stands, for messages: file, line and column."""
        named = f", column {column!r}" if column is not None else ""
        return f"{self.where}, {self.line(row)}{named}" if self.rows else self.where

    def with_labels(self, places: tuple[int, ...]) -> Table:
        """The same, some columns as text."""
        columns = list(self.columns)
        for place in places:
            columns[place] = columns[place].as_labels()
        return replace(self, columns=tuple(columns))
