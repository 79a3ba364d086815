"""Arrays, data frames and Parquet files as tables; frames through narwhals, which needs none of their libraries."""

from __future__ import annotations

import sys
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from rhapsode.data.sources.fields.record_tables import parquet_file
from rhapsode.data.tables.parsing.columns import Table
from rhapsode.data.tables.parsing.stamps import (
    DAY,
    NO_TIME,
    Moments,
    as_bytes,
    parse_stamps,
    understood,
)
from rhapsode.data.tables.settings import SeriesSettings
from rhapsode.errors import DataError
from rhapsode.files import first_line

if TYPE_CHECKING:
    import polars as pl

__all__ = ["array_table", "frame_table", "npy_arrays", "parquet_table"]


def npy_arrays(file: BinaryIO, where: str) -> dict[str, NDArray[Any]]:
    """The arrays of a .npy or .npz file, by name; "" is that of a .npy. Never unpickles anything.

    Raises:
        DataError: the file is damaged, or holds Python objects.
    """
    try:
        loaded = np.load(file, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return {"": loaded}
        with loaded:
            return {name: loaded[name] for name in loaded.files}
    except (ValueError, OSError, EOFError, KeyError, SyntaxError, zipfile.BadZipFile, zlib.error,
            NotImplementedError, RuntimeError, MemoryError, tokenize.TokenError) as problem:  # fmt: skip
        raise DataError(
            f"not an array that can be read: {first_line(problem)[:120]}",
            where=where,
            hint="arrays of Python objects are never loaded: save them as numbers",
        ) from None


def array_table(arrays: Mapping[str, NDArray[Any]], where: str, settings: SeriesSettings) -> Table:
    """Arrays as columns: of one axis a column each, of two their columns; shorter ones of numbers end with what is missing.

    Raises:
        DataError: there is none, they differ in length and hold times or texts, have more than two axes or hold no numbers.
    """
    as_bytes([])
    import polars as pl

    flat: dict[str, NDArray[Any]] = {}
    for name, array in arrays.items():
        if array.ndim not in {1, 2}:
            named = f", {name!r}" if name else ""
            raise DataError(
                f"an array of {array.ndim} axes, not of one or two", where=where + named
            )
        prefix = "column" if len(arrays) == 1 else name
        if array.ndim == 1:
            flat[name or "value"] = array
        else:
            flat |= {f"{prefix} {number}": part for number, part in enumerate(array.T, 1)}
    for name, array in flat.items():
        if array.dtype.kind not in "fiubMUS":
            raise DataError(
                f"an array of {array.dtype} holds neither numbers, times nor text",
                where=f"{where}, {name!r}",
            )
    lengths = sorted({len(array) for array in flat.values()})
    if len(lengths) > 1 and any(array.dtype.kind not in "fiub" for array in flat.values()):
        raise DataError(f"arrays of different lengths: {lengths}", where=where)
    series = []
    for array in flat.values():
        if array.dtype.kind in "fiub":
            end = np.full(lengths[-1] - len(array), np.nan)
            series.append(pl.Series(np.append(array.astype(np.float64), end)))
        elif array.dtype.kind == "M":
            unit = np.datetime_data(array.dtype)[0]
            series.append(pl.Series(array.astype("datetime64[us]") if unit != "ns" else array))
        else:
            text = np.char.decode(array, "utf-8", "replace") if array.dtype.kind == "S" else array
            series.append(as_bytes(text.tolist()))
    return _table(tuple(flat), series, where, settings, header=len(arrays) > 1)


def parquet_table(file: BinaryIO, where: str, settings: SeriesSettings) -> Table:
    """The table of a Parquet file.

    Raises:
        DataError: the file is damaged.
        MissingExtraError: the reader is not installed.
    """
    with parquet_file(file, where, "series") as opened:
        frame = opened.read()
    return frame_table(frame, where, settings)


def frame_table(frame: Any, where: str, settings: SeriesSettings) -> Table:
    """The columns of a data frame; an index of times or names counts as a column.

    Raises:
        DataError: it is empty, or a column holds neither numbers, times nor text.
        MissingExtraError: the reader of cells is not installed.
    """
    as_bytes([])
    import narwhals as nw
    import polars as pl

    try:
        native = nw.from_native(_with_index(frame), allow_series=True)
    except TypeError as problem:
        raise DataError(f"no data frame: {first_line(problem)}", where=where) from None
    if isinstance(native, nw.LazyFrame):
        native = native.collect()
    if isinstance(native, nw.Series):
        native = native.alias(native.name or "value").to_frame()
    names = tuple(map(str, native.columns))
    series = []
    for name in native.columns:
        column = native[name]
        try:
            if column.dtype in {nw.Categorical, nw.Enum, nw.Object}:
                column = column.cast(nw.String)
            if column.dtype == nw.String:
                series.append(pl.Series([*map(_text, column.to_list())], dtype=pl.String))
            else:
                series.append(column.to_polars())
        except Exception as problem:
            raise DataError(
                f"a column of {column.dtype} that is no text: {first_line(problem)}",
                where=f"{where}, column {name!r}",
            ) from None
    return _table(names, series, where, settings)


def _text(cell: Any) -> str | None:
    return None if cell is None or (isinstance(cell, float) and np.isnan(cell)) else str(cell)


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


def _table(
    names: tuple[str, ...],
    series: list[pl.Series],
    where: str,
    settings: SeriesSettings,
    *,
    header: bool = True,
) -> Table:
    import polars as pl

    if not series or not len(series[0]):
        raise DataError("there is nothing in it", where=where)
    cells, moments = {}, {}
    for place, (name, column) in enumerate(zip(names, series, strict=True)):
        dtype = column.dtype
        if name in settings.id_column and dtype.is_integer():
            series[place] = column.cast(pl.String)
        elif dtype.is_numeric() or dtype in {pl.Boolean, pl.Null}:
            series[place] = column.cast(pl.Float64).fill_null(np.nan)
        elif dtype == pl.String:
            text = series[place] = column.str.strip_chars().replace("", None)
            if name not in settings.id_column and understood(text.drop_nulls()) is not None:
                moments[place] = parse_stamps(text, text.is_null().to_numpy(), settings.dates)
                cells[place], series[place] = text.fill_null(""), moments[place].times
        elif isinstance(dtype, (pl.Date, pl.Datetime)):
            times = column.cast(pl.Datetime("us")) if dtype == pl.Date else column
            local = times.dt.replace_time_zone(None)
            if not local.dt.year().is_between(1678, 2261).all():
                where = f"{where}, {name!r}"
                raise DataError(
                    "a year out of reach", where=where, hint="years go from 1678 to 2261"
                )
            # By the clock on the wall where that is the same every day, otherwise in UTC.
            if (local.dt.timestamp("ns") % DAY).n_unique() > 2 and local.dtype != times.dtype:
                local = times.dt.convert_time_zone("UTC")
            series[place] = local.dt.timestamp("ns")
            sub_daily = bool((series[place] % DAY != 0).any())
            moments[place] = Moments(
                series[place].fill_null(NO_TIME).to_numpy(), sub_daily=sub_daily
            )
        else:
            raise DataError(
                f"a column of {dtype} holds neither numbers, times nor text",
                where=f"{where}, column {name!r}",
                hint="leave it out or turn it into text",
            )
    return Table(where, names, tuple(series), cells, moments, header=header)
