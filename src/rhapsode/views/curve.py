"""The course of a run as one picture: training loss, validation, and what needs no learning. Plain SVG."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray

from rhapsode.config import format_duration

WIDTH, HEIGHT = 960, 470
LEFT, RIGHT, TOP, BOTTOM = 64, 226, 84, 52
# Columns of which each shows the range of the losses in it.
COLUMNS = 330
# Least distance between two labels at the right.
LABEL = 17
_TICKS = 6
_STYLE = """
svg { font-family: system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; font-size: 12px; }
.ground { fill: #ffffff; } .ink { fill: #1d2529; } .muted { fill: #69747b; }
.grid { stroke: #e8ecee; stroke-width: 1; } .axis { stroke: #b4bcc0; stroke-width: 1; }
.range { fill: #0b6e8a; opacity: .16; } .train { fill: none; stroke: #0b6e8a; stroke-width: 2; }
.valid { fill: none; stroke: #c4501b; stroke-width: 2; } .dot { fill: #ffffff; stroke: #c4501b; stroke-width: 2; }
.best { fill: #c4501b; } .test { fill: #5a3d8c; } .floor { stroke: #69747b; stroke-width: 1.2; stroke-dasharray: 5 4; }
.train-name { fill: #0b6e8a; } .valid-name { fill: #c4501b; } .test-name { fill: #5a3d8c; }
.title { font-size: 17px; font-weight: 650; } .name { font-weight: 600; }
@media (prefers-color-scheme: dark) {
  .ground, .dot { fill: #14191c; } .ink { fill: #e9edef; } .muted { fill: #94a0a7; }
  .grid { stroke: #252c30; } .axis { stroke: #4a555b; } .floor { stroke: #94a0a7; }
  .train { stroke: #4fb3d0; } .range { fill: #4fb3d0; } .valid, .dot { stroke: #f08a4b; } .best { fill: #f08a4b; }
  .test { fill: #b79cf0; } .train-name { fill: #4fb3d0; } .valid-name { fill: #f08a4b; } .test-name { fill: #b79cf0; }
}
"""


@dataclass(frozen=True)
class Course:
    """What a run's metrics tell.

    Arguments:
        steps_N: updates done.
        loss_N: nats per element of each update's batch.
        evaluated: updates, validation loss, and whether it was the best so far.
        elapsed: seconds at the last entry.
    """

    steps_N: NDArray[np.int64]
    loss_N: NDArray[np.float64]
    evaluated: tuple[tuple[int, float, bool], ...]
    elapsed: float


def read_course(metrics: Path) -> Course:
    """The course in a `metrics.jsonl`; losses that are no numbers are left out."""
    steps: list[tuple[int, float]] = []
    evaluated: list[tuple[int, float, bool]] = []
    elapsed = 0.0
    with metrics.open(encoding="utf-8") as lines:
        for line in lines:
            entry: dict[str, Any] = json.loads(line)
            elapsed = float(entry.get("elapsed", elapsed))
            if not math.isfinite(entry.get("loss", 0.0)):
                continue
            if entry["event"] == "step":
                steps.append((entry["step"], entry["loss"]))
            elif entry["event"] == "evaluation":
                evaluated.append((entry["step"], entry["loss"], entry["best"]))
    table = np.array(steps, dtype=np.float64).reshape(-1, 2)
    return Course(table[:, 0].astype(np.int64), table[:, 1], tuple(evaluated), elapsed)


def draw_course(
    course: Course,
    *,
    title: str,
    floors: Mapping[str, float | None],
    test: float | None = None,
    before: float | None = None,
    mixed: float | None = None,
) -> str:
    """The picture, as the text of an SVG file.

    Arguments:
        course: of the run.
        title: what was trained.
        floors: nats per element of what learns nothing or only counts, by name; None where there is none.
        test: nats per element of the test share, by the best weights.
        before: validation loss of the model that the run began as.
        mixed: nats per element of the test share by these weights mixed with the n-gram model; None: they are not mixed.
    """
    smooth_N = _smooth(course.loss_N)
    known = {name: value for name, value in floors.items() if value is not None}
    last = int(course.steps_N[-1]) if len(course.steps_N) else 1
    low, high = _limits(smooth_N, course, [*known.values(), *_given(test, before, mixed)])
    frame = _Frame(max(1, last), low, high)
    parts = [_axes(frame), _floor_lines(frame, known)]
    if len(course.steps_N):
        lines = _range(frame, course) + _line(frame, course.steps_N, smooth_N, "train")
        parts.append(f'<g clip-path="url(#inside)">{lines}</g>')
    points = [(step, loss) for step, loss, _ in course.evaluated]
    if before is not None:
        points.insert(0, (0, before))
    parts.append(_points(frame, course, points))
    for value in _given(test, mixed):
        x, y = frame.x(last) + 10, frame.y(value)  # beside the last validation
        parts.append(f'<path class="test" d="M{x:.1f} {y - 6:.1f}l6 6l-6 6l-6 -6z"/>')
    parts.append(_labels(frame, _names(smooth_N, course, known, test, mixed)))
    updates = f"{last:,} update{'' if last == 1 else 's'} in {format_duration(course.elapsed)}"
    head = (
        f'<text class="ink title" x="{LEFT}" y="34">{escape(title)}</text>'
        f'<text class="muted" x="{LEFT}" y="56">{updates}; nats per element, lower is better</text>'
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{escape(title, {chr(34): "&quot;"})}">'
        f"<style>{_STYLE}</style>"
        f'<clipPath id="inside"><rect x="{LEFT}" y="{TOP - 6}" width="{WIDTH - LEFT - RIGHT}" '
        f'height="{HEIGHT - TOP - BOTTOM + 6}"/></clipPath>'
        f'<rect class="ground" width="{WIDTH}" height="{HEIGHT}" rx="8"/>{head}{"".join(parts)}</svg>\n'
    )


@dataclass(frozen=True)
class _Frame:
    """Where updates and nats lie in the picture."""

    last: int
    low: float
    high: float

    def x(self, step: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * step / self.last

    def y(self, loss: float) -> float:
        share = (loss - self.low) / (self.high - self.low)
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share


def _given(*values: float | None) -> list[float]:
    return [value for value in values if value is not None]


def _smooth(loss_N: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean over a window of a fortieth of the run around every update; narrower at its ends."""
    total = len(loss_N)
    reach = max(1, total // 80)
    sums = np.concatenate(([0.0], np.cumsum(loss_N)))
    # Evenly to both sides, so that the ends are not drawn towards the middle.
    place_N = np.arange(total)
    side_N = np.minimum(reach, np.minimum(place_N, total - 1 - place_N))
    mean_N: NDArray[np.float64] = (sums[place_N + side_N + 1] - sums[place_N - side_N]) / (
        2 * side_N + 1
    )
    return mean_N


def _limits(
    smooth_N: NDArray[np.float64], course: Course, others: Sequence[float]
) -> tuple[float, float]:
    """From below everything to above what matters: the first updates of a fresh model may leave the picture."""
    losses = [*(loss for _, loss, _ in course.evaluated), *others]
    if len(smooth_N):
        losses += [float(smooth_N.min()), float(np.quantile(smooth_N, 0.98))]
    low, high = (min(losses), max(losses)) if losses else (0.0, 1.0)
    pad = 0.06 * (high - low) or 0.5
    # Densities of numbers may cost less than nothing.
    return (max(0.0, low - pad) if low >= 0 else low - pad), high + pad


def _ticks(low: float, high: float) -> Iterable[float]:
    """Round numbers, about `_TICKS` of them."""
    raw = (high - low) / _TICKS
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= raw)
    first = math.ceil(low / step)
    return (round(n * step, 10) for n in range(first, math.floor(high / step) + 1))


def _axes(frame: _Frame) -> str:
    parts: list[str] = []
    right, floor = WIDTH - RIGHT, HEIGHT - BOTTOM
    for value in _ticks(frame.low, frame.high):
        y = frame.y(value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(
            f'<text class="muted" text-anchor="end" x="{LEFT - 9}" y="{y + 4:.1f}">{value:g}</text>'
        )
    for value in _ticks(0, frame.last):
        if value != int(value):
            continue
        x = frame.x(value)
        parts.append(
            f'<text class="muted" text-anchor="middle" x="{x:.1f}" y="{floor + 20}">{int(value):,}</text>'
        )
    parts.append(f'<line class="axis" x1="{LEFT}" x2="{right}" y1="{floor}" y2="{floor}"/>')
    middle = (LEFT + right) / 2
    parts.append(
        f'<text class="muted" text-anchor="middle" x="{middle:.0f}" y="{HEIGHT - 12}">updates</text>'
    )
    return "".join(parts)


def _floor_lines(frame: _Frame, floors: Mapping[str, float]) -> str:
    return "".join(
        f'<line class="floor" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        for y in map(frame.y, floors.values())
    )


def _range(frame: _Frame, course: Course) -> str:
    """What the losses of single batches span, column by column."""
    columns = min(COLUMNS, len(course.loss_N))
    upper: list[str] = []
    lower: list[str] = []
    for some in np.array_split(np.arange(len(course.loss_N)), columns):
        x = frame.x(float(course.steps_N[some].mean()))
        losses = course.loss_N[some]
        upper.append(f"{x:.1f} {frame.y(float(losses.max())):.1f}")
        lower.append(f"{x:.1f} {frame.y(float(losses.min())):.1f}")
    return f'<path class="range" d="M{"L".join([*upper, *reversed(lower)])}z"/>'


def _line(frame: _Frame, steps_N: NDArray[np.int64], loss_N: NDArray[np.float64], name: str) -> str:
    shown = np.unique(np.linspace(0, len(steps_N) - 1, min(len(steps_N), 2 * COLUMNS)).astype(int))
    points = [
        f"{frame.x(float(steps_N[i])):.1f} {frame.y(float(loss_N[i])):.1f}" for i in shown.tolist()
    ]
    return f'<path class="{name}" stroke-linejoin="round" d="M{"L".join(points)}"/>'


def _points(frame: _Frame, course: Course, points: Sequence[tuple[int, float]]) -> str:
    """Validation: a line, a dot each time, the best one filled."""
    if not points:
        return ""
    path = "L".join(f"{frame.x(step):.1f} {frame.y(loss):.1f}" for step, loss in points)
    lowest = min(loss for _, loss in points)
    dots = [
        f'<circle class="{"best" if loss == lowest else "dot"}" r="{4.5 if loss == lowest else 3.4}" '
        f'cx="{frame.x(step):.1f}" cy="{frame.y(loss):.1f}"/>'
        for step, loss in points
    ]
    return f'<path class="valid" stroke-linejoin="round" d="M{path}"/>{"".join(dots)}'


def _names(
    smooth_N: NDArray[np.float64],
    course: Course,
    floors: Mapping[str, float],
    test: float | None,
    mixed: float | None,
) -> list[tuple[float, str, str, str]]:
    """Height in nats, class, name and number of every label."""
    names = [(value, "muted", name, f"{value:.3f}") for name, value in floors.items()]
    if len(smooth_N):
        value = float(smooth_N[-1])
        names.append((value, "train-name name", "training", f"{value:.3f}"))
    if course.evaluated:
        value = course.evaluated[-1][1]
        best = min(loss for _, loss, _ in course.evaluated)
        number = f"{value:.3f}" if value == best else f"{value:.3f}, best {best:.3f}"
        names.append((value, "valid-name name", "validation", number))
    if test is not None:
        names.append((test, "test-name name", "test share", f"{test:.3f}"))
    if mixed is not None:
        names.append((mixed, "test-name name", "test, mixed", f"{mixed:.3f}"))
    return names


def _labels(frame: _Frame, names: Sequence[tuple[float, str, str, str]]) -> str:
    """Names at the right, at their heights, pushed apart where they would touch."""
    ordered = sorted(names, key=lambda entry: frame.y(entry[0]))
    places: list[float] = []
    for value, *_ in ordered:
        wanted = frame.y(value)
        places.append(max(wanted, places[-1] + LABEL) if places else wanted)
    # What was pushed out at the bottom pushes back.
    most = float(HEIGHT - BOTTOM)
    for index in reversed(range(len(places))):
        places[index] = min(places[index], most)
        most = places[index] - LABEL
    parts: list[str] = []
    edge = WIDTH - RIGHT
    for (value, kind, name, number), y in zip(ordered, places, strict=True):
        parts.append(
            f'<path class="grid" fill="none" d="M{edge + 18} {frame.y(value):.1f}L{edge + 27} {y:.1f}"/>'
            f'<text class="{kind}" x="{edge + 32}" y="{y + 4:.1f}">{escape(name)} '
            f'<tspan class="muted" font-weight="400">{number}</tspan></text>'
        )
    return "".join(parts)
