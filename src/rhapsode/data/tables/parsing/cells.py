"""Columns of text: numbers, times or labels, found by their cells."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rhapsode.data.tables.parsing.columns import TIME_NAMES, Bad, Column, plain_name
from rhapsode.data.tables.parsing.numerals import WORDS, few_flags, is_missing, parse_numbers
from rhapsode.data.tables.parsing.stamps import are_stamps, time_column
from rhapsode.data.tables.settings import SeriesSettings

if TYPE_CHECKING:
    import polars as pl

NUMBER = r"[+-]?\d{1,3}(?:[., ']\d{3})+(?:[.,]\d*)?|[+-]?\d*[.,]?\d+(?:[eE][+-]?\d+)?|[+-]?\d+[.,]"
"""Pattern of plain numbers."""
_MARK = r"^[(\[]?(?:[\p{L}\p{P}\p{S}]{1,2}|\p{L}/\p{L})[)\]]?$"  # X, (D), ** and the like
_FEW_MARKS = 3
_UNIT = r"\d\s*([\p{L}°][\p{L}\d°/²³^·]*)$"  # kWh, °C, km/h
_YEAR_MONTH = r"^(?:19|20)\d\d\.(?:0[1-9]|1[0-2])$"


def column_of(
    name: str,
    cells: pl.Series,
    decimal: str,
    settings: SeriesSettings,
    plain: pl.Series | None = None,
) -> Column:
    """A column of texts as numbers, times or labels."""
    missing = settings.missing_values
    if name in settings.id_column:
        return label_column(name, cells)
    head = cells.drop_nulls().head(200)
    # 01.2020 is a month in a column of times, and 2020.01 if no other numbers stand there.
    named = plain_name(name) in TIME_NAMES
    months = named and head.str.contains(r"^\d?\d\.\d{4}$").all()
    months |= (named or len(head) > 5) and head.str.contains(_YEAR_MONTH).all()
    few = not months and 2 * int(parse_numbers(head, decimal, missing)[1].sum()) <= len(head)
    part = (cells, plain) if few else (head, None)
    values, wrong = parse_numbers(part[0], decimal, missing, plain=part[1])
    if few and not wrong.any():
        return Column(name, "number", values, cells)
    named = name in {*settings.value_columns, *settings.known}
    if not named and (times := time_column(name, cells, settings)) is not None:
        return times
    if few_flags(cells):
        bare, odd = parse_numbers(cells, decimal, missing, flags=True)
        if not odd.any():
            left = "flags beside numbers, such as 4.5 p or 12 [r], are left out"
            return Column(name, "number", bare, cells, notes=(left,))
    signed, odd = parse_numbers(cells, decimal, missing, decorated=True)
    words = not WORDS.keys().isdisjoint(head.str.strip_chars().str.to_lowercase())
    if not odd.any() and (named or not words):
        signs = "numbers read without their signs of currency, percent or magnitude"
        told = f"column {name!r}: {'true and false read as 1 and 0' if words else signs}"
        return Column(name, "number", signed, cells, notes=(told,))
    units = cells.str.strip_chars().str.extract(_UNIT).drop_nulls().unique()
    if len(units) == 1:
        bare = cells.str.strip_chars().str.strip_suffix(units[0])
        bare, odd = parse_numbers(bare, decimal, missing)
        if not odd.any():
            told = f"column {name!r}: numbers read without their unit, {units[0]}"
            return Column(name, "number", bare, cells, notes=(told,))
    total = int(wrong.sum())
    if few and 2 * total < total + values.count():
        marks = cells.filter(wrong).str.strip_chars().unique(maintain_order=True)
        if len(marks) <= _FEW_MARKS and marks.str.contains(_MARK).all():
            told = f"{', '.join(map(repr, marks))} among numbers: read as missing values"
            return Column(name, "number", values, cells, notes=(told,))
        row = int(wrong.arg_max() or 0)
        return Column(name, "number", values, cells, Bad(row, cells[row].strip(), total))
    return label_column(name, cells)


def label_column(name: str, cells: pl.Series) -> Column:
    """A column of labels."""
    text = cells.str.strip_chars()
    return Column(name, "label", text.set(text == "", None), cells)


def texts(cells: Sequence[str]) -> pl.Series:
    """Cells of text, halves of surrogate pairs replaced."""
    import polars as pl

    try:
        return pl.Series(cells, dtype=pl.String)
    except UnicodeEncodeError:
        return pl.Series([cell.encode("utf-8", "replace").decode() for cell in cells])


def cell_kinds(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """The form of each cell: nothing, number, time or label."""
    import polars as pl

    cells = texts([cell.strip() for row in rows for cell in row])
    kinds = pl.select(
        pl.when(is_missing(cells, ())).then(pl.lit("nothing"))
        .when(cells.str.contains(f"^(?:{NUMBER})$")).then(pl.lit("number"))
        .when(are_stamps(cells)).then(pl.lit("time")).otherwise(pl.lit("label"))
    ).to_series().to_list()  # fmt: skip
    named = iter(kinds)
    return [list(itertools.islice(named, len(row))) for row in rows]


def commonest(kinds: Sequence[str]) -> str:
    """The commonest form among cells that hold something."""
    there = [kind for kind in kinds if kind != "nothing"]
    return Counter(there).most_common(1)[0][0] if there else "nothing"
