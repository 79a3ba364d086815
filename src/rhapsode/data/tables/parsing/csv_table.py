"""CSV, TSV and their like to a table: header, comments, decimal commas, columns of numbers, times and labels.

Rows are turned into arrays a block at a time; memory holds the arrays and one block.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from rhapsode.data.sources.fields.record_tables import CsvRows, parsed, usual_width
from rhapsode.data.tables.parsing.columns import ID_NAMES, Bad, Table, plain_name
from rhapsode.data.tables.parsing.numerals import (
    NumberFormat,
    find_format,
    is_missing,
    parse_numbers,
)
from rhapsode.data.tables.parsing.stamps import are_stamps, as_bytes, parse_stamps, understood
from rhapsode.data.tables.settings import SeriesSettings
from rhapsode.errors import DataError

if TYPE_CHECKING:
    import polars as pl

__all__ = ["csv_table"]

Row = tuple[list[str], int]

_BLOCK = 50_000
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
    """The table that a text holds.

    Arguments:
        opened: gives its text in chunks.
        where: its name, for messages.
        settings: `header`, `decimal`, `dates`, `missing_values` and the names of columns are used.
        tabs: whether tabs part its cells, whatever it looks like.

    Raises:
        DataError: there is no row in it, a quotation mark is left open, or a row is too long.
        MissingExtraError: the reader of cells is not installed.
    """
    as_bytes([])
    import polars as pl

    reader = CsvRows(opened(), where, "\t" if tabs else None, numbers=True)
    notes: list[str] = []
    rows = iter(reader)
    first = _first_row(rows, reader, where, notes)
    names, kept, header = _header(first, rows, reader, settings, notes)
    lacking: list[str] = []
    body = _even(itertools.chain(kept, rows), len(names), where, reader.delimiter, lacking)
    builders: list[_Builder] = []
    lines: list[np.ndarray[tuple[int], np.dtype[np.int64]]] = []
    count = 0
    while block := list(itertools.islice(body, _BLOCK)):
        cells = [as_bytes(column) for column in zip(*(row for row, _ in block), strict=True)]
        if not builders:
            form = _number_format(cells, reader.delimiter, settings, notes)
            builders = [
                _Builder(name, column, form, settings)
                for name, column in zip(names, cells, strict=True)
            ]
        for builder, column in zip(builders, cells, strict=True):
            builder.add(column, count)
        lines.append(np.array([line for _, line in block]))
        count += len(block)
    if not lines:
        raise DataError("a table without rows", where=where)
    notes.extend(lacking)
    nameless = {"", *(names if not header else ())}
    used = [builder for builder in builders if not (builder.name in nameless and builder.is_empty)]
    if dropped := len(builders) - len(used):
        notes.append(f"{dropped} empty column{'s' if dropped > 1 else ''} left out")
    texts = {place: builder.text for place, builder in enumerate(used) if builder.cells}
    moments = {}
    columns = []
    for place, builder in enumerate(used):
        if builder.kind == "number":
            columns.append(pl.concat(builder.numbers))
            if builder.decoration == "signs":
                what = "numbers read without their signs of currency, percent or magnitude"
                notes.append(f"column {builder.name!r}: {what}")
        elif builder.kind == "time":
            nothing = is_missing(texts[place].str.strip_chars(), frozenset(settings.missing_values))
            moments[place] = parse_stamps(texts[place], nothing.to_numpy(), settings.dates)
            columns.append(moments[place].times)
        else:
            columns.append(texts.pop(place).str.strip_chars().replace("", None))
    bad = {place: builder.bad for place, builder in enumerate(used) if builder.bad}
    return Table(
        where, tuple(builder.name for builder in used), tuple(columns), texts, moments, bad,
        np.concatenate(lines), header, tuple(notes),
    )  # fmt: skip


def _first_row(rows: Iterator[Row], reader: CsvRows, where: str, notes: list[str]) -> Row:
    """The first row of the table; what stands before it is passed over."""
    usual, passed = usual_width(reader.sample), 0
    for row, line in rows:
        filled = sum(bool(cell.strip()) for cell in row)
        if filled and len(row) < usual and passed < 30 and (filled == 1 or 2 * filled <= usual):
            passed += 1
        elif filled:
            if passed:
                plural = "s" if passed > 1 else ""
                notes.append(f"{passed} line{plural} before the table passed over")
            return row, line
    raise DataError("there is nothing in it", where=where)


def _header(
    first: Row, rows: Iterator[Row], reader: CsvRows, settings: SeriesSettings, notes: list[str]
) -> tuple[list[str], list[Row], bool]:
    """The names of columns, rows that were read in looking for them, and whether the table has them."""
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
            notes.append(f"line {line}, a further row of headings, passed over: {listed[:80]}")
        return _names(row), [], True
    above = parsed([text.lstrip("# \t") for text in reader.comments[-1:]], reader.delimiter)
    if settings.header == "auto" and len(row) > 1 and above and len(above[0]) == len(row):
        return _names(above[0]), [first], True
    notes.append("no header: columns are named by their place")
    width = max(len(row), usual_width(sample))
    return [f"column {number}" for number in range(1, width + 1)], [first], False


def _even(
    rows: Iterator[Row], width: int, where: str, delimiter: str, notes: list[str]
) -> Iterator[Row]:
    """Rows of equal length; those without any filled cell and lone texts below them are left out."""
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
        notes.append(f"line {line}, below the table, passed over: {row[0].strip()[:80]}{more}")
    if short:
        notes.append(
            f"{short:,} row{'s are' if short > 1 else ' is'} shorter than the others: "
            "the cells that lack count as missing"
        )


def _number_format(
    columns: Sequence[pl.Series], delimiter: str, settings: SeriesSettings, notes: list[str]
) -> NumberFormat:
    if settings.decimal != "auto":
        return NumberFormat("," if settings.decimal == "comma" else ".")
    found = find_format(
        as_bytes([cell for cells in columns for cell in cells.head(2000)]), delimiter
    )
    if found.doubtful:
        meant, other = ("a fraction", "point") if found.decimal == "," else ("thousands", "comma")
        notes.append(f"a comma in a number is taken to part {meant}; if not: --decimal {other}")
    elif found.decimal == ",":
        notes.append("numbers have decimal commas")
    elif found.grouped:
        notes.append("a comma in a number parts thousands")
    return found


class _Builder:
    """One column in the making; the first cells settle what it holds."""

    def __init__(
        self, name: str, cells: pl.Series, form: NumberFormat, settings: SeriesSettings
    ) -> None:
        self.name = name
        self.decoration = ""
        self.cells: list[pl.Series] = []
        self.numbers: list[pl.Series] = []
        self.bad: Bad | None = None
        self._form, self._missing = form, frozenset(settings.missing_values)
        self.kind = "label" if name in settings.id_column else self._settle(cells, settings)
        self._kept = self.kind != "number" or plain_name(name) in ID_NAMES

    def _settle(self, cells: pl.Series, settings: SeriesSettings) -> str:
        named = self.name in (*settings.value_columns, *settings.known)
        _, wrong, nothing = parse_numbers(cells, self._form, self._missing)
        if not wrong.any():
            return "number"
        if not named and understood(cells.filter(~nothing)) is not None:
            return "time"
        most = wrong.sum() >= 0.5 * (~nothing).sum()
        decoration = "words" if named else "signs"
        if most and not parse_numbers(cells, self._form, self._missing, decoration)[1].any():
            self.decoration = decoration
            return "number"
        return "label" if most and not named else "number"

    @property
    def text(self) -> pl.Series:
        """All cells."""
        import polars as pl

        return pl.concat(self.cells)

    @property
    def is_empty(self) -> bool:
        """True of a column of numbers in which nothing stands."""
        return (
            not self.bad and self.kind == "number" and all(n.is_nan().all() for n in self.numbers)
        )

    def add(self, cells: pl.Series, row: int) -> None:
        """Take the next cells, the first of them that of a row."""
        import polars as pl

        if self._kept:
            self.cells.append(cells)
        if self.kind == "number":
            values, wrong, _ = parse_numbers(cells, self._form, self._missing, self.decoration)
            self.numbers.append(pl.Series(values))
            if wrong.any():
                first = int(wrong.argmax())
                bad = self.bad or Bad(row + first, cells[first].strip(), 0)
                self.bad = bad._replace(total=bad.total + int(wrong.sum()))


def _cell_kinds(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """What each cell looks like: nothing, number, time or label."""
    import polars as pl

    texts = pl.Series([cell.strip() for row in rows for cell in row], dtype=pl.String)
    nothing = is_missing(texts, frozenset()).to_numpy()
    numbers = texts.str.contains(f"^(?:{_NUMBER.pattern})$").to_numpy()
    kinds = np.where(nothing, "nothing", np.where(numbers, "number", "label"))
    labels = np.flatnonzero(kinds == "label")
    kinds[labels[are_stamps(texts.gather(labels))]] = "time"
    named = iter(kinds.tolist())
    return [list(itertools.islice(named, len(row))) for row in rows]


def _commonest(kinds: Sequence[str]) -> str:
    counts = Counter(kind for kind in kinds if kind != "nothing")
    return counts.most_common(1)[0][0] if counts else "nothing"


def _is_header(row: list[str], kinds: list[str], below: list[list[str]], usual: list[str]) -> bool:
    """True if no cell of a row is a number or a time over others, but for a row of years or dates."""
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
    """The names of columns: white space put right, and those that occur again told apart."""
    names: list[str] = []
    for cell in row:
        name = plain = " ".join(cell.split()).removeprefix("\N{BYTE ORDER MARK}")
        for number in itertools.count(2):
            if not name or name not in names:
                break
            name = f"{plain} ({number})"
        names.append(name)
    return names
