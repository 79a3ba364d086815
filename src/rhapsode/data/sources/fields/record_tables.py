"""Records of CSV, TSV and Parquet.

Takes text in chunks (Parquet: a file) and knows nothing of where it came from. Memory stays at a few records.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from rhapsode.data.sources.fields.selector import LISTED, Selector
from rhapsode.errors import DataError, MissingExtraError
from rhapsode.files import first_line

__all__ = ["csv_records", "parquet_records"]

Record = Mapping[str, Any]

_LONGEST_CELL = 1 << 28
_LINES = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)")


def csv_records(
    chunks: Iterator[str], where: str, selector: Selector, delimiter: str | None = None
) -> Iterator[dict[str, str]]:
    """The rows of a table, by the names in its first row; missing cells are left out, extra ones ignored.

    Arguments:
        chunks: its text.
        where: its name, for messages.
        selector: told of the header; two columns of one name are an error if it asks for that.
        delimiter: what parts the cells; found out if None.

    Raises:
        DataError: a cell without an end, or two columns of the asked name.
    """
    lines = _Ahead(_lines(chunks))
    csv.field_size_limit(_LONGEST_CELL)
    reader = csv.reader(lines, delimiter=delimiter or _delimiter(lines.ahead(30)))
    header: list[str] | None = None
    try:
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            if header is None:
                header = _header(row, where, selector)
                continue
            yield {name: cell for name, cell in zip(header, row, strict=False) if name}
    except csv.Error as problem:
        raise DataError(
            f"malformed table near line {reader.line_num}: {first_line(problem)}",
            where=where,
            hint="is a quotation mark left open?",
        ) from None


def _header(row: list[str], where: str, selector: Selector) -> list[str]:
    # White space may differ, as where a name is broken into lines.
    asked = {" ".join(name.split()): name for name in selector.names if name not in row}
    names = [asked.get(" ".join(name.split()), name) for name in row]
    for name in selector.names:
        if names.count(name) > 1:
            raise DataError(
                f"{names.count(name)} columns are named {name!r}",
                where=where,
                hint="rename one of them",
            )
    selector.header(name for name in names if name)
    # Of columns with the same name that nobody asks for, any will do.
    return names


class _Ahead:
    """Lines of which the next few can be looked at."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self._kept: list[str] = []

    def ahead(self, count: int) -> list[str]:
        """The next lines, blank ones before the first left out."""
        for line in self._lines:
            if line.strip() or self._kept:
                self._kept.append(line)
            if len(self._kept) >= count:
                break
        self._kept.reverse()
        return self._kept[::-1]

    def __iter__(self) -> _Ahead:
        return self

    def __next__(self) -> str:
        return self._kept.pop() if self._kept else next(self._lines)


def _lines(chunks: Iterator[str]) -> Iterator[str]:
    left: list[str] = []
    for chunk in chunks:
        if "\n" not in chunk and "\r" not in chunk:
            left.append(chunk)
            continue
        text = "".join([*left, chunk])
        end = 0
        for match in _LINES.finditer(text):
            if match.end() == len(text) and text[-1] == "\r":
                break  # a line feed may follow
            yield match[0]
            end = match.end()
        left = [text[end:]]
    if rest := "".join(left):
        yield from _LINES.findall(rest + "\n")


def _delimiter(lines: list[str]) -> str:
    """What parts the cells: it must do so in the header, and in most rows as often."""
    best, found = (0.0, 0), "\x1f"  # in a table of one column, nothing
    for candidate in ",;\t|":
        try:
            rows = [row for row in csv.reader(lines, delimiter=candidate) if row]
        except csv.Error:
            continue
        columns = len(rows[0]) if rows else 0
        if columns < 2:
            continue
        same = sum(len(row) == columns for row in rows) / len(rows)
        if (round(same, 1), columns) > best:
            best, found = (round(same, 1), columns), candidate
    return found


def parquet_records(file: BinaryIO, where: str, selector: Selector | None) -> Iterator[Record]:
    """The rows of a Parquet file, a batch at a time, only the asked columns.

    Arguments:
        file: the file, readable in any order.
        where: its name, for messages.
        selector: which columns; None for an error that names them all.

    Raises:
        DataError: it is damaged, or no column was asked for.
        MissingExtraError: the reader is not installed.
    """
    try:
        import pyarrow as pa  # type: ignore[import-untyped,import-not-found,unused-ignore]
        import pyarrow.parquet as pq  # type: ignore[import-untyped,import-not-found,unused-ignore]
    except ImportError:
        raise MissingExtraError("data", "reading Parquet files") from None
    try:
        table = pq.ParquetFile(file, pre_buffer=False)
        columns = list(table.schema_arrow.names)
        if selector is None:
            raise DataError(
                f"Parquet holds columns: {', '.join(columns[:LISTED])}",
                where=where,
                hint="say which is the text with --field",
            )
        selector.header(columns)
        asked = {name.partition(".")[0] for name in selector.names} | set(selector.names)
        wanted = [name for name in columns if name in asked]
        for batch in table.iter_batches(batch_size=1024, columns=wanted):
            yield from batch.to_pylist()
    except (pa.ArrowException, OSError, ValueError) as problem:
        raise DataError(f"damaged Parquet: {first_line(problem)}", where=where) from None
