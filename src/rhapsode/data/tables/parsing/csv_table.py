"""CSV, TSV and their like to a table: delimiter, header, comments, decimal commas, columns of numbers, times and labels.

Text comes in chunks and is turned into arrays a block of rows at a time; memory holds the arrays and one block.
"""

from __future__ import annotations

import csv
import itertools
import re
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rhapsode.data.tables.parsing.columns import Bad, Column, Labels, Numbers, Stamps, Table
from rhapsode.data.tables.parsing.numerals import (
    MISSING,
    NumberFormat,
    find_format,
    parse_numbers,
)
from rhapsode.data.tables.parsing.stamps import as_bytes, parse_stamps, understood
from rhapsode.data.tables.settings import SeriesSettings
from rhapsode.errors import DataError
from rhapsode.files import first_line

__all__ = ["csv_table"]

Kind = Literal["number", "time", "label"]

_BLOCK = 50_000
_LOOKED_AT = 200
_LONGEST_CELL = 1 << 24
_LINES = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)")
_NONE = "\x1f"  # parts the cells of a table of one column
_TIMES = re.compile(r"[\d.:/ T+-]*\d[\d.:/ TZ+-]*")


def csv_table(
    opened: Callable[[], Iterator[str]],
    where: str,
    settings: SeriesSettings,
    *,
    tabs: bool = False,
    labels: frozenset[str] = frozenset(),
) -> Table:
    """The table that a text holds.

    Arguments:
        opened: gives its text in chunks, from the start, as often as one likes.
        where: its name, for messages.
        settings: `header`, `decimal`, `dates`, `missing_values` and the names of columns are used.
        tabs: whether tabs part its cells, whatever it looks like.
        labels: columns that are to be read as labels even if they look like numbers.

    Raises:
        DataError: there is no row in it, a quotation mark is left open, or a row is too long.
    """
    csv.field_size_limit(_LONGEST_CELL)
    reader = _Reader(opened(), where, "\t" if tabs else None)
    try:
        return _Building(reader, where, settings, labels).table()
    except csv.Error as problem:
        raise DataError(
            f"malformed table: {first_line(problem)}",
            where=f"{where}, line {reader.line}",
            hint="is a quotation mark left open?",
        ) from None


class _Feed:
    """Lines for the CSV reader, counted; comments between rows are passed over and kept."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self._ahead: deque[str] = deque()
        self.line = 0
        self.between = True
        self.comments: list[str] = []

    def look(self, count: int) -> list[str]:
        """The next lines, without taking them."""
        self._ahead.extend(itertools.islice(self._lines, max(0, count - len(self._ahead))))
        return list(itertools.islice(self._ahead, count))

    def skip(self, count: int) -> None:
        """Take that many of the lines that `look` gave."""
        if count == len(self._ahead):
            self._ahead.clear()
        else:
            for _ in range(count):
                self._ahead.popleft()
        self.line += count

    def __iter__(self) -> _Feed:
        return self

    def __next__(self) -> str:
        while True:
            line = self._ahead.popleft() if self._ahead else next(self._lines)
            self.line += 1
            if not self.between:
                return line
            if line.startswith("#"):
                if len(self.comments) < 100:
                    self.comments.append(line)
                continue
            if line.strip():
                self.between = False
                return line


class _Reader:
    """Rows that are not blank, each with the line it ended on."""

    def __init__(self, chunks: Iterator[str], where: str, delimiter: str | None) -> None:
        self._feed = _Feed(_lines(chunks))
        sample = [line for line in self._feed.look(_LOOKED_AT) if line.strip()]
        plain = [line for line in sample if not line.startswith("#")]
        self.delimiter = delimiter or _delimiter(plain)
        self.sample = list(_parsed(plain, self.delimiter))
        self._rows = csv.reader(
            self._feed,
            delimiter=self.delimiter,
            skipinitialspace=self.delimiter == " ",
            strict=True,
        )

    @property
    def line(self) -> int:
        """The line read last."""
        return self._feed.line

    @property
    def comments(self) -> list[str]:
        """The lines passed over so far that begin with #."""
        return self._feed.comments

    def rows(self) -> Iterator[tuple[list[str], int]]:
        """Rows with their lines."""
        feed = self._feed
        for row in self._rows:
            feed.between = True
            yield row, feed.line

    def block(self) -> tuple[list[list[str]], NDArray[np.int64]]:
        """The next rows and their lines; none at the end.

        Lines without quotation marks, comments and blank ones among them are rows as they are: most files have no others,
        and need no look at each.
        """
        lines = self._feed.look(_BLOCK)
        text = "".join(lines)
        if '"' in text or text.startswith("#") or "\n#" in text or self._bare(lines):
            taken = list(itertools.islice(self.rows(), _BLOCK))
            return [row for row, _ in taken], np.array([line for _, line in taken], np.int64)
        first = self._feed.line + 1
        self._feed.skip(len(lines))
        spaces = self.delimiter == " "
        rows = list(csv.reader(lines, delimiter=self.delimiter, skipinitialspace=spaces))
        return rows, np.arange(first, first + len(lines))

    def _bare(self, lines: list[str]) -> bool:
        """Whether a line holds nothing but delimiters."""
        nothing = " \t\r\n" + self.delimiter
        return not all(line.strip(nothing) for line in lines)


