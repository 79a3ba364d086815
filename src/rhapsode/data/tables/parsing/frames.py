"""Arrays, data frames and Parquet files as tables; frames through narwhals, which needs none of their libraries."""

from __future__ import annotations

import sys
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from rhapsode.data.sources.fields.record_tables import parquet_file
from rhapsode.data.tables.parsing.columns import Column, Table
from rhapsode.data.tables.parsing.csv_table import text_column
from rhapsode.data.tables.parsing.stamps import DAY, NO_TIME, Moments
from rhapsode.data.tables.settings import SeriesSettings
from rhapsode.errors import DataError
from rhapsode.files import first_line

__all__ = ["array_table", "frame_table", "is_frame", "npy_arrays", "parquet_table"]


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


def array_table(arrays: Mapping[str, NDArray[Any]], where: str, *, header: bool = True) -> Table:
    """Arrays as columns: of one axis a column each, of two their columns; shorter ones of numbers end with what is missing.

    Raises:
        DataError: there is none, they differ in length and hold times or texts, have more than two axes or hold no numbers.
    """
    flat: dict[str, NDArray[Any]] = {}
    for name, array in arrays.items():
        if array.ndim not in {1, 2}:
            raise DataError(
                f"an array of {array.ndim} axes, not of one or two",
                where=f"{where}{f', {name!r}' if name else ''}",
            )
        if array.ndim == 1:
            flat[name or "value"] = array
        else:
            prefix = "column" if len(arrays) == 1 else name
            flat |= {f"{prefix} {number}": part for number, part in enumerate(array.T, 1)}
    lengths = {len(array) for array in flat.values()}
    longest = max(lengths, default=0)
    if not longest:
        raise DataError("there is nothing in it", where=where)
    if len(lengths) > 1 and any(array.dtype.kind not in "fiub" for array in flat.values()):
        raise DataError(f"arrays of different lengths: {sorted(lengths)}", where=where)
    columns = (_array_column(name, array, where) for name, array in flat.items())
    even = tuple(
        Column(c.name, c.kind, np.append(c.data_N, np.full(longest - len(c.data_N), np.nan)))
        if len(c.data_N) < longest
        else c
        for c in columns
    )
    return Table(where, even, longest, header=header and len(arrays) > 1)


def _array_column(name: str, array: NDArray[Any], where: str) -> Column:
    """An array of one axis as a column.

    Raises:
        DataError: it holds neither numbers, times nor text, or a year is out of range.
    """
    kind = array.dtype.kind
    if kind in "fiub":
        return Column(name, "number", array.astype(np.float64))
    if kind == "M":
        times_N = array.astype("datetime64[ns]").astype(np.int64)
        there = times_N != NO_TIME
        days = array.astype("datetime64[D]").astype(np.int64)
        if np.any(np.abs(days - times_N // DAY)[there] > 1):
            raise DataError(
                "a year out of reach", where=f"{where}, {name!r}", hint="years go from 1678 to 2261"
            )
        sub_daily = bool(np.any(times_N[there] % DAY))
        return Column(name, "time", times_N, moments=Moments(times_N, sub_daily=sub_daily))
    if kind not in "US":
        raise DataError(
            f"an array of {array.dtype} holds neither numbers, times nor text",
            where=f"{where}, {name!r}",
        )
    text = np.char.strip(np.char.decode(array, "utf-8", "replace") if kind == "S" else array)
    levels, first, codes = np.unique(text, return_index=True, return_inverse=True)
    turn = np.argsort(np.argsort(first))[codes.ravel()]
    ordered = tuple(map(str, levels[np.argsort(first)]))
    return Column(name, "label", np.where(text == "", -1, turn), ordered)


def is_frame(source: Any) -> bool:
    """True of a data frame, or a series of one; loads no library of frames."""
    roots = {"pandas", "polars", "pyarrow", "modin", "cudf", "narwhals", "dask", "duckdb", "ibis"}
    return type(source).__module__.partition(".")[0] in roots


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
    """
    import narwhals as nw

    try:
        native = nw.from_native(_with_index(frame), allow_series=True)
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
        return _array_column(name, np.asarray(series.to_numpy()).astype(str), where)
    if dtype.is_numeric() or dtype == nw.Boolean:
        return _array_column(name, np.array(series.cast(nw.Float64).to_numpy(), np.float64), where)
    if dtype == nw.Date:
        return _times(series.cast(nw.Datetime("us")), name, where)
    if dtype == nw.Datetime:
        zone, local = dtype.time_zone, series
        if zone is not None:
            local = series.dt.replace_time_zone(None)
            # In UTC where the clock on the wall shows more times of day than two.
            if zone != "UTC" and len(np.unique(_times(local, name, where).data_N % DAY)) > 2:
                local = series.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        return _times(local, name, where)
    if dtype in {nw.String, nw.Categorical, nw.Enum, nw.Object}:
        try:
            cells = [str(cell) for cell in series.cast(nw.String).fill_null("").to_list()]
        except Exception as problem:
            raise DataError(
                f"a column of {dtype} that is no text: {first_line(problem)}",
                where=f"{where}, column {name!r}",
            ) from None
        if any(character.isdigit() for cell in cells[:20] for character in cell):
            return text_column(name, cells, settings)
        return _array_column(name, np.array(cells), where)
    if isinstance(dtype, nw.Unknown) and series.is_null().all():
        return Column(name, "number", np.full(len(series), np.nan))
    raise DataError(
        f"a column of {dtype} holds neither numbers, times nor text",
        where=f"{where}, column {name!r}",
        hint="leave it out or turn it into text",
    )


def _times(series: Any, name: str, where: str) -> Column:
    return _array_column(name, np.asarray(series.to_numpy()).astype("datetime64"), where)
