"""Time series from CSV, Parquet, arrays and data frames.

Series become flat arrays of values and times, independent of encoders and models. From the bottom
up: `frequency`, `series_set`, `parsing/` (cells to columns, by polars), `roles` (of columns),
`grid` and `assemble` (columns to series), `embedded` and `read`. No torch; polars only where a
table is read.
"""

from rhapsode.data.tables.embedded import SERIES
from rhapsode.data.tables.frequency import (
    Frequency,
    TimeKind,
    infer_frequency,
    parse_frequency,
)
from rhapsode.data.tables.read import read_series
from rhapsode.data.tables.roles import NoNumbersError
from rhapsode.data.tables.series_set import (
    CALENDAR_VALUES,
    SeriesSet,
    calendar_features,
    calendar_names,
    format_time,
    future_times,
)

__all__ = [
    "CALENDAR_VALUES",
    "SERIES",
    "Frequency",
    "NoNumbersError",
    "SeriesSet",
    "TimeKind",
    "calendar_features",
    "calendar_names",
    "format_time",
    "future_times",
    "infer_frequency",
    "parse_frequency",
    "read_series",
]