class _Building:
    """A table in the making."""

    def __init__(
        self, reader: _Reader, where: str, settings: SeriesSettings, labels: frozenset[str]
    ) -> None:
        self._reader = reader
        self._where = where
        self._settings = settings
        self._labels = labels | set(settings.id_column)
        self._missing = frozenset(settings.missing_values)
        self._notes: list[str] = []
        self._short = 0
        self._header = True
        self._names: list[str] = []
        self._first_data: list[tuple[list[str], int]] = []

    def table(self) -> Table:
        """Read all of it."""
        rows = self._reader.rows()
        self._begin(rows)
        width = len(self._names)
        builders: list[_Builder] = []
        lines: list[NDArray[np.int64]] = []
        total = 0
        number_format = NumberFormat()
        for block, ends in self._blocks():
            cells, numbers = self._even(block, ends, width)
            if not cells:
                continue
            columns = list(zip(*cells, strict=True))
            if not builders:
                number_format = self._number_format(cells)
                builders = [
                    self._builder(name, column, number_format)
                    for name, column in zip(self._names, columns, strict=True)
                ]
            for builder, column in zip(builders, columns, strict=True):
                builder.add(column, total)
            lines.append(numbers)
            total += len(cells)
        if not total:
            raise DataError(
                "a table without rows" if self._names else "there is nothing in it",
                where=self._where,
            )
        if self._short:
            self._notes.append(
                f"{self._short:,} row{'s are' if self._short > 1 else ' is'} shorter than the others: "
                "the cells that lack count as missing"
            )
        finished = [builder.finish(self._settings) for builder in builders]
        return Table(
            self._where,
            tuple(self._without_empty(finished)),
            total,
            np.concatenate(lines),
            self._header,
            tuple(self._notes),
        )

    def _begin(self, rows: Iterator[tuple[list[str], int]]) -> None:
        """Find the header and pass over what stands before it."""
        usual = _usual_width(self._reader.sample)
        passed = 0
        first: tuple[list[str], int] | None = None
        for row, line in rows:
            filled = sum(bool(cell.strip()) for cell in row)
            if not filled:
                continue
            if usual > 2 and filled == 1 and len(row) < usual and passed < 30:
                passed += 1
                continue
            first = row, line
            break
        if first is None:
            raise DataError("there is nothing in it", where=self._where)
        if passed:
            self._notes.append(
                f"{passed} line{'s' if passed > 1 else ''} before the table passed over"
            )
        row, line = first
        header = self._settings.header
        above = self._commented(len(row))
        if header == "yes" or (header == "auto" and _is_header(row, self._reader.sample)):
            self._names = _names(row)
            return
        self._first_data = [first]
        if header == "auto" and above is not None:
            self._names = _names(above)
            return
        self._header = False
        self._names = [f"column {number}" for number in range(1, max(len(row), usual) + 1)]
        self._notes.append("no header: columns are named by their place")

    def _commented(self, width: int) -> list[str] | None:
        """The last comment before the table, where it looks like its header."""
        comments = self._reader.comments
        if not comments or width < 2:
            return None
        cells = next(iter(_parsed([comments[-1].lstrip("# \t")], self._reader.delimiter)), [])
        return cells if len(cells) == width else None

    def _blocks(self) -> Iterator[tuple[list[list[str]], NDArray[np.int64]]]:
        """All rows behind the header."""
        if self._first_data:
            # With those after it, so that the columns' kinds are not settled by one row.
            row, line = self._first_data[0]
            block, numbers = self._reader.block()
            yield [row, *block], np.concatenate([[line], numbers]).astype(np.int64)
        while (block_and_lines := self._reader.block())[0]:
            yield block_and_lines

    def _even(
        self, block: list[list[str]], lines_N: NDArray[np.int64], width: int
    ) -> tuple[list[list[str]], NDArray[np.int64]]:
        """Rows of equal length; those without any filled cell are left out."""
        if set(map(len, block)) == {width} and all(map(any, block)):
            filled = [row for row in block if row[0] or not "".join(row).isspace()]
            if len(filled) == len(block):
                return block, lines_N
        cells: list[list[str]] = []
        kept: list[int] = []
        for number, row in enumerate(block):
            if not any(cell and not cell.isspace() for cell in row):
                continue
            if len(row) > width:
                extra = next((cell for cell in row[width:] if cell.strip()), None)
                if extra is not None:
                    raise DataError(
                        f"{len(row)} cells in a table of {width} columns, {extra[:40]!r} too many",
                        where=f"{self._where}, line {lines_N[number]}",
                        hint="put cells that hold the delimiter in quotation marks",
                    )
            self._short += len(row) < width
            cells.append((row + [""] * (width - len(row)))[:width])
            kept.append(number)
        return cells, lines_N[kept]

    def _number_format(self, cells: list[list[str]]) -> NumberFormat:
        if self._settings.decimal != "auto":
            return NumberFormat("," if self._settings.decimal == "comma" else ".")
        looked = itertools.chain.from_iterable(cells[:2000])
        found = find_format(looked, self._reader.delimiter)
        if found.doubtful:
            meant = "a fraction" if found.decimal == "," else "thousands"
            other = "point" if found.decimal == "," else "comma"
            self._notes.append(
                f"a comma in a number is taken to part {meant}; if not: --decimal {other}"
            )
        elif found.decimal == ",":
            self._notes.append("numbers have decimal commas")
        elif found.grouped:
            self._notes.append("a comma in a number parts thousands")
        return found

    def _builder(self, name: str, cells: Sequence[str], number_format: NumberFormat) -> _Builder:
        kind: Kind = "label"
        if name not in self._labels:
            kind = _kind(name, cells, number_format, self._missing, self._settings)
        return _Builder(name, kind, number_format, self._missing)

    def _without_empty(self, columns: list[Column]) -> Iterator[Column]:
        """The columns but for those that have neither a name nor anything in them."""
        dropped = 0
        for column in columns:
            nameless = not column.name or (not self._header and column.name.startswith("column "))
            if nameless and isinstance(column, Numbers) and _is_empty(column):
                dropped += 1
            else:
                yield column
        if dropped:
            self._notes.append(f"{dropped} empty column{'s' if dropped > 1 else ''} left out")


