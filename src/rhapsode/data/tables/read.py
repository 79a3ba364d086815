"""What a source of series may be: a file, a corpus known by name, a data frame or an array."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rhapsode.config.source import SourceSettings
from rhapsode.data.sources.archives import archive_kind, members
from rhapsode.data.sources.blob import Blob, file_blob, in_any_order, spooled
from rhapsode.data.sources.compression import bare_name, unpacked
from rhapsode.data.sources.folders import inside
from rhapsode.data.sources.formats import Found
from rhapsode.data.sources.textfile import text_chunks
from rhapsode.data.tables.assemble import assemble
from rhapsode.data.tables.embedded import SERIES, embedded_text
from rhapsode.data.tables.layout import NoNumbersError, Roles, find_roles
from rhapsode.data.tables.parsing.arrays import array_table, npy_arrays
from rhapsode.data.tables.parsing.columns import Numbers, Table
from rhapsode.data.tables.parsing.csv_table import csv_table
from rhapsode.data.tables.parsing.frames import frame_table, is_frame, parquet_table
from rhapsode.data.tables.parsing.numerals import amounts_of
from rhapsode.data.tables.series_set import SeriesSet
from rhapsode.data.tables.settings import SeriesSettings
from rhapsode.errors import DataError, RhapsodeError
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
    if isinstance(source, (str, Path)):
        return _from_file(str(source), settings, reading)
    if is_frame(source):
        table = frame_table(source, "the data frame", settings)
    elif isinstance(source, np.ndarray):
        table = array_table({"": source}, "the array")
    elif isinstance(source, dict):
        table = array_table({str(name): np.asarray(a) for name, a in source.items()}, "the arrays")
    else:
        raise DataError(
            f"no series can be made of a {type(source).__name__}",
            hint="give a path, a name, a data frame or an array",
        )
    return _made(table, settings)


def read_head(path: Path, most: int = HEAD) -> SeriesSet | None:
    """The series of the first rows of a large table of text.

    Arguments:
        path: a file.
        most: characters that are read.

    Returns:
        None where the file is no larger, or is no table of text: it is then read whole.

    Raises:
        NoNumbersError: no column holds numbers.
    """
    blob = file_blob(path)
    suffix = Path(bare_name(blob.relative).lower()).suffix
    if path.stat().st_size <= most or suffix not in {".csv", ".tsv", ".tab"}:
        return None
    text = _Text(unpacked(blob), _READING, Found(), suffix != ".csv", most)
    try:
        table = text.table(_DEFAULT)
        return assemble(table, find_roles(table, _DEFAULT), _DEFAULT)
    except NoNumbersError:
        raise
    except RhapsodeError:  # perhaps only of the part: a quoted cell that was cut, an odd last row
        return None


def _made(table: Table, settings: SeriesSettings) -> SeriesSet:
    """The series of a table that was never text; its missing values are told by their amount."""
    amounts = np.array(sorted(amounts_of(settings.missing_values)))
    if len(amounts):
        columns = tuple(
            replace(
                column,
                values_N=np.where(np.isin(column.values_N, amounts), np.nan, column.values_N),
            )
            if isinstance(column, Numbers)
            else column
            for column in table.columns
        )
        table = replace(table, columns=columns)
    return assemble(table, find_roles(table, settings), settings)


@dataclass(frozen=True)
class _Text:
    """A table as text that can be read again."""

    blob: Blob
    reading: SourceSettings
    found: Found
    tabs: bool
    most: int | None = None
    """Characters that are read, cut after a line end."""

    def chunks(self) -> Iterator[str]:
        chunks = text_chunks(self.blob.open, self.blob.name, self.reading, self.found, zeros=True)
        if self.most is None:
            yield from chunks
            return
        head = ""
        for chunk in chunks:
            head += chunk
            if len(head) > self.most:
                break
        yield head[: head.rfind("\n", 0, self.most) + 1]

    def table(self, settings: SeriesSettings, labels: frozenset[str] = frozenset()) -> Table:
        self.found.encodings.clear()
        self.found.notes.clear()
        table = csv_table(self.chunks, self.blob.name, settings, tabs=self.tabs, labels=labels)
        own = [f"{self.blob.name}: read as {codec}" for codec in self.found.encodings.values()]
        return replace(table, notes=(*own, *self.found.notes, *table.notes))


def _from_file(source: str, settings: SeriesSettings, reading: SourceSettings) -> SeriesSet:
    path = Path(source)
    if source == "-":
        import sys

        if sys.stdin is None:
            raise DataError("standard input is closed", where="-", hint="pipe a table into it")
        return _from_blob(Blob("-", "-", spooled(sys.stdin.buffer, "-")), settings, reading)
    if source and is_there(path):
        if path.is_dir():
            raise DataError("a folder", where=source, hint="name one table in it")
        return _archive_or_table(file_blob(path), "", settings, reading)
    if source in SERIES:
        text = embedded_text(source).encode()
        return _from_blob(Blob(source, f"{source}.csv", _Opened(text)), settings, reading)
    if source and (parts := inside(source)) is not None:
        return _archive_or_table(file_blob(parts[0]), parts[1], settings, reading)
    raise DataError(
        "no such file", where=source or "''", hint=f"series known by name: {', '.join(SERIES)}"
    )


class _Opened:
    """Bytes in memory, opened as a file is."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def __call__(self) -> Any:
        import io

        return io.BytesIO(self._content)


