"""Drawings as strokes of points, and as moves of a pen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DRAWS, LIFTS, ENDS = 0, 1, 2
"""States of the pen after a move: it keeps drawing, it is lifted, or the drawing ends."""
PEN_STATES = 3


@dataclass(frozen=True, eq=False)
class Drawing:
    """Strokes of a pen.

    Arguments:
        strokes: points (N, 2) of each stroke, in the order of drawing.
        up: True if y grows upwards, False if downwards.
    """

    strokes: tuple[Floats, ...]
    up: bool = False

    @property
    def points(self) -> int:
        """Number of points."""
        return sum(map(len, self.strokes))

    def bounds(self) -> tuple[float, float, float, float]:
        """Least x and y, greatest x and y; zeros without points."""
        if not self.points:
            return 0.0, 0.0, 0.0, 0.0
        points_N2 = np.concatenate(self.strokes)
        low, high = points_N2.min(axis=0), points_N2.max(axis=0)
        return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def moves_of(strokes: Sequence[Any]) -> Floats:
    """Moves (T, 3) of a pen along strokes.

    A move is dx, dy, and the state of the pen after it.

    The first point of a drawing is its origin and no move. A first stroke of one point is a move of
    length 0. The last move ends the drawing.

    Arguments:
        strokes: points (N, 2) of each; empty strokes are skipped.
    """
    parts = [np.asarray(stroke, dtype=np.float64) for stroke in strokes if len(stroke)]
    if not parts:
        return np.zeros((0, 3))
    if len(parts[0]) == 1:
        parts[0] = parts[0].repeat(2, axis=0)
    points_N2 = np.concatenate(parts)
    moves_T3 = np.zeros((len(points_N2) - 1, 3))
    moves_T3[:, :2] = np.diff(points_N2, axis=0)
    lasts = np.cumsum([len(part) for part in parts]) - 2
    moves_T3[lasts, 2] = LIFTS
    moves_T3[-1, 2] = ENDS
    return moves_T3


def strokes_of(moves_TK: Any) -> tuple[Floats, ...]:
    """Strokes of moves, from the origin.

    Moves after the end of the drawing are left out.

    Arguments:
        moves_TK: dx, dy and the state of the pen after each move, (T, 3).
    """
    moves = np.asarray(moves_TK, dtype=np.float64).reshape(-1, 3)
    ends = np.flatnonzero(moves[:, 2] == ENDS)
    if len(ends):
        moves = moves[: ends[0] + 1]
    if not len(moves):
        return ()
    points_N2 = np.concatenate((np.zeros((1, 2)), np.cumsum(moves[:, :2], axis=0)))
    cuts = np.flatnonzero(moves[:, 2] > DRAWS) + 2
    strokes = [part for part in np.split(points_N2, cuts) if len(part)]
    first = strokes[0]
    if len(first) == 2 and (first[0] == first[1]).all():
        strokes[0] = first[:1]
    return tuple(strokes)
