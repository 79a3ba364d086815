"""Read series from files, named corpora, data frames or arrays."""

import importlib.util
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.config.source import SourceSettings
from rhapsode.data.sources.blob import Blob, Found, first_bytes, in_any_order
from rhapsode.data.sources.compression import bare_name, unpacked
from rhapsode.data.sources.fields.json_records import json_records
from rhapsode.data.sources.folders import archive_kind, members, named_file
from rhapsode.data.sources.memory import is_frame
from rhapsode.data.sources.textfile import text_chunks
from rhapsode.data.tables.assemble import assemble, assemble_arrays
from rhapsode.data.tables.embedded import SERIES
from rhapsode.data.tables.parsing.columns import Table, listed
from rhapsode.data.tables.parsing.frames import (
    flat_arrays,
    frame_table,
    npy_arrays,
    parquet_table,
    polars_table,
)
from rhapsode.data.tables.parsing.text_table import text_table
from rhapsode.data.tables.roles import NoNumbersError, find_roles
from rhapsode.data.tables.series_set import SeriesSet
from rhapsode.data.tables.settings import SeriesSettings
from rhapsode.errors import DataError, MissingExtraError
from rhapsode.files import is_there

_DEFAULT = SeriesSettings()
_READING = SourceSettings()
_HEAD, _LARGE = 1 << 20, 4 << 20
_CLEAR = 100
JSON = (".json", ".jsonl", ".ndjson")
_REFUSED = {".xlsx", ".xls", ".ods", ".feather", ".pkl", ".h5"}


def read_series(source: Any, settings: SeriesSettings = _DEFAULT) -> SeriesSet:
    """Read series from a file, named corpus, data frame or array.

    Files are CSV, TSV and similar text (delimiter, header, text encoding, decimal comma and
    compression are detected), records of JSON, Parquet, .npy and .npz; a file in an archive is
    named as archive.zip/file.csv. A path that exists takes precedence over a name. Frames are those
    of pandas, polars, pyarrow and other libraries that narwhals supports.

    Arguments:
        source: a path, "-", a name, a frame, an array of one axis or of rows x columns, or a
            mapping from name to array.
        settings: the parts of columns and the format; open settings are detected, and reported in
            the notes of the set.

    Raises:
        DataError: a source that cannot be read, with the file, row and column if there is one.
        SettingsError: an unknown encoding or frequency.
        MissingExtraError: polars is not installed, and the source holds more than arrays of
            numbers and times.
    """
    name = str(source) if isinstance(source, (str, Path)) else None
    found = None if name is None else named_file(name)
    has_polars = importlib.util.find_spec("polars") is not None
    if (arrays := _arrays(source, name, found)) is not None:
        flat, where = flat_arrays(*arrays), arrays[1]
        plain = all(array.dtype.kind in "fiubM" for array in flat.values())
        if (plain and not has_polars) or (
            found is None and name in SERIES and settings == _DEFAULT
        ):
            return assemble_arrays(flat, where, settings)
    if not has_polars:
        raise MissingExtraError("series", "reading tables")
    if arrays is not None:
        import polars as pl

        header = len(arrays[0]) > 1
        return assemble(polars_table(pl.DataFrame(flat), where, settings, header=header), settings)
    if found is not None:
        return assemble(_file_table(*found, settings), settings)
    if is_frame(source):
        return assemble(frame_table(source, settings), settings)
    if name is None:
        raise DataError(
            f"a {type(source).__name__} cannot be read as series",
            hint="give a path, a name, a data frame or an array",
        )
    if is_there(Path(name)) and Path(name).is_dir():
        raise DataError("a folder", where=name, hint="name one table in it")
    known = f"series known by name: {', '.join(SERIES)}"
    raise DataError("no such file", where=name or "''", hint=known)


def _arrays(
    source: Any, name: str | None, found: tuple[Blob, str] | None
) -> tuple[dict[str, NDArray[Any]], str] | None:
    """Arrays by name, and the name of the source; None for other sources."""
    if found is not None:
        blob = found[0]
        if found[1] or _suffix(blob) not in {".npy", ".npz"}:
            return None
        with in_any_order(blob if _suffix(blob) == ".npz" else unpacked(blob)) as file:
            return npy_arrays(file, blob.name), blob.name
    if isinstance(source, np.ndarray):
        return {"": source}, "the array"
    if isinstance(source, dict):
        return {str(key): np.asarray(array) for key, array in source.items()}, "the arrays"
    return (SERIES[name](), name) if name is not None and name in SERIES else None


def _file_table(blob: Blob, inner: str, settings: SeriesSettings) -> Table:
    kind = archive_kind(blob)
    if kind is None and inner:
        raise DataError("not an archive, so it contains no files", where=blob.name)
    if kind is None:
        return _blob_table(blob, settings)
    with members(blob, kind, inner) as entries:
        found = list(entries)
        if kind == "workbook" and len(found) > 1:
            return _sheet_table(blob, found, settings)
        if len(found) > 1:
            names = ", ".join(entry.relative for entry in found[:5])
            raise DataError(
                f"{len(found)} files in this archive: {names}{', ...' if len(found) > 5 else ''}",
                where=blob.name,
                hint=f"name one, as {blob.name}/{found[0].relative}",
            )
        return _blob_table(found[0], settings)


