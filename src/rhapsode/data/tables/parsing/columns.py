"""A table in memory: named columns of numbers, labels or times, and where each row came from."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rhapsode.data.tables.parsing.numerals import MISSING
from rhapsode.data.tables.parsing.stamps import Moments

__all__ = ["Bad", "Column", "Labels", "Numbers", "Stamps", "Table"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Bad:
    """Cells of a column of numbers that are none.

    Arguments:
        row: of the first.
        text: of the first.
        count: how many there are.
    """

    row: int
    text: str
    count: int


@dataclass(frozen=True)
class Numbers:
    """A column of numbers; NaN is missing."""

    name: str
    values_N: Floats
    bad: Bad | None = None


@dataclass(frozen=True)
class Labels:
    """A column of text.

    Arguments:
        name: of the column.
        codes_N: for each row the place of its text among `levels`; -1 where there is none.
        levels: the different texts, by first appearance.
    """

    name: str
    codes_N: NDArray[np.int32]
    levels: tuple[str, ...]

    @property
    def missing_N(self) -> NDArray[np.bool_]:
        """Where nothing stands, or a word for nothing."""
        nothing = np.array([level.strip().lower() in MISSING for level in self.levels] + [True])
        return nothing[self.codes_N]


@dataclass(frozen=True)
class Stamps:
    """A column of times.

    Arguments:
        name: of the column.
        moments: what its cells say.
        cells_N: the cells themselves, where they were text; for messages.
    """

    name: str
    moments: Moments
    cells_N: NDArray[np.bytes_] | None = None


Column = Numbers | Labels | Stamps


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
    notes: tuple[str, ...] = field(default=())

    def place(self, row: int, column: str | None = None) -> str:
        """Where a cell stands, for messages: file, line and column."""
        line = f"row {row + 1}" if self.lines_N is None else f"line {self.lines_N[row]}"
        named = f", column {column!r}" if column is not None else ""
        return f"{self.where}, {line}{named}"

    def line(self, row: int) -> str:
        """The line of a row, as "line 17"."""
        return f"row {row + 1}" if self.lines_N is None else f"line {self.lines_N[row]}"
