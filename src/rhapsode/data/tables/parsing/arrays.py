"""Arrays in memory and in .npy and .npz files as tables. Never unpickles anything."""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from rhapsode.data.tables.parsing.columns import Column, Labels, Numbers, Stamps, Table
from rhapsode.data.tables.parsing.stamps import NO_TIME, Moments
from rhapsode.errors import DataError
from rhapsode.files import first_line

__all__ = ["array_column", "array_table", "npy_arrays"]


def npy_arrays(file: BinaryIO, where: str) -> dict[str, NDArray[Any]]:
    """The arrays of a .npy or .npz file, by name; "" is that of a .npy.

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


def array_table(arrays: Mapping[str, NDArray[Any]], where: str) -> Table:
    """Arrays as columns: of one axis a column each, of two their columns; shorter ones of numbers end with what is missing.

    Raises:
        DataError: there is none, they differ in length and hold times or texts, have more than two axes or hold no numbers.
    """
    columns: list[Column] = []
    plain = len(arrays) == 1
    for name, array in arrays.items():
        if array.ndim == 0 or array.ndim > 2:
            raise DataError(
                f"an array of {array.ndim} axes, not of one or two",
                where=f"{where}{f', {name!r}' if name else ''}",
            )
        if array.ndim == 1:
            columns.append(array_column(name or "value", array, where))
            continue
        for number in range(array.shape[1]):
            named = f"column {number + 1}" if plain else f"{name} {number + 1}"
            columns.append(array_column(named, array[:, number], where))
    lengths = {_length(column) for column in columns}
    if len(lengths) > 1 and all(isinstance(column, Numbers) for column in columns):
        longest = max(lengths)
        columns = [_padded(column, longest) for column in columns if isinstance(column, Numbers)]
        lengths = {longest}
    if len(lengths) > 1:
        raise DataError(f"arrays of different lengths: {sorted(lengths)}", where=where)
    if not lengths or lengths == {0}:
        raise DataError("there is nothing in it", where=where)
    return Table(where, tuple(columns), lengths.pop(), header=not plain)


def array_column(name: str, array: NDArray[Any], where: str) -> Column:
    """One array of one axis as a column.

    Raises:
        DataError: it holds neither numbers, times nor text.
    """
    kind = array.dtype.kind
    if kind in "fiub":
        return Numbers(name, array.astype(np.float64))
    if kind == "M":
        times_N = array.astype("datetime64[ns]").astype(np.int64)
        daily = bool(np.all(times_N[times_N != NO_TIME] % 86_400_000_000_000 == 0))
        _within(array, times_N, name, where)
        return Stamps(name, Moments(times_N, sub_daily=not daily))
    if kind in "US":
        levels, first, codes = np.unique(array, return_index=True, return_inverse=True)
        order = np.argsort(first)
        turn = np.empty(len(order), np.int32)
        turn[order] = np.arange(len(order))
        texts = [
            level.decode("utf-8", "replace") if kind == "S" else str(level) for level in levels
        ]
        return Labels(name, turn[codes.ravel()], tuple(texts[number] for number in order))
    raise DataError(
        f"an array of {array.dtype} holds neither numbers, times nor text",
        where=f"{where}, {name!r}",
    )


def _within(array: NDArray[Any], times_N: NDArray[np.int64], name: str, where: str) -> None:
    """Raise where a year does not fit into nanoseconds."""
    days = array.astype("datetime64[D]").astype(np.int64)
    there = ~np.isnat(array)
    if np.any(np.abs(days[there] - times_N[there] // 86_400_000_000_000) > 1):
        raise DataError(
            "a year out of reach", where=f"{where}, {name!r}", hint="years go from 1678 to 2261"
        )


def _padded(column: Numbers, length: int) -> Numbers:
    missing = np.full(length - len(column.values_N), np.nan)
    return Numbers(column.name, np.concatenate((column.values_N, missing)))


def _length(column: Column) -> int:
    if isinstance(column, Numbers):
        return len(column.values_N)
    return len(column.codes_N if isinstance(column, Labels) else column.moments.times_N)
