"""Conversion of text to numbers, a column at a time.

Decimal marks, thousands, currencies and missing cells are recognised.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

MISSING = frozenset({
    "", "na", "n/a", "n.a.", "n.d.", "k.a.", "#n/a", "#div/0!", "#value!", "#ref!", "nan", "nat",
    "null", "(null)", "none", "nil", "unavailable", "unknown", "no data", "-", "--", "---", "?",
    ".", "..", "...", ":", "***",
})  # fmt: skip
"""Cells that hold nothing, in lower case."""

_CHARACTERS = {"\N{MINUS SIGN}": "-", "\N{NO-BREAK SPACE}": " ", "\N{NARROW NO-BREAK SPACE}": " ",
               "\N{THIN SPACE}": " ", "’": "'", "∞": "inf"}  # fmt: skip
_EXPONENT = r"(?:[eE][+-]?\d+)?"
# Forms of numbers in the order in which they are tried, and the decimal mark that each tells.
_WRITTEN = (
    (".", True, r"\d[\d' ]*,[\d,' ]*\.\d*"),
    (",", True, r"\d[\d' ]*\.[\d.' ]*,\d*"),
    (".", True, r"\d{1,3}(?:,\d{3}){2,}"),
    (",", True, r"\d{1,3}(?:\.\d{3}){2,}"),
    ("either", True, r"[1-9]\d{0,2},\d{3}"),
    ("neither", False, r"[1-9]\d{0,2}\.\d{3}"),
    (",", False, rf"(?:[\d' ]*,\d+|\d[\d' ]*,){_EXPONENT}"),
    (".", False, rf"(?:[\d' ]*\.\d+|\d[\d' ]*\.){_EXPONENT}"),
)
_CURRENCY = r"(?:[A-Za-z]{0,3}[$€£¥₹₩₽₺฿]|usd|eur|gbp|chf|cny|rmb|jpy|inr|元|円|kr)?"
_DECORATED = (
    rf"(?i)^(?P<open>\()?(?P<sign>[+-])? *{_CURRENCY} *(?P<minus>-)?(?P<number>[\d.,' ]*\d[.,]?) *"
    rf"(?P<scale>%|‰|[kmbt]|tsd|mio|mln|bn|mrd|万|亿)?\.? *{_CURRENCY}\)?$"
)
_FLAG = r"(?i)(?: +| *[\[(])(?:[a-z]{1,2}|\*+|†|‡)[\])]?$|^\[[a-z]{1,2}\]$|[*†‡#¹²³]+$"
_SCALES = {"k": "e3", "tsd": "e3", "万": "e4", "m": "e6", "mio": "e6", "mln": "e6", "亿": "e8",
           "b": "e9", "bn": "e9", "mrd": "e9", "t": "e12"}  # fmt: skip
WORDS = {"true": "1", "yes": "1", "y": "1", "false": "0", "no": "0", "n": "0"}
"""Words that stand for one and zero."""


def is_missing(text: pl.Series, missing: Iterable[str]) -> pl.Series:
    """Mask of the stripped cells that stand for a missing value."""
    return text.is_null() | text.str.to_lowercase().is_in([*MISSING]) | text.is_in([*missing])


def find_decimal_mark(cells: pl.Series, delimiter: str) -> tuple[str, list[str]]:
    """The decimal mark of the numbers among some cells, and a remark."""
    text = _undecorated(cells.str.strip_chars().drop_nulls())
    count = dict.fromkeys((".", ",", "either", "neither"), 0)
    grouped = False
    for mark, parted, pattern in _WRITTEN:
        hits = text.str.contains(rf"^[+-]?(?:{pattern})$")
        count[mark] += int(hits.sum())
        grouped |= parted and bool(hits.any())
        text = text.filter(~hits)
    if count[","] > count["."]:
        return ",", ["numbers have decimal commas"]
    if count["."] or not count["either"]:
        return ".", ["commas in numbers separate thousands"] * grouped
    decimal, meant, other = (
        (".", "thousands separators", "comma")
        if delimiter == ","
        else (",", "decimal commas", "point")
    )
    return decimal, [f"commas in numbers are read as {meant}; otherwise use --decimal {other}"]


def _undecorated(text: pl.Series) -> pl.Series:
    """Numbers without currency, percent sign, magnitude and accountants' brackets."""
    import polars as pl

    groups = text.str.replace_many(_CHARACTERS).str.extract_groups(_DECORATED).struct.unnest()
    negative = pl.any_horizontal(pl.col("open", "minus").is_not_null(), pl.col("sign") == "-")
    scale = pl.col("scale").str.to_lowercase().replace_strict(_SCALES, default="").fill_null("")
    sign = pl.when(negative.fill_null(value=False)).then(pl.lit("-")).otherwise(pl.lit(""))
    number = groups.select(sign + pl.col("number").str.strip_chars() + scale).to_series()
    return number.zip_with(groups["number"].is_not_null(), text)