def _sheet_table(blob: Blob, sheets: Sequence[Blob], settings: SeriesSettings) -> Table:
    """The table of the only sheet that holds one."""
    timed: dict[str, Table] = {}
    plain: dict[str, Table] = {}
    names = [Path(sheet.relative).stem for sheet in sheets]
    for name, sheet in zip(names, sheets, strict=True):
        with suppress(DataError):
            table = _blob_table(sheet, settings)
            has_times = find_roles(table, settings).times is not None
            (timed if has_times else plain)[name] = table
    tables = timed or plain
    if len(tables) == 1:
        ((name, table),) = tables.items()
        others = f"sheet {name!r} is read; no times in {listed(n for n in names if n != name)}"
        return replace(table, notes=(others, *table.notes))
    what = "several sheets hold a table" if tables else "no sheet holds a table of numbers"
    raise DataError(
        f"{what}: {listed(tables or names)}",
        where=blob.name,
        hint=f"name one, as {shlex.quote(f'{blob.name}/{next(iter(tables or names))}')}",
    )


def _ascii(blob: Blob) -> str | None:
    """The text of a file of ASCII characters; None for others."""
    with closing(blob.open()) as raw:
        blocks = []
        for block in iter(lambda: raw.read(1 << 22), b""):
            if not block.isascii() or b"\0" in block:
                return None
            blocks.append(block.decode("ascii"))
    return "".join(blocks) or None


def _suffix(blob: Blob) -> str:
    return Path(bare_name(blob.relative).lower()).suffix


def _blob_table(blob: Blob, settings: SeriesSettings) -> Table:
    suffix = _suffix(blob)
    if suffix in _REFUSED:
        raise DataError(
            f"{suffix} files are not read as series",
            where=blob.name,
            hint="save the table as CSV or Parquet, or pass a data frame in Python",
        )
    if suffix in {".parquet", ".pq"}:
        with in_any_order(unpacked(blob)) as file:
            return parquet_table(file, blob.name, settings)
    plain = unpacked(blob)
    if suffix in JSON:
        return _json_table(plain, settings)
    head = first_bytes(plain.open, _LARGE)
    if len(head) == _LARGE and not settings.value_columns:
        beginning = _whole_lines(head[:_HEAD])
        _refuse_text(Blob(blob.name, blob.relative, lambda: BytesIO(beginning)), settings)
    return _text_table(plain, settings)


def first_records(source: str, most: int = 1000) -> SeriesSet:
    """Series of the first JSON records of a file.

    Raises:
        DataError: they are no table of numbers.
    """
    found = named_file(source)
    if found is None or found[1]:
        raise DataError("no such file", where=source)
    return assemble(_json_table(unpacked(found[0]), _DEFAULT, most), _DEFAULT)


def _json_table(plain: Blob, settings: SeriesSettings, most: int | None = None) -> Table:
    """A table of JSON records, with a column for each field that is no list."""
    import polars as pl

    found = Found()
    chunks = text_chunks(plain.open, plain.name, _READING, found, zeros=True)
    cells: dict[str, list[str | None]] = {}
    rows = 0
    for record in islice(json_records(chunks, plain.name, None), most):
        if not isinstance(record, dict):
            raise DataError("not an object with fields", where=f"{plain.name}, record {rows + 1}")
        for name, cell in _fields(record):
            column = cells.setdefault(name, [])
            column += [None] * (rows - len(column))
            column.append(cell)
        rows += 1
    for short in cells.values():
        short += [None] * (rows - len(short))  # noqa: PLW2901 - it grows in place
    frame = pl.DataFrame(cells, schema=dict.fromkeys(cells, pl.String))
    table = polars_table(frame, plain.name, settings)
    return replace(table, notes=(*found.notes, *table.notes))


def _fields(record: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str | None]]:
    """Fields of a record by name; those of an object in it are named "object.field"."""
    for name, value in record.items():
        if isinstance(value, dict):
            yield from _fields(value, f"{before}{name}.")
        elif not isinstance(value, list):
            text = str(value).lower() if isinstance(value, bool) else value
            yield before + name, text


def _whole_lines(head: bytes) -> bytes:
    """The bytes up to the last line end outside quotation marks."""
    characters = np.frombuffer(head, np.uint8)
    quoted = np.cumsum(characters == ord('"')) % 2 == 1
    ends = np.flatnonzero((characters == ord("\n")) & ~quoted)
    return head[: ends[-1] + 1] if len(ends) else b""


def _refuse_text(head: Blob, settings: SeriesSettings) -> None:
    """Refuse a large table whose beginning clearly holds no numbers.

    Raises:
        NoNumbersError: hardly a cell of any column is a number.
    """
    try:
        table = _text_table(head, settings)
        if all(c.kind != "number" and c.values.count() >= _CLEAR for c in table.columns):
            find_roles(table, settings)
    except NoNumbersError:
        raise
    except DataError:
        return  # the whole table may tell more


def _text_table(plain: Blob, settings: SeriesSettings) -> Table:
    found, suffix = Found(), _suffix(plain)
    text = _ascii(plain)
    if text is None:
        text = "".join(text_chunks(plain.open, plain.name, _READING, found, zeros=True))
    table = text_table(text, plain.name, settings, tabs=suffix in {".tsv", ".tab"})
    own = [f"{plain.name}: read as {codec}" for codec in found.encodings.values()]
    return replace(table, notes=(*own, *found.notes, *table.notes))
