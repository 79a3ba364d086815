"""Tables of text: first their shape, then their columns.

Rows of one width are read by polars. A slower reader takes ragged rows, and names lines.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rhapsode.data.tables.frequency import parse_frequency
from rhapsode.data.tables.parsing.cells import NUMBER, cell_kinds, column_of, texts
from rhapsode.data.tables.parsing.columns import Table, listed
from rhapsode.data.tables.parsing.numerals import find_decimal_mark
from rhapsode.data.tables.parsing.several_tables import only_with_times
from rhapsode.data.tables.parsing.shape import TYPED, Shape
from rhapsode.data.tables.parsing.stamps import PART_NAME
from rhapsode.data.tables.settings import SeriesSettings
from rhapsode.errors import DataError

if TYPE_CHECKING:
    import polars as pl

_FOOTER = 40
_TOTAL = 10
# Words for a total where others have a time: a total of a week, a month or a page.
_TOTAL_NAME = (
    r"^(?:(?:grand |sub|sub-|sous-)?totale?s?|zwischensumme|summe|sum|gesamt|[合小总共]计)\b"
)
# Times of years, quarters and months, and the months between them.
_STEPS = {
    "years": (12, r"^\d{4}$"),
    "quarters": (3, r"^(?i:\d{4}[ -]?Q\d|Q\d[ -]?\d{4})$"),
    "months": (1, r"^(?i:\d{4}[ -]?(?:m?\d\d|\p{L}{3,9})|\p{L}{3,9}[ -]\d{4})$"),
}
# Numbers that are refused where they stand; they are no footer.
_INFINITE = {"inf", "infinity"}


def text_table(text: str, where: str, settings: SeriesSettings, *, tabs: bool) -> Table:
    """Read a table from text."""
    import polars as pl

    text, before, told = only_with_times(text, where, "\t" if tabs else None, settings)
    shape = Shape(text, where, settings.header, "\t" if tabs else None, before=before)
    shape.notes[:0] = told
    frame = _of_one_step(shape, _under_years(shape, _frame(shape)), settings.frequency)
    notes: list[str] = []
    decimal = {"comma": ",", "point": "."}.get(settings.decimal)
    if decimal is None:
        some = pl.concat([column.rename("") for column in frame.head(2000).get_columns()])
        decimal, notes = find_decimal_mark(some, shape.delimiter)
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


def _frame(shape: Shape) -> pl.DataFrame:
    """The cells of the table, without the rows that are no data.

    These are empty rows, repeated headers, and totals and texts below the table.
    """
    frame = _read_quickly(shape)
    frame = _read_slowly(shape) if frame is None else frame
    frame = _without_totals(shape, _without_heads(shape, frame))
    tail = [[cell or "" for cell in row] for row in frame.tail(_FOOTER).rows()]
    foot: list[str] = []
    totals = 0
    for row, kinds in zip(tail[::-1], cell_kinds(tail)[::-1], strict=True):
        words = [cell.strip() for cell in row if cell.strip()]
        total = ("nothing", "time") in zip(kinds, shape.usual, strict=False)
        total &= "number" in kinds and not totals and frame.height > _TOTAL
        if not _is_foot(shape, kinds, words, below=bool(foot)) and not total:
            break
        totals += total
        foot.append(", ".join(words)[:80])
    frame = frame.head(frame.height - len(foot))
    if not frame.height:
        raise DataError("a table without rows", where=shape.where)
    if foot:
        more = f" and {len(foot) - 1:,} more" if len(foot) > 1 else ""
        line = shape.lines()[frame.height]
        shape.notes.append(f"line {line}, below the table, skipped: {foot[-1]}{more}")
    if short := sum(row < frame.height for row in shape.short):
        shape.notes.append(
            f"{short:,} row{'s are' if short > 1 else ' is'} shorter than the others: "
            "the absent cells count as missing"
        )
    return frame


def _is_foot(shape: Shape, kinds: Sequence[str], words: Sequence[str], *, below: bool) -> bool:
    """True for a row of text below the table, or a total; `below` if others follow it."""
    infinite = any(word.lower().strip("+-") in _INFINITE for word in words)
    if infinite or not TYPED & {*shape.usual} or not words:
        return False
    pairs = [*zip(kinds, shape.usual, strict=False)]
    typed = [pair for pair in pairs if pair[1] in TYPED]
    fits = any(mine == usual for mine, usual in typed)
    alone = len(words) == 1 < shape.width
    if alone and ("label" in kinds or (below and (not fits or words[0][0] == "-"))):
        return True
    if 3 * len(words) < shape.width and any(mine == "label" for mine, _ in typed):
        return not fits  # a legend
    text = shape.delimiter == " " or "number" not in kinds
    titled = ("label", "time") in pairs or (text and pairs[0] == ("label", "number"))
    return titled and not shape.is_data(kinds)


def _without_heads(shape: Shape, frame: pl.DataFrame) -> pl.DataFrame:
    """The rows that repeat no line above the table."""
    import polars as pl

    again = pl.zeros(frame.height, pl.Boolean, eager=True)
    for row in shape.heads:
        same = ~again
        for column, cell in zip(frame.get_columns(), [*row, *[""] * frame.width], strict=False):
            if same.any():
                same &= column.fill_null("").str.strip_chars() == cell.strip()
        again |= same
    lines = shape.lines()
    if again.any() and lines:
        line, count = lines[again.arg_max() or 0], int(again.sum())
        rows = f"{count} such rows" if count > 1 else "one row"
        shape.notes.append(f"line {line}: the lines above the table again, {rows} skipped")
    return shape.only(frame, ~again)


def _without_totals(shape: Shape, frame: pl.DataFrame) -> pl.DataFrame:
    """The rows without totals where others have their time."""
    if "time" not in shape.usual:
        return frame
    cells = frame.to_series(shape.usual.index("time")).str.strip_chars().str.to_lowercase()
    totals = cells.str.contains(_TOTAL_NAME).fill_null(value=False)
    totals[totals.len() - 1] = False  # below the table
    if totals.any():
        line, count = shape.lines()[totals.arg_max() or 0], int(totals.sum())
        rows = f"{count} rows of totals" if count > 1 else "a total"
        shape.notes.append(f"line {line}: {rows} between the others, skipped")
    return shape.only(frame, ~totals)


def _of_one_step(shape: Shape, frame: pl.DataFrame, frequency: str) -> pl.DataFrame:
    """The months, quarters or years of a table that holds several of them."""
    first = frame.to_series(0)
    some = first.head(100).str.strip_chars().str.contains("|".join(f for _, f in _STEPS.values()))
    if shape.usual[0] != "time" or not some.all():
        return frame
    first = first.str.strip_chars()
    rows = {name: first.str.contains(form) for name, (_, form) in _STEPS.items()}
    rows = {name: mask for name, mask in rows.items() if mask.sum() > 1}
    if len(rows) < 2 or sum(mask.sum() for mask in rows.values()) < first.count():
        return frame
    asked = None if frequency == "auto" else parse_frequency(frequency)
    taken = next((n for n in rows if asked and asked.step == _STEPS[n][0]), [*rows][-1])
    others = " and ".join(name for name in rows if name != taken)
    shape.notes.append(
        f"{', '.join(rows)} stand one below another: {taken} are read, {others} left out; "
        "--frequency yearly, quarterly or monthly chooses"
    )
    return shape.only(frame, rows[taken])


def _under_years(shape: Shape, frame: pl.DataFrame) -> pl.DataFrame:
    """Months and quarters with the year that stands in a row above them."""
    if shape.usual[0] != "label":
        return frame
    first = frame.to_series(0).str.strip_chars().str.to_lowercase()
    years = first.str.extract(r"^(?:fy ?)?(\d{4})$")
    parts = first.str.contains(f"^(?:{PART_NAME})$").fill_null(value=False)
    if years.count() < 2 or parts.sum() < 2 * years.count() or parts[0]:
        return frame
    told = f"{years.count()} rows of years, their totals, left out"
    shape.notes.append(f"the year of months or quarters stands in a row above them: {told}")
    dated = frame.with_columns((first + " " + years.forward_fill()).alias(frame.columns[0]))
    return shape.only(dated, parts)


def _read_quickly(shape: Shape) -> pl.DataFrame | None:
    """All rows by polars; None if some are shorter or longer than others."""
    import polars as pl

    if (
        shape.delimiter == " "
        or ("\r" in shape.text and "\r" in shape.text.replace("\r\n", "\n"))
        or shape.width != len(shape.names)
    ):
        return None
    begin = 0
    for _ in range(shape.begin - shape.before):
        begin = shape.text.find("\n", begin) + 1
    body = shape.text[begin:].encode("utf-8", "replace")
    schema = {str(number): pl.String() for number in range(shape.width)}
    try:
        frame = pl.read_csv(
            body, has_header=False, separator=shape.delimiter, comment_prefix="#", schema=schema
        )
    except pl.exceptions.PolarsError:
        return None
    first, last = frame.to_series(0), frame.to_series(-1)
    parts = frame.height * (shape.width - 1)
    if last.null_count() and body.count(shape.delimiter.encode()) != parts:
        return None
    if (first.is_null() | (first.str.strip_chars() == "")).any():
        frame = frame.filter(pl.any_horizontal(pl.all().str.strip_chars() != ""))
    return frame


def _read_slowly(shape: Shape) -> pl.DataFrame:
    """All rows by the reader that knows where each ends."""
    import polars as pl

    width, shape.known_lines = len(shape.names), []
    rows: list[list[str]] = []
    remarks: list[str] = []
    for row, line in shape.rows:
        extra = [cell for cell in row[width:] if cell.strip()]
        kinds = {*cell_kinds([extra])[0]} if extra else {"label"}
        if shape.delimiter == " " and kinds == {"label"}:
            remarks += extra
        elif extra and (shape.usual[0] not in TYPED or cell_kinds([row[:1]]) != [["label"]]):
            commas = shape.delimiter == "," and re.fullmatch(NUMBER, row[-1].strip())
            raise DataError(
                f"{len(row)} cells in a table of {width} columns, {extra[0][:40]!r} too many",
                where=f"{shape.where}, line {line}",
                hint="put cells that hold the delimiter in quotation marks"
                + (", as numbers with decimal commas" if commas else ""),
            )
        if len(row) < width:
            shape.short.append(len(rows))
        rows.append([*row, *[""] * (width - len(row))][:width])
        shape.known_lines.append(line)
    if remarks:
        shape.notes.append(f"text after the last column left out: {listed({*remarks}, 3)}")
    columns = zip(*rows, strict=True) if rows else [()] * width
    return pl.DataFrame({str(number): texts(cells) for number, cells in enumerate(columns)})
