"""Conversion of text to times, a column at a time.

Usual forms are read by polars, others are matched against a table of patterns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from rhapsode.data.tables.parsing.columns import Bad, Column
from rhapsode.data.tables.parsing.numerals import is_missing
from rhapsode.data.tables.settings import SeriesSettings

if TYPE_CHECKING:
    import polars as pl

Order = Literal["auto", "day-first", "month-first"]

DAY = 86_400_000_000_000
YEARS = (1678, 2261)
"""The years that nanoseconds in 64 bits can hold."""
_HEAD = 200
_NUMBERS = ("y", "yy", "m", "d", "a", "b", "q", "w", "k", "hour", "clock", "minute", "second")
_WORDS = ("dots", "name", "roman", "half", "zone", "part")
_ROMAN = {"i": 1, "ii": 2, "iii": 3, "iv": 4}
_MONTHS = (
    "january jan januar janvier janv enero ene gennaio janeiro januari",
    "february feb februar février févr fév febrero febbraio fevereiro fev februari",
    "march mar märz mär mrz mars marzo março maart mrt",
    "april apr avril avr abril abr aprile", "may mai mayo maggio mag maio mei",
    "june jun juni juin junio giugno giu junho",
    "july jul juli juillet juil julio luglio lug julho",
    "august aug août agosto ago augustus",
    "september sept sep septembre septiembre settembre set setembro",
    "october oct oktober okt octobre octubre ottobre ott outubro out",
    "november nov novembre noviembre novembro",
    "december dec dezember dez décembre déc diciembre dic dicembre dezembro",
)  # fmt: skip
_NAMES = {name: month for month, names in enumerate(_MONTHS, 1) for name in names.split()}
_MONTH_NAME = "|".join(sorted(_NAMES, key=len, reverse=True))
PART_NAME = rf"(?:{_MONTH_NAME})\.?|q[1-4]"
"""Pattern of the names of months and quarters in lower case."""
_Y, _M, _D, _Q, _YY = (
    rf"(?P<{name}>\d{{{count}}})"
    for name, count in (("y", 4), ("m", "1,2"), ("d", "1,2"), ("q", 1), ("yy", "1,2"))
)
_A, _B, _N = r"(?P<a>\d{1,2})", r"(?P<b>\d{1,2})", rf"(?P<name>{_MONTH_NAME})\.?"
_QUARTER = r"(?:q(?:uarter|tr)?|t(?:rim(?:estre|\.)?)?|quartal|kwartaal|kvartal|kwartał|квартал)"
_DTH = rf"{_D}(?:st|nd|rd|th|\.)?"
_DATES = (
    rf"{_Y}\. ?{_Q}/4",
    rf"{_Y}[-/. 年]{_M}[-/. 月]{_D}日?",
    rf"{_Y}(?:[-/.年]|-?m){_M}월?月?",
    rf"{_Y}[-/ ]?[ :]?{_QUARTER} ?{_Q}",
    rf"{_Y}年?第?{_Q}季度?",
    rf"{_QUARTER} ?{_Q}[ /-]?{_Y}",
    rf"{_Q}(?:º|°|o|er|ère|e|ème|st|nd|rd|th|\.|-й)? ?{_QUARTER}[ /-]?(?:de |of )?{_Y}",
    rf"(?P<roman>iii|iv|ii|i)[ -]?{_QUARTER}\.?,? ?(?:de )?{_Y}",
    rf"{_Y}[- ]?w(?P<w>\d{{1,2}})(?:-(?P<k>\d))?",
    rf"{_A}(?P<dots>[/.-]){_B}[/.-]{_Y}",
    rf"{_A}(?P<dots>[/.-]){_B}[/.-]{_YY}",
    rf"{_M}[/.-]{_Y}",
    rf"{_DTH}[ -]?(?:de )?{_N}[ -]?,? ?(?:de )?{_Y}",
    rf"{_DTH}[ -]{_N}[ -]{_YY}",
    rf"{_N}[ -]?{_DTH}(?:,? |-){_Y}",
    rf"{_N}[ -/]?(?:de )?{_Y}",
    rf"{_Y}[ -]?{_N}",
    rf"{_N}[- ']{{1,2}}{_YY}",
    r"(?P<yy>\d)-(?P<m>0[1-9]|1[0-2])",
    r"(?P<y>\d{4})(?P<m>\d\d)(?P<d>\d\d)",
)
_FISCAL = r"^\s*(?:FY ?)?(?P<y>\d{4})[-–/](?P<end>\d{4}|\d\d)(?: ?\[.*)?\s*$"
_SECONDS = r"(?P<second>\d\d)(?:[.,](?P<part>\d{1,18}))?"
_HALF = r"(?: ?(?P<half>[ap])\.?m\.?)?"
_CLOCK = (
    r"(?:(?P<hour>[01]?\d|2[0-4])|"
    rf"(?P<clock>\d{{1,2}})[:.]?(?P<minute>\d\d)(?:[:.]?{_SECONDS})?){_HALF}"
    r"(?P<zone> ?(?:z|utc|gmt)| ?[+-]\d{1,2}(?::?\d\d)?)?"
)
_WEEKDAY = r"(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*,? )?"
_DOTTED = rf"(?P<clock>\d\d?)\.(?P<minute>\d\d)\.{_SECONDS}"
_FORMS = (
    *(rf"{_WEEKDAY}{date}(?:(?:t|,? +){_CLOCK})?" for date in _DATES),
    rf"{_WEEKDAY}{_N} {_D} {_CLOCK} {_Y}",
    rf"(?P<clock>\d{{1,2}}):(?P<minute>\d\d)(?::{_SECONDS})?{_HALF}",
    _DOTTED,
)
"""Patterns of stamps in lower case; digits of other scripts are none."""
_DIGITS = {
    4: "years", 8: "dates in eight digits", 6: "months in six digits", 10: "hours in ten digits",
    12: "minutes in twelve digits", 14: "seconds in fourteen digits",
}  # fmt: skip
_USUAL = ("%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y/%m/%d")
"""Formats that polars reads at once."""


def _matched(cells: pl.Series) -> pl.DataFrame:
    """The parts of the cells that are stamps, with their rows."""
    import polars as pl

    # In a column with 18.00.00 the dots are those of a clock, as no day or month is 0.
    dotted = cells.str.contains(".00.", literal=True).any()
    schema = {**dict.fromkeys(("row", *_NUMBERS), pl.Int64()), **dict.fromkeys(_WORDS, pl.String())}
    parts = [pl.DataFrame(schema=schema)]
    lower = cells.str.strip_chars().str.to_lowercase()
    left = lower.to_frame("cell").with_row_index("row").cast({"row": pl.Int64})
    for form in (_DOTTED, *_FORMS) if dotted else _FORMS:
        pattern = f"^(?P<all>{form})$".replace(r"\d", "[0-9]")
        groups = left["cell"].str.extract_groups(pattern).struct.unnest()
        hit = groups["all"].is_not_null()
        if hit.any():
            parts.append(groups.drop("all").with_columns(row=left["row"]).filter(hit))
            left = left.filter(~hit)
        if left.is_empty():
            break
    known = pl.selectors.by_name(*_NUMBERS, require_all=False)
    return pl.concat([part.cast({known: pl.Int64}) for part in parts], how="diagonal")


def are_stamps(cells: pl.Series) -> pl.Series:
    """Mask of the cells that have the form of a time."""
    import polars as pl

    formed = pl.zeros(len(cells), pl.Boolean, eager=True)
    return formed.scatter(_matched(cells)["row"], True)


def time_column(
    name: str, cells: pl.Series, settings: SeriesSettings, *, least: float = 0.9
) -> Column | None:
    """A column of times, or of times of day."""
    import polars as pl

    if cells.drop_nulls().head(1).str.contains(_FISCAL).any():
        both = cells.drop_nulls().unique().str.extract_groups(_FISCAL).struct.unnest()
        both = both.cast(pl.Int64, strict=False)
        if len(both) > 1 and ((both["y"] + 1 - both["end"]) % 100).fill_null(1).sum() == 0:
            told = f"years of column {name!r} run over two years: each has the first of them"
            years = time_column(name, cells.str.replace(_FISCAL, "$y-01-01"), settings)
            return years and replace(years, cells=cells, notes=(told,))
    if (usual := _usual(name, cells, settings.missing_values)) is not None:
        return usual
    there = ~is_missing(cells.str.strip_chars(), settings.missing_values)
    for rows in (there.arg_true().head(_HEAD), there.arg_true()):
        found = _matched(cells.gather(rows))
        dated = int((found["y"].is_not_null() | found["yy"].is_not_null()).sum())
        if not len(rows) or max(dated, len(found) - dated) < least * len(rows):
            return None
        if least and len(found) == len(rows) and 0 < dated < len(found):
            return None
    found = found.with_columns(row=rows.gather(found["row"]))
    return _assembled(name, cells, found, there, settings.dates)


def _usual(name: str, cells: pl.Series, missing: Sequence[str]) -> Column | None:
    """A column in a format that polars reads at once."""
    import polars as pl

    head = cells.drop_nulls().head(1)
    for form in _USUAL:
        if len(head) and head.str.to_datetime(form, strict=False).count():
            times = cells.str.to_datetime(form, time_unit="us", strict=False)
            failed = cells.filter(times.is_null() & cells.is_not_null()).str.strip_chars()
            fits = times.dt.year().is_between(*YEARS).all()
            if not fits or not is_missing(failed, missing).all():
                return None
            values = times.cast(pl.Datetime("ns")).to_physical()
            return Column(name, "time", values, cells)
    return None


def _assembled(
    name: str, cells: pl.Series, found: pl.DataFrame, there: pl.Series, dates: Order
) -> Column:
    import polars as pl

    notes, col, of = [], pl.col, f"of column {name!r}"
    dated = pl.coalesce("y", "yy").is_not_null()
    first, second, doubtful = "a", "b", False
    if (unordered := found.filter(col("a").is_not_null())).height:
        order, doubtful = _settle_order(unordered, dates)
        first, second = ("a", "b") if order == "day" else ("b", "a")
        other = "month-first" if order == "day" else "day-first"
        notes.append(
            f"dates {of} are ambiguous: read with the {order} first; otherwise set --dates {other}"
            if doubtful
            else f"dates {of} have the {order} first"
        )
    if found["yy"].count():
        notes.append(f"years {of} have two digits: 70 to 99 are read as 19xx")
    century = pl.when(col("yy") < 70).then(2000).otherwise(1900)
    month = col("name").replace_strict(_NAMES, default=None, return_dtype=pl.Int64)
    roman = col("roman").replace_strict(_ROMAN, default=None, return_dtype=pl.Int64)
    year = pl.coalesce("y", col("yy") + century, 1970)
    hour, minute, clocked = (
        pl.coalesce("hour", "clock", 0),
        pl.coalesce("minute", 0),
        pl.coalesce("second", 0),
    )
    afternoon = pl.when(col("half") == "p").then(12).otherwise(0)
    # Midnight may be written as the end of a day, and a leap second as the 61st.
    fits = (hour < 24) | ((hour == 24) & (minute + clocked == 0))
    fits &= (minute < 60) & (clocked < 61) & (col("half").is_null() | hour.is_between(1, 12))
    fits &= year.is_between(*YEARS)
    weekly = pl.format("{}-W{}-{}", year, "w", pl.coalesce("k", 1)).str.to_date(
        "%G-W%V-%u", strict=False
    )
    daily = pl.format(
        "{}-{}-{}",
        year,
        pl.coalesce(month, pl.coalesce("q", roman) * 3 - 2, "m", second, 1),
        pl.coalesce("d", first, 1),
    ).str.to_date("%Y-%m-%d", strict=False)
    day = pl.when(col("w").is_null()).then(daily).otherwise(weekly)
    hours = pl.when(col("half").is_null()).then(hour).otherwise(hour % 12 + afternoon)
    fraction = col("part").fill_null("0").str.pad_end(9, "0").str.head(9).cast(pl.Int64)
    zones = found["zone"].unique().drop_nulls()
    zoned = found["zone"].count() > 0
    offsets = pl.Series([_offset(zone) for zone in zones], dtype=pl.Int64)
    read = found.select(
        "row",
        far=dated & ~year.is_between(*YEARS),
        zone=col("zone").replace_strict(zones, offsets, default=None, return_dtype=pl.Int64),
        time=pl.when(fits).then(
            day.cast(pl.Int64) * DAY + ((hours * 60 + minute) * 60 + clocked) * 10**9 + fraction
        ),
    )
    clock = found.height > 0 and not found.select(dated.any()).item()
    wrong = read["time"].is_null() | (read["zone"].is_null() if zoned else False)
    wrong |= False if clock else ~found.select(dated).to_series()
    rows, times = read["row"], pl.repeat(None, len(cells), dtype=pl.Int64, eager=True)
    times = times.scatter(rows, read["time"].set(wrong, None))
    bad = None
    lost = (times.is_null() & there).arg_true()
    if len(lost):
        far = set(read.filter("far")["row"])
        what, hint = (
            ("a year out of reach", f"years go from {YEARS[0]} to {YEARS[1]}")
            if lost[0] in far
            else ("not a time", "dates are read as 2020-01-31, 2020Q1, 31/01/2020 or Jan 31 2020")
        )
        bad = Bad(lost[0], cells[lost[0]].strip(), len(lost), what, hint)
    offset = times.clear(len(times)).scatter(rows, read["zone"]) if zoned else None
    return Column(name, "clock" if clock else "time", times, cells, bad, tuple(notes), offset)


def _offset(zone: str) -> int:
    digits = "".join(filter(str.isdigit, zone)) or "0"
    hours, minutes = divmod(int(digits), 100) if len(digits) > 2 else (int(digits), 0)
    return (-1 if "-" in zone else 1) * (hours * 60 + minutes) * 60 * 10**9


def _settle_order(found: pl.DataFrame, dates: Order) -> tuple[str, bool]:
    """Settle whether day or month stands first; True if that is in doubt."""
    import polars as pl

    if dates != "auto":
        return dates.partition("-")[0], False
    if found.select(pl.max_horizontal(pl.col("a", "b").max())).item() > 12:
        return "day" if found["a"].max() > 12 else "month", False  # type: ignore[operator]
    # Only small numbers: the order that makes the more even series is likelier.
    uneven = []
    for month, day in (("b", "a"), ("a", "b")):
        date = pl.date(pl.coalesce("y", "yy"), pl.col(month).clip(1, 12), pl.col(day).clip(1, 28))
        times = found.select(date).to_series().unique().sort()
        gaps = times.cast(pl.Int64).diff().drop_nulls()
        gaps = gaps.set(gaps.is_between(28, 31), 30)  # months count as equally long
        uneven.append(gaps.n_unique() / len(gaps) if len(gaps) > 2 else 1.0)
    days_first, months_first = uneven
    dots = bool((found["dots"] != "/").any())
    return "day" if days_first < months_first * (1.43 if dots else 0.7) else "month", True


def from_digits(whole: pl.Series, digits: int) -> tuple[pl.Series, str] | None:
    """Times of numbers such as 20200131; None for other numbers."""
    import polars as pl

    if digits not in _DIGITS:
        return None
    text = whole.cast(pl.String) + "00000101000000"[digits:]
    days = text.str.slice(0, 8).str.to_date("%Y%m%d", strict=False)
    hour, minute, second = (text.str.slice(at, 2).cast(pl.Int64) for at in (8, 10, 12))
    # Seconds since 1970 are likelier than hours before 1900.
    fits = days.dt.year().is_between(1900 if digits > 8 else YEARS[0], YEARS[1])
    fits &= (hour <= 24) & (minute < 60) & (second <= 60)
    if days.null_count() > whole.null_count() or not fits.all():
        return None
    return days.cast(pl.Int64) * DAY + ((hour * 60 + minute) * 60 + second) * 10**9, _DIGITS[digits]
