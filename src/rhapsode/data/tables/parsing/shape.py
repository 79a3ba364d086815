"""Beginning, header and names of a table in text."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from rhapsode.data.sources.fields.record_tables import CsvRows, parsed, usual_width
from rhapsode.data.tables.parsing.cells import cell_kinds, commonest
from rhapsode.data.tables.parsing.columns import TIME_NAMES, plain_name
from rhapsode.errors import DataError

if TYPE_CHECKING:
    import polars as pl

Row = tuple[list[str], int]

TYPED = {"number", "time"}
_PIECE = 1 << 18
_PREAMBLE = 30
_YEAR = re.compile(r"1[6-9]\d\d|2[01]\d\d")


class Shape:
    """First row, delimiter and names of a table in text."""

    def __init__(
        self, text: str, where: str, header: str, delimiter: str | None, *, before: int = 0
    ) -> None:
        self.text, self.where, self.before = text, where, before
        self.notes: list[str] = []
        self.short: list[int] = []
        self.known_lines: list[int] | None = None
        reader = self.reader(delimiter)
        self.delimiter, self.sample = reader.delimiter, reader.sample
        if not self.sample:
            raise DataError("the table is empty", where=where)
        self.width, self.kinds = usual_width(self.sample), cell_kinds(self.sample)
        even = [row for row in self.kinds[len(self.kinds) // 2 :] if len(row) == self.width]
        self.usual = [commonest(column) for column in zip(*even or self.kinds[:1], strict=True)]
        rows = _filled(reader)
        first, best = self.find_header(header)
        for number, (row, line) in enumerate(itertools.islice(rows, first)):
            if number > best >= 0:
                told = ", ".join(cell.strip() for cell in row if cell.strip())
                self.notes.append(f"line {line}, another header row, skipped: {told[:80]}")
        self.begin, self.heads = reader.line, self.sample[:first]
        if before := first if best < 0 else best:
            self.notes.insert(0, f"{before} line{'s' * (before > 1)} before the table skipped")
        ahead = list(itertools.islice(rows, 1))  # and the comments before it
        self.rows = itertools.chain(ahead, rows)
        named = self.heading(best, first) if best >= 0 else self.commented(reader.comments)
        if best < 0 and header == "auto" and self.is_year_by_months(self.sample[first:]):
            named, best = ["year", *map(str, range(1, 13))], first
            self.notes.append("no header: a year and its twelve months in each row")
        self.header = best >= 0 or (header == "auto" and 1 < len(named) == self.width)
        if not self.header:
            self.notes.append("no header: columns are numbered")
            named = [f"column {number}" for number in range(1, self.width + 1)]
        self.names = _names(named)

    def heading(self, best: int, first: int) -> Sequence[str]:
        """The names of a header row, with those above if they repeat."""
        levels = [
            row if row is self.sample[best] else _spread(row)
            for row in self.sample[max(best - 2, 0) : first]
            if len(row) == self.width and sum(map(bool, row)) > 1
        ]
        named = self.sample[best]
        joined = [
            "/".join(dict.fromkeys(filter(None, cells))) for cells in zip(*levels, strict=True)
        ]
        if _repeats(named) and len(named) == len(joined) and not _repeats(joined):
            return joined
        return named

    def commented(self, comments: Sequence[str]) -> Sequence[str]:
        """Names of columns from the last comment that has enough words."""
        bare = [text.lstrip("# \t") for text in comments[::-1]]
        split = [row for text in bare for row in parsed([text], self.delimiter)]
        if self.delimiter == " ":
            del split[1:]
        last = bare[0].split() if bare else []
        return next((row for row in split if len(row) == self.width), last)

    def reader(self, delimiter: str | None) -> CsvRows:
        """The rows of the text from its beginning."""
        pieces = (self.text[at : at + _PIECE] for at in range(0, len(self.text), _PIECE))
        rows = CsvRows(pieces, self.where, delimiter, numbers=True)
        rows.line += self.before
        return rows

    def is_data(self, kinds: Sequence[str]) -> bool:
        """True if a row has numbers and times as the table has."""
        pairs = zip(kinds, self.usual, strict=False)
        typed = [(mine, usual) for mine, usual in pairs if usual in TYPED]
        if not typed or typed[0][0] == "label" or typed[0] == ("nothing", "time"):
            return False
        return any(mine == usual for mine, usual in typed)

    def is_year_by_months(self, rows: Sequence[Sequence[str]]) -> bool:
        """True if every row is a year and twelve numbers."""
        years = [row[0].strip() for row in rows if len(row) == self.width]
        dated = self.width == 13 and len(years) > 2 and all(map(_YEAR.fullmatch, years))
        return dated and _counts_up(years) and {*self.usual} == {"number"}

    def find_header(self, header: str) -> tuple[int, int]:
        """The first row of data, and the row of names or -1."""
        rows = range(min(len(self.sample), _PREAMBLE))
        full = next((row for row in rows if len(self.sample[row]) == self.width), 0)
        if header == "no":
            return full, -1
        long = (row for row in rows if 2 * len(self.sample[row]) > self.width)
        first = next((row for row in long if self.is_data(self.kinds[row])), full + 1)
        above, *rest = self.sample[max(first - 1, 0)]
        if first and _YEAR.fullmatch(above.strip()) and not any(map(str.strip, rest)):
            first -= 1  # a year above its months
        if first < len(rows) and self.names_times(first):
            return first + 1, first
        if not first:
            return (1, 0) if header == "yes" else (0, -1)
        heads = [row for row in rows[:first] if {*self.kinds[row]} != {"number"}]
        wide = [row for row in heads if 2 * sum(map(bool, self.sample[row])) > self.width]
        wide = [row for row in wide if len(self.sample[row]) == self.width] or wide

        def rank(row: int) -> tuple[bool, int]:
            names = {plain_name(cell) for cell in self.sample[row]}
            return not names.isdisjoint(TIME_NAMES - {""}), len(names)

        return first, max(wide or heads, key=rank, default=-1)

    def names_times(self, row: int) -> bool:
        """True if years, or consecutive numbers, stand above other numbers.

        The columns of a pandas frame without names are numbered from 0, its index has no name.
        """
        kinds = self.kinds[row]
        if self.sample[row] == ["", *map(str, range(self.width - 1))]:
            return len(self.sample) > row + 1 and self.sample[row + 1][0] != ""
        typed = {mine for mine, usual in zip(kinds, self.usual, strict=False) if mine == usual}
        odd = len(kinds) != self.width or row + 1 == len(self.sample)
        if odd or "label" not in kinds or "time" in typed:
            return False
        numbers, under = (
            [c.strip() for c, kind in zip(cells, kinds, strict=False) if kind == "number"]
            for cells, kinds in zip(self.sample[row : row + 2], self.kinds[row:], strict=False)
        )
        are_years = [all(map(_YEAR.fullmatch, cells)) for cells in (numbers, under)]
        return _counts_up(numbers) and (not _counts_up(under) or are_years == [True, False])

    def only(self, frame: pl.DataFrame, keep: pl.Series) -> pl.DataFrame:
        """Some rows, and their lines."""
        keep = keep.fill_null(value=False)
        if keep.all():
            return frame
        self.known_lines = [*itertools.compress(self.lines(), keep)]
        return frame.filter(keep)

    def lines(self) -> Sequence[int]:
        """The line on which each row ends."""
        if self.known_lines is None:
            rows = _filled(self.reader(self.delimiter))
            self.known_lines = [line for _, line in rows if line > self.begin]
        return self.known_lines


def _filled(rows: Iterable[Row]) -> Iterator[Row]:
    return ((row, line) for row, line in rows if any(map(str.strip, row)))


def _spread(row: Iterable[str]) -> list[str]:
    """Names of merged cells, in every cell that they span."""
    names = [""]
    for cell in row:
        names.append(cell or names[-1])
    return names[1:]


def _repeats(names: Sequence[str]) -> bool:
    there = [name for name in names if name]
    return len({*there}) < len(there)


def _counts_up(cells: Sequence[str]) -> bool:
    if not cells or not all(map(str.isdigit, cells)):
        return False
    steps = {int(after) - int(before) for before, after in itertools.pairwise(cells)}
    return len(steps) == 1 and steps.pop() > 0


def _names(row: Iterable[str]) -> list[str]:
    names: list[str] = []
    for cell in row:
        plain = " ".join(cell.split()).removeprefix("\N{BYTE ORDER MARK}")
        spellings = itertools.chain([plain], (f"{plain} ({n})" for n in itertools.count(2)))
        names.append(next(name for name in spellings if not plain or name not in names))
    return names
