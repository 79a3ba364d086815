"""Several tables in one text, and the one with times."""

from __future__ import annotations

import itertools
import re
from typing import NamedTuple

from rhapsode.data.tables.parsing.columns import TIME_NAMES, listed, plain_name
from rhapsode.data.tables.parsing.shape import Shape
from rhapsode.data.tables.settings import SeriesSettings
from rhapsode.errors import DataError

_BLANK_LINE = re.compile(r"\n[ \t\r,;|]*\n(?=[^\s,;|])")
_CLOCK = re.compile(r"\s*\d\d?:\d\d")
_MOST = 50
_HEAD = 1 << 13
_LARGE = 1 << 22


class _Part(NamedTuple):
    """A table in a text: its place, its first line, and the names of its columns."""

    begin: int
    line: int
    names: list[str]
    has_times: bool


def only_with_times(
    text: str, where: str, delimiter: str | None, settings: SeriesSettings
) -> tuple[str, int, list[str]]:
    """The text of the only table with times.

    Also returns the number of lines before it, and notes on what is left out.

    Raises:
        DataError: several tables have times, and the settings name no column of only one.
    """
    if len(text) > _LARGE and _BLANK_LINE.search(text, 0, _HEAD) is None:
        return text, 0, []
    breaks = [match.end() for match in itertools.islice(_BLANK_LINE.finditer(text), _MOST + 1)]
    if not breaks or len(breaks) > _MOST:
        return text, 0, []
    ends = [*breaks, len(text)]
    found = (
        _part(text, at, end, where, delimiter) for at, end in zip([0, *breaks], ends, strict=True)
    )
    parts = [part for part in found if part is not None]
    timed = [part for part in parts if part.has_times]
    if len(timed) == len([p for p in parts if p.names == timed[0].names] if timed else []):
        timed = timed[:1] if len(parts) > len(timed) else []
    asked = {*settings.value_columns, *settings.known, *settings.time_column}
    timed = [part for part in timed if asked <= {*part.names}] or timed
    if not timed:
        return text, 0, []
    if len(timed) > 1:
        tables = " and ".join(f"line {part.line} ({listed(part.names, 3)})" for part in timed)
        raise DataError(
            f"{len(timed)} tables with times: {tables}",
            where=where,
            hint="name a column that only one of them has with --value-columns, "
            "or save the table as a file of its own",
        )
    (chosen,) = timed
    end = next((part.begin for part in parts if part.begin > chosen.begin), len(text))
    told = [
        f"line {part.line}: another table, {listed(part.names, 3)}, left out"
        for part in parts
        if part is not chosen
    ]
    return text[chosen.begin : end], chosen.line - 1, told


def _part(text: str, begin: int, end: int, where: str, delimiter: str | None) -> _Part | None:
    """The table that begins with a row of names between blank lines; None if there is none."""
    piece = text[begin : min(end, begin + _HEAD)]
    try:
        shape = Shape(piece[: piece.rfind("\n") + 1] or piece, where, "auto", delimiter)
    except DataError:
        return None
    numbers = [n for n, kind in zip(shape.names, shape.usual, strict=False) if kind == "number"]
    head = shape.kinds[len(shape.heads) - 1] if shape.heads else ["number"]
    if not numbers or not shape.header or {*head} - {"label", "nothing"}:
        return None
    first = shape.sample[len(shape.heads)] if len(shape.sample) > len(shape.heads) else []
    dates = [cell for cell, kind in zip(first, shape.usual, strict=False) if kind == "time"]
    named = any(plain_name(name) in TIME_NAMES - {""} for name in numbers)
    has_times = len(shape.sample) > len(shape.heads) + 2 and (
        not all(map(_CLOCK.match, dates)) or (named and len(numbers) > 1)
    )
    return _Part(begin, text.count("\n", 0, begin) + 1, shape.names, has_times)
