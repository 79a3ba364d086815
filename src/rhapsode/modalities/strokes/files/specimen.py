"""A drawing as a file holds it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rhapsode.encoding.strokes import Drawing
from rhapsode.errors import DataError


@dataclass(frozen=True, eq=False)
class Specimen:
    """A drawing, and what its file says of it.

    Arguments:
        drawing: the strokes.
        dense: True for points as a device gives them, False for points that were chosen.
        name: of the drawing, for messages.
        split: "train", "valid" or "test", as the file names it; None if it does not.
        text: what is written.
        writer: who wrote it.
        label: its name, which may be what is written: a class of sketches, the title of a picture.
    """

    drawing: Drawing
    dense: bool
    name: str = ""
    split: str | None = None
    text: str | None = None
    writer: str | None = None
    label: str | None = None


def checked_strokes(strokes: Sequence[Any], where: str) -> tuple[Any, ...]:
    """Strokes (N, 2) as float64, without empty ones.

    Raises:
        DataError: a stroke is no list of points, or a number is not finite.
    """
    checked = []
    for number, stroke in enumerate(strokes, 1):
        try:
            points_N2 = np.array(stroke, dtype=np.float64)
        except (TypeError, ValueError, OverflowError):
            raise DataError(f"stroke {number} is not a list of points", where=where) from None
        if not points_N2.size:
            continue
        if points_N2.ndim != 2 or points_N2.shape[1] < 2:
            raise DataError(f"stroke {number} is not a list of points", where=where)
        points_N2 = np.ascontiguousarray(points_N2[:, :2])
        if not np.isfinite(points_N2).all() or (np.abs(points_N2) > MOST).any():
            raise DataError(
                f"stroke {number} holds a coordinate that is missing, infinite or above {MOST:g}",
                where=where,
            )
        checked.append(points_N2)
    return tuple(checked)


# Coordinates beyond it are mistakes.
MOST = 1e9