def _archive_or_table(
    blob: Blob, inner: str, settings: SeriesSettings, reading: SourceSettings
) -> SeriesSet:
    # A .npz is a zip file of arrays.
    kind = None if bare_name(blob.relative).lower().endswith(".npz") else archive_kind(blob)
    if kind is None:
        if inner:
            raise DataError("no archive, so nothing is inside it", where=blob.name)
        return _from_blob(blob, settings, reading)
    with members(blob, kind, inner) as entries:
        found = list(entries)
        if len(found) > 1:
            listed = ", ".join(entry.relative for entry in found[:5])
            raise DataError(
                f"{len(found)} files in this archive: {listed}{', ...' if len(found) > 5 else ''}",
                where=blob.name,
                hint=f"name one, as {blob.name}/{found[0].relative}",
            )
        return _from_blob(found[0], settings, reading)


def _from_blob(blob: Blob, settings: SeriesSettings, reading: SourceSettings) -> SeriesSet:
    name = bare_name(blob.relative).lower()
    suffix = Path(name).suffix
    if suffix in {".json", ".jsonl", ".ndjson", ".xlsx", ".xls", ".ods", ".feather", ".pkl", ".h5"}:
        raise DataError(
            f"{suffix} files are not read as series",
            where=blob.name,
            hint="save the table as CSV or Parquet, or pass a data frame in Python",
        )
    if suffix in {".parquet", ".pq", ".npy", ".npz"}:
        with in_any_order(unpacked(blob) if suffix != ".npz" else blob) as file:
            if suffix in {".npy", ".npz"}:
                table = array_table(npy_arrays(file, blob.name), blob.name)
            else:
                table = parquet_table(file, blob.name, settings)
        return _made(table, settings)
    text = _Text(unpacked(blob), reading, Found(), suffix in {".tsv", ".tab"})
    table = text.table(settings)
    roles = find_roles(table, settings)
    numeric = _ids_in_numbers(table, roles)
    if numeric:
        # Ids are text, even where they look like numbers: 007 is not 7.
        table = text.table(settings, numeric)
        named = tuple(table.columns[place].name for place in roles.ids)
        roles = find_roles(table, replace(settings, id_column=named))
    return assemble(table, roles, settings)


def _ids_in_numbers(table: Table, roles: Roles) -> frozenset[str]:
    columns = [table.columns[place] for place in roles.ids]
    return frozenset(column.name for column in columns if isinstance(column, Numbers))
