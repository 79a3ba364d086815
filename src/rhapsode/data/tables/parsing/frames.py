"""Arrays, data frames (through narwhals) and Parquet files as tables."""

import sys
import tokenize
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from rhapsode.data.sources.fields.record_tables import parquet_file
from rhapsode.data.tables.parsing.columns import Column, Table, label_column
from rhapsode.data.tables.parsing.numerals import amounts_of
from rhapsode.data.tables.parsing.stamps import (
    DAY,
    NO_TIME,
    YEARS,
    Moments,
    are_all_stamps,
    parse_stamps,
    texts,
)
from rhapsode.data.tables.settings import SeriesSettings
from rhapsode.errors import DataError
from rhapsode.files import first_line

Arrays = Mapping[str, NDArray[Any]]


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


def array_table(arrays: Arrays, where: str, settings: SeriesSettings) -> Table:
    """Table of arrays of one or two axes.

    Shorter arrays end with missing numbers.

    Raises:
        DataError: there is no array, one has more than two axes or another type, or arrays of times
            or texts differ in length.
        MissingExtraError: polars is not installed, and an array holds texts.
    """
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
    if len(lengths) > 1:
        if any(array.dtype.kind not in "fiub" for array in flat.values()):
            raise DataError(f"arrays of different lengths: {lengths}", where=where)
        for name, array in flat.items():
            flat[name] = np.append(
                array.astype(np.float64), np.full(lengths[-1] - len(array), np.nan)
            )
    return _table(tuple(flat), tuple(flat.values()), where, settings, header=len(arrays) > 1)


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
    """Table of a data frame.

    An index of times or names counts as a column.

    Raises:
        DataError: it is empty, or a column holds neither numbers, times nor text.
        MissingExtraError: polars is not installed, and a column holds texts.
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
    arrays: list[Any] = []
    for name in native.columns:
        try:
            arrays.append(_array(native[name]))
        except Exception as problem:
            raise DataError(
                f"a column of {native[name].dtype} that is no text: {first_line(problem)}",
                where=f"{where}, column {name!r}",
            ) from None
        if arrays[-1] is None:
            raise DataError(
                f"a column of {native[name].dtype} holds neither numbers, times nor text",
                where=f"{where}, column {name!r}",
                hint="leave it out or turn it into text",
            )
    names = tuple(map(str, native.columns))
    return _table(names, arrays, where, settings)


def _array(column: Any) -> Any:
    """Column of a frame as an array.

    Texts become objects. None for columns of other types.
    """
    import narwhals as nw

    if column.dtype in {nw.Categorical, nw.Enum, nw.Object}:
        column = column.cast(nw.String)
    if column.dtype == nw.String:
        return np.array(column.fill_null("").to_list(), object)
    if column.dtype == nw.Date:
        column = column.cast(nw.Datetime("us"))
    if column.dtype == nw.Datetime:
        if column.dtype.time_zone is None:
            return column.to_numpy()
        # By the clock on the wall if that is the same every day, otherwise in UTC.
        local = column.dt.replace_time_zone(None).to_numpy()
        if len(np.unique(local - local.astype("datetime64[D]"))) <= 2:
            return local
        return column.dt.convert_time_zone("UTC").dt.replace_time_zone(None).to_numpy()
    if column.dtype.is_integer() and not column.null_count():
        return column.to_numpy()
    if column.dtype.is_numeric() or column.dtype == nw.Boolean:
        return column.cast(nw.Float64).to_numpy()
    return np.full(len(column), np.nan) if column.null_count() == len(column) else None


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


def _table(
    names: Sequence[str],
    arrays: Sequence[NDArray[Any]],
    where: str,
    settings: SeriesSettings,
    *,
    header: bool = True,
) -> Table:
    if not arrays or not len(arrays[0]):
        raise DataError("the table is empty", where=where)
    amounts = amounts_of(settings.missing_values)
    columns = []
    for name, array in zip(names, arrays, strict=True):
        kind = array.dtype.kind
        if kind in "iu" and name in settings.id_column:
            columns.append(label_column(name, map(str, array.tolist())))
        elif kind in "fiub":
            values_N = array.astype(np.float64)
            values_N[np.isin(values_N, amounts)] = np.nan
            columns.append(Column(name, "number", values_N))
        elif kind == "M":
            columns.append(_time_column(name, array, where))
        else:
            columns.append(_text_column(name, array, settings))
    return Table(where, tuple(columns), header=header)


def _time_column(name: str, array: NDArray[np.datetime64], where: str) -> Column:
    there_N = ~np.isnat(array)
    years = array[there_N].astype("datetime64[Y]").astype(np.int64) + 1970
    if ((years < YEARS[0]) | (years > YEARS[1])).any():
        raise DataError(
            "a year out of reach",
            where=f"{where}, {name!r}",
            hint="years go from 1678 to 2261",
        )
    times_N = np.where(there_N, array.astype("datetime64[ns]").astype(np.int64), NO_TIME)
    sub_daily = bool((times_N[there_N] % DAY != 0).any())
    return Column(name, "time", times_N, moments=Moments(times_N, sub_daily=sub_daily))


def _text_column(name: str, array: NDArray[Any], settings: SeriesSettings) -> Column:
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8", "replace")
    text = texts([*map(str, array.tolist())]).str.strip_chars()
    empty_N = (text == "").to_numpy()
    if name not in settings.id_column and are_all_stamps(text.filter(~empty_N)):
        moments = parse_stamps(text, empty_N, settings.dates)
        return Column(name, "time", moments.times_N, cells=text, moments=moments)
    return label_column(name, text)
