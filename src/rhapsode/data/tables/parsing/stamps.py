"""Conversion of text to times, a column at a time.

Cells are matched against a table of patterns.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from rhapsode.errors import MissingExtraError

if TYPE_CHECKING:
    import polars as pl


Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Order = Literal["day-first", "month-first"]

NO_TIME = int(np.iinfo(np.int64).min)
"""Stands for a time that is missing."""
DAY = 86_400_000_000_000
YEARS = (1678, 2261)
"""The years that nanoseconds in 64 bits can hold."""
_HEAD = 200
_BLOCK = 1 << 16
_NUMBERS = ("y", "yy", "m", "d", "a", "b", "q", "w", "k", "hour", "clock", "minute", "second")
_MONTHS = (
    "january jan januar janvier janv enero ene gennaio",
    "february feb februar février févr fév febrero febbraio",
    "march mar märz mär mars marzo", "april apr avril avr abril abr aprile", "may mai mayo maggio",
    "june jun juni juin junio giugno", "july jul juli juillet juil julio luglio",
    "august aug août agosto ago", "september sept sep septembre septiembre settembre",
    "october oct oktober okt octobre octubre ottobre", "november nov novembre noviembre",
    "december dec dezember dez décembre déc diciembre dic dicembre",
)  # fmt: skip
_NAMES = {name: month for month, names in enumerate(_MONTHS, 1) for name in names.split()}
_ANY_NAME = "|".join(sorted(_NAMES, key=len, reverse=True))
_Y, _M, _D, _Q, _YY = (
    rf"(?P<{name}>\d{{{count}}})"
    for name, count in (("y", 4), ("m", "1,2"), ("d", "1,2"), ("q", 1), ("yy", "1,2"))
)
_A, _B, _N = r"(?P<a>\d{1,2})", r"(?P<b>\d{1,2})", rf"(?P<name>{_ANY_NAME})\.?"
_DTH = rf"{_D}(?:st|nd|rd|th|\.)?"
_DATES = (
    rf"{_Y}[-/. 年]{_M}[-/. 月]{_D}日?",
    rf"{_Y}(?:[-/年]|-?m){_M}月?",
    rf"{_Y}[-/ ]?[ :]?q{_Q}",
    rf"{_Y}年?第?{_Q}季度?",
    rf"q{_Q}[ /-]?{_Y}",
    rf"{_Y}-?w(?P<w>\d{{1,2}})(?:-(?P<k>\d))?",
    rf"{_A}(?P<dots>[/.-]){_B}[/.-]{_Y}",
    rf"{_A}(?P<dots>[/.-]){_B}[/.-]{_YY}",
    rf"{_M}[/-]{_Y}",
    rf"{_DTH}[ -]?{_N}[ -]?,? ?{_Y}",
    rf"{_DTH}[ -]{_N}[ -]{_YY}",
    rf"{_N} ?{_DTH},? {_Y}",
    rf"{_N}[ -]?{_Y}",
    rf"{_Y}[ -]?{_N}",
    rf"{_N}-{_YY}",
    r"(?P<yy>\d)-(?P<m>0[1-9]|1[0-2])",
    r"(?P<y>\d{4})(?P<m>\d\d)(?P<d>\d\d)",
)
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


@dataclass(frozen=True)
class Moments:
    """Time stamps of a column of text.

    Arguments:
        times_N: nanoseconds since 1970-01-01, of times of day since midnight; `NO_TIME` if missing.
        clock: True of times of day.
        bad: the first row that holds no time.
        order: the first part of dates such as 02/01/2020, if there are any.
        doubtful: True if no cell settles that order.
        local_N: local times, if offsets from UTC differ; `times_N` are then in UTC.
        sub_daily: True if a cell has a time of day.
        two_digits: True if years have two digits.
        overflow: the first row whose year is out of range.
        offset: the offset of all cells from UTC, in seconds.
    """

    times_N: Ints
    clock: bool = False
    bad: int | None = None
    order: Order | None = None
    doubtful: bool = False
    local_N: Ints | None = None
    sub_daily: bool = False
    two_digits: bool = False
    overflow: int | None = None
    offset: int = 0


def texts(cells: Sequence[str]) -> pl.Series:
    """Cells of text as a polars series.

    Raises:
        MissingExtraError: polars is not installed.
    """
    try:
        import polars as pl
    except ImportError:
        raise MissingExtraError("series", "reading tables") from None
    try:
        return pl.Series(cells, dtype=pl.String)
    except UnicodeEncodeError:
        return pl.Series([cell.encode("utf-8", "replace").decode() for cell in cells])


def _matched(cells: pl.Series) -> pl.DataFrame:
    import polars as pl

    # In a column with 18.00.00 the dots are those of a clock, as no day or month is 0.
    dotted = cells.str.contains(".00.", literal=True).any()
    numbers = dict.fromkeys(("row", *_NUMBERS), pl.Int64())
    words = dict.fromkeys(("dots", "name", "half", "zone", "part"), pl.String())
    parts = [pl.DataFrame(schema={**numbers, **words})]
    for start in range(0, len(cells), _BLOCK):
        block = cells.slice(start, _BLOCK).str.strip_chars().str.to_lowercase()
        left = block.to_frame("cell").with_row_index("row", start).cast({"row": pl.Int64})
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


def are_stamps(cells: pl.Series) -> Bools:
    """Mask of the cells that have the form of a time."""
    formed_N = np.zeros(len(cells), bool)
    formed_N[_matched(cells)["row"].to_numpy()] = True
    return formed_N


def is_stamp(text: str) -> bool:
    """True if a text has the form of a time.

    This needs no polars.
    """
    plain = text.strip().lower()
    return any(re.fullmatch(form.replace(r"\d", "[0-9]"), plain) for form in _FORMS)


def are_all_stamps(cells: pl.Series) -> bool:
    """True if all cells are dates, or all are times of day."""
    for part in (cells.head(_HEAD), cells):
        found = _matched(part)
        if not len(part) or len(found) < len(part):
            return False
    dates = int((found["y"].is_not_null() | found["yy"].is_not_null()).sum())
    return dates in {0, len(cells)}


def instants(year: Ints, month: Ints, day: Ints, seconds: Ints) -> tuple[Ints, Bools, Bools]:
    """Nanoseconds since 1970 of dates.

    Two masks mark impossible dates and years out of range.
    """
    far = (year < YEARS[0]) | (year > YEARS[1])
    months = (np.clip(year, *YEARS) - 1970) * 12 + np.clip(month, 1, 12) - 1
    first, after = (
        (months + more).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
        for more in (0, 1)
    )
    odd = (month < 1) | (month > 12) | (day < 1) | (day > after - first)
    return (first + day - 1) * DAY + seconds * 1_000_000_000, odd, far


def parse_stamps(
    cells: pl.Series, missing_N: Bools, dates: Literal["auto", "day-first", "month-first"]
) -> Moments:
    """The times of a column.

    Arguments:
        cells: its cells.
        missing_N: mask of the cells that are missing.
        dates: the first part of dates such as 02/01/2020.
    """
    import polars as pl

    there = np.flatnonzero(~missing_N)
    found = _matched(cells.gather(there))
    rows = there[found["row"].to_numpy()]

    def has(name: str) -> Bools:
        return found[name].is_not_null().to_numpy()

    def number(name: str, default: int = 0) -> Ints:
        return found[name].fill_null(default).to_numpy()

    def coded(name: str, codes: dict[str, int]) -> Ints:
        return found[name].replace_strict(codes, default=0, return_dtype=pl.Int64).to_numpy()

    short, weeks, unordered, zoned = has("yy"), has("w"), has("a"), has("zone")
    dated = short | has("y")
    year = np.where(short, number("yy") + np.where(number("yy") < 70, 2000, 1900), number("y"))
    month = np.where(has("name"), coded("name", _NAMES), number("m", 1))
    month = np.where(has("q"), number("q") * 3 - 2, month)
    day = np.where(weeks, 4, number("d", 1))
    week, weekday = number("w"), number("k", 1)
    hour, minute, second = number("hour") + number("clock"), number("minute"), number("second")
    half = coded("half", {"a": 1, "p": 2})
    # Midnight may be written as the end of a day, and a leap second as the 61st.
    wrong = (hour > 24) | ((hour == 24) & (minute + second > 0)) | (minute > 59) | (second > 60)
    wrong |= (half > 0) & ((hour < 1) | (hour > 12))
    wrong |= weeks & ((week < 1) | (week > 53) | (weekday < 1) | (weekday > 7))
    hour = np.where(half > 0, hour % 12 + 12 * (half == 2), hour)
    seconds = hour * 3600 + minute * 60 + second
    order, doubtful = None, False
    if unordered.any():
        days, months = number("a"), number("b")
        dots = bool((found["dots"].drop_nulls() != "/").any())
        written = [part[unordered] for part in (year, days, months, seconds)]
        order, doubtful = _settle_order(written, dates, dots=dots)
        if order == "month-first":
            days, months = months, days
        month, day = np.where(unordered, months, month), np.where(unordered, days, day)
    times, odd, far = instants(year, month, day, seconds)
    monday = times // DAY - (times // DAY + 3) % 7
    times = np.where(weeks, (monday + week * 7 + weekday - 8) * DAY + times % DAY, times)
    fraction = found["part"].fill_null("0").str.pad_end(9, "0").str.head(9).cast(pl.Int64)
    times = np.where(dated, times, seconds * 1_000_000_000) + fraction.to_numpy()
    wrong |= dated & odd
    wrong |= any(mask.any() and not mask.all() for mask in (dated, zoned))
    wrong_N, times_N, local_N, offset = ~missing_N, np.full(len(cells), NO_TIME), None, 0
    wrong_N[rows] = wrong
    times_N[rows] = times
    if zoned.any():
        zones = found["zone"].unique().drop_nulls().to_list()
        offsets = coded("zone", {zone: _offset(zone) for zone in zones})
        if (offsets == offsets[0]).all():
            offset = int(offsets[0])
        else:
            local_N = times_N.copy()
            times_N[rows] -= offsets * 1_000_000_000
    far_N = rows[dated & far & ~wrong]
    return Moments(
        times_N,
        clock=bool(len(rows)) and not dated.any(),
        bad=int(wrong_N.argmax()) if wrong_N.any() else None,
        order=order,
        doubtful=doubtful,
        local_N=local_N,
        sub_daily=bool((has("hour") | has("clock")).any()),
        two_digits=bool(short.any()),
        overflow=int(far_N.min()) if len(far_N) else None,
        offset=offset,
    )


def _offset(zone: str) -> int:
    digits = "".join(filter(str.isdigit, zone)) or "0"
    hours, minutes = divmod(int(digits), 100) if len(digits) > 2 else (int(digits), 0)
    return (-1 if "-" in zone else 1) * (hours * 3600 + minutes * 60)


def _settle_order(written: Sequence[Ints], dates: str, *, dots: bool) -> tuple[Order, bool]:
    """Settle the order of day and month in dates.

    The second entry is True if the order is in doubt.

    Arguments:
        written: the year, the first and the second part, and the seconds of each date.
        dates: the order that is asked for, or "auto".
        dots: True if dots or hyphens separate the parts.
    """
    year, first, second, seconds = written
    if dates != "auto":
        return ("day-first" if dates == "day-first" else "month-first"), False
    if max(first.max(), second.max()) > 12:
        return ("day-first" if first.max() > 12 else "month-first"), False
    # Only small numbers: the order that makes the more even series is likelier.
    unevenness = []
    for month, day in ((second, first), (first, second)):
        times = np.unique(instants(year, month, np.clip(day, 1, 28), seconds)[0])
        gaps = np.diff(times) // DAY
        gaps = np.where((gaps >= 28) & (gaps <= 31), 30, gaps)  # months count as equally long
        unevenness.append(len(np.unique(gaps)) / max(1, len(gaps)) if len(gaps) > 2 else 1.0)
    days_first, months_first = unevenness
    if days_first < 0.7 * months_first or (dots and months_first >= 0.7 * days_first):
        return "day-first", True
    return "month-first", True
