"""Text to times, a column at once: the form of a cell is found without looking at its digits.

Every cell is reduced to its skeleton (runs of digits by their length, all else as it stands); the few distinct skeletons
are understood one by one, and the runs of all cells of a skeleton become times together. Knows nothing of files.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["NO_TIME", "Moments", "as_bytes", "parse_stamps", "understood"]

Ints = NDArray[np.int64]
Bytes = NDArray[np.bytes_]

NO_TIME = int(np.iinfo(np.int64).min)
"""Stands for a time that is missing."""
_RUNS = 9
_BLOCK = 1 << 16
_LONGEST = 40
_SECOND = 1_000_000_000
_DAY = 86_400 * _SECOND
_FIRST_YEAR, _LAST_YEAR = 1678, 2261  # what nanoseconds in 64 bits can hold

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_NAME = (
    r"(?P<name>(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?"
    r"|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?))\.?"
)
# In a skeleton, d is a run of one or two digits, y of four, n of any other length.
_DATES = (
    ("ymd", r"y-d-d|y/d/d|y\.d\.d|y年d月d日?|y d d"),
    ("ym", r"y-d|y/d|ym-?d|y年d月?"),
    ("yq", r"y-?/? ?:?qd|y年?第?d季度?"),
    ("qY", r"qd[ /-]?y"),
    ("yw", r"y-?wd"),
    ("ywd", r"y-?wd-d"),
    ("abY", r"d(?P<part>[/.-])d(?P=part)y"),
    ("aby", r"d(?P<part2>[/.-])d(?P=part2)d"),
    ("mY", r"d[/-]y"),
    ("dNY", rf"d[ -]?{_NAME}[ -]?,? ?y"),
    ("dNy", rf"d[ -]{_NAME}[ -]d"),
    ("NdY", rf"{_NAME} ?d,? y"),
    ("NY", rf"{_NAME}[ -]?y"),
    ("YN", rf"y[ -]?{_NAME}"),
    ("Ny", rf"{_NAME}-d"),
    ("8", r"n"),
)
_CLOCK = r"d(?P<c>[:.])d(?:(?P=c)d(?:[.,](?P<fraction>[dyn]))?)?(?P<half> ?[ap]\.?m\.?)?"
_CLOCK_ALONE = r"d:d(?::d(?:[.,](?P<fraction>[dyn]))?)?(?P<half> ?[ap]\.?m\.?)?|d\.d\.d"
_SHORT_CLOCK = r"d(?P<half2> ?[ap]m)|(?P<short>n|y)(?:[.,](?P<fraction2>[dyn]))?"
_ZONE = r" ?(?:z|utc|gmt)| ?(?P<sign>[+-])(?P<zone>d:?d|y|d)"
_WEEKDAY = r"(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*,? )?"


@dataclass(frozen=True)
class Moments:
    """What a column of text says of time.

    Arguments:
        times_N: nanoseconds since 1970-01-01, or since midnight of times of day; `NO_TIME` where a cell is missing.
        clock: whether they are times of day.
        bad: the first row that is no time, or None.
        order: of dates as 02/01/2020 what comes first; None where it is written out.
        doubtful: whether nothing in the column settles that.
        zones: whether cells say their offset from UTC; times are then in UTC, unless all offsets are the same.
        local_N: what the clock on the wall said, where offsets differ.
        sub_daily: whether any cell has a time of day.
        two_digits: whether years have two digits.
        overflow: the first row whose year is beyond what is held, or None.
        offset: the offset from UTC, in seconds, where all are the same.
    """

    times_N: Ints
    clock: bool = False
    bad: int | None = None
    order: Literal["day-first", "month-first"] | None = None
    doubtful: bool = False
    zones: bool = False
    local_N: Ints | None = None
    sub_daily: bool = False
    two_digits: bool = False
    overflow: int | None = None
    offset: int = 0


@dataclass(frozen=True)
class _Form:
    """How the runs of digits of a skeleton are to be read."""

    date: str = ""
    month: int = 0
    clock: int = 0  # how many runs: hour, minute, second
    short: bool = False
    fraction: bool = False
    half: str = ""
    zone: str = ""
    sign: int = 1
    sharp: bool = False  # whether a zone is named at all
    day_part: str = ""


@dataclass
class _Runs:
    """The runs of digits of some cells.

    Arguments:
        values_NR: their numbers.
        lengths_NR: how many digits each has.
        keys_N: a hash of the skeleton.
    """

    values_NR: Ints
    lengths_NR: NDArray[np.int8]
    keys_N: NDArray[np.uint64]


def as_bytes(cells: Sequence[str]) -> Bytes:
    """Cells of text as one array of bytes, UTF-8."""
    try:
        return np.array(cells, dtype=np.bytes_) if cells else np.zeros(0, "S1")
    except UnicodeEncodeError:
        return np.array([cell.encode("utf-8", "replace") for cell in cells])


def understood(cells_N: Bytes) -> str | None:
    """Whether every cell has the form of a time: "date", "clock" for times of day, None for neither.

    Arguments:
        cells_N: without missing ones.
    """
    if not len(cells_N) or cells_N.dtype.itemsize > _LONGEST:
        return None
    kinds = set()
    dots = _dotted(cells_N)
    for start in range(0, len(cells_N), _BLOCK):
        block = cells_N[start : start + _BLOCK]
        runs = _runs(block)
        _, firsts = np.unique(runs.keys_N, return_index=True)
        if len(firsts) > 400:
            return None
        for first in firsts:
            form = _form(_skeleton(block[first]), dots=dots)
            if form is None:
                return None
            kinds.add("date" if form.date else "clock")
    return kinds.pop() if len(kinds) == 1 else None


def parse_stamps(
    cells_N: Bytes, missing_N: NDArray[np.bool_], dates: Literal["auto", "day-first", "month-first"]
) -> Moments:
    """The times of a column.

    Arguments:
        cells_N: its cells, UTF-8.
        missing_N: which of them are missing.
        dates: what comes first in 02/01/2020.
    """
    count = len(cells_N)
    fields_NF = np.zeros((count, 3), np.int64)  # year, month, day
    rest_N = np.zeros(count, np.int64)  # nanoseconds since midnight
    offset_N = np.zeros(count, np.int64)  # seconds east of UTC
    kinds = {"open": False, "clock": False, "date": False, "zone": False, "bare": False,
             "two": False, "sub": False}  # fmt: skip
    open_N = np.zeros(count, bool)
    wrong_N = np.zeros(count, bool)
    dots, clocks = False, _dotted(cells_N)
    for start in range(0, count, _BLOCK):
        block = cells_N[start : start + _BLOCK]
        runs = _runs(block)
        keys, firsts, inverse = np.unique(runs.keys_N, return_index=True, return_inverse=True)
        for number in range(len(keys)):
            rows = np.flatnonzero(inverse == number)
            rows = rows[~missing_N[start + rows]]
            if not len(rows):
                continue
            skeleton = _skeleton(block[firsts[number]])
            form = _form(skeleton, dots=clocks)
            if form is None:
                wrong_N[start + rows] = True
                continue
            values, lengths = runs.values_NR[rows], runs.lengths_NR[rows]
            used, wrong = _date(form, values, fields_NF, start + rows)
            wrong |= _clock(form, values[:, used:], lengths[:, used:], rest_N, start + rows)
            if form.sharp:
                kinds["zone"] = True
                if form.zone:
                    offset_N[start + rows] = form.sign * _offset(form, values, lengths)
            else:
                kinds["bare"] = True
            wrong_N[start + rows] |= wrong
            kinds["date" if form.date else "clock"] = True
            kinds["two"] |= form.date.endswith("y")
            kinds["sub"] |= bool(form.clock or form.short)
            if form.date[:2] == "ab":
                kinds["open"] = True
                open_N[start + rows] = True
                dots |= form.day_part != "/"
    order, doubtful = _settle(fields_NF, open_N, rest_N, dates, dots=dots)
    if kinds["open"] and order == "day-first":
        fields_NF[open_N] = fields_NF[open_N][:, [0, 2, 1]]
    times_N, odd_N, far_N = _assembled(fields_NF, rest_N, missing_N, dated=kinds["date"])
    wrong_N |= odd_N
    mixed = kinds["clock"] and kinds["date"]
    if mixed or (kinds["zone"] and kinds["bare"]):
        wrong_N |= ~missing_N
    bad = int(np.flatnonzero(wrong_N)[0]) if wrong_N.any() else None
    local_N, offset = None, 0
    if kinds["zone"]:
        there = ~missing_N
        offsets = np.unique(offset_N[there])
        if len(offsets) == 1:
            offset = int(offsets[0])
        else:
            local_N = times_N.copy()
            times_N[there] -= offset_N[there] * _SECOND
    far = far_N & ~wrong_N
    return Moments(
        times_N,
        clock=kinds["clock"] and not kinds["date"],
        bad=bad,
        order=order if kinds["open"] else None,  # type: ignore[arg-type]
        doubtful=doubtful and kinds["open"],
        zones=kinds["zone"],
        local_N=local_N,
        sub_daily=kinds["sub"],
        two_digits=kinds["two"],
        overflow=int(np.flatnonzero(far)[0]) if far.any() else None,
        offset=offset,
    )


def _dotted(cells_N: Bytes) -> bool:
    """Whether the column has 18.00.00, whose middle cannot be a day or a month."""
    return b".00." in cells_N.tobytes()


def _runs(cells_N: Bytes) -> _Runs:
    """The runs of digits of each cell, and a hash of what stands around them."""
    count, width = len(cells_N), cells_N.dtype.itemsize
    matrix = np.ascontiguousarray(cells_N).view(np.uint8).reshape(count, width)
    digit_NW = (matrix >= 48) & (matrix <= 57)
    if np.all(np.where(digit_NW, 48, matrix) == np.where(digit_NW[0], 48, matrix[0])):
        return _alike(matrix, digit_NW[0])
    values = np.zeros((count, _RUNS + 1), np.int64)
    lengths = np.zeros((count, _RUNS + 1), np.int8)
    keys = np.zeros(count, np.uint64)
    run = np.full(count, -1)
    inside = np.zeros(count, bool)
    everyone = np.arange(count)
    prime, low = np.uint64(1099511628211), np.uint8(32)
    for column in range(width + 1):
        byte = matrix[:, column] if column < width else np.zeros(count, np.uint8)
        digit = digit_NW[:, column] if column < width else np.zeros(count, bool)
        ended = inside & ~digit
        if ended.any():
            rows = everyone[ended]
            length = lengths[rows, run[rows]]
            mark = np.where(length <= 2, 100, np.where(length == 4, 121, 110)).astype(np.uint64)
            keys[rows] = (keys[rows] ^ (mark + np.uint64(256))) * prime
        begun = digit & ~inside
        run[begun] = np.minimum(run[begun] + 1, _RUNS)
        if digit.any():
            rows = everyone[digit]
            place = run[rows]
            values[rows, place] = values[rows, place] * 10 + (byte[rows] - 48)
            lengths[rows, place] = np.minimum(lengths[rows, place] + 1, 100)
        other = ~digit & (byte != 0)
        if other.any():
            lower = np.where((byte >= 65) & (byte <= 90), byte | low, byte)
            keys[other] = (keys[other] ^ lower[other].astype(np.uint64)) * prime
        inside = digit
    return _Runs(values[:, :_RUNS], lengths[:, :_RUNS], keys)


def _alike(matrix_NW: NDArray[np.uint8], digit_W: NDArray[np.bool_]) -> _Runs:
    """The runs of cells that all have their digits in the same places."""
    count = len(matrix_NW)
    values = np.zeros((count, _RUNS), np.int64)
    lengths = np.zeros((count, _RUNS), np.int8)
    run, inside = -1, False
    for column, digit in enumerate(digit_W):
        if digit:
            run += not inside
            if run < _RUNS:
                values[:, run] = values[:, run] * 10 + (matrix_NW[:, column] - 48)
                lengths[:, run] += 1
        inside = bool(digit)
    return _Runs(values, lengths, np.zeros(count, np.uint64))


def _skeleton(cell: bytes) -> str:
    text = cell.decode("utf-8", "replace").lower()
    return re.sub(
        r"[0-9]+",
        lambda run: "\1" if len(run[0]) <= 2 else "\2" if len(run[0]) == 4 else "\3",
        text,
    )


_SPELT = str.maketrans({"d": "\1", "y": "\2", "n": "\3"})


def _form(skeleton: str, *, dots: bool) -> _Form | None:
    """How to read the cells of a skeleton; None if they are no times.

    Arguments:
        skeleton: of cells.
        dots: whether 18.30.00 is a time of day, not a day of 2000.
    """
    for date, pattern in _COMPILED:
        match = pattern.fullmatch(skeleton)
        if match is None or (dots and date == "aby" and match["part2"] == "."):
            continue
        found = match.groupdict()
        fraction = found.get("fraction") or found.get("fraction2")
        clock = 0
        whole = found.get("clock")
        if whole:
            clock = len(re.findall("[\1\2\3]", whole)) - bool(fraction)
        half = (found.get("half") or found.get("half2") or "").strip()[:1]
        name = found.get("name")
        return _Form(
            date=date,
            month=_MONTHS.index(name[:3]) + 1 if name else 0,
            clock=0 if found.get("short") else clock,
            short=bool(found.get("short")),
            fraction=bool(fraction),
            half=half,
            zone=found.get("zone") or "",
            sign=-1 if found.get("sign") == "-" else 1,
            sharp=bool(found.get("sharp")),
            day_part=found.get("part") or found.get("part2") or "",
        )
    return None


def _literal(pattern: str) -> str:
    """A pattern whose d, y and n stand for runs, names and groups left as they are."""
    out, depth = [], 0
    position = 0
    while position < len(pattern):
        match = re.match(r"\(\?P<\w+>|\(\?P=\w+\)|\\.", pattern[position:])
        if match is not None:
            out.append(match[0])
            position += len(match[0])
            continue
        out.append(pattern[position].translate(_SPELT) if depth == 0 else pattern[position])
        position += 1
    return "".join(out)


def _pattern(pattern: str) -> str:
    """As `_literal`, with the names of months, whose letters are letters, kept apart."""
    before, name, after = pattern.partition(_NAME)
    return _literal(before) + name + _literal(after)


_COMPILED = [
    *(
        (
            date,
            re.compile(
                rf"\s*{_WEEKDAY}(?:{_pattern(pattern)})"
                rf"(?:(?:t|,? +)(?P<clock>{_literal(_CLOCK)}|{_literal(_SHORT_CLOCK)})"
                rf"(?P<sharp>{_literal(_ZONE)})?)?\s*"
            ),
        )
        for date, pattern in _DATES
    ),
    ("", re.compile(rf"\s*(?P<clock>{_literal(_CLOCK_ALONE)})\s*")),
]


def _date(
    form: _Form, values_NR: Ints, fields_NF: Ints, rows: Ints
) -> tuple[int, NDArray[np.bool_]]:
    """Fill in year, month and day; how many runs they took, and where they cannot be."""
    one, two, three = values_NR[:, 0], values_NR[:, 1], values_NR[:, 2]
    ones = np.ones(len(rows), np.int64)
    wrong = np.zeros(len(rows), bool)
    date = form.date
    month: Ints
    if date == "":
        return 0, wrong
    if date in {"ymd", "ym", "mY", "8"}:
        if date == "ymd":
            year, month, day, used = one, two, three, 3
        elif date == "ym":
            year, month, day, used = one, two, ones, 2
        elif date == "mY":
            year, month, day, used = two, one, ones, 2
        else:
            year, month, day, used = one // 10_000, one // 100 % 100, one % 100, 1
            wrong |= (one < 10_000_101) | (one > 99_991_231)
    elif date in {"yq", "qY"}:
        year, quarter = (one, two) if date == "yq" else (two, one)
        wrong |= (quarter < 1) | (quarter > 4)
        month, day, used = quarter * 3 - 2, ones, 2
    elif date in {"yw", "ywd"}:
        weekday = three if date == "ywd" else ones
        wrong |= (two < 1) | (two > 53) | (weekday < 1) | (weekday > 7)
        fourth = _days(one, ones, ones * 4)
        monday = fourth - (fourth + 3) % 7 + (two - 1) * 7
        days = (monday + weekday - 1).astype("datetime64[D]")
        months = days.astype("datetime64[M]").astype(np.int64)
        year, month = months // 12 + 1970, months % 12 + 1
        day = days.astype(np.int64) - _days(year, month, ones) + 1
        used = 3 if date == "ywd" else 2
    elif date[:2] == "ab":
        year, month, day, used = three, one, two, 3
    else:
        month = ones * form.month
        if date in {"dNY", "dNy", "NdY"}:
            year, day, used = two, one, 2
        else:  # NY, YN, Ny
            year, day, used = one, ones, 1
    if date.endswith("y"):
        year = np.where(year < 70, year + 2000, year + 1900)
    fields_NF[rows, 0], fields_NF[rows, 1], fields_NF[rows, 2] = year, month, day
    return used, wrong


def _clock(
    form: _Form, values_NR: Ints, lengths_NR: NDArray[np.int8], rest_N: Ints, rows: Ints
) -> NDArray[np.bool_]:
    """Fill in the time of day; where it cannot be."""
    count = len(rows)
    zeros = np.zeros(count, np.int64)
    if form.short:  # T0304 or T030405
        number, digits = values_NR[:, 0], lengths_NR[:, 0]
        seconds = np.where(digits == 6, number % 100, 0)
        minutes = np.where(digits == 6, number // 100 % 100, number % 100)
        hours = np.where(digits == 6, number // 10_000, number // 100)
        wrong = (digits != 4) & (digits != 6)
        used = 1
    elif form.clock:
        hours = values_NR[:, 0]
        minutes = values_NR[:, 1] if form.clock > 1 else zeros
        seconds = values_NR[:, 2] if form.clock > 2 else zeros
        wrong = np.zeros(count, bool)
        used = form.clock
    else:
        return np.zeros(count, bool)
    if form.half:
        wrong |= (hours < 1) | (hours > 12)
        hours = hours % 12 + (12 if form.half == "p" else 0)
    nano = zeros
    if form.fraction:
        digits = np.minimum(lengths_NR[:, used], 18).astype(np.int64)
        part = values_NR[:, used]
        nano = np.where(
            digits <= 9,
            part * 10 ** np.maximum(9 - digits, 0),
            part // 10 ** np.maximum(digits - 9, 0),
        )
        wrong |= lengths_NR[:, used] > 18
    # Midnight may be written as the end of a day, and a leap second as the 61st.
    over = (hours == 24) & ((minutes > 0) | (seconds > 0))
    wrong |= (hours > 24) | over | (minutes > 59) | (seconds > 60)
    rest_N[rows] = (hours * 3600 + minutes * 60 + seconds) * _SECOND + nano
    return np.asarray(wrong)


def _offset(form: _Form, values_NR: Ints, lengths_NR: NDArray[np.int8]) -> Ints:
    """Seconds east of UTC, without the sign: the last runs of digits."""
    last = (lengths_NR > 0).sum(axis=1) - 1
    rows = np.arange(len(last))
    final: Ints = values_NR[rows, last]
    if form.zone == "\2":  # 0530
        return np.asarray(final // 100 * 3600 + final % 100 * 60)
    if len(form.zone) > 1:  # 05:30
        return np.asarray(values_NR[rows, last - 1] * 3600 + final * 60)
    return np.asarray(final * 3600)


def _days(year: Ints, month: Ints, day: Ints) -> Ints:
    months = (year - 1970) * 12 + month - 1
    return months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64) + day - 1


def _assembled(
    fields_NF: Ints, rest_N: Ints, missing_N: NDArray[np.bool_], *, dated: bool
) -> tuple[Ints, NDArray[np.bool_], NDArray[np.bool_]]:
    """Nanoseconds, where a date is none, and where a year is too far."""
    odd_N = np.zeros(len(rest_N), bool)
    far_N = np.zeros(len(rest_N), bool)
    if not dated:
        return np.where(missing_N, NO_TIME, rest_N), odd_N, far_N
    year, month, day = fields_NF[:, 0], fields_NF[:, 1], fields_NF[:, 2]
    odd_N = ((month < 1) | (month > 12) | (day < 1)) & ~missing_N
    month = np.clip(month, 1, 12)
    far_N = ((year < _FIRST_YEAR) | (year > _LAST_YEAR)) & ~missing_N
    held = np.clip(year, _FIRST_YEAR, _LAST_YEAR)
    months = (held - 1970) * 12 + month - 1
    first = months.astype("datetime64[M]").astype("datetime64[D]")
    after = (months + 1).astype("datetime64[M]").astype("datetime64[D]")
    odd_N |= (day > (after - first).astype(np.int64)) & ~missing_N
    times_N = (first.astype(np.int64) + day - 1) * _DAY + rest_N
    return np.where(missing_N, NO_TIME, times_N), odd_N, far_N


def _settle(
    fields_NF: Ints, open_N: NDArray[np.bool_], rest_N: Ints, dates: str, *, dots: bool
) -> tuple[str, bool]:
    """Whether the day or the month comes first, and whether that is in doubt."""
    if dates != "auto":
        return dates, False
    if not open_N.any():
        return "month-first", False
    first, second = fields_NF[open_N, 1], fields_NF[open_N, 2]
    if first.max() > 12:
        return "day-first", False
    if second.max() > 12:
        return "month-first", False
    # Nothing but small numbers: what makes the more even series is likelier.
    evenness = {}
    year, rest = fields_NF[open_N, 0], rest_N[open_N]
    for order, (month, day) in (("day-first", (second, first)), ("month-first", (first, second))):
        months, days = np.clip(month, 1, 12), np.clip(day, 1, 28)
        times = np.unique(_days(np.clip(year, _FIRST_YEAR, _LAST_YEAR), months, days) * _DAY + rest)
        gaps = np.diff(times) // _DAY
        # The lengths of months count as one.
        gaps = np.where((gaps >= 28) & (gaps <= 31), 30, gaps)
        evenness[order] = len(np.unique(gaps)) / max(1, len(gaps)) if len(gaps) > 2 else 1.0
    if evenness["day-first"] < 0.7 * evenness["month-first"]:
        return "day-first", True
    if evenness["month-first"] < 0.7 * evenness["day-first"]:
        return "month-first", True
    return ("day-first" if dots else "month-first"), True
