"""Strokes as SVG: a path each, by smooth curves or lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Turns at a point beyond which it is a corner, as a cosine.
_CORNER = 0.5


def strokes_svg(
    strokes: Sequence[Any],
    *,
    up: bool = False,
    smooth: bool = True,
    size: float = 400.0,
    pen: float = 2.0,
    given: int = 0,
    title: str = "",
) -> str:
    """An SVG document of strokes, each one open path without outline.

    Arguments:
        strokes: points (N, 2) of each.
        up: True if y grows upwards.
        smooth: True for curves, False for lines between points.
        size: of the longer side, in pixels.
        pen: width of the line, in pixels.
        given: strokes at the beginning that are drawn in grey: those of a prompt.
        title: of the picture; none if empty.
    """
    parts = [np.asarray(stroke, dtype=np.float64) for stroke in strokes if len(stroke)]
    if up:
        parts = [part * (1.0, -1.0) for part in parts]
    outlines = [_controls(part, smooth=smooth) for part in parts]
    # Curves lie between their control points.
    reached_N2 = np.concatenate(outlines) if outlines else np.zeros((1, 2))
    low, extent = reached_N2.min(axis=0), np.ptp(reached_N2, axis=0)
    factor = (size - 4 * pen) / max(float(extent.max()), 1e-9)
    width, height = (float(side) * factor + 4 * pen for side in extent)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.1f}" height="{height:.1f}" '
        f'viewBox="0 0 {width:.1f} {height:.1f}">'
    ]
    if title:
        safe = title.replace("&", "&amp;").replace("<", "&lt;")
        lines.append(f"<title>{safe}</title>")
    lines.append(
        f'<g fill="none" stroke="#1a1a1a" stroke-width="{pen:g}" stroke-linecap="round" '
        'stroke-linejoin="round">'
    )
    for number, outline in enumerate(outlines):
        colour = ' stroke="#9a9a9a"' if number < given else ""
        places_N2 = (outline - low) * factor + 2 * pen
        lines.append(f'<path{colour} d="{_commands(places_N2, smooth=smooth)}"/>')
    return "\n".join([*lines, "</g>", "</svg>", ""])


def _controls(points_N2: NDArray[np.float64], *, smooth: bool) -> NDArray[np.float64]:
    """Points of a stroke, for curves with two control points between neighbours."""
    if not smooth or len(points_N2) == 1:
        return points_N2
    slopes_N2 = _slopes(points_N2)
    steps_N2 = np.diff(points_N2, axis=0)
    reach_N1 = np.hypot(steps_N2[:, :1], steps_N2[:, 1:]) / 3
    between = np.stack(
        (
            points_N2[:-1] + slopes_N2[:-1] * reach_N1,
            points_N2[1:] - slopes_N2[1:] * reach_N1,
            points_N2[1:],
        ),
        axis=1,
    )
    return np.concatenate((points_N2[:1], between.reshape(-1, 2)))


def _commands(places_N2: NDArray[np.float64], *, smooth: bool) -> str:
    """Path commands through places: cubic curves of three places each, or lines."""
    begin = f"M{_pair(places_N2[0])}"
    if len(places_N2) == 1:
        return f"{begin}h0"
    if not smooth:
        return begin + "".join(f"L{_pair(place)}" for place in places_N2[1:])
    curves = places_N2[1:].reshape(-1, 3, 2)
    return begin + "".join(f"C{' '.join(map(_pair, curve))}" for curve in curves)


def _slopes(points_N2: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit tangents (N, 2) at points; 0 at ends and corners."""
    steps_N2 = np.diff(points_N2, axis=0)
    lengths_N1 = np.maximum(np.hypot(steps_N2[:, :1], steps_N2[:, 1:]), 1e-9)
    along_N2 = steps_N2 / lengths_N1
    slopes_N2 = np.zeros_like(points_N2)
    before, after = along_N2[:-1], along_N2[1:]
    # Nearer neighbours say more of the direction at a point.
    middle = before * lengths_N1[1:] + after * lengths_N1[:-1]
    middle /= np.maximum(np.hypot(middle[:, :1], middle[:, 1:]), 1e-9)
    corner_N = (before * after).sum(axis=1) < _CORNER
    slopes_N2[1:-1] = np.where(corner_N[:, None], 0.0, middle)
    return slopes_N2


def _pair(point: NDArray[np.float64]) -> str:
    return f"{point[0]:.1f},{point[1]:.1f}"
