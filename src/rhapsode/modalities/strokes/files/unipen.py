"""Ink in UNIPEN files (Guyon and others 1994)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rhapsode.encoding.strokes import Drawing
from rhapsode.errors import DataError
from rhapsode.modalities.strokes.files.specimen import Specimen, checked_strokes

Stroke = list[tuple[float, float]]

_SEGMENT = re.compile(r'^\.SEGMENT\s+(\S+)\s+(\S+)(?:\s+\S+)?\s*(?:"(.*)")?', re.DOTALL)
# Levels of segments that are drawings of their own, the largest first that a file has.
_LEVELS = ("TEXT", "LINE", "WORD", "CHARACTER")


def is_unipen(head: str) -> bool:
    """True of text with the keywords of a UNIPEN file."""
    return bool(re.search(r"^\.(VERSION|PEN_DOWN|COORD|DATA_SOURCE)\b", head, re.MULTILINE))


def read_unipen(text: str, where: str) -> Iterator[Specimen]:
    """Drawings of a UNIPEN file.

    They are its segments, or all of it where there are none. y grows upwards. Files that are
    included are not read.

    Raises:
        DataError: a point that is not made of numbers, or no stroke.
    """
    columns, strokes, segments = [0, 1], list[Stroke](), list[tuple[str, str, str]]()
    points: Stroke | None = None
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words:
            continue
        keyword = words[0].upper()
        if not keyword.startswith("."):
            if points is not None:
                points.append(_point(words, columns, f"{where}, line {number}"))
            elif segments and segments[-1][2].count('"') == 1:
                segments[-1] = (*segments[-1][:2], f"{segments[-1][2]} {line}")
            continue
        if keyword == ".COORD":
            names = [word.upper() for word in words[1:]]
            if not {"X", "Y"} <= set(names):
                raise DataError(".COORD has no X and Y", where=f"{where}, line {number}")
            columns = [names.index("X"), names.index("Y")]
        elif keyword == ".PEN_DOWN":
            points = []
            strokes.append(points)
            continue
        else:
            points = None
        if keyword == ".SEGMENT" and (found := _SEGMENT.match(line.strip())):
            segments.append((found[1].upper(), found[2], found[3] or ""))
        elif keyword == ".INCLUDE":
            raise DataError(
                "the file includes another one, which is not read",
                where=f"{where}, line {number}",
                hint="name the file with the points, or insert it",
            )
    if not any(strokes):
        raise DataError("no pen-down component with points", where=where)
    yield from _divided(strokes, segments, where)


def _divided(
    strokes: list[Stroke], segments: list[tuple[str, str, str]], where: str
) -> Iterator[Specimen]:
    """Drawings of the segments of the largest level."""
    levels = [level for level in _LEVELS if any(segment[0] == level for segment in segments)]
    if not levels:
        yield Specimen(Drawing(checked_strokes(strokes, where), up=True), True, where)
        return
    own = [segment for segment in segments if segment[0] == levels[0]]
    for count, (_, places, label) in enumerate(own, 1):
        name = f"{where}, segment {count}"
        chosen = [strokes[place] for place in _places(places, len(strokes), name)]
        drawn = checked_strokes(chosen, name)
        if drawn:
            yield Specimen(Drawing(drawn, up=True), True, name, text=label.strip('" ') or None)


def _places(text: str, count: int, where: str) -> list[int]:
    """Numbers of components, such as 3-7,9; a range of points in one counts as all of it.

    Raises:
        DataError: there are fewer components, or it is no list of numbers.
    """
    places: list[int] = []
    for part in text.split(","):
        ends = [end.partition(":")[0] for end in part.split("-")]
        if not all(end.isdigit() for end in ends) or len(ends) > 2:
            raise DataError(f"{text!r} is no list of components", where=where)
        places += range(int(ends[0]), int(ends[-1]) + 1)
        if places and places[-1] >= count:
            raise DataError(
                f"component {places[-1]} is named, there are {count} pen-down components",
                where=where,
            )
    return places


def _point(words: list[str], columns: list[int], where: str) -> tuple[float, float]:
    try:
        return float(words[columns[0]]), float(words[columns[1]])
    except (ValueError, IndexError):
        raise DataError("a point that is not made of numbers x and y", where=where) from None
