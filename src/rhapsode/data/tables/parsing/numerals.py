"""Text to numbers, a column at once: points, commas, thousands, currencies; what is missing and what is no number."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "MISSING",
    "NumberFormat",
    "amounts_of",
    "find_format",
    "is_missing",
    "parse_numbers",
    "undecorated",
]

Bools = NDArray[np.bool_]

MISSING = frozenset(
    {"", "na", "n/a", "#n/a", "nan", "nat", "null", "none", "nil", "-", "--", "?", "."}
)
"""Cells that hold nothing, in lower case."""

_CHARACTERS = {"\N{MINUS SIGN}": "-", "\N{NO-BREAK SPACE}": " ", "\N{NARROW NO-BREAK SPACE}": " ",
               "\N{THIN SPACE}": " ", "’": "'", "∞": "inf"}  # fmt: skip
_EXPONENT = r"(?:[eE][+-]?\d+)?"
_WRITTEN = {
    "point, grouped": r"\d[\d' ]*,[\d,' ]*\.\d*",
    "comma, grouped": r"\d[\d' ]*\.[\d.' ]*,\d*",
    "point, commas": r"\d{1,3}(?:,\d{3}){2,}",
    "comma, points": r"\d{1,3}(?:\.\d{3}){2,}",
    "either": r"[1-9]\d{0,2},\d{3}",
    "neither": r"[1-9]\d{0,2}\.\d{3}",
    "comma": rf"(?:[\d' ]*,\d+|\d[\d' ]*,){_EXPONENT}",
    "point": rf"(?:[\d' ]*\.\d+|\d[\d' ]*\.){_EXPONENT}",
}
_CURRENCY = r"(?:[$€£¥₹₩₽₺฿]|usd|eur|gbp|chf|cny|rmb|jpy|元|円)?"
_DECORATED = (
    rf"(?i)^(?P<open>\()?(?P<sign>[+-])? *{_CURRENCY} *(?P<minus>-)?(?P<number>[\d.,' ]*\d[.,]?) *"
    rf"(?P<scale>%|[kmb]|bn|mio|mrd)? *{_CURRENCY}\)?$"
)
_SCALES = {"k": "e3", "m": "e6", "mio": "e6", "b": "e9", "bn": "e9", "mrd": "e9", "%": ""}
_WORDS = {"true": "1", "yes": "1", "false": "0", "no": "0"}


@dataclass(frozen=True)
class NumberFormat:
    """How a table writes its numbers.

    Arguments:
        decimal: the decimal mark.
        doubtful: whether 1,234 might be meant otherwise, and nothing in the table settles it.
        grouped: whether thousands are parted.
    """

    decimal: str = "."
    doubtful: bool = False
    grouped: bool = False

    def plain(self, text: pl.Series) -> pl.Series:
        """Cells as a cast reads them; what cannot be a number stays none."""
        comma = self.decimal == ","
        group, point = (r"\.", ",") if comma else (",", r"\.")
        groups = "|".join(rf"(?:{by}\d{{3}})+" for by in (group, "'", " "))
        grouped = text.str.contains(rf"^[+-]?\d{{1,3}}(?:{groups})(?:{point}\d*)?(?:e[369])?$")
        joined = text.str.replace_all(rf"[{group}' ]", "")
        # A point where thousands are not parted is no number.
        rest = text.str.replace_all(".", "x", literal=True) if comma else text
        plain = joined.zip_with(grouped, rest)
        return plain.str.replace_all(",", ".", literal=True) if comma else plain


def is_missing(text: pl.Series, missing: frozenset[str]) -> pl.Series:
    """Cells without white space around them that stand for nothing."""
    words = text.str.to_lowercase().is_in([*MISSING])
    return words | text.is_in([*missing]) if missing else words


def undecorated(text: pl.Series, *, words: bool = False) -> pl.Series:
    """Numbers without currency, percent sign, magnitude and accountants' brackets; other cells as they are.

    Arguments:
        text: the cells.
        words: whether true and false, yes and no are 1 and 0.
    """
    import polars as pl

    groups = text.str.replace_many(_CHARACTERS).str.extract_groups(_DECORATED).struct.unnest()
    negative = pl.any_horizontal(pl.col("open", "minus").is_not_null(), pl.col("sign") == "-")
    scale = pl.col("scale").str.to_lowercase().replace_strict(_SCALES, default="")
    sign = pl.when(negative.fill_null(value=False)).then(pl.lit("-")).otherwise(pl.lit(""))
    number = groups.select(sign + pl.col("number").str.strip_chars() + scale.fill_null(""))
    plain = number.to_series().zip_with(groups["number"].is_not_null(), text)
    return plain.str.to_lowercase().replace(_WORDS) if words else plain


def find_format(cells: pl.Series, delimiter: str) -> NumberFormat:
    """How the numbers among some cells are written.

    Arguments:
        cells: from all columns.
        delimiter: what parts the cells of the table: a comma there makes one in a cell likelier to part thousands.
    """
    text = undecorated(cells.str.strip_chars())
    count = dict.fromkeys(_WRITTEN, 0)
    for name, pattern in _WRITTEN.items():
        found = text.str.contains(rf"^[+-]?(?:{pattern})$")
        count[name], text = int(found.sum()), text.filter(~found)
    comma = sum(count[name] for name in ("comma", "comma, grouped", "comma, points"))
    point = sum(count[name] for name in ("point", "point, grouped", "point, commas"))
    grouped = any(count[name] for name in _WRITTEN if ", " in name)
    if comma > point:
        return NumberFormat(",", grouped=grouped)
    if not count["either"] or point:
        return NumberFormat(".", grouped=grouped or bool(count["either"]))
    if delimiter == ",":
        return NumberFormat(".", doubtful=True, grouped=True)
    return NumberFormat(",", doubtful=True)


def parse_numbers(
    cells: pl.Series, form: NumberFormat, missing: frozenset[str], decoration: str = ""
) -> tuple[NDArray[np.float64], Bools, Bools]:
    """The numbers of a column.

    Arguments:
        cells: its cells.
        form: how its numbers are written.
        missing: further cells that stand for a missing value, as they are written.
        decoration: "signs" reads currencies and the like, "words" also true and false.

    Returns:
        The numbers, NaN where a cell is missing or none; which cells are neither; which are missing.
    """
    import polars as pl

    first = cells.cast(pl.Float64, strict=False)
    values = first.to_numpy().copy()
    rest = (
        np.arange(len(cells)) if form.decimal == "," else np.flatnonzero(first.is_null().to_numpy())
    )
    text = cells.gather(rest).str.strip_chars()
    nothing = is_missing(text, missing).to_numpy()
    if decoration:
        text = undecorated(text, words=decoration == "words")
    plain = form.plain(text.str.replace_many(_CHARACTERS)).cast(pl.Float64, strict=False)
    values[rest] = np.where(nothing, np.nan, plain.to_numpy())
    wrong_N = np.zeros(len(cells), bool)
    wrong_N[rest] = plain.is_null().to_numpy() & ~nothing
    if missing:
        values[np.isin(values, [*amounts_of(missing, form.decimal)])] = np.nan
    return values, wrong_N, np.isnan(values) & ~wrong_N


def amounts_of(missing: Iterable[str], decimal: str = ".") -> frozenset[float]:
    """Those of the cells that stand for a missing value that are numbers: -200 is -200.0 too.

    Arguments:
        missing: the cells.
        decimal: a decimal mark beside the point.
    """
    amounts = set()
    for text in missing:
        with contextlib.suppress(ValueError):
            amounts.add(float(re.sub(r"\s|_", "x", text.strip()).replace(decimal, ".")))
    return frozenset(amounts)
