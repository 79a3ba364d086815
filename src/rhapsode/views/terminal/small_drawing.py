"""Strokes as a small drawing of Braille dots."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

# Dots of a cell by row and column, as bits of the code point.
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_BLANK = 0x2800


def braille_lines(
    strokes: Sequence[Any], *, width: int, height: int, up: bool = False
) -> list[str]:
    """Lines of Braille characters that show strokes.

    The scale is the same in x and y.

    Arguments:
        strokes: points (N, 2) of each.
        width: cells of a line, at most.
        height: lines, at most.
        up: True if y grows upwards.
    """
    parts = [np.asarray(stroke, dtype=np.float64) for stroke in strokes if len(stroke)]
    if not parts or width < 1 or height < 1:
        return []
    points_N2 = np.concatenate(parts)
    low, size = points_N2.min(axis=0), np.ptp(points_N2, axis=0)
    room = np.array([2 * width - 1, 4 * height - 1])
    factor = min((room[axis] / size[axis] for axis in (0, 1) if size[axis] > 0), default=0.0)
    columns, rows = (int(size[axis] * factor) + 1 for axis in (0, 1))
    dots = np.zeros((rows, columns), dtype=bool)
    for part in parts:
        places_N2 = (part - low) * factor
        if up:
            places_N2[:, 1] = rows - 1 - places_N2[:, 1]
        for begin, end in itertools.pairwise(places_N2):
            steps = int(np.abs(end - begin).max() * 2) + 1
            share = np.linspace(0.0, 1.0, steps + 1)[:, None]
            _mark(dots, begin + share * (end - begin))
        _mark(dots, places_N2[:1])
    return [
        "".join(
            chr(
                _BLANK
                + sum(
                    _DOTS[row][column]
                    for row in range(4)
                    for column in range(2)
                    if top + row < rows
                    and left + column < columns
                    and dots[top + row, left + column]
                )
            )
            for left in range(0, columns, 2)
        )
        for top in range(0, rows, 4)
    ]


def _mark(dots: np.ndarray[Any, np.dtype[np.bool_]], places_N2: Any) -> None:
    columns, rows = np.round(places_N2).astype(int).T
    dots[np.clip(rows, 0, dots.shape[0] - 1), np.clip(columns, 0, dots.shape[1] - 1)] = True
