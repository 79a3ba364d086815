"""Text to numbers, a column at once: points, commas and thousands; what is missing and what is no number."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["MISSING", "NumberFormat", "Numerals", "amounts_of", "find_format", "parse_numbers"]

MISSING = frozenset(
    {"", "na", "n/a", "#n/a", "nan", "nat", "null", "none", "nil", "-", "--", "?", "."}
)
"""Cells that hold nothing, in lower case."""

_PLAIN = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_INFINITE = re.compile(r"[+-]?(?:inf|infinity|∞)", re.IGNORECASE)
_DASHES = str.maketrans({"\N{MINUS SIGN}": "-", "\N{NO-BREAK SPACE}": " ", "\N{NARROW NO-BREAK SPACE}": " ",
                         "\N{THIN SPACE}": " ", "’": "'"})  # fmt: skip
_SEPARATED = re.compile(r"[+-]?\d[\d.,' ]*(?:[eE][+-]?\d+)?|[+-]?[.,]\d+")


@dataclass(frozen=True)
class NumberFormat:
    """How a table writes its numbers.

    Arguments:
        decimal: what parts the fraction.
        doubtful: whether 1,234 might be meant otherwise, and nothing in the table settles it.
        grouped: whether thousands are parted.
    """

    decimal: str = "."
    doubtful: bool = False
    grouped: bool = False

    @property
    def plain(self) -> Callable[[str], str]:
        """Turns a cell into what `float` reads; what it cannot be stays as it is."""
        comma = self.decimal == ","
        group, point = ("." if comma else ","), self.decimal
        grouped = re.compile(
            rf"[+-]?\d{{1,3}}(?:(?P<by>[{group}' ])\d{{3}})(?:(?P=by)\d{{3}})*(?:{re.escape(point)}\d*)?"
        )

        def turned(cell: str) -> str:
            text = cell.strip().translate(_DASHES)
            if (match := grouped.fullmatch(text)) is not None:
                text = text.replace(match["by"], "")
            elif comma and "." in text:
                return "x"  # a point where thousands are not parted
            return text.replace(",", ".") if comma else text

        return turned


@dataclass(frozen=True)
class Numerals:
    """A column of cells as numbers.

    Arguments:
        values_N: the numbers; NaN where a cell is missing or none.
        wrong_N: the places of cells that are neither numbers nor missing.
        missing: how many cells are missing.
    """

    values_N: NDArray[np.float64]
    wrong_N: NDArray[np.int64]
    missing: int


def find_format(cells: Iterable[str], delimiter: str) -> NumberFormat:
    """How the numbers among some cells are written.

    Arguments:
        cells: from all columns.
        delimiter: what parts the cells of the table: a comma there makes one in a cell likelier to part thousands.
    """
    comma = point = either = grouped = 0
    for cell in cells:
        text = cell.strip().translate(_DASHES)
        if not ("," in text or "." in text) or _SEPARATED.fullmatch(text) is None:
            continue
        commas, points = text.count(","), text.count(".")
        if commas and points:
            last = max(text.rfind(","), text.rfind("."))
            comma, point = comma + (text[last] == ","), point + (text[last] == ".")
            grouped += 1
        elif commas > 1 or points > 1:
            if re.fullmatch(r"[+-]?\d{1,3}(?:([.,])\d{3})(?:\1\d{3})*", text):
                comma, point = comma + (points > 1), point + (commas > 1)
                grouped += 1
        elif points:
            point += re.fullmatch(r"[+-]?[1-9]\d{0,2}\.\d{3}", text) is None
        elif re.fullmatch(r"[+-]?[1-9]\d{0,2},\d{3}", text):
            either += 1
        else:
            comma += 1
    if comma > point:
        return NumberFormat(",", grouped=bool(grouped))
    if not either or point:
        return NumberFormat(".", grouped=bool(grouped or either))
    if delimiter == ",":
        return NumberFormat(".", doubtful=True, grouped=True)
    return NumberFormat(",", doubtful=True)


def parse_numbers(
    cells: Sequence[str],
    number_format: NumberFormat,
    missing: frozenset[str],
) -> Numerals:
    """The numbers of a column.

    Arguments:
        cells: its cells.
        number_format: how its numbers are written.
        missing: further cells that stand for a missing value, as they are written.
    """
    if not missing and number_format.decimal == "." and (fast := _fast(cells)) is not None:
        return fast
    plain = number_format.plain
    values = np.full(len(cells), np.nan)
    wrong: list[int] = []
    count = 0
    absent = amounts_of(missing, plain)
    for place, cell in enumerate(cells):
        text = cell.strip()
        if text.lower() in MISSING or text in missing:
            count += 1
            continue
        turned = text if _PLAIN.fullmatch(text) and number_format.decimal == "." else plain(text)
        if _PLAIN.fullmatch(turned):
            value = float(turned)
            if value in absent:
                count += 1
            else:
                values[place] = value
        elif _INFINITE.fullmatch(turned):
            value = -np.inf if turned.startswith("-") else np.inf
            values[place] = np.nan if value in absent else value
        else:
            wrong.append(place)
    return Numerals(values, np.array(wrong, np.int64), count)


def _fast(cells: Sequence[str]) -> Numerals | None:
    """The same where cells are plain or empty; None where a closer look is needed."""
    joined = "".join(cells)
    # `float` also takes 1_000 and digits of other scripts.
    if "_" in joined or not joined.isascii():
        return None
    empty = 0
    given: Sequence[str] = cells
    try:
        values = np.array(given, dtype=np.float64)
    except ValueError:
        given = ["nan" if cell.strip().lower() in MISSING else cell for cell in cells]
        try:
            values = np.array(given, dtype=np.float64)
        except ValueError:
            return None
    empty = int(np.isnan(values).sum())
    return Numerals(values, np.zeros(0, np.int64), empty)


def amounts_of(missing: Iterable[str], plain: Callable[[str], str] = str.strip) -> frozenset[float]:
    """Those of the cells that stand for a missing value that are numbers: -200 is -200.0 too.

    Arguments:
        missing: the cells.
        plain: as `NumberFormat.plain`.
    """
    amounts = set()
    for text in missing:
        for candidate in (text.strip(), plain(text)):
            if _PLAIN.fullmatch(candidate) or _INFINITE.fullmatch(candidate):
                amounts.add(float(candidate.replace("∞", "inf")))
    return frozenset(amounts)
