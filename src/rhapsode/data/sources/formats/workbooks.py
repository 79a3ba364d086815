"""Sheets of workbooks (.xlsx, .xls, .xlsb, .ods) as files of comma-separated values."""

import contextlib
import csv
import datetime
import io
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from rhapsode.data.sources.blob import Blob, Guarded, Raw, Unreadable, in_any_order
from rhapsode.data.sources.formats.office import unpacked_parts
from rhapsode.errors import DataError, MissingExtraError

WORKBOOKS = frozenset({".xlsx", ".xlsm", ".xls", ".xlsb", ".ods"})


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
            with unpacked_parts(file, blob.name):
                pass
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
    if isinstance(value, datetime.datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return str(value)