def _is_empty(column: Numbers) -> bool:
    return column.bad is None and bool(np.isnan(column.values_N).all())


@dataclass
class _Labelled:
    """Texts and the codes they were given."""

    codes: dict[str, int]
    parts: list[NDArray[np.int32]]


class _Builder:
    """One column in the making."""

    def __init__(
        self, name: str, kind: Kind, number_format: NumberFormat, missing: frozenset[str]
    ) -> None:
        self.name = name
        self.kind = kind
        self._format = number_format
        self._missing = missing
        self._numbers: list[NDArray[np.float64]] = []
        self._cells: list[NDArray[np.bytes_]] = []
        self._labelled = _Labelled({}, [])
        self._bad: Bad | None = None

    def add(self, cells: Sequence[str], row: int) -> None:
        """Take the next cells, the first of them that of a row."""
        if self.kind == "number":
            found = parse_numbers(cells, self._format, self._missing)
            self._numbers.append(found.values_N)
            if len(found.wrong_N):
                first = int(found.wrong_N[0])
                before = self._bad or Bad(row + first, cells[first].strip(), 0)
                self._bad = Bad(before.row, before.text, before.count + len(found.wrong_N))
        elif self.kind == "time":
            self._cells.append(as_bytes(cells))
        else:
            codes = self._labelled.codes
            coded = [codes.setdefault(cell, len(codes)) for cell in cells]
            self._labelled.parts.append(np.array(coded, np.int32))

    def finish(self, settings: SeriesSettings) -> Column:
        """The whole column."""
        if self.kind == "number":
            return Numbers(self.name, np.concatenate(self._numbers), self._bad)
        if self.kind == "time":
            cells_N = np.concatenate(self._cells)
            missing_N = _missing(cells_N, self._missing)
            return Stamps(self.name, parse_stamps(cells_N, missing_N, settings.dates), cells_N)
        return _labels(self.name, self._labelled)


