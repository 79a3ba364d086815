"""Preparation of drawings: simplification, grid, and traps of pen data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from rhapsode.encoding.strokes import moves_of
from rhapsode.encoding.vectors import Floats
from rhapsode.errors import DataError
from rhapsode.modalities.strokes.files import Specimen
from rhapsode.modalities.strokes.settings import InkSettings
from rhapsode.views.figures import plural

# Moves within strokes that differ less than this (standard deviation over mean) are at equal
# distances: their density has no bound.
EQUAL = 0.03
# Moves of at most this many grid steps at the median follow the grid, not the pen.
CREEPING = 1.5
LEAST_MOVES = 50
# Parts of 1 that are tried as the grid of points that are not whole numbers.
PARTS = (2, 4, 5, 8, 10, 16, 20, 25, 50, 100, 1000)


@dataclass
class Prepared:
    """Drawings ready to learn from.

    Arguments:
        specimens: as they were read, without those that have no moves.
        moves: (T, 3) of each.
        grid: step of their coordinates; 0 without a grid.
        up: True if y grows upwards.
        simplified: True if points were left out.
        notes: what was done, in words.
    """

    specimens: list[Specimen]
    moves: list[Floats]
    grid: float
    up: bool
    simplified: bool
    notes: list[str] = field(default_factory=list)

    def turn(self, *, up: bool) -> None:
        """Let y grow upwards or downwards, without changing the drawings."""
        if self.up != up:
            for moves_T3 in self.moves:
                moves_T3[:, 1] = 0.0 - moves_T3[:, 1]
            self.up = up


def prepare_ink(
    specimens: Sequence[Specimen], settings: InkSettings, *, grid: float | None = None
) -> Prepared:
    """Prepare drawings.

    Arguments:
        specimens: as they were read.
        settings: how.
        grid: of a model that reads them; None to find it.

    Raises:
        DataError: no drawing has a move.
    """
    strokes = [specimen.drawing.strokes for specimen in specimens]
    notes: list[str] = []
    simplify = settings.prepare == "simplify"
    if settings.prepare == "auto":
        simplify, reason = _must_simplify(specimens)
        if reason:
            notes.append(reason)
    elif settings.prepare == "keep" and (trap := _trap(strokes)):
        notes.append(f"{trap}; strokes.prepare=simplify avoids it")
    if simplify:
        before = sum(map(len, (points for each in strokes for points in each)))
        strokes = [simplified(each, settings) for each in strokes]
        after = sum(map(len, (points for each in strokes for points in each)))
        notes.append(
            f"simplified: {after:,} of {before:,} points are kept; one unit is 1/{settings.steps} "
            "of the median height of the strokes of a drawing, speeds are lost"
        )
    moves = [moves_of(each) for each in strokes]
    kept = [place for place, each in enumerate(moves) if len(each)]
    if not kept:
        raise DataError("no drawing has a move of the pen")
    if len(kept) < len(moves):
        notes.append(f"left out {plural(len(moves) - len(kept), 'drawing')} of a single point")
    chosen = [moves[place] for place in kept]
    own_grid = 1.0 if simplify else find_grid(chosen)
    if grid is not None and own_grid > 1.5 * grid:
        notes.append(
            f"points lie on a grid of {own_grid:g}, the model's is {grid:g}: losses on a coarser "
            "grid than the model's are too low"
        )
    grid = own_grid if grid is None else grid
    up = _upwards(specimens, settings)
    if up is None:
        raise DataError(
            "y grows upwards in some of these files and downwards in others",
            hint="set strokes.y to up or down",
        )
    return Prepared([specimens[place] for place in kept], chosen, grid, up, simplify, notes)


def _upwards(specimens: Sequence[Specimen], settings: InkSettings) -> bool | None:
    if settings.y != "auto":
        return settings.y == "up"
    directions = {specimen.drawing.up for specimen in specimens}
    return directions.pop() if len(directions) == 1 else None


def _must_simplify(specimens: Sequence[Specimen]) -> tuple[bool, str]:
    """True if points must be left out, and the reason."""
    dense = sum(specimen.dense for specimen in specimens)
    if 2 * dense >= len(specimens):
        return True, ""
    trap = _trap([specimen.drawing.strokes for specimen in specimens])
    return bool(trap), trap


def _trap(strokes: Sequence[Sequence[Floats]]) -> str:
    """What makes a density of the moves meaningless, in words; empty if nothing does."""
    moves = [np.diff(points, axis=0) for each in strokes[:2000] for points in each]
    inside_N2 = np.concatenate(moves) if moves else np.zeros((0, 2))
    lengths_N = np.hypot(*inside_N2.T)
    lengths_N = lengths_N[lengths_N > 0]
    if len(lengths_N) < LEAST_MOVES:
        return ""
    if lengths_N.std() < EQUAL * lengths_N.mean():
        return (
            "the points are at equal distances along the strokes: moves lie on a circle, on which "
            "a density has no bound"
        )
    grid = find_grid([inside_N2])
    if grid and np.median(lengths_N) <= CREEPING * grid:
        return "the points follow the strokes in single steps of the grid, so they hold no speed"
    return ""


def find_grid(moves: Sequence[Floats]) -> float:
    """The step of the grid on which moves lie; 0 for none.

    Arguments:
        moves: (T, 2) or (T, 3) each.
    """
    deltas = np.concatenate([each[:, :2] for each in moves]).ravel()
    for part in (1, *PARTS):
        whole = deltas * part
        rounded = np.round(whole)
        if np.abs(whole - rounded).max(initial=0.0) < 1e-3:
            divisor = int(np.gcd.reduce(np.unique(np.abs(rounded)).astype(np.int64)))
            return max(1, divisor) / part
    return 0.0


def simplified(strokes: Sequence[Floats], settings: InkSettings) -> tuple[Floats, ...]:
    """Strokes with fewer points, on a grid of whole numbers.

    The grid divides the median height of the strokes.

    Arguments:
        strokes: points (N, 2) of each.
        settings: tolerance, and steps of the grid.
    """
    factor = settings.steps / stroke_height(strokes)
    parts = []
    for points_N2 in strokes:
        scaled_N2 = points_N2 * factor
        kept_N = kept_points(scaled_N2, settings.tolerance * settings.steps)
        rounded_N2 = np.round(scaled_N2[kept_N])
        again_N = np.concatenate(([True], (np.diff(rounded_N2, axis=0) != 0).any(axis=1)))
        parts.append(rounded_N2[again_N])
    return tuple(parts)


def stroke_height(strokes: Sequence[Floats]) -> float:
    """Median height of strokes of more than three points.

    It is the size of the drawing if they are flat.
    """
    heights = [float(np.ptp(points[:, 1])) for points in strokes if len(points) > 3]
    height = float(np.median(heights)) if heights else 0.0
    if height > 0:
        return height
    points_N2 = np.concatenate(strokes)
    return float(np.ptp(points_N2, axis=0).max()) or 1.0


def kept_points(points_N2: Floats, tolerance: float) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Mask (N,) of the points that Ramer-Douglas-Peucker keeps.

    Arguments:
        points_N2: of a stroke.
        tolerance: greatest distance of a point that is left out from the line that replaces it.
    """
    kept_N = np.zeros(len(points_N2), dtype=np.bool_)
    kept_N[[0, -1]] = True
    spans = [(0, len(points_N2) - 1)]
    while spans:
        low, high = spans.pop()
        if high - low < 2:
            continue
        distances = _distances(points_N2[low + 1 : high], points_N2[low], points_N2[high])
        place = int(distances.argmax())
        if distances[place] > tolerance:
            middle = low + 1 + place
            kept_N[middle] = True
            spans += [(low, middle), (middle, high)]
    return kept_N


def _distances(points_N2: Floats, begin_2: Floats, end_2: Floats) -> Floats:
    """Distances (N,) of points from a line segment."""
    along_2 = end_2 - begin_2
    squared = float(along_2 @ along_2)
    from_N2 = points_N2 - begin_2
    if squared == 0:
        return np.asarray(np.hypot(from_N2[:, 0], from_N2[:, 1]))
    share_N = np.clip(from_N2 @ along_2 / squared, 0.0, 1.0)
    off_N2 = from_N2 - share_N[:, None] * along_2
    return np.asarray(np.hypot(off_N2[:, 0], off_N2[:, 1]))


def said(prepared: Prepared) -> Iterator[str]:
    """Lines on the preparation."""
    yield from prepared.notes
    yield (
        f"{plural(len(prepared.moves), 'drawing')}, "
        f"{sum(map(len, prepared.moves)):,} moves; "
        + (f"grid {prepared.grid:g}" if prepared.grid else "no grid")
        + f", y grows {'upwards' if prepared.up else 'downwards'}"
    )
