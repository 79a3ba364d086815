"""A table in memory: columns of numbers, labels or times, and where each row came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rhapsode.data.tables.parsing.numerals import is_missing
from rhapsode.data.tables.parsing.stamps import DAY, Moments
from rhapsode.errors import DataError

if TYPE_CHECKING:
    import polars as pl

__all__ = ["ID_NAMES", "Bad", "Table", "plain_name"]

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


class Bad(NamedTuple):
    """Cells of a column of numbers that are none: row and text of the first, and how many there are."""

    row: int
    text: str
    total: int


@dataclass(frozen=True)
class Table:
    """Named columns of equal length.

    Arguments:
        where: what it was read from, for messages.
        names: of the columns; they may repeat.
        columns: numbers, NaN where missing; times in nanoseconds or text, null where missing.
        cells: the text of columns of times and of numbers that may be ids, by place.
        moments: facts of times that were text, by place.
        bad: cells that are no numbers, by place.
        lines_N: the line of the file that each row ended on; None where rows are just counted, from 1.
        header: whether the columns' names were in the table.
        notes: what reading has noticed, a line each.
    """

    where: str
    names: tuple[str, ...]
    columns: tuple[pl.Series, ...]
    cells: Mapping[int, pl.Series] = field(default_factory=dict)
    moments: Mapping[int, Moments] = field(default_factory=dict)
    bad: Mapping[int, Bad] = field(default_factory=dict)
    lines_N: NDArray[np.int64] | None = None
    header: bool = True
    notes: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(self.columns[0]) if self.columns else 0

    def kind(self, place: int) -> Literal["number", "time", "label"]:
        """What a column holds."""
        dtype = self.columns[place].dtype
        return "number" if dtype.is_float() else "time" if dtype.is_integer() else "label"

    def numbers(self, place: int) -> NDArray[np.float64]:
        """The numbers of a column that is to be used.

        Raises:
            DataError: a cell is no number, or infinite.
        """
        wrong = self.bad.get(place)
        if wrong is None and self.kind(place) != "number":
            row = int((~self.missing(place)).argmax())
            wrong = Bad(row, self.text(place, row), 1)
        if wrong is not None:
            raise DataError(
                f"not a number: {wrong.text[:60]!r}",
                where=self.place(wrong.row, self.names[place]),
                hint="--missing-values takes it as missing, --value-columns names other columns",
            )
        values = self.columns[place].to_numpy()
        if (infinite := np.isinf(values)).any():
            row = int(infinite.argmax())
            raise DataError(
                f"an infinite number: {values[row]:g}",
                where=self.place(row, self.names[place]),
                hint="--missing-values inf takes it as missing",
            )
        return np.asarray(values)

    def missing(self, place: int) -> NDArray[np.bool_]:
        """Cells that hold nothing, or a word for nothing."""
        column = self.columns[place]
        if self.kind(place) == "number":
            return column.is_nan().to_numpy()
        if self.kind(place) == "time":
            return column.is_null().to_numpy()
        return is_missing(column.fill_null(""), frozenset()).to_numpy()

    def text(self, place: int, row: int) -> str:
        """A cell in words."""
        value = self.cells.get(place, self.columns[place])[row]
        if isinstance(value, float):
            return str(int(value)) if value.is_integer() else f"{value:g}"
        if isinstance(value, int):
            unit = "s" if value % DAY else "D"
            return str(np.datetime64(value, "ns").astype(f"datetime64[{unit}]")).replace("T", " ")
        return (value or "").strip()

    def texts(self, place: int) -> pl.Series:
        """A column as text, null where a cell is empty: an id 007 is not 7."""
        import polars as pl

        column = self.columns[place]
        if place in self.cells:
            column = self.cells[place].str.strip_chars().replace("", None)
        if column.dtype == pl.String:
            return column
        empty = self.missing(place)
        cells = [None if none else self.text(place, row) for row, none in enumerate(empty)]
        return pl.Series(cells, dtype=pl.String)

    def line(self, row: int) -> str:
        """The line of a row, as "line 17"."""
        return f"row {row + 1}" if self.lines_N is None else f"line {self.lines_N[row]}"

    def place(self, row: int, column: str | None = None) -> str:
        """Where a cell stands, for messages: file, line and column."""
        named = f", column {column!r}" if column is not None else ""
        return f"{self.where}, {self.line(row)}{named}" if self.rows else self.where

    def listed(self, places: Sequence[int] | None = None, most: int = 8) -> str:
        """The names of columns in quotation marks."""
        names = self.names if places is None else [self.names[place] for place in places]
        more = f" and {len(names) - most:,} more" if len(names) > most else ""
        return ", ".join(map(repr, names[:most])) + more