def _labels(name: str, labelled: _Labelled) -> Labels:
    """A column of text, white space around it taken away."""
    levels: dict[str, int] = {}
    turn = np.array(
        [levels.setdefault(text.strip(), len(levels)) for text in labelled.codes], np.int32
    )
    codes_N = turn[np.concatenate(labelled.parts)]
    if "" in levels:
        codes_N = np.where(codes_N == levels[""], np.int32(-1), codes_N)
    return Labels(name, codes_N, tuple(levels))


def _missing(cells_N: NDArray[np.bytes_], missing: frozenset[str]) -> NDArray[np.bool_]:
    """Which cells of text hold nothing."""
    words = {word.encode() for word in MISSING | {m.lower() for m in missing}}
    stripped = np.char.strip(cells_N)
    short = np.char.str_len(stripped) <= max(map(len, words))
    found = np.zeros(len(cells_N), bool)
    found[short] = np.isin(np.char.lower(stripped[short]), list(words))
    return found


def _kind(
    name: str,
    cells: Sequence[str],
    number_format: NumberFormat,
    missing: frozenset[str],
    settings: SeriesSettings,
) -> Kind:
    """What a column holds, by its first cells: numbers if half of them and more are."""
    found = parse_numbers(cells, number_format, missing)
    there = len(cells) - found.missing
    wrong = len(found.wrong_N)
    if name in settings.value_columns or name in settings.known:
        return "number"
    if not wrong:
        return "number"
    texts = [cell for cell in cells if cell.strip().lower() not in MISSING and cell not in missing]
    if understood(as_bytes(texts)) is not None:
        return "time"
    return "number" if wrong < 0.5 * there else "label"


def _lines(chunks: Iterator[str]) -> Iterator[str]:
    """Lines of chunks of text, each with its end."""
    left = ""
    for chunk in chunks:
        text = left + chunk
        if "\r" in text:
            text = text.replace("\r\n", "\n")
            # A line feed may follow in the next chunk.
            held = "\r" if text.endswith("\r") else ""
            text = text[: len(text) - len(held)].replace("\r", "\n") + held
        lines = text.split("\n")
        left = lines.pop()
        for line in lines:
            yield line + "\n"
    if left:
        yield left.rstrip("\r") + "\n"


def _parsed(lines: list[str], delimiter: str) -> Iterator[list[str]]:
    """Rows of some lines; what a cut leaves open is passed over."""
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=delimiter == " ")
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                yield row
    except csv.Error:
        return


