"""Drawings in JSON: stroke-3, lists of strokes, points, Quick Draw."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from rhapsode.encoding.strokes import LIFTS, Drawing
from rhapsode.errors import DataError
from rhapsode.modalities.strokes.files.specimen import Specimen, checked_strokes

KEYS = ("strokes", "drawing", "points", "ink")
"""Names under which an object holds its strokes."""
_LABELS = ("label", "word")


def is_ink(value: Any) -> bool:
    """True if a JSON value looks like a drawing."""
    if isinstance(value, Mapping):
        return any(isinstance(value.get(key), list) and _is_drawn(value[key]) for key in KEYS)
    return isinstance(value, list) and _is_drawn(value)


def _is_drawn(content: Sequence[Any]) -> bool:
    """True of rows of stroke-3, points, or lists of numbers in lists of strokes."""
    if not content:
        return False
    if _is_stroke_3(content) or _is_points(content):
        return True
    return all(
        isinstance(stroke, list)
        and all(
            isinstance(axis, list) and all(isinstance(number, int | float) for number in axis)
            for axis in stroke
        )
        for stroke in content
    )


def read_json(text: str, where: str) -> Iterator[Specimen]:
    """Drawings of a JSON document, or of JSON Lines.

    Raises:
        DataError: a line that is not JSON, or holds no drawing.
    """
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
        for number, line in lines:
            place = f"{where}, line {number}"
            try:
                value = json.loads(line)
            except (ValueError, RecursionError):
                raise DataError("this line is not JSON", where=place) from None
            yield _specimen(value, place)
        return
    if isinstance(whole, list) and whole and (not is_ink(whole) or _are_stroke_3(whole)):
        for number, value in enumerate(whole, 1):
            yield _specimen(value, f"{where}, drawing {number}")
    else:
        yield _specimen(whole, where)


def _specimen(value: Any, where: str) -> Specimen:
    """One drawing of plain values.

    Raises:
        DataError: it is none.
    """
    facts: Mapping[str, Any] = value if isinstance(value, Mapping) else {}
    key = next((key for key in KEYS if isinstance(facts.get(key), list)), None)
    content = value if isinstance(value, list) else facts.get(key or "")
    if not isinstance(content, list):
        raise DataError(
            "no drawing: a list of strokes is missing",
            where=where,
            hint='for example {"strokes": [[[x, x, ...], [y, y, ...]], ...]}',
        )
    dense, up = True, facts.get("y") == "up"
    if _is_stroke_3(content):
        strokes, dense = strokes_of_stroke_3(content, where), False
    elif _is_points(content):
        strokes = _strokes_of_points(content, where)
    else:
        strokes, dense = _strokes_of_lists(content, where)
        dense = dense or key != "drawing"
    if not strokes:
        raise DataError("a drawing without a point", where=where)
    text, *labels = (_text_of(facts.get(name), where) for name in ("text", *_LABELS))
    split, writer = facts.get("split"), facts.get("writer")
    return Specimen(
        Drawing(strokes, up),
        dense,
        str(facts.get("id", facts.get("key_id", where))),
        split if isinstance(split, str) else None,
        text,
        None if writer is None else str(writer),
        next((label for label in labels if label), None),
    )


def _text_of(value: Any, where: str) -> str | None:
    """A text of an object; None for other values.

    Raises:
        DataError: half of a surrogate pair.
    """
    if not isinstance(value, str):
        return None
    try:
        value.encode()
    except UnicodeEncodeError:
        raise DataError("a text with half of a surrogate pair", where=where) from None
    return value


def _is_stroke_3(content: Sequence[Any]) -> bool:
    """True of rows of three numbers, the last a state of the pen."""
    return all(
        isinstance(row, list)
        and len(row) == 3
        and all(isinstance(number, int | float) for number in row)
        and row[2] in (0, 1)
        for row in content
    )


def _are_stroke_3(whole: Sequence[Any]) -> bool:
    """True of a list of drawings as rows of three numbers."""
    return all(isinstance(rows, list) and bool(rows) and _is_stroke_3(rows) for rows in whole)


def _is_points(content: Sequence[Any]) -> bool:
    """True of points {x, y, ...}, or of lists of such."""
    first = content[0] if content else None
    first = first[0] if isinstance(first, list) and first else first
    return isinstance(first, Mapping) and "x" in first


def strokes_of_stroke_3(rows: Any, where: str) -> tuple[Any, ...]:
    """Strokes of rows dx, dy, pen.

    A pen of 1 is lifted after the move.

    Raises:
        DataError: rows that are not numbers.
    """
    try:
        rows_N3 = np.array(rows, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise DataError("rows that are not dx, dy, pen", where=where) from None
    if rows_N3.ndim != 2 or rows_N3.shape[1] != 3:
        raise DataError("rows that are not dx, dy, pen", where=where)
    (points_N2,) = checked_strokes([np.cumsum(rows_N3[:, :2], axis=0)], where)
    ends = (np.flatnonzero(rows_N3[:, 2] >= LIFTS) + 1).tolist()
    bounds = itertools.pairwise([0, *ends, len(points_N2)])
    return tuple(points_N2[low:high] for low, high in bounds if high > low)


def _strokes_of_points(content: Sequence[Any], where: str) -> tuple[Any, ...]:
    """Strokes of points {x, y, t, pen}, where pen 1 or "down" draws to the next point."""
    lists = content if isinstance(content[0], list) else [content]
    strokes: list[list[tuple[float, float]]] = []
    for points in lists:
        strokes.append([])
        for point in points if isinstance(points, list) else []:
            try:
                place = (float(point["x"]), float(point["y"]))
            except (TypeError, KeyError, ValueError):
                raise DataError("a point without numbers x and y", where=where) from None
            strokes[-1].append(place)
            if point.get("pen", 1) in (0, False, "up", "lift"):
                strokes.append([])
    return checked_strokes(strokes, where)


def _strokes_of_lists(content: Sequence[Any], where: str) -> tuple[tuple[Any, ...], bool]:
    """Strokes of lists, and True if they have times.

    A stroke is [[x, ...], [y, ...], [t, ...]], or [[x, y, t], ...].
    """
    if not all(isinstance(stroke, list) for stroke in content):
        raise DataError("a stroke that is not a list", where=where)
    strokes = [stroke for stroke in content if stroke]
    by_axis = all(
        2 <= len(stroke) <= 4
        and all(isinstance(axis, list) and len(axis) == len(stroke[0]) for axis in stroke)
        for stroke in strokes
    )
    if not by_axis:
        return checked_strokes(strokes, where), False
    timed = any(len(stroke) > 2 for stroke in strokes)
    return checked_strokes(
        [list(zip(*stroke[:2], strict=True)) for stroke in strokes], where
    ), timed
