"""Conversion of text to numbers, a column at a time.

Decimal marks, thousands, currencies and missing cells are recognised.
"""

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
    """The format of a table's numbers.

    Arguments:
        decimal: the decimal mark.
        doubtful: True if nothing in the table settles the meaning of 1,234.
        grouped: True if thousands are separated.
    """

    decimal: str = "."
    doubtful: bool = False
    grouped: bool = False

    def plain(self, text: pl.Series) -> pl.Series:
        """Cells in the form that a cast to numbers reads.

        Other texts remain texts that are no numbers.
        """
        comma = self.decimal == ","
        group, point = (r"\.", ",") if comma else (",", r"\.")
        groups = "|".join(rf"(?:{by}\d{{3}})+" for by in (group, "'", " "))
        grouped = text.str.contains(rf"^[+-]?\d{{1,3}}(?:{groups})(?:{point}\d*)?(?:e[369])?$")
        joined = text.str.replace_all(rf"[{group}' ]", "")
        # A point where thousands are not parted is no number.
        rest = text.str.replace_all(".", "x", literal=True) if comma else text
        plain = joined.zip_with(grouped, rest)
        return plain.str.replace_all(",", ".", literal=True) if comma else plain


def is_missing(text: pl.Series, missing: frozenset[str]) -> Bools:
    """Mask of the cells that stand for a missing value.

    Cells have no white space around them.
    """
    words = text.str.to_lowercase().is_in([*MISSING])
    return (words | text.is_in([*missing]) if missing else words).to_numpy()


def _undecorated(text: pl.Series, *, words: bool = False) -> pl.Series:
    """Numbers without currency, percent sign, magnitude and accountants' brackets.

    Arguments:
        text: the cells; those that are no such numbers stay as they are.
        words: True to read true and yes as 1, false and no as 0.
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
    """The format of the numbers among some cells.

    Arguments:
        cells: cells of all columns.
        delimiter: of the table; if it is a comma, one in a cell likely separates thousands.
    """
    text = _undecorated(cells.str.strip_chars())
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
) -> tuple[NDArray[np.float64], Bools]:
    """The numbers of a column.

    Arguments:
        cells: its cells.
        form: format of its numbers.
        missing: further cells that stand for a missing value.
        decoration: "signs" reads currencies and the like, "words" also true and false.

    Returns:
        The numbers, NaN if missing or no number; a mask of the cells that are no numbers.
    """
    import polars as pl

    direct = cells.cast(pl.Float64, strict=False)
    values_N, wrong_N = direct.to_numpy().copy(), np.zeros(len(cells), bool)
    rest = np.flatnonzero(direct.is_null() | (form.decimal == ","))
    text = cells.gather(rest).str.strip_chars()
    nothing = is_missing(text, missing)
    if decoration:
        text = _undecorated(text, words=decoration == "words")
    plain = form.plain(text.str.replace_many(_CHARACTERS)).cast(pl.Float64, strict=False)
    values_N[rest] = np.where(nothing, np.nan, plain.to_numpy())
    wrong_N[rest] = plain.is_null().to_numpy() & ~nothing
    if missing:
        values_N[np.isin(values_N, amounts_of(missing, form.decimal))] = np.nan
    return values_N, wrong_N


def amounts_of(missing: Iterable[str], decimal: str = ".") -> list[float]:
    """Numbers among the cells that stand for a missing value.

    Their spelling does not matter: -200 is -200.0 too.
    """
    amounts = []
    for text in missing:
        with contextlib.suppress(ValueError):
            amounts.append(float(re.sub(r"\s|_", "x", text.strip()).replace(decimal, ".")))
    return amounts
