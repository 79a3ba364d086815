"""Texts in memory: lists, iterables, data frames and datasets."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rhapsode.errors import DataError

_FRAMES = ("pandas", "polars", "pyarrow", "modin", "cudf", "narwhals", "dask", "duckdb", "ibis")
_DEFAULT_FIELDS = ("text", "content", "document")


def is_frame(source: Any) -> bool:
    """True for a data frame or a series of one.

    No library of data frames is imported.
    """
    return type(source).__module__.partition(".")[0] in _FRAMES


def holds_documents(source: Any) -> bool:
    """True if a source in memory holds texts or records.

    A data frame counts as a table of numbers, unless a setting names its field.
    """
    if isinstance(source, str | Path | Mapping) or is_frame(source):
        return False
    if isinstance(source, np.ndarray):
        return source.dtype.kind in "UO" and all(isinstance(item, str) for item in source.flat)
    if isinstance(source, Sequence):
        return bool(len(source)) and isinstance(source[0], str | Mapping)
    return isinstance(source, Iterable)


def holds_records(source: Any) -> bool:
    """True if a source in memory consists of records with fields.

    Iterators and arrays do not count as records, since their items are not inspected.
    """
    if isinstance(source, str | Path):
        return False
    if isinstance(source, Sequence):
        return bool(len(source)) and isinstance(source[0], Mapping)
    return is_frame(source) or not isinstance(source, Iterator | np.ndarray)


def items(source: Any, name: str) -> Iterator[str | Mapping[str, Any]]:
    """The texts or records of a collection, one after another.

    Raises:
        DataError: an item is neither.
    """
    for number, item in enumerate(_rows(source)):
        if not isinstance(item, str | Mapping):
            raise DataError(
                f"neither a text nor a record, but {type(item).__name__}",
                where=f"{name}#{number}",
                hint="give texts (str) or mappings of fields",
            )
        yield item if isinstance(item, str) else dict(item)


def default_field(record: Mapping[str, Any], where: str) -> str:
    """Text field of records if the settings name none.

    Raises:
        DataError: several fields, or none, may be the text.
    """
    texts = [str(name) for name, value in record.items() if isinstance(value, str)]
    likely = [name for name in _DEFAULT_FIELDS if name in texts] or texts
    if not likely or (len(likely) > 1 and likely[0] not in _DEFAULT_FIELDS):
        raise DataError(
            f"these records have the fields {', '.join(map(str, record))}",
            where=where,
            hint=f'name the one to learn from: source={{"field": "{(likely or ["NAME"])[0]}"}}',
        )
    return likely[0]


def _rows(source: Any) -> Iterable[Any]:
    if isinstance(source, np.ndarray):
        return (str(item) for item in source.flat)
    rows: Iterable[Any] = source
    if is_frame(source):
        import narwhals as nw

        frame = nw.from_native(source, allow_series=True)
        frame = frame.collect() if isinstance(frame, nw.LazyFrame) else frame
        rows = frame.to_list() if isinstance(frame, nw.Series) else frame.iter_rows(named=True)
    return rows
