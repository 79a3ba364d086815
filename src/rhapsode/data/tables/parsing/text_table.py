"""Tables of text: first their shape, then their columns.

Rows of one width are read by polars. A slower reader takes ragged rows, and names lines.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from rhapsode.data.sources.fields.record_tables import CsvRows, parsed, usual_width
from rhapsode.data.tables.frequency import parse_frequency
from rhapsode.data.tables.parsing.cells import column_of
from rhapsode.data.tables.parsing.columns import TIME_NAMES, Table, plain_name
from rhapsode.data.tables.parsing.numerals import find_format, is_missing
from rhapsode.data.tables.parsing.stamps import are_stamps
from rhapsode.data.tables.settings import SeriesSettings
from rhapsode.errors import DataError

if TYPE_CHECKING:
    import polars as pl

Row = tuple[list[str], int]

_PIECE = 1 << 18
_FOOTER = 40
_TOTAL = 10
_PREAMBLE = 30
_TYPED = {"number", "time"}
_NUMBER = r"[+-]?\d{1,3}(?:[., ']\d{3})+(?:[.,]\d*)?|[+-]?\d*[.,]?\d+(?:[eE][+-]?\d+)?|[+-]?\d+[.,]"
_YEAR = re.compile(r"1[6-9]\d\d|2[01]\d\d")
# Times of years, quarters and months, and the months between them.
_STEPS = {
    "years": (12, r"^\d{4}$"),
    "quarters": (3, r"^(?i)(?:\d{4}[ -]?Q\d|Q\d[ -]?\d{4})$"),
    "months": (1, r"^(?i)(?:\d{4}[ -]?(?:m?\d\d|\p{L}{3,9})|\p{L}{3,9}[ -]\d{4})$"),
}


def text_table(text: str, where: str, settings: SeriesSettings, *, tabs: bool) -> Table:
    """Read a table from text."""
    import polars as pl

    shape = _Shape(text, where, settings.header, "\t" if tabs else None)
    frame = shape.of_one_step(shape.frame(), settings.frequency)
    decimal, notes = _decimal(frame, shape.delimiter, settings)
    plain = frame.head(200).select(pl.all().cast(pl.Float64, strict=False).count() > 0).row(0)
    likely = [name for name, is_plain in zip(frame.columns, plain, strict=True) if is_plain]
    numbers = frame.select(pl.col(likely).cast(pl.Float64, strict=False)).to_dict()
    columns = []
    for name, cells in zip(shape.names, frame.get_columns(), strict=True):
        column = column_of(name, cells, decimal, settings, numbers.get(cells.name))
        if (name and shape.header) or column.bad or column.values.count():
            columns.append(column)
    if dropped := len(shape.names) - len(columns):
        notes.append(f"{dropped} empty column{'s' if dropped > 1 else ''} left out")
    return Table(where, tuple(columns), shape.header, (*shape.notes, *notes), shape.lines)


def _decimal(
    frame: pl.DataFrame, delimiter: str, settings: SeriesSettings
) -> tuple[str, list[str]]:
    import polars as pl

    if settings.decimal != "auto":
        return ("," if settings.decimal == "comma" else "."), []
    cells = pl.concat([column.rename("") for column in frame.head(2000).get_columns()])
    found = find_format(cells, delimiter)
    if found.doubtful:
        comma = found.decimal == ","
        meant, other = ("decimal commas", "point") if comma else ("thousands separators", "comma")
        note = f"commas in numbers are read as {meant}; otherwise use --decimal {other}"
        return found.decimal, [note]
    if found.decimal == ",":
        return ",", ["numbers have decimal commas"]
    return ".", ["commas in numbers separate thousands"] if found.grouped else []


# Numbers that are refused where they stand; they are no footer.
_INFINITE = ("inf", "infinity")


class _Shape:
    """Where a table begins and ends in a text, and how its columns are named."""

    def __init__(self, text: str, where: str, header: str, delimiter: str | None) -> None:
        self.text, self.where = text, where
        self.notes: list[str] = []
        self.short: list[int] = []
        self.known_lines: list[int] | None = None
        reader = self.reader(delimiter)
        if not reader.sample:
            raise DataError("the table is empty", where=where)
        self.delimiter, self.sample, self.width = (
            reader.delimiter, reader.sample, usual_width(reader.sample),
        )  # fmt: skip
        self.kinds = _cell_kinds(reader.sample)
        even = [row for row in self.kinds[len(self.kinds) // 2 :] if len(row) == self.width]
        self.usual = [_commonest(column) for column in zip(*even or self.kinds[:1], strict=True)]
        self.rows = _filled(reader)
        first, best = self.find_header(header)
        for number, (row, line) in enumerate(itertools.islice(self.rows, first)):
            if number > best >= 0:
                told = ", ".join(cell.strip() for cell in row if cell.strip())
                self.notes.append(f"line {line}, another header row, skipped: {told[:80]}")
        self.begin = reader.line
        if before := first if best < 0 else best:
            other = any(kinds.count("number") > 2 for kinds in self.kinds[:before])
            told = f"{before} line{'s' * (before > 1)} before the table skipped"
            self.notes.insert(0, told + ", among them another table" * other)
        ahead = list(itertools.islice(self.rows, 1))  # and the comments before it
        self.rows = itertools.chain(ahead, self.rows)
        comment = [text.lstrip("# \t") for text in reader.comments[-1:]]
        above = next(iter(parsed(comment, self.delimiter)), [])
        if len(above) != self.width and comment:
            above = comment[0].split()
        named = self.sample[best] if best >= 0 else above
        self.heads = self.sample[:first]
        levels = [
            row if row is named else _spread(row)
            for row in self.sample[max(best - 2, 0) : first]
            if best >= 0 and len(row) == self.width and sum(map(bool, row)) > 1
        ]
        joined = [
            "/".join(dict.fromkeys(filter(None, cells))) for cells in zip(*levels, strict=True)
        ]
        if _repeats(named) and len(named) == len(joined) and not _repeats(joined):
            named = joined  # headings in several rows
        if best < 0 and header == "auto" and self.is_year_by_months(self.sample[first:]):
            named, best = ["year", *map(str, range(1, 13))], first
            self.notes.append("no header: a year and its twelve months in each row")
        self.header = best >= 0 or (header == "auto" and 1 < len(named) == self.width)
        self.names = _names(
            named if self.header else map("column {}".format, range(1, self.width + 1))
        )
        if not self.header:
            self.notes.append("no header: columns are numbered")

    def reader(self, delimiter: str | None) -> CsvRows:
        """The rows of the text from its beginning."""
        pieces = (self.text[at : at + _PIECE] for at in range(0, len(self.text), _PIECE))
        return CsvRows(pieces, self.where, delimiter, numbers=True)

    def is_data(self, kinds: Sequence[str]) -> bool:
        """True if a row has numbers and times where the table has them, from the first on."""
        pairs = zip(kinds, self.usual, strict=False)
        typed = [(mine, usual) for mine, usual in pairs if usual in _TYPED]
        if not typed or typed[0][0] == "label" or typed[0] == ("nothing", "time"):
            return False
        return any(mine == usual for mine, usual in typed)

    def is_year_by_months(self, rows: Sequence[Sequence[str]]) -> bool:
        """True if every row is a year and twelve numbers."""
        years = [row[0].strip() for row in rows if len(row) == self.width]
        dated = self.width == 13 and len(years) > 2 and all(map(_YEAR.fullmatch, years))
        return dated and _counts_up(years) and {*self.usual} == {"number"}

    def find_header(self, header: str) -> tuple[int, int]:
        """The numbers of the first row of data, and of the row that names the columns or -1."""
        rows = range(min(len(self.sample), _PREAMBLE))
        full = next((row for row in rows if len(self.sample[row]) == self.width), 0)
        if header == "no":
            return full, -1
        long = (row for row in rows if 2 * len(self.sample[row]) > self.width)
        first = next((row for row in long if self.is_data(self.kinds[row])), full + 1)
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
        """True if years, or numbers that go up by one, stand above other numbers.

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

    def frame(self) -> pl.DataFrame:
        """The cells of the table, without the rows that are no data.

        These are empty rows, repeated headers, and totals and texts below the table.
        """
        frame = self.read_quickly()
        frame = self.read_slowly() if frame is None else frame
        frame = self.without_heads(frame)
        tail = [[cell or "" for cell in row] for row in frame.tail(_FOOTER).rows()]
        foot: list[str] = []
        totals = 0
        for row, kinds in zip(tail[::-1], _cell_kinds(tail)[::-1], strict=True):
            words = [cell.strip() for cell in row if cell.strip()]
            total = ("nothing", "time") in zip(kinds, self.usual, strict=False)
            total &= "number" in kinds and not totals and frame.height > _TOTAL
            if not self.is_foot(kinds, words, below=bool(foot)) and not total:
                break
            totals += total
            foot.append(", ".join(words)[:80])
        frame = frame.head(frame.height - len(foot))
        if not frame.height:
            raise DataError("a table without rows", where=self.where)
        if foot:
            more = f" and {len(foot) - 1:,} more" if len(foot) > 1 else ""
            line = self.lines()[frame.height]
            self.notes.append(f"line {line}, below the table, skipped: {foot[-1]}{more}")
        if short := sum(row < frame.height for row in self.short):
            self.notes.append(
                f"{short:,} row{'s are' if short > 1 else ' is'} shorter than the others: "
                "the absent cells count as missing"
            )
        return frame

    def is_foot(self, kinds: Sequence[str], words: Sequence[str], *, below: bool) -> bool:
        """True for a row of text below the table, or a total; `below` if others follow it."""
        if any(word.lower().strip("+-") in _INFINITE for word in words):
            return False
        if not _TYPED & {*self.usual} or not words:
            return False
        if len(words) == 1 < self.width and ("label" in kinds or (below and words[0][0] == "-")):
            return True
        pairs = [*zip(kinds, self.usual, strict=False)]
        text = self.delimiter == " " or "number" not in kinds
        titled = ("label", "time") in pairs or (text and pairs[0] == ("label", "number"))
        return titled and not self.is_data(kinds)

    def without_heads(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The rows that repeat no line above the table."""
        import polars as pl

        again = pl.zeros(frame.height, pl.Boolean, eager=True)
        for row in self.heads:
            same = ~again
            for column, cell in zip(frame.get_columns(), [*row, *[""] * frame.width], strict=False):
                if same.any():
                    same &= column.fill_null("").str.strip_chars() == cell.strip()
            again |= same
        if again.any():
            line, count = self.lines()[again.arg_max() or 0], int(again.sum())
            rows = f"{count} such rows" if count > 1 else "one row"
            self.notes.append(f"line {line}: the lines above the table again, {rows} skipped")
        return self.only(frame, ~again)

    def of_one_step(self, frame: pl.DataFrame, frequency: str) -> pl.DataFrame:
        """The months, quarters or years of a table that holds several of them."""
        first = frame.to_series(0).str.strip_chars()
        if self.usual[0] != "time":
            return frame
        rows = {name: first.str.contains(form) for name, (_, form) in _STEPS.items()}
        rows = {name: mask for name, mask in rows.items() if mask.sum() > 1}
        if len(rows) < 2 or sum(mask.sum() for mask in rows.values()) < first.count():
            return frame
        asked = None if frequency == "auto" else parse_frequency(frequency)
        taken = next((n for n in rows if asked and asked.step == _STEPS[n][0]), [*rows][-1])
        others = " and ".join(name for name in rows if name != taken)
        self.notes.append(
            f"{', '.join(rows)} stand one below another: {taken} are read, {others} left out; "
            "--frequency yearly, quarterly or monthly chooses"
        )
        return self.only(frame, rows[taken])

    def only(self, frame: pl.DataFrame, keep: pl.Series) -> pl.DataFrame:
        """Some rows, and their lines."""
        keep = keep.fill_null(value=False)
        if keep.all():
            return frame
        self.known_lines = [*itertools.compress(self.lines(), keep)]
        return frame.filter(keep)

    def read_quickly(self) -> pl.DataFrame | None:
        """All rows by polars; None if some are shorter or longer than others."""
        import polars as pl

        if (
            self.delimiter == " "
            or "\r" in self.text.replace("\r\n", "\n")
            or self.width != len(self.names)
        ):
            return None
        begin = 0
        for _ in range(self.begin):
            begin = self.text.find("\n", begin) + 1
        body = self.text[begin:].encode("utf-8", "replace")
        schema = {str(number): pl.String() for number in range(self.width)}
        try:
            frame = pl.read_csv(
                body, has_header=False, separator=self.delimiter, comment_prefix="#", schema=schema
            )
        except pl.exceptions.PolarsError:
            return None
        first, last = frame.to_series(0), frame.to_series(-1)
        parts = frame.height * (self.width - 1)
        if last.null_count() and body.count(self.delimiter.encode()) != parts:
            return None
        if (first.is_null() | (first.str.strip_chars() == "")).any():
            frame = frame.filter(pl.any_horizontal(pl.all().str.strip_chars() != ""))
        return frame

    def read_slowly(self) -> pl.DataFrame:
        """All rows by the reader that knows where each ends."""
        import polars as pl

        width, self.known_lines = len(self.names), []
        rows: list[list[str]] = []
        for row, line in self.rows:
            extra = next((cell for cell in row[width:] if cell.strip()), None)
            if extra is not None and (
                self.usual[0] not in _TYPED or _cell_kinds([row[:1]])[0] != ["label"]
            ):
                commas = self.delimiter == "," and re.fullmatch(_NUMBER, row[-1].strip())
                raise DataError(
                    f"{len(row)} cells in a table of {width} columns, {extra[:40]!r} too many",
                    where=f"{self.where}, line {line}",
                    hint="put cells that hold the delimiter in quotation marks"
                    + (", as numbers with decimal commas" if commas else ""),
                )
            if len(row) < width:
                self.short.append(len(rows))
            rows.append([*row, *[""] * (width - len(row))][:width])
            self.known_lines.append(line)
        columns = zip(*rows, strict=True) if rows else [()] * width
        return pl.DataFrame({str(number): texts(cells) for number, cells in enumerate(columns)})

    def lines(self) -> Sequence[int]:
        """The line on which each row ends."""
        if self.known_lines is None:
            rows = _filled(self.reader(self.delimiter))
            self.known_lines = [line for _, line in rows if line > self.begin]
        return self.known_lines


def _cell_or_left(left: str, cell: str) -> str:
    return cell or left


def _filled(rows: Iterable[Row]) -> Iterator[Row]:
    return ((row, line) for row, line in rows if any(map(str.strip, row)))


def texts(cells: Sequence[str]) -> pl.Series:
    """Cells of text, halves of surrogate pairs replaced."""
    import polars as pl

    try:
        return pl.Series(cells, dtype=pl.String)
    except UnicodeEncodeError:
        return pl.Series([cell.encode("utf-8", "replace").decode() for cell in cells])


def _cell_kinds(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """The form of each cell: nothing, number, time or label."""
    import polars as pl

    cells = texts([cell.strip() for row in rows for cell in row])
    kinds = pl.select(
        pl.when(is_missing(cells, ())).then(pl.lit("nothing"))
        .when(cells.str.contains(f"^(?:{_NUMBER})$")).then(pl.lit("number"))
        .when(are_stamps(cells)).then(pl.lit("time")).otherwise(pl.lit("label"))
    ).to_series().to_list()  # fmt: skip
    named = iter(kinds)
    return [list(itertools.islice(named, len(row))) for row in rows]


def _commonest(kinds: Sequence[str]) -> str:
    there = [kind for kind in kinds if kind != "nothing"]
    return Counter(there).most_common(1)[0][0] if there else "nothing"


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