def _cast(text: pl.Series, decimal: str) -> pl.Series:
    """Numbers in a format; null for other cells."""
    import polars as pl

    group, point = (r"\.", ",") if decimal == "," else (",", r"\.")
    groups = "|".join(rf"(?:{by}\d{{3}})+" for by in (group, "'", " "))
    grouped = text.str.contains(rf"^[+-]?\d{{1,3}}(?:{groups})(?:{point}\d*)?(?:e\d+)?$")
    joined = text.str.replace_all(rf"[{group}' ]", "")
    if decimal == ",":  # a point where thousands are not parted is no number
        text = text.str.replace_all(".", "x", literal=True)
        joined, text = (part.str.replace_all(",", ".", literal=True) for part in (joined, text))
    return joined.zip_with(grouped, text).cast(pl.Float64, strict=False)


def parse_numbers(
    cells: pl.Series,
    decimal: str,
    missing: tuple[str, ...],
    *,
    decorated: bool = False,
    flags: bool = False,
    plain: pl.Series | None = None,
) -> tuple[pl.Series, pl.Series]:
    """The numbers of a column."""
    import polars as pl

    values = cells.cast(pl.Float64, strict=False) if plain is None else plain
    rest = (values.is_null() | (decimal == ",")) & cells.is_not_null()
    wrong = pl.zeros(len(cells), pl.Boolean, eager=True)
    if rest.any():
        text = cells.filter(rest).str.strip_chars()
        if flags:
            text = text.str.replace(_FLAG, "").str.strip_chars()
        nothing = is_missing(text, missing)
        if decorated:
            percent = text.str.contains("[%‰]$")
            whole = len(cells) - cells.null_count() - int(nothing.sum())
            text = _undecorated(text.str.to_lowercase().replace(WORDS))
            if 0 < percent.sum() < whole:
                text = text.set(percent, "%")
        found = _cast(text.str.replace_many(_CHARACTERS), decimal).set(nothing, None)
        rows = rest.arg_true()
        values = values.scatter(rows, found)
        wrong = wrong.scatter(rows, found.is_null() & ~nothing)
    values = values.fill_nan(None)
    if missing:
        values = values.set(values.is_in(amounts_of(missing, decimal)), None)
    return values, wrong


def few_flags(cells: pl.Series) -> bool:
    """True if flags stand beside numbers that are no signs of magnitude."""
    found = cells.str.strip_chars().str.extract(f"({_FLAG})")
    flags = found.str.strip_chars(" []()").str.to_lowercase().drop_nulls()
    if len(flags) < cells.count():
        return bool(len(flags))
    return flags.n_unique() == 1 and not flags.is_in([*_SCALES]).any()


def amounts_of(missing: Iterable[str], decimal: str = ".") -> list[float]:
    """Numbers among the cells that stand for a missing value.

    Their spelling does not matter: -200 is -200.0 too.
    """
    amounts = []
    for text in missing:
        with contextlib.suppress(ValueError):
            amounts.append(float(re.sub(r"\s|_", "x", text.strip()).replace(decimal, ".")))
    return amounts
