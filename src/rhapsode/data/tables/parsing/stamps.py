"""Text to times, a column at once, by a table of patterns. Knows nothing of files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from rhapsode.errors import MissingExtraError

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "DAY", "NO_TIME", "Moments", "are_stamps", "as_bytes", "instants", "parse_stamps", "understood",
]  # fmt: skip

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Order = Literal["day-first", "month-first"]

NO_TIME = int(np.iinfo(np.int64).min)
"""Stands for a time that is missing."""
DAY = 86_400_000_000_000
_YEARS = (1678, 2261)  # what nanoseconds in 64 bits can hold
_HEAD = 200
_BLOCK = 1 << 16
_NUMBERS = ("y", "yy", "m", "d", "a", "b", "q", "w", "k", "hour", "clock", "minute", "second")
_MONTHS = (
    "january jan januar janvier janv enero ene gennaio", "february feb februar février févr fév febrero febbraio",
    "march mar märz mär mars marzo", "april apr avril avr abril abr aprile", "may mai mayo maggio",
    "june jun juni juin junio giugno", "july jul juli juillet juil julio luglio", "august aug août agosto ago",
    "september sept sep septembre septiembre settembre", "october oct oktober okt octobre octubre ottobre",
    "november nov novembre noviembre", "december dec dezember dez décembre déc diciembre dic dicembre",
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
    rf"(?:(?P<hour>[01]?\d|2[0-4])|(?P<clock>\d{{1,2}})[:.]?(?P<minute>\d\d)(?:[:.]?{_SECONDS})?){_HALF}"
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
        times_N: nanoseconds since 1970-01-01, or since midnight of times of day; `NO_TIME` where a cell is missing.
        clock: whether they are times of day.
        bad: the first row that is no time, or None.
        order: of dates as 02/01/2020 what comes first; None where it is written out.
        doubtful: whether nothing in the column settles that.
        zones: whether cells say their offset from UTC; times are then in UTC, unless all offsets are the same.
        local_N: local times, where offsets differ.
        sub_daily: whether any cell has a time of day.
        two_digits: whether years have two digits.
        overflow: the first row whose year is out of range, or None.
        offset: the offset from UTC, in seconds, where all are the same.
    """

    times_N: Ints
    clock: bool = False
    bad: int | None = None
    order: Order | None = None
    doubtful: bool = False
    zones: bool = False
    local_N: Ints | None = None
    sub_daily: bool = False
    two_digits: bool = False
    overflow: int | None = None
    offset: int = 0

    @property
    def times(self) -> pl.Series:
        """The same times, null where a cell is missing."""
        import polars as pl

        times = pl.Series(self.times_N)
        return times.set(times == NO_TIME, None)


