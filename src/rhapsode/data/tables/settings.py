"""Settings for reading time series from tables."""

from dataclasses import dataclass
from typing import Annotated, Literal

from rhapsode.config.options import Repeated, option
from rhapsode.errors import SettingsError

Names = Repeated[tuple[str, ...]]


@dataclass(frozen=True)
class SeriesSettings:
    """Columns and format of a table of numbers."""

    layout: Annotated[
        Literal["auto", "wide", "long", "rows"], option("auto|wide|long|rows", "detected")
    ] = "auto"
    """wide: one column for each series; long: the series follow one another, distinguished by an id
    column; rows: one row for each series; auto detects it."""
    joint: bool = False
    """Treat several value columns as one series of vectors, not as separate series."""
    id_column: Annotated[Names, option("NAME", "detected")] = ()
    """Column that identifies the series; may be repeated."""
    time_column: Annotated[Names, option("NAME", "detected")] = ()
    """Column with the time; repeat it if date and time of day, or year, month and day, are in
    separate columns."""
    value_columns: Annotated[Names, option("NAME", "all other columns of numbers")] = ()
    """Column to learn and forecast; may be repeated."""
    known: Annotated[Names, option("NAME", "none")] = ()
    """Numeric column that is known in advance, for example a price or a holiday; may be
    repeated."""
    static: Annotated[Names, option("NAME", "detected")] = ()
    """Column with an attribute of a whole series, for example its region; may be repeated."""
    dates: Annotated[
        Literal["auto", "day-first", "month-first"], option("auto|day-first|month-first")
    ] = "auto"
    """Order of day and month in dates such as 02/01/2020; auto decides from the whole column."""
    frequency: Annotated[str, option("NAME", "detected")] = "auto"
    """Time between consecutive values, for example monthly, "15 minutes" or "business days"; none
    uses only the order of the values."""
    duplicates: Annotated[
        Literal["error", "mean", "sum", "last"], option("error|mean|sum|last")
    ] = "error"
    """Two rows of a series with the same time: error stops, mean takes their mean, sum adds them
    up, last takes the last one."""
    missing_values: Annotated[Names, option("VALUE", "none")] = ()
    """Cell value that marks a missing value, for example -200, in addition to empty cells, NA, NaN,
    null, - and ?; may be repeated."""
    decimal: Annotated[Literal["auto", "point", "comma"], option("auto|point|comma")] = "auto"
    """Decimal separator of numbers; the other character may then separate thousands."""
    header: Annotated[Literal["auto", "yes", "no"], option("auto|yes|no")] = "auto"
    """yes: the first row names the columns; no: they are named "column 1", "column 2" and so on;
    auto detects it."""

    def __post_init__(self) -> None:
        seen: dict[str, str] = {}
        for part in ("id_column", "time_column", "value_columns", "known", "static"):
            for name in getattr(self, part):
                before = seen.get(name)
                if before is not None and {before, part} != {"id_column", "static"}:
                    twice = f"twice as {part}" if before == part else f"as {before} and as {part}"
                    raise SettingsError(f"the column {name!r} is given {twice}", where="[series]")
                seen[name] = part
        if self.layout == "wide" and (self.id_column or self.static):
            raise SettingsError(
                "a wide table has neither id_column nor static",
                where="[series]",
                hint="leave layout out, or say long",
            )
        if self.layout == "rows" and (self.time_column or self.known or self.joint):
            raise SettingsError(
                "a table with a series in each row has no time_column, known or joint",
                where="[series]",
            )
