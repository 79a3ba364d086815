"""Strokes as SVG: one path a stroke, through all points by smooth curves or lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Turns at a point beyond which it is a corner, as a cosine.
_CORNER = 0.0


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
    points_N2 = np.concatenate(parts) if parts else np.zeros((1, 2))
    low, extent = points_N2.min(axis=0), np.ptp(points_N2, axis=0)
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
    for number, part in enumerate(parts):
        places_N2 = (part - low) * factor + 2 * pen
        if up:
            places_N2[:, 1] = height - places_N2[:, 1]
        colour = ' stroke="#9a9a9a"' if number < given else ""
        lines.append(f'<path{colour} d="{path_of(places_N2, smooth=smooth)}"/>')
    return "\n".join([*lines, "</g>", "</svg>", ""])


def path_of(points_N2: NDArray[np.float64], *, smooth: bool) -> str:
    """Path commands through points.

    Arguments:
        points_N2: of one stroke, in pixels.
        smooth: True for cubic curves; sharp turns stay corners.
    """
    begin = f"M{_pair(points_N2[0])}"
    if len(points_N2) == 1:
        return f"{begin}h0"
    if not smooth or len(points_N2) == 2:
        return begin + "".join(f"L{_pair(point)}" for point in points_N2[1:])
    slopes_N2 = _slopes(points_N2)
    commands = [begin]
    for place in range(len(points_N2) - 1):
        chord = float(np.hypot(*(points_N2[place + 1] - points_N2[place])))
        first = points_N2[place] + slopes_N2[place] * chord / 3
        second = points_N2[place + 1] - slopes_N2[place + 1] * chord / 3
        commands.append(f"C{_pair(first)} {_pair(second)} {_pair(points_N2[place + 1])}")
    return "".join(commands)


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
