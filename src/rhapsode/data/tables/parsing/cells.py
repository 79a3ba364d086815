"""Columns of text: numbers, times or labels, found by their cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rhapsode.data.tables.parsing.columns import TIME_NAMES, Bad, Column, plain_name
from rhapsode.data.tables.parsing.numerals import WORDS, few_flags, parse_numbers
from rhapsode.data.tables.parsing.stamps import time_column
from rhapsode.data.tables.settings import SeriesSettings

if TYPE_CHECKING:
    import polars as pl


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
    # 01.2020 is a month in a column of times.
    months = plain_name(name) in TIME_NAMES and head.str.contains(r"^\d?\d\.\d{4}$").all()
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
    total = int(wrong.sum())
    if few and 2 * total < total + values.count():
        row = int(wrong.arg_max() or 0)
        return Column(name, "number", values, cells, Bad(row, cells[row].strip(), total))
    return label_column(name, cells)


def label_column(name: str, cells: pl.Series) -> Column:
    """A column of labels."""
    text = cells.str.strip_chars()
    return Column(name, "label", text.set(text == "", None), cells)
