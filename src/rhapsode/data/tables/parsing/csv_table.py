"""Tables from CSV, TSV and similar text.

Header, comments, number format and kinds of columns are detected.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from rhapsode.data.sources.fields.record_tables import CsvRows, parsed, usual_width
from rhapsode.data.tables.parsing.columns import (
    ID_NAMES,
    Bad,
    Column,
    Table,
    label_column,
    plain_name,
)
from rhapsode.data.tables.parsing.numerals import (
    NumberFormat,
    find_format,
    is_missing,
    parse_numbers,
)
from rhapsode.data.tables.parsing.stamps import are_all_stamps, are_stamps, parse_stamps, texts
from rhapsode.data.tables.settings import SeriesSettings
from rhapsode.errors import DataError

if TYPE_CHECKING:
    import polars as pl


Row = tuple[list[str], int]

_BLOCK = 50_000
"""Rows that are turned into columns at a time, and that settle what a column holds."""
_JUDGED = 100
_FOOTER = 5
_NUMBER = re.compile(
    r"[+-]?\d{1,3}(?:[., ']\d{3})+(?:[.,]\d*)?|[+-]?\d*[.,]?\d+(?:[eE][+-]?\d+)?|[+-]?\d+[.,]"
)
_YEAR = re.compile(r"1[6-9]\d\d|2[01]\d\d")


def csv_table(
    opened: Callable[[], Iterator[str]],
    where: str,
    settings: SeriesSettings,
    *,
    tabs: bool = False,
) -> Table:
    """Read a table from text.

    Arguments:
        opened: gives its text in chunks.
        where: its name, for messages.
        settings: `header`, `decimal`, `dates`, `missing_values` and the names of columns are used.
        tabs: True if tabs separate the cells.

    Raises:
        DataError: there is no row in it, a quotation mark is left open, or a row is too long.
        MissingExtraError: polars is not installed.
    """
    texts([])
    import polars as pl

    reader = CsvRows(opened(), where, "\t" if tabs else None, numbers=True)
    notes: list[str] = []
    rows = iter(reader)
    first = _first_row(rows, reader, where, notes)
    names, kept, header = _header(first, rows, reader, settings, notes)
    lacking: list[str] = []
    body = _even(itertools.chain(kept, rows), len(names), where, reader.delimiter, lacking)
    blocks, lines = [], []
    while block := list(itertools.islice(body, _BLOCK)):
        blocks.append([texts(cells) for cells in zip(*(row for row, _ in block), strict=True)])
        lines.append(np.array([line for _, line in block]))
    if not blocks:
        raise DataError("a table without rows", where=where)
    cells = [pl.concat(parts) for parts in zip(*blocks, strict=True)]
    form = _number_format(cells, reader.delimiter, settings, notes)
    notes.extend(lacking)
    columns, signs = [], []
    for name, texts_N in zip(names, cells, strict=True):
        column, decoration = _column(name, texts_N, form, settings)
        nameless = not name or not header
        if nameless and column.kind == "number" and not column.bad and column.missing_N.all():
            continue
        columns.append(column)
        if decoration == "signs":
            what = "numbers read without their signs of currency, percent or magnitude"
            signs.append(f"column {name!r}: {what}")
    if dropped := len(names) - len(columns):
        notes.append(f"{dropped} empty column{'s' if dropped > 1 else ''} left out")
    return Table(where, tuple(columns), np.concatenate(lines), header, (*notes, *signs))


def _first_row(rows: Iterator[Row], reader: CsvRows, where: str, notes: list[str]) -> Row:
    usual, passed = usual_width(reader.sample), 0
    for row, line in rows:
        filled = sum(bool(cell.strip()) for cell in row)
        if filled and len(row) < usual and passed < 30 and (filled == 1 or 2 * filled <= usual):
            passed += 1
        elif filled:
            if passed:
                plural = "s" if passed > 1 else ""
                notes.append(f"{passed} line{plural} before the table skipped")
            return row, line
    raise DataError("the table is empty", where=where)


def _header(
    first: Row, rows: Iterator[Row], reader: CsvRows, settings: SeriesSettings, notes: list[str]
) -> tuple[list[str], list[Row], bool]:
    row, sample = first[0], reader.sample
    place = next((number for number, other in enumerate(sample) if other == row), len(sample))
    below = sample[place + 1 : place + 1 + _JUDGED]
    kinds = _cell_kinds([row, *below])
    columns = itertools.islice(itertools.zip_longest(*kinds, fillvalue="nothing"), len(row))
    usual = [_commonest(column[1:]) for column in columns]
    if settings.header == "yes" or (
        settings.header == "auto" and _is_header(row, kinds[0], below, usual)
    ):
        more = 0
        for under in kinds[1:4]:
            # Units and the like: text over numbers and times, and neither of them.
            over = [theirs for mine, theirs in zip(under, usual, strict=False) if mine == "label"]
            if {"number", "time"} & set(under) or not {"number", "time"} & set(over):
                break
            more += 1
        for other, line in itertools.islice(rows, more):
            listed = ", ".join(cell.strip() for cell in other if cell.strip())
            notes.append(f"line {line}, another header row, skipped: {listed[:80]}")
        return _names(row), [], True
    above = parsed([text.lstrip("# \t") for text in reader.comments[-1:]], reader.delimiter)
    if settings.header == "auto" and len(row) > 1 and above and len(above[0]) == len(row):
        return _names(above[0]), [first], True
    notes.append("no header: columns are numbered")
    width = max(len(row), usual_width(sample))
    return [f"column {number}" for number in range(1, width + 1)], [first], False


def _even(
    rows: Iterator[Row], width: int, where: str, delimiter: str, notes: list[str]
) -> Iterator[Row]:
    """Rows of equal length.

    Empty rows and lone texts below the table are left out.
    """
    short = 0
    lone: list[Row] = []
    for row, line in itertools.chain(rows, [([], 0)]):
        if len(row) == 1 < width and any(map(str.isalpha, row[0])):
            lone.append((row, line))
            continue
        if row or len(lone) > _FOOTER:
            short += len(lone)
            yield from ((text + [""] * (width - 1), before) for text, before in lone)
            lone.clear()
        if len(row) == width and (row[0].strip() or any(map(str.strip, row))):
            yield row, line
            continue
        extra = next((cell for cell in row[width:] if cell.strip()), None)
        if extra is not None:
            commas = delimiter == "," and all(map(_NUMBER.fullmatch, map(str.strip, row[-2:])))
            raise DataError(
                f"{len(row)} cells in a table of {width} columns, {extra[:40]!r} too many",
                where=f"{where}, line {line}",
                hint="put cells that hold the delimiter in quotation marks"
                + (", as numbers with decimal commas" if commas else ""),
            )
        if any(map(str.strip, row)):
            short += len(row) < width
            yield (row + [""] * (width - len(row)))[:width], line
    if lone:
        (row, line), more = lone[0], "" if len(lone) == 1 else f" and {len(lone) - 1:,} more"
        notes.append(f"line {line}, below the table, skipped: {row[0].strip()[:80]}{more}")
    if short:
        notes.append(
            f"{short:,} row{'s are' if short > 1 else ' is'} shorter than the others: "
            "the absent cells count as missing"
        )


def _number_format(
    columns: Sequence[pl.Series], delimiter: str, settings: SeriesSettings, notes: list[str]
) -> NumberFormat:
    if settings.decimal != "auto":
        return NumberFormat("," if settings.decimal == "comma" else ".")
    sample = [cell for cells in columns for cell in cells.head(2000)]
    found = find_format(texts(sample), delimiter)
    if found.doubtful:
        meant, other = (
            ("decimal commas", "point")
            if found.decimal == ","
            else ("thousands separators", "comma")
        )
        notes.append(f"commas in numbers are read as {meant}; otherwise use --decimal {other}")
    elif found.decimal == ",":
        notes.append("numbers have decimal commas")
    elif found.grouped:
        notes.append("commas in numbers separate thousands")
    return found


def _column(
    name: str, cells: pl.Series, form: NumberFormat, settings: SeriesSettings
) -> tuple[Column, str]:
    missing = frozenset(settings.missing_values)
    kind, decoration = _settle_kind(name, cells.head(_BLOCK), form, settings)
    if kind == "number":
        values_N, wrong_N = parse_numbers(cells, form, missing, decoration)
        bad = None
        if wrong_N.any():
            row = int(wrong_N.argmax())
            bad = Bad(row, cells[row].strip(), int(wrong_N.sum()))
        kept = cells if plain_name(name) in ID_NAMES else None
        return Column(name, kind, values_N, cells=kept, bad=bad), decoration
    text = cells.str.strip_chars()
    if kind == "label":
        return label_column(name, text), ""
    moments = parse_stamps(cells, is_missing(text, missing), settings.dates)
    return Column(name, kind, moments.times_N, cells=cells, moments=moments), ""


def _settle_kind(
    name: str, cells: pl.Series, form: NumberFormat, settings: SeriesSettings
) -> tuple[Literal["number", "time", "label"], str]:
    """Kind of a column, and the decoration of its numbers.

    The first cells determine both.
    """
    if name in settings.id_column:
        return "label", ""
    named = name in (*settings.value_columns, *settings.known)
    missing = frozenset(settings.missing_values)
    values_N, wrong_N = parse_numbers(cells, form, missing)
    if not wrong_N.any():
        return "number", ""
    there_N = wrong_N | ~np.isnan(values_N)
    if not named and are_all_stamps(cells.filter(there_N)):
        return "time", ""
    if wrong_N.sum() < 0.5 * there_N.sum():
        return "number", ""
    decoration = "words" if named else "signs"
    if not parse_numbers(cells, form, missing, decoration)[1].any():
        return "number", decoration
    return ("number" if named else "label"), ""


def _cell_kinds(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """The form of each cell: nothing, number, time or label."""
    cells = texts([cell.strip() for row in rows for cell in row])
    nothing = is_missing(cells, frozenset())
    numbers = cells.str.contains(f"^(?:{_NUMBER.pattern})$").to_numpy()
    kinds = np.where(nothing, "nothing", np.where(numbers, "number", "label"))
    labels = np.flatnonzero(kinds == "label")
    kinds[labels[are_stamps(cells.gather(labels))]] = "time"
    named = iter(kinds.tolist())
    return [list(itertools.islice(named, len(row))) for row in rows]


def _commonest(kinds: Sequence[str]) -> str:
    there = [kind for kind in kinds if kind != "nothing"]
    return Counter(there).most_common(1)[0][0] if there else "nothing"


def _is_header(row: list[str], kinds: list[str], below: list[list[str]], usual: list[str]) -> bool:
    """True if a row names columns.

    It has no number or time above others, except years.
    """
    if "label" not in kinds:
        return False
    plain = {"number", "time"}
    if not plain & set(kinds):
        return True
    clash = {
        mine for mine, theirs in zip(kinds, usual, strict=True) if mine == theirs and mine in plain
    }
    if not below or "time" in clash:
        return False
    if not clash:
        return True
    # "country, 1990, 1991, 1992": years, or numbers that go up by one, name the columns.
    numbers, under = (
        [cell.strip() for cell, kind in zip(cells, kinds, strict=False) if kind == "number"]
        for cells in (row, below[0])
    )
    are_years = [all(map(_YEAR.fullmatch, cells)) for cells in (numbers, under)]
    return _counts_up(numbers) and (not _counts_up(under) or are_years == [True, False])


def _counts_up(cells: list[str]) -> bool:
    if not all(map(str.isdigit, cells)):
        return False
    steps = {int(after) - int(before) for before, after in itertools.pairwise(cells)}
    return len(steps) == 1 and steps.pop() > 0


def _names(row: list[str]) -> list[str]:
    names: list[str] = []
    for cell in row:
        plain = " ".join(cell.split()).removeprefix("\N{BYTE ORDER MARK}")
        spellings = itertools.chain([plain], (f"{plain} ({n})" for n in itertools.count(2)))
        names.append(next(name for name in spellings if not plain or name not in names))
    return names
