"""Data frames of pandas, polars and pyarrow as tables, through narwhals, which needs none of them; Parquet files."""

from __future__ import annotations

import sys
from typing import Any, BinaryIO

import numpy as np

from rhapsode.data.tables.parsing.arrays import array_column
from rhapsode.data.tables.parsing.columns import Column, Labels, Numbers, Stamps, Table
from rhapsode.data.tables.parsing.stamps import as_bytes, parse_stamps, understood
from rhapsode.data.tables.settings import SeriesSettings
from rhapsode.errors import DataError, MissingExtraError
from rhapsode.files import first_line

__all__ = ["frame_table", "is_frame", "parquet_table"]

_DAY = 86_400_000_000_000


def is_frame(source: Any) -> bool:
    """Whether something is a data frame, or a series of one; loads no library of frames."""
    roots = {"pandas", "polars", "pyarrow", "modin", "cudf", "narwhals", "dask", "duckdb", "ibis"}
    return type(source).__module__.partition(".")[0] in roots


def parquet_table(file: BinaryIO, where: str, settings: SeriesSettings) -> Table:
    """The table of a Parquet file.

    Raises:
        DataError: the file is damaged.
        MissingExtraError: the reader is not installed.
    """
    try:
        import pyarrow as pa  # type: ignore[import-untyped,import-not-found,unused-ignore]
        import pyarrow.parquet as pq  # type: ignore[import-untyped,import-not-found,unused-ignore]
    except ImportError:
        raise MissingExtraError("series", "reading Parquet files") from None
    try:
        frame = pq.ParquetFile(file, pre_buffer=False).read()
    except (pa.ArrowException, OSError, ValueError) as problem:
        raise DataError(f"damaged Parquet: {first_line(problem)}", where=where) from None
    return frame_table(frame, where, settings)


def frame_table(frame: Any, where: str, settings: SeriesSettings) -> Table:
    """The columns of a data frame; an index of times or names counts as a column.

    Raises:
        DataError: it is empty, or a column holds neither numbers, times nor text.
    """
    import narwhals as nw

    frame = _with_index(frame)
    try:
        native = nw.from_native(frame, allow_series=True)
    except TypeError as problem:
        raise DataError(f"no data frame: {first_line(problem)}", where=where) from None
    if isinstance(native, nw.LazyFrame):
        native = native.collect()
    if isinstance(native, nw.Series):
        native = native.alias(native.name or "value").to_frame()
    if not native.columns or not len(native):
        raise DataError("there is nothing in it", where=where)
    columns = tuple(_column(native[name], str(name), where, settings) for name in native.columns)
    return Table(where, columns, len(native))


def _with_index(frame: Any) -> Any:
    """A pandas frame with its index as a column, where that is more than counting."""
    pandas = sys.modules.get("pandas")
    if pandas is None or not isinstance(frame, (pandas.DataFrame, pandas.Series)):
        return frame
    if isinstance(frame, pandas.Series):
        frame = frame.to_frame(frame.name if frame.name is not None else "value")
    frame = frame.copy(deep=False)
    frame.columns = [
        "/".join(map(str, name)) if isinstance(name, tuple) else str(name) for name in frame.columns
    ]
    if not isinstance(frame.index, pandas.RangeIndex):
        names = [
            str(name) if name is not None else f"index{number or ''}"
            for number, name in enumerate(frame.index.names)
        ]
        frame = frame.reset_index(names=names)
    for name in frame.columns:
        if isinstance(frame[name].dtype, pandas.PeriodDtype):
            frame[name] = frame[name].dt.to_timestamp()
    return frame


def _column(series: Any, name: str, where: str, settings: SeriesSettings) -> Column:
    import narwhals as nw

    dtype = series.dtype
    if name in settings.id_column and dtype.is_integer():
        series = series.cast(nw.String)
        dtype = series.dtype
    if dtype.is_numeric() or dtype == nw.Boolean:
        return Numbers(name, _floats(series))
    if dtype == nw.Date:
        dtype = nw.Datetime
        series = series.cast(nw.Datetime("us"))
    if dtype == nw.Datetime:
        return _stamps(series, name, where)
    if dtype in {nw.String, nw.Categorical, nw.Enum, nw.Object}:
        return _texts(series, name, where, settings)
    if isinstance(dtype, nw.Unknown) and series.is_null().all():
        return Numbers(name, np.full(len(series), np.nan))
    raise DataError(
        f"a column of {dtype} holds neither numbers, times nor text",
        where=f"{where}, column {name!r}",
        hint="leave it out or turn it into text",
    )


def _floats(series: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    import narwhals as nw

    return np.array(series.cast(nw.Float64).to_numpy(), dtype=np.float64)


def _stamps(series: Any, name: str, where: str) -> Stamps:
    zone = series.dtype.time_zone
    local = series
    if zone is not None and zone != "UTC":
        # By the clock on the wall where that is the same every day, otherwise in UTC.
        local = series.dt.replace_time_zone(None)
        clocks = np.unique(_nanoseconds(local, name, where).moments.times_N % _DAY)
        if len(clocks) > 2:
            local = series.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    elif zone is not None:
        local = series.dt.replace_time_zone(None)
    return _nanoseconds(local, name, where)


def _nanoseconds(series: Any, name: str, where: str) -> Stamps:
    column = array_column(name, np.asarray(series.to_numpy()).astype("datetime64"), where)
    assert isinstance(column, Stamps)
    return column


def _texts(series: Any, name: str, where: str, settings: SeriesSettings) -> Column:
    """Text: times if all of it reads so, labels otherwise."""
    import narwhals as nw

    missing = series.is_null().to_numpy().astype(bool)
    try:
        cells = [str(cell) for cell in series.cast(nw.String).fill_null("").to_list()]
    except Exception as problem:
        raise DataError(
            f"a column of {series.dtype} that is no text: {first_line(problem)}",
            where=f"{where}, column {name!r}",
        ) from None
    there = [cell for cell, none in zip(cells, missing, strict=True) if not none]
    if name not in settings.id_column and there:
        cells_N = as_bytes(cells)
        if understood(as_bytes(there)) is not None:
            return Stamps(name, parse_stamps(cells_N, missing, settings.dates), cells_N)
    levels: dict[str, int] = {}
    codes = [-1 if cell == "" else levels.setdefault(cell, len(levels)) for cell in cells]
    return Labels(name, np.array(codes, np.int32), tuple(levels))