def as_bytes(cells: Sequence[str]) -> pl.Series:
    """Cells of text as one array of UTF-8.

    Raises:
        MissingExtraError: the reader of cells is not installed.
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
    """The named groups of the pattern that each cell has, with its row; cells without one are left out."""
    import polars as pl

    # In a column with 18.00.00 the dots are those of a clock, as no day or month is 0.
    dotted = bool(cells.str.contains(".00.", literal=True).any())
    numbers = dict.fromkeys(("row", *_NUMBERS), pl.Int64())
    texts = dict.fromkeys(("dots", "name", "half", "zone", "part"), pl.String())
    parts = [pl.DataFrame(schema={**numbers, **texts})]
    for start in range(0, len(cells), _BLOCK):
        text = cells.slice(start, _BLOCK).str.strip_chars().str.to_lowercase()
        left = text.to_frame("cell").with_row_index("row", start).cast({"row": pl.Int64})
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
    """Which cells have the form of a time."""
    formed = np.zeros(len(cells), bool)
    formed[_matched(cells)["row"].to_numpy()] = True
    return formed


def understood(cells: pl.Series) -> str | None:
    """The form that all cells have: "date", "clock" for times of day, None for neither.

    Arguments:
        cells: without missing ones.
    """
    for some in (cells.head(_HEAD), cells):
        found = _matched(some)
        if not len(some) or len(found) < len(some):
            return None
    dates = int((found["y"].is_not_null() | found["yy"].is_not_null()).sum())
    return {len(cells): "date", 0: "clock"}.get(dates)


def instants(year: Ints, month: Ints, day: Ints, seconds: Ints) -> tuple[Ints, Bools, Bools]:
    """Nanoseconds since 1970, where a date is none, and where a year is out of range."""
    far = (year < _YEARS[0]) | (year > _YEARS[1])
    months = (np.clip(year, *_YEARS) - 1970) * 12 + np.clip(month, 1, 12) - 1
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
        missing_N: which of them are missing.
        dates: what comes first in 02/01/2020.
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

    short, weeks, open_, timed = has("yy"), has("w"), has("a"), has("hour") | has("clock")
    year = np.where(short, number("yy") + np.where(number("yy") < 70, 2000, 1900), number("y"))
    month = np.where(has("name"), coded("name", _NAMES), number("m", 1))
    month = np.where(has("q"), number("q") * 3 - 2, month)
    hour, minute, second = number("hour") + number("clock"), number("minute"), number("second")
    half = coded("half", {"a": 1, "p": 2})
    # Midnight may be written as the end of a day, and a leap second as the 61st.
    wrong = (hour > 24) | ((hour == 24) & (minute + second > 0)) | (minute > 59) | (second > 60)
    wrong |= (half > 0) & ((hour < 1) | (hour > 12))
    wrong |= weeks & (
        (number("w") < 1) | (number("w") > 53) | (number("k", 1) < 1) | (number("k", 1) > 7)
    )
    hour = np.where(half > 0, hour % 12 + 12 * (half == 2), hour)
    part = found["part"].fill_null("0").str.pad_end(9, "0").str.head(9)
    nanoseconds = part.cast(pl.Int64).to_numpy()
    order, doubtful = None, False
    day = np.where(weeks, 4, number("d", 1))
    seconds = hour * 3600 + minute * 60 + second
    if open_.any():
        first, second_ = number("a"), number("b")
        dots = bool((found["dots"].drop_nulls() != "/").any())
        order, doubtful = _settle(
            year[open_], first[open_], second_[open_], seconds[open_], dates, dots=dots
        )
        if order == "day-first":
            first, second_ = second_, first
        month, day = np.where(open_, first, month), np.where(open_, second_, day)
    dated = short | has("y")
    times, odd, far = instants(year, month, day, seconds)
    monday = times // DAY - (times // DAY + 3) % 7
    times = np.where(
        weeks, (monday + number("w") * 7 + number("k", 1) - 8) * DAY + times % DAY, times
    )
    times = np.where(dated, times, seconds * 1_000_000_000) + nanoseconds
    wrong |= dated & odd
    zoned = has("zone")
    if (dated.any() and not dated.all()) or (zoned.any() and not zoned.all()):
        wrong |= True
    local_N, offset = None, 0
    if zoned.any():
        texts = found["zone"].unique().drop_nulls().to_list()
        offsets = coded("zone", {text: _offset(text) for text in texts})
        offset = int(offsets[0]) if (offsets == offsets[0]).all() else 0
        if not (offsets == offsets[0]).all():
            local_N = np.full(len(cells), NO_TIME)
            local_N[rows] = times
            times = times - offsets * 1_000_000_000
    times_N = np.full(len(cells), NO_TIME)
    times_N[rows] = times
    wrong_N = ~missing_N
    wrong_N[rows] = wrong
    far_N = rows[dated & far & ~wrong]
    return Moments(
        times_N,
        clock=bool(len(rows)) and not dated.any(),
        bad=int(wrong_N.argmax()) if wrong_N.any() else None,
        order=order,
        doubtful=doubtful,
        zones=bool(zoned.any()),
        local_N=local_N,
        sub_daily=bool(timed.any()),
        two_digits=bool(short.any()),
        overflow=int(far_N.min()) if len(far_N) else None,
        offset=offset,
    )


def _offset(zone: str) -> int:
    """Seconds east of UTC."""
    digits = "".join(filter(str.isdigit, zone))
    hours, minutes = (digits[:-2], digits[-2:]) if len(digits) > 2 else (digits, "")
    return (-1 if "-" in zone else 1) * (int(hours or 0) * 3600 + int(minutes or 0) * 60)


def _settle(
    year: Ints, first: Ints, second: Ints, seconds: Ints, dates: str, *, dots: bool
) -> tuple[Order, bool]:
    """Settle whether the day or the month comes first, and whether that is in doubt."""
    if dates != "auto":
        return ("day-first" if dates == "day-first" else "month-first"), False
    if first.max() > 12:
        return "day-first", False
    if second.max() > 12:
        return "month-first", False
    # Nothing but small numbers: what makes the more even series is likelier.
    unevenness = []
    for month, day in ((second, first), (first, second)):
        times = np.unique(instants(year, month, np.clip(day, 1, 28), seconds)[0])
        gaps = np.diff(times) // DAY
        gaps = np.where((gaps >= 28) & (gaps <= 31), 30, gaps)  # the lengths of months count as one
        unevenness.append(len(np.unique(gaps)) / max(1, len(gaps)) if len(gaps) > 2 else 1.0)
    if unevenness[0] < 0.7 * unevenness[1]:
        return "day-first", True
    likelier: Order = (
        "day-first" if dots and unevenness[1] >= 0.7 * unevenness[0] else "month-first"
    )
    return likelier, True
