"""Read series from files, named corpora, data frames or arrays."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rhapsode.config.source import SourceSettings
from rhapsode.data.sources.blob import Blob, Found, in_any_order
from rhapsode.data.sources.compression import bare_name, unpacked
from rhapsode.data.sources.folders import archive_kind, members, named_file
from rhapsode.data.sources.memory import is_frame
from rhapsode.data.sources.textfile import text_chunks
from rhapsode.data.tables.assemble import assemble
from rhapsode.data.tables.embedded import SERIES, embedded_series
from rhapsode.data.tables.parsing.columns import Table
from rhapsode.data.tables.parsing.frames import (
    array_table,
    frame_table,
    npy_arrays,
    parquet_table,
)
from rhapsode.data.tables.parsing.text_table import text_table
from rhapsode.data.tables.series_set import SeriesSet
from rhapsode.data.tables.settings import SeriesSettings
from rhapsode.errors import DataError, MissingExtraError
from rhapsode.files import is_there

_DEFAULT = SeriesSettings()
_READING = SourceSettings()
_REFUSED = {".json", ".jsonl", ".ndjson", ".xlsx", ".xls", ".ods", ".feather", ".pkl", ".h5"}


def read_series(
    source: Any, settings: SeriesSettings = _DEFAULT, reading: SourceSettings = _READING
) -> SeriesSet:
    """Read series from a file, named corpus, data frame or array.

    Files are CSV, TSV and similar text (delimiter, header, text encoding, decimal comma and
    compression are detected), Parquet, .npy and .npz; a file in an archive is named as
    archive.zip/file.csv. A path that exists takes precedence over a name. Frames are those of
    pandas, polars, pyarrow and other libraries that narwhals supports.

    Arguments:
        source: a path, "-", a name, a frame, an array of one axis or of rows x columns, or a
            mapping from name to array.
        settings: the parts of columns and the format; open settings are detected, and reported in
            the notes of the set.
        reading: `text_encoding` and `errors` for texts.

    Raises:
        DataError: a source that cannot be read, with the file, row and column if there is one.
        SettingsError: an unknown encoding or frequency.
        MissingExtraError: polars is not installed, and the series are not embedded ones.
    """
    name = str(source) if isinstance(source, (str, Path)) else None
    found = None if name is None else named_file(name)
    if found is None and name is not None and name in SERIES and settings == _DEFAULT:
        return embedded_series(name)
    try:
        import polars  # noqa: F401, ICN001
    except ImportError:
        raise MissingExtraError("series", "reading tables") from None
    if found is None:
        return assemble(_memory_table(source, name, settings), settings)
    return assemble(_file_table(*found, settings, reading), settings)


def _memory_table(source: Any, name: str | None, settings: SeriesSettings) -> Table:
    if is_frame(source):
        return frame_table(source, "the data frame", settings)
    if isinstance(source, np.ndarray):
        return array_table({"": source}, "the array", settings)
    if isinstance(source, dict):
        arrays = {str(name): np.asarray(array) for name, array in source.items()}
        return array_table(arrays, "the arrays", settings)
    if name is None:
        raise DataError(
            f"a {type(source).__name__} cannot be read as series",
            hint="give a path, a name, a data frame or an array",
        )
    if is_there(Path(name)) and Path(name).is_dir():
        raise DataError("a folder", where=name, hint="name one table in it")
    if name in SERIES:
        return array_table(SERIES[name](), name, settings)
    raise DataError(
        "no such file", where=name or "''", hint=f"series known by name: {', '.join(SERIES)}"
    )


def _file_table(blob: Blob, inner: str, settings: SeriesSettings, reading: SourceSettings) -> Table:
    # A .npz is a zip file of arrays.
    kind = None if _suffix(blob) == ".npz" else archive_kind(blob)
    if kind is None and inner:
        raise DataError("not an archive, so it contains no files", where=blob.name)
    if kind is None:
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


def _ascii(blob: Blob) -> str | None:
    """The text of a file of ASCII characters; None for others."""
    with closing(blob.open()) as raw:
        blocks = list(iter(lambda: raw.read(1 << 22), b""))
    plain = all(block.isascii() and b"\0" not in block for block in blocks)
    return b"".join(blocks).decode("ascii") if plain and blocks else None


def _suffix(blob: Blob) -> str:
    return Path(bare_name(blob.relative).lower()).suffix


def _blob_table(blob: Blob, settings: SeriesSettings, reading: SourceSettings) -> Table:
    suffix = _suffix(blob)
    if suffix in _REFUSED:
        raise DataError(
            f"{suffix} files are not read as series",
            where=blob.name,
            hint="save the table as CSV or Parquet, or pass a data frame in Python",
        )
    if suffix in {".parquet", ".pq", ".npy", ".npz"}:
        with in_any_order(blob if suffix == ".npz" else unpacked(blob)) as file:
            if suffix in {".npy", ".npz"}:
                return array_table(npy_arrays(file, blob.name), blob.name, settings)
            return parquet_table(file, blob.name, settings)
    found, plain = Found(), unpacked(blob)
    text = _ascii(plain) if reading.text_encoding == "auto" else None
    if text is None:
        text = "".join(text_chunks(plain.open, blob.name, reading, found, zeros=True))
    table = text_table(text, blob.name, settings, tabs=suffix in {".tsv", ".tab"})
    own = [f"{blob.name}: read as {codec}" for codec in found.encodings.values()]
    return replace(table, notes=(*own, *found.notes, *table.notes))
