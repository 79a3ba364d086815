"""How tables become time series: which columns play which part, and what to do where the table is not plain."""

from dataclasses import dataclass
from typing import Annotated, Literal

from rhapsode.config.options import Repeated, option
from rhapsode.errors import SettingsError

__all__ = ["SeriesSettings"]

Names = Repeated[tuple[str, ...]]


@dataclass(frozen=True)
class SeriesSettings:
    """Reading of a table of numbers."""

    layout: Annotated[
        Literal["auto", "wide", "long", "rows"], option("auto|wide|long|rows", "found out")
    ] = "auto"
    """wide: a column for each series; long: one below the other, told apart by an id; rows: a row for each series."""
    joint: bool = False
    """Take several value columns as one series of several values at a time, not as a series each."""
    id_column: Annotated[Names, option("NAME", "found out")] = ()
    """The column that tells series apart; may be repeated."""
    time_column: Annotated[Names, option("NAME", "found out")] = ()
    """The column that holds the time; repeated where a date and a time of day, or year, month and day, are apart."""
    value_columns: Annotated[Names, option("NAME", "all other columns of numbers")] = ()
    """A column to learn and forecast; may be repeated."""
    known: Annotated[Names, option("NAME", "none")] = ()
    """A column of numbers that are known ahead, as a price or a holiday; may be repeated."""
    static: Annotated[Names, option("NAME", "found out")] = ()
    """A column that says something of a whole series, as its region; may be repeated."""
    dates: Annotated[
        Literal["auto", "day-first", "month-first"], option("auto|day-first|month-first")
    ] = "auto"
    """Whether 02/01/2020 is in January or in February; auto looks at the whole column."""
    frequency: Annotated[str, option("NAME", "found out")] = "auto"
    """Time from one value to the next, as monthly, "15 minutes" or "business days"; none takes values by their order."""
    duplicates: Annotated[Literal["error", "mean", "last"], option("error|mean|last")] = "error"
    """Where a series has two rows of one time: stop, take their mean, or the last of them."""
    missing_values: Annotated[Names, option("VALUE", "none")] = ()
    """A cell that stands for a missing value, as -200, beside an empty one, NA, NaN, null, - and ?; may be repeated."""
    decimal: Annotated[Literal["auto", "point", "comma"], option("auto|point|comma")] = "auto"
    """What parts the fraction from a number; the other one may then part thousands."""
    header: Annotated[Literal["auto", "yes", "no"], option("auto|yes|no")] = "auto"
    """Whether the first row names the columns; without, they are named "column 1", "column 2" and so on."""

    def __post_init__(self) -> None:
        parts = {
            "id_column": self.id_column,
            "time_column": self.time_column,
            "value_columns": self.value_columns,
            "known": self.known,
            "static": self.static,
        }
        seen: dict[str, str] = {}
        for part, names in parts.items():
            for name in names:
                if name in seen and {seen[name], part} != {"id_column", "static"}:
                    raise SettingsError(
                        f"the column {name!r} is given as {seen[name]} and as {part}"
                        if seen[name] != part
                        else f"the column {name!r} is given twice as {part}",
                        where="[series]",
                    )
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
