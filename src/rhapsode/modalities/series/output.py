"""Tables of series: rows, CSV and Parquet."""

from __future__ import annotations

import csv
import importlib.util
import io
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.data.tables import SeriesSet, format_time
from rhapsode.errors import MissingExtraError, SettingsError
from rhapsode.files import write_atomically

ROWS_AT_ONCE = 4096
SUFFIXES = (".csv", ".tsv", ".parquet")
Rows = tuple[list[str], Iterator[list[Any]]]


def check_table(path: Path) -> None:
    """Check that a table can be written, before any work.

    Raises:
        SettingsError: another suffix than .csv, .tsv and .parquet, or a folder that does not exist.
        MissingExtraError: Parquet without pyarrow.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise SettingsError(
            f"tables are written as {', '.join(SUFFIXES)}, not {suffix or 'without a suffix'}",
            where=str(path),
        )
    if not path.parent.is_dir():
        raise SettingsError("there is no such folder", where=str(path.parent))
    if suffix == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        raise MissingExtraError("series", "writing Parquet")


def times_in_words(given: SeriesSet, series: int, times_T: NDArray[np.int64]) -> list[str]:
    """Times of a series, as its frequency writes them."""
    frequency = given.frequencies[series]
    return [format_time(time, given.kind, frequency, given.zone) for time in times_T.tolist()]


def series_rows(given: SeriesSet) -> Rows:
    """A header, and a row for every time of every series."""

    def rows() -> Iterator[list[Any]]:
        for series, name in enumerate(given.ids):
            rows = given.rows(series)
            times = times_in_words(given, series, given.times_N[rows])
            for time, values in zip(times, given.values_NK[rows].tolist(), strict=True):
                yield [name, time, *values]

    return ["series", "time", *given.names], rows()


def csv_text(table: Rows, *, delimiter: str = ",") -> Iterator[str]:
    """A table as CSV, in pieces of some thousand rows."""
    head, rows = table
    lines = chain([head], rows)
    while part := list(islice(lines, ROWS_AT_ONCE)):
        buffer = io.StringIO()
        csv.writer(buffer, delimiter=delimiter, lineterminator="\n").writerows(
            [f"{cell:.10g}" if isinstance(cell, float) else cell for cell in row] for row in part
        )
        yield buffer.getvalue()


def write_table(path: Path, table: Rows) -> None:
    """Write CSV, TSV or Parquet by the suffix, atomically.

    Raises:
        RunError: it cannot be written.
        MissingExtraError: Parquet without pyarrow.
    """
    suffix = path.suffix.lower()
    if suffix != ".parquet":
        text = "".join(csv_text(table, delimiter="\t" if suffix == ".tsv" else ","))
        write_atomically(path, text.encode("utf-8", "backslashreplace"))
        return
    import pyarrow as pa  # type: ignore[import-not-found, import-untyped, unused-ignore]
    import pyarrow.parquet as pq  # type: ignore[import-not-found, import-untyped, unused-ignore]

    head, rows = table
    columns = list(zip(*rows, strict=True)) or [()] * len(head)
    made = pa.table({name: list(column) for name, column in zip(head, columns, strict=True)})
    write_atomically(path, lambda scratch: pq.write_table(made, scratch))
