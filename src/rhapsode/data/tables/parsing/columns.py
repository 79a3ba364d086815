"""A table in memory, with columns of numbers, times or labels.

It keeps the line of each row.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rhapsode.data.tables.parsing.numerals import MISSING
from rhapsode.data.tables.parsing.stamps import DAY, NO_TIME, Moments
from rhapsode.errors import DataError

ID_NAMES = frozenset({
    "id", "ids", "uniqueid", "uid", "seriesid", "itemid", "series", "item", "name", "key", "symbol",
    "ticker", "store", "shop", "product", "sku", "station", "location", "region", "country", "city",
    "state", "sensor", "device", "unit", "group", "category", "customer", "user", "meter", "zone",
    "site", "code", "编号", "名称", "股票代码",
})  # fmt: skip
"""Plain names of columns that may tell series apart."""


def plain_name(name: str) -> str:
    """A name in lower case, letters and digits only."""
    return "".join(filter(str.isalnum, name.lower()))


class Bad(NamedTuple):
    """Invalid cells of a column of numbers.

    Row and text of the first one, and the count of all.
    """

    row: int
    text: str
    total: int


@dataclass(frozen=True, eq=False)
class Column:
    """A column of a table.

    Arguments:
        name: of the column; names may repeat.
        kind: type of the entries.
        entries_N: numbers, NaN where missing; times in nanoseconds since 1970, `NO_TIME` where
            missing; or the index of each label in `levels`, -1 for an empty cell.
        levels: the distinct labels, by first appearance.
        cells: a sequence with the text of times, and of numbers that may be ids.
        moments: facts about times that were text.
        bad: cells that are no numbers.
    """

    name: str
    kind: Literal["number", "time", "label"]
    entries_N: NDArray[Any]
    levels: tuple[str, ...] = ()
    cells: Any = None
    moments: Moments | None = None
    bad: Bad | None = None

    @cached_property
    def missing_N(self) -> NDArray[np.bool_]:
        """Mask of the missing cells.

        They are empty or hold a word for a missing value.
        """
        if self.kind == "number":
            return np.asarray(np.isnan(self.entries_N))
        if self.kind == "time":
            return np.asarray(self.entries_N == NO_TIME)
        nothing = [level.lower() in MISSING for level in self.levels]
        return np.asarray(np.array([*nothing, True])[self.entries_N])

    @property
    def is_whole(self) -> bool:
        """True of finite whole numbers."""
        if self.kind != "number" or self.bad is not None:
            return False
        return bool(
            (np.isfinite(self.entries_N) & (self.entries_N == np.floor(self.entries_N))).all()
        )

    def text(self, row: int) -> str:
        """The text of a cell."""
        if self.cells is not None:
            return str(self.cells[row]).strip()
        entry = self.entries_N[row]
        if self.kind == "label":
            return self.levels[entry] if entry >= 0 else ""
        if self.kind == "number":
            return str(int(entry)) if entry.is_integer() else f"{entry:g}"
        unit = "s" if entry % DAY else "D"
        return str(np.datetime64(entry, "ns").astype(f"datetime64[{unit}]")).replace("T", " ")

    def as_labels(self) -> Column:
        """The column as labels: an id 007 is not 7."""
        if self.kind == "label":
            return self
        texts = map(self.text, range(len(self.entries_N))) if self.cells is None else self.cells
        cells = zip(texts, self.missing_N, strict=True)
        return label_column(self.name, ("" if none else text.strip() for text, none in cells))


def label_column(name: str, cells: Iterable[str | None]) -> Column:
    """A column of labels from cells without white space around them."""
    numbers: dict[str, int] = {}
    codes = [numbers.setdefault(cell, len(numbers)) if cell else -1 for cell in cells]
    return Column(name, "label", np.array(codes, np.int64), tuple(numbers))


@dataclass(frozen=True)
class Table:
    """Columns of equal length.

    Arguments:
        where: source of the table, for messages.
        columns: the columns, in order.
        lines_N: the line of the file on which each row ended; None if rows are counted from 1.
        header: True if the table names its columns.
        notes: remarks of the reader, a line each.
    """

    where: str
    columns: tuple[Column, ...]
    lines_N: NDArray[np.int64] | None = None
    header: bool = True
    notes: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self.columns[0].entries_N) if self.columns else 0

    def numbers(self, column: Column) -> NDArray[np.float64]:
        """The numbers of a column that is to be used.

        Raises:
            DataError: a cell is no number, or infinite.
        """
        wrong = column.bad
        if column.kind != "number":
            row = int((~column.missing_N).argmax())
            wrong = Bad(row, column.text(row), 1)
        if wrong is not None:
            raise DataError(
                f"not a number: {wrong.text[:60]!r}",
                where=self.place(wrong.row, column.name),
                hint="use --missing-values if it marks a missing value, or "
                "name other columns with --value-columns",
            )
        if (infinite := np.isinf(column.entries_N)).any():
            row = int(infinite.argmax())
            raise DataError(
                f"an infinite number: {column.entries_N[row]:g}",
                where=self.place(row, column.name),
                hint="use --missing-values inf to treat it as missing",
            )
        return column.entries_N

    def line(self, row: int) -> str:
        """The line of a row, as "line 17"."""
        return f"row {row + 1}" if self.lines_N is None else f"line {self.lines_N[row]}"

    def place(self, row: int, column: str | None = None) -> str:
        """The place of a cell for messages: file, line and column."""
        named = f", column {column!r}" if column is not None else ""
        return f"{self.where}, {self.line(row)}{named}" if self.rows else self.where


def listed(columns: Iterable[Column | str], most: int = 8) -> str:
    """The names of columns in quotation marks."""
    names = [column if isinstance(column, str) else column.name for column in columns]
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(map(repr, names[:most])) + more
