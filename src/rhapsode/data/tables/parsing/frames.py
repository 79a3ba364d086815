"""Data frames of any library, Parquet files and arrays as tables."""

from __future__ import annotations

import math
import sys
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from rhapsode.data.tables.parsing.cells import column_of, label_column
from rhapsode.data.tables.parsing.columns import Column, Table
from rhapsode.data.tables.parsing.numerals import amounts_of
from rhapsode.data.tables.parsing.stamps import YEARS
from rhapsode.data.tables.settings import SeriesSettings
from rhapsode.errors import DataError
from rhapsode.files import first_line

if TYPE_CHECKING:
    import polars as pl

_FRAME = "the data frame"


def npy_arrays(file: BinaryIO, where: str) -> dict[str, NDArray[Any]]:
    """Arrays of a .npy or .npz file, by name.

    The array of a .npy file has the name "". Nothing is ever unpickled.

    Raises:
        DataError: the file is damaged, or holds Python objects.
    """
    try:
        loaded = np.load(file, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return {"": loaded}
        with loaded:
            return {name: loaded[name] for name in loaded.files}
    except (
        ValueError, OSError, EOFError, KeyError, SyntaxError, zipfile.BadZipFile, zlib.error,
        NotImplementedError, RuntimeError, MemoryError, tokenize.TokenError,
    ) as problem:  # fmt: skip
        raise DataError(
            f"not an array that can be read: {first_line(problem)[:120]}",
            where=where,
            hint="arrays of Python objects are never loaded: save them as numbers",
        ) from None


def flat_arrays(arrays: Mapping[str, NDArray[Any]], where: str) -> dict[str, NDArray[Any]]:
    """Arrays as columns; shorter ones end with missing numbers.

    Raises:
        DataError: there is no array, one has more than two axes or another type, or arrays of times
            or texts differ in length.
    """
    flat: dict[str, NDArray[Any]] = {}
    for name, array in arrays.items():
        named = f"{where}, {name!r}" if name else where
        if array.ndim not in {1, 2}:
            raise DataError(f"an array of {array.ndim} axes, not of one or two", where=named)
        if array.dtype.kind not in "fiubMUS":
            what = f"an array of {array.dtype} holds neither numbers, times nor text"
            raise DataError(what, where=named)
        known = array.astype("M8[us]") if array.dtype.kind == "M" else array
        known = np.char.decode(known, "utf-8", "replace") if array.dtype.kind == "S" else known
        prefix = "column" if len(arrays) == 1 else name
        columns = enumerate(known.T, 1) if array.ndim == 2 else ()
        flat |= {f"{prefix} {n}": part for n, part in columns} or {name or "value": known}
    lengths = sorted({len(array) for array in flat.values()})
    if len(lengths) > 1:
        if any(array.dtype.kind not in "fiub" for array in flat.values()):
            raise DataError(f"arrays of different lengths: {lengths}", where=where)
        for name, array in flat.items():
            flat[name] = np.append(array, np.full(lengths[-1] - len(array), np.nan))
    if not lengths or not lengths[-1]:
        raise DataError("the table is empty", where=where)
    return flat


def parquet_table(file: BinaryIO, where: str, settings: SeriesSettings) -> Table:
    """The table of a Parquet file.

    Raises:
        DataError: the file is damaged.
    """
    import polars as pl

    try:
        frame = pl.read_parquet(file)
    except (pl.exceptions.PolarsError, OSError) as problem:
        raise DataError(f"damaged Parquet: {first_line(problem)}", where=where) from None
    return polars_table(frame, where, settings)


def frame_table(frame: Any, settings: SeriesSettings) -> Table:
    """Table of a data frame of any library that narwhals knows.

    An index of times or names counts as a column.

    Raises:
        DataError: it is empty, or a column holds neither numbers, times nor text.
    """
    import narwhals as nw

    try:
        native = nw.from_native(_with_index(frame), allow_series=True)
    except TypeError as problem:
        raise DataError(f"no data frame: {first_line(problem)}", where=_FRAME) from None
    if isinstance(native, nw.LazyFrame):
        native = native.collect()
    if isinstance(native, nw.Series):
        native = native.alias(native.name or "value").to_frame()
    return polars_table(native.to_polars(), _FRAME, settings)


def polars_table(
    whole: pl.DataFrame, where: str, settings: SeriesSettings, *, header: bool = True
) -> Table:
    """Table of a data frame of polars.

    Raises:
        DataError: it is empty, or a column holds neither numbers, times nor text.
    """
    if not whole.height or not whole.width:
        raise DataError("the table is empty", where=where)
    columns = [_column(cells, settings, where) for cells in whole.get_columns()]
    return Table(where, tuple(columns), header)


def _column(cells: pl.Series, settings: SeriesSettings, where: str) -> Column:
    import polars as pl

    name, kind = cells.name, cells.dtype
    if isinstance(kind, (pl.Categorical, pl.Enum)) or kind in {pl.String, pl.Object}:
        text = cells.cast(pl.String) if kind != pl.Object else pl.Series(map(str, cells))
        return column_of(name, text, ".", settings)
    if kind.is_integer() and name in settings.id_column:
        return label_column(name, cells.cast(pl.String))
    if kind.is_numeric() or kind in {pl.Boolean, pl.Null}:
        values = cells.cast(pl.Float64)
        values = values.fill_nan(None) if math.isnan(values.sum()) else values
        missing = amounts_of(settings.missing_values)
        return Column(
            name, "number", values.set(values.is_in(missing), None) if missing else values
        )
    if kind == pl.Time:
        return Column(name, "clock", cells.to_physical())
    if not isinstance(kind, (pl.Date, pl.Datetime)):
        raise DataError(
            f"a column of {kind} holds neither numbers, times nor text",
            where=f"{where}, column {name!r}",
            hint="leave it out or turn it into text",
        )
    ends = cells.to_frame().select(pl.all().min().append(pl.all().max())).to_series()
    if not ends.dt.year().is_between(*YEARS).all():
        raise DataError(
            "a year out of reach",
            where=f"{where}, {name!r}",
            hint=f"years go from {YEARS[0]} to {YEARS[1]}",
        )
    offset = None
    if isinstance(kind, pl.Datetime) and kind.time_zone is not None:
        local = cells.dt.replace_time_zone(None)
        utc = cells.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        offset = (local - utc).dt.total_nanoseconds()
        cells = local
    times = cells.cast(pl.Datetime("ns")).to_physical().rechunk()
    return Column(name, "time", times, offset=offset)


def _with_index(frame: Any) -> Any:
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
