"""Data frames of the library that gave the history."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.data.sources.memory import is_frame
from rhapsode.data.tables import SeriesSet
from rhapsode.errors import MissingExtraError, SettingsError
from rhapsode.modalities.series.output import Rows

LIBRARIES = ("pandas", "polars", "pyarrow")
NIXTLA = ("unique_id", "ds")
"""Columns of series and times as statsforecast and neuralforecast name them."""


@dataclass(frozen=True)
class FrameKind:
    """The library and names of a frame.

    Arguments:
        library: of `LIBRARIES`; None for the first one that is installed.
        columns: names of the columns of series and times.
    """

    library: str | None = None
    columns: tuple[str, str] = ("series", "time")


def frame_kind(source: Any) -> FrameKind:
    """The kind of a frame; that of other sources has no library."""
    if not is_frame(source):
        return FrameKind()
    library = type(source).__module__.partition(".")[0]
    names: Any = getattr(source, "column_names", None) or getattr(source, "columns", ())
    columns = NIXTLA if set(NIXTLA) <= set(map(str, names)) else FrameKind().columns
    return FrameKind(library if library in LIBRARIES else None, columns)


def make_frame(
    kind: FrameKind, table: Rows, given: SeriesSet, times: Sequence[NDArray[Any]], each: int
) -> Any:
    """A data frame of a table of series.

    Arguments:
        kind: library and names.
        table: its first two columns are series and times in words.
        given: the series; their times become dates, unless they have offsets from UTC.
        times: of the rows of each series.
        each: rows for each time.

    Raises:
        MissingExtraError: the library is not installed.
        SettingsError: an unknown library.
    """
    head, rows = table
    columns = list(zip(*rows, strict=True)) or [()] * len(head)
    named: dict[str, Any] = dict(zip((*kind.columns, *head[2:]), map(list, columns), strict=True))
    if given.zone is None or given.kind != "time":
        flat_N = np.concatenate([np.zeros(0, np.int64), *times]).repeat(each)
        named[kind.columns[1]] = flat_N.astype("M8[ns]") if given.kind == "time" else flat_N
    library = kind.library or next(filter(importlib.util.find_spec, LIBRARIES), "pandas")
    if library not in LIBRARIES:
        known = ", ".join(LIBRARIES)
        raise SettingsError(f"no frames of {library!r}", where="library", hint=f"known: {known}")
    if importlib.util.find_spec(library) is None:
        raise MissingExtraError("series", f"data frames of {library}")
    module: Any = importlib.import_module(library)
    return module.table(named) if library == "pyarrow" else module.DataFrame(named)
