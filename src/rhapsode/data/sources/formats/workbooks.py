"""Sheets of workbooks (.xlsx, .xls, .xlsb, .ods) as files of comma-separated values."""

import contextlib
import csv
import datetime as dt
import io
import re
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from rhapsode.data.sources.blob import Blob, Guarded, Raw, Unreadable, in_any_order, told
from rhapsode.data.sources.formats.office import unpacked_parts
from rhapsode.errors import DataError, MissingExtraError

WORKBOOKS = frozenset({".xlsx", ".xlsm", ".xls", ".ods"})
# Cells of a sheet, empty ones included: the library makes room for all up to the last.
MOST_CELLS = 20_000_000
_PLACE = re.compile(rb'\br="([A-Z]{1,3})(\d{1,7})"')


def is_workbook(name: str) -> bool:
    """True if a file is a workbook by its suffix."""
    return Path(name).suffix.lower() in WORKBOOKS


@contextlib.contextmanager
def sheets_of(blob: Blob) -> Iterator[list[Blob]]:
    """Sheets of a workbook as files of CSV, empty ones left out.

    Cells have the values that were last computed; dates are written as ISO 8601.

    Raises:
        Unreadable: it is damaged, protected, or unpacks to more than the limit.
        MissingExtraError: the library is not installed.
    """
    try:
        from python_calamine import CalamineError, CalamineWorkbook
    except ImportError:
        needed = f"reading {Path(blob.relative).suffix.lower()} files"
        raise MissingExtraError("documents", needed) from None
    with in_any_order(blob) as file:
        if zipfile.is_zipfile(file):
            with unpacked_parts(file, blob.name) as archive:
                _check_sizes(archive, blob.name)
        file.seek(0)
        try:
            book = CalamineWorkbook.from_filelike(file)
            sheets = {name: book.get_sheet_by_name(name) for name in book.sheet_names}
        except (CalamineError, OSError, ValueError) as problem:
            what = f"a damaged or protected workbook ({problem})"
            raise Unreadable(what, where=blob.name, hint="open it and save it again") from None
        filled = [name for name, sheet in sheets.items() if sheet.height and sheet.width]
        if not filled:
            raise DataError("all its sheets are empty", where=blob.name)
        yield [
            Blob(f"{blob.name}/{name}", f"{name}.csv", partial(_opened, sheets[name], blob.name))
            for name in filled
        ]


def _check_sizes(archive: zipfile.ZipFile, where: str) -> None:
    """Refuse a sheet with a cell far away from all others.

    Raises:
        Unreadable: there is one, or a part is damaged.
    """
    for part in archive.namelist():
        if not re.fullmatch(r"xl/worksheets/[^/]+\.xml", part):
            continue
        rows = columns = 0
        rest = b""
        with told(where), archive.open(part) as file:
            while block := file.read(1 << 20):
                places = {*_PLACE.findall(rest + block)}
                rest = block[-32:]
                rows = max(rows, *(int(row) for _, row in places), 0)
                columns = max(columns, *map(_column, {name for name, _ in places}), 0)
        if rows * columns > MOST_CELLS:
            raise Unreadable(
                f"{part} has {rows:,} rows of {columns:,} columns, more than {MOST_CELLS:,} cells",
                where=where,
                hint="delete what lies outside the table, or save the sheet as CSV",
            )


def _column(name: bytes) -> int:
    number = 0
    for letter in name:
        number = 26 * number + letter - 64
    return number


def _opened(sheet: Any, where: str) -> Raw:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in sheet.iter_rows():
        writer.writerow(map(_cell, row))
    file = io.BytesIO(text.getvalue().encode("utf-8", "replace"))
    return Guarded(file, where, [file])


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, dt.datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    return str(value)