def _delimiter(lines: list[str]) -> str:
    """What parts the cells: it makes most rows equally long, and most cells whole numbers and times."""
    best, found = (0.0, 0.0, 0), _NONE
    for candidate in "\t;|, ":
        rows = list(_parsed(lines, candidate))
        if not rows:
            continue
        usual = _usual_width(rows)
        if usual < 2:
            continue
        even = sum(len(row) == usual for row in rows) / len(rows)
        body = rows[1:] or rows
        cells = [cell for row in body for cell in row]
        simple = sum(_simple(cell) for cell in cells) / max(1, len(cells))
        if candidate == " " and (simple < 1 or even < 1):
            continue
        score = (round(even, 1), round(simple, 1), usual)
        if score > best:
            best, found = score, candidate
    return found


def _simple(cell: str) -> bool:
    """Whether a cell is a number, a time or nothing."""
    text = cell.strip()
    if text.lower() in MISSING or re.fullmatch(r"[+-]?\d*[.,]?\d+(?:[eE][+-]?\d+)?", text):
        return True
    return _TIMES.fullmatch(text) is not None


def _usual_width(rows: Sequence[Sequence[str]]) -> int:
    """The commonest number of cells, the greater of two equally common ones."""
    counts = Counter(len(row) for row in rows)
    return max(counts, key=lambda width: (counts[width], width), default=0)


def _is_header(row: list[str], sample: list[list[str]]) -> bool:
    """Whether a row names columns: no cell of it is a number or a time over others, but for a row of years or dates."""
    kinds = [_cell_kind(cell) for cell in row]
    if not any(kind in {"number", "time"} for kind in kinds):
        return any(kind == "label" for kind in kinds)
    place = next((number for number, other in enumerate(sample) if other == row), -1)
    below = sample[place + 1 :]
    if not below:
        return False
    under = [_column_kind(below, column) for column in range(len(row))]
    clash = [mine for mine, theirs in zip(kinds, under, strict=True) if mine == theirs != "label"]
    if any(kind == "time" for kind in clash):
        return False
    if clash and any(kind == "label" for kind in kinds):
        # "country, 1990, 1991, 1992": years, or numbers that go up by one, name the columns.
        numbers = [cell for cell, kind in zip(row, kinds, strict=True) if kind == "number"]
        beneath = [cell for cell, kind in zip(below[0], kinds, strict=False) if kind == "number"]
        if not _counts_up(numbers):
            return False
        return not _counts_up(beneath) or (_are_years(numbers) and not _are_years(beneath))
    return not clash and any(kind == "label" for kind in kinds)


def _counts_up(cells: list[str]) -> bool:
    try:
        numbers = [int(cell) for cell in cells]
    except ValueError:
        return False
    steps = {after - before for before, after in itertools.pairwise(numbers)}
    return len(numbers) > 1 and len(steps) == 1 and steps.pop() > 0


def _are_years(cells: list[str]) -> bool:
    return all(re.fullmatch(r"1[6-9]\d\d|2[01]\d\d", cell.strip()) for cell in cells)


def _cell_kind(cell: str) -> str:
    text = cell.strip()
    if text.lower() in MISSING:
        return "nothing"
    numeral = re.fullmatch(
        r"[+-]?\d{1,3}(?:[., ']\d{3})+(?:[.,]\d*)?|[+-]?\d*[.,]?\d+(?:[eE][+-]?\d+)?", text
    )
    if numeral or re.fullmatch(r"[+-]?\d+[.,]", text):
        return "number"
    return "time" if understood(as_bytes([text])) is not None else "label"


def _column_kind(rows: list[list[str]], column: int) -> str:
    kinds = Counter(
        kind for row in rows if column < len(row) and (kind := _cell_kind(row[column])) != "nothing"
    )
    return kinds.most_common(1)[0][0] if kinds else "nothing"


def _names(row: list[str]) -> list[str]:
    """The names of columns: white space put right, and those that occur again told apart."""
    names: list[str] = []
    for cell in row:
        name = " ".join(cell.split()).removeprefix("\N{BYTE ORDER MARK}")
        plain, number = name, 2
        while name and name in names:
            name, number = f"{plain} ({number})", number + 1
        names.append(name)
    return names
