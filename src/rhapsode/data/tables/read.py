"""Sources of series: a file, a corpus known by name, a data frame or an array."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rhapsode.config.source import SourceSettings
from rhapsode.data.sources.archives import archive_kind, members
from rhapsode.data.sources.blob import Blob, file_blob, in_any_order, spooled
from rhapsode.data.sources.compression import bare_name, unpacked
from rhapsode.data.sources.folders import inside
from rhapsode.data.sources.formats import Found
from rhapsode.data.sources.memory import is_frame
from rhapsode.data.sources.textfile import text_chunks
from rhapsode.data.tables.assemble import assemble
from rhapsode.data.tables.embedded import SERIES, embedded_set, embedded_text
from rhapsode.data.tables.layout import NoNumbersError, find_roles
from rhapsode.data.tables.parsing.columns import Table
from rhapsode.data.tables.parsing.csv_table import csv_table
from rhapsode.data.tables.parsing.frames import (
    array_table,
    frame_table,
    npy_arrays,
    parquet_table,
)
from rhapsode.data.tables.parsing.numerals import amounts_of
from rhapsode.data.tables.series_set import SeriesSet
from rhapsode.data.tables.settings import SeriesSettings
from rhapsode.errors import DataError, MissingExtraError, RhapsodeError
from rhapsode.files import is_there

__all__ = ["read_head", "read_series"]

HEAD = 1 << 18
"""Characters by which a large table is judged."""

_DEFAULT = SeriesSettings()
_READING = SourceSettings()


def read_series(
    source: Any, settings: SeriesSettings = _DEFAULT, reading: SourceSettings = _READING
) -> SeriesSet:
    """The series of a file, a corpus known by name, a data frame or an array.

    Files are CSV, TSV and their like (delimiter, header, text encoding, decimal comma and compression are found out),
    Parquet, .npy and .npz; a file within an archive is named as archive.zip/file.csv. A path that exists wins over a
    name. Frames are those of pandas, polars, pyarrow and whatever else narwhals knows.

    Arguments:
        source: a path, "-", a name, a frame, an array of one axis or of rows x columns, or a mapping from name to array.
        settings: which column plays which part; what is left open is found out, and told in the notes of the set.
        reading: `text_encoding` and `errors` say how a text is decoded.

    Raises:
        DataError: a source that cannot be read, with the file, row and column where there is one.
        SettingsError: an unknown encoding or frequency.
        MissingExtraError: an optional package is needed for the file.
    """
    if (
        isinstance(source, str)
        and source in SERIES
        and settings == _DEFAULT
        and not is_there(Path(source))
    ):
        return embedded_set(source)
    return _made(_table(source, settings, reading), settings)


def read_head(path: Path, most: int = HEAD) -> SeriesSet | None:
    """The series of the first rows of a large table of text.

    Arguments:
        path: a file.
        most: characters that are read.

    Returns:
        None where the file is no larger, or is no table of text: it is then read whole.

    Raises:
        NoNumbersError: no column holds numbers.
        MissingExtraError: an optional package is needed for the file.
    """
    blob = file_blob(path)
    suffix = Path(bare_name(blob.relative).lower()).suffix
    if path.stat().st_size <= most or suffix not in {".csv", ".tsv", ".tab"}:
        return None
    try:
        return _made(_text_table(blob, suffix, _DEFAULT, _READING, most), _DEFAULT)
    except (NoNumbersError, MissingExtraError):
        raise
    except RhapsodeError:  # perhaps only of the part: a quoted cell that was cut, an odd last row
        return None


def _made(table: Table, settings: SeriesSettings) -> SeriesSet:
    """The series of a table; of numbers that were never text, missing values are told by their amount."""
    amounts = [*amounts_of(settings.missing_values)] if table.lines_N is None else []
    if amounts:
        numbers = [
            c.set(c.is_in(amounts), np.nan) if c.dtype.is_float() else c for c in table.columns
        ]
        table = replace(table, columns=tuple(numbers))
    return assemble(table, find_roles(table, settings), settings)


def _table(source: Any, settings: SeriesSettings, reading: SourceSettings) -> Table:
    if isinstance(source, (str, Path)):
        return _named(str(source), settings, reading)
    if is_frame(source):
        return frame_table(source, "the data frame", settings)
    if isinstance(source, np.ndarray):
        return array_table({"": source}, "the array", settings)
    if isinstance(source, dict):
        arrays = {str(name): np.asarray(array) for name, array in source.items()}
        return array_table(arrays, "the arrays", settings)
    raise DataError(
        f"no series can be made of a {type(source).__name__}",
        hint="give a path, a name, a data frame or an array",
    )


def _named(source: str, settings: SeriesSettings, reading: SourceSettings) -> Table:
    path = Path(source)
    if source == "-":
        import sys

        if sys.stdin is None:
            raise DataError("standard input is closed", where="-", hint="pipe a table into it")
        return _blob_table(Blob("-", "-", spooled(sys.stdin.buffer, "-")), settings, reading)
    if source and is_there(path):
        if path.is_dir():
            raise DataError("a folder", where=source, hint="name one table in it")
        return _archive_or_table(file_blob(path), "", settings, reading)
    if source in SERIES:
        text = embedded_text(source)
        return csv_table(lambda: iter([text]), source, settings)
    if source and (parts := inside(source)) is not None:
        return _archive_or_table(file_blob(parts[0]), parts[1], settings, reading)
    raise DataError(
        "no such file", where=source or "''", hint=f"series known by name: {', '.join(SERIES)}"
    )


def _archive_or_table(
    blob: Blob, inner: str, settings: SeriesSettings, reading: SourceSettings
) -> Table:
    # A .npz is a zip file of arrays.
    kind = None if bare_name(blob.relative).lower().endswith(".npz") else archive_kind(blob)
    if kind is None:
        if inner:
            raise DataError("no archive, so nothing is inside it", where=blob.name)
        return _blob_table(blob, settings, reading)
    with members(blob, kind, inner) as entries:
        found = list(entries)
        if len(found) > 1:
            names = ", ".join(entry.relative for entry in found[:5])
            raise DataError(
                f"{len(found)} files in this archive: {names}{', ...' if len(found) > 5 else ''}",
                where=blob.name,
                hint=f"name one, as {blob.name}/{found[0].relative}",
            )
        return _blob_table(found[0], settings, reading)


def _blob_table(blob: Blob, settings: SeriesSettings, reading: SourceSettings) -> Table:
    suffix = Path(bare_name(blob.relative).lower()).suffix
    if suffix in {".json", ".jsonl", ".ndjson", ".xlsx", ".xls", ".ods", ".feather", ".pkl", ".h5"}:
        raise DataError(
            f"{suffix} files are not read as series",
            where=blob.name,
            hint="save the table as CSV or Parquet, or pass a data frame in Python",
        )
    if suffix in {".parquet", ".pq", ".npy", ".npz"}:
        with in_any_order(unpacked(blob) if suffix != ".npz" else blob) as file:
            if suffix in {".npy", ".npz"}:
                return array_table(npy_arrays(file, blob.name), blob.name, settings)
            return parquet_table(file, blob.name, settings)
    return _text_table(blob, suffix, settings, reading)


def _text_table(
    blob: Blob,
    suffix: str,
    settings: SeriesSettings,
    reading: SourceSettings,
    most: int | None = None,
) -> Table:
    """A table of text.

    Arguments:
        blob: the file.
        suffix: of its name.
        settings: how tables are read.
        reading: how texts are decoded.
        most: characters that are read, cut after a line end.
    """
    plain, found = unpacked(blob), Found()

    def chunks() -> Iterator[str]:
        text = text_chunks(plain.open, blob.name, reading, found, zeros=True)
        if most is None:
            yield from text
            return
        head = ""
        while len(head) <= most and (chunk := next(text, "")):
            head += chunk
        yield head[: head.rfind("\n", 0, most) + 1]

    table = csv_table(chunks, blob.name, settings, tabs=suffix in {".tsv", ".tab"})
    own = [f"{blob.name}: read as {codec}" for codec in found.encodings.values()]
    return replace(table, notes=(*own, *found.notes, *table.notes))
