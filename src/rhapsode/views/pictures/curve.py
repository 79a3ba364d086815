"""The course of a run as an SVG picture."""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray

from rhapsode.config import format_duration
from rhapsode.views.figures import plural
from rhapsode.views.history import read_events

WIDTH, HEIGHT = 960, 470
LEFT, RIGHT, TOP, BOTTOM = 64, 226, 84, 52
# Columns of which each shows the range of the losses in it.
COLUMNS = 330
# Least distance between two labels at the right.
LABEL = 17
_TICKS = 6
_STYLE = """
svg { font-family: system-ui, -apple-system, "Segoe UI",
  "DejaVu Sans", sans-serif; font-size: 12px; }
.ground { fill: #ffffff; } .ink { fill: #1d2529; } .muted { fill: #69747b; }
.grid { stroke: #e8ecee; stroke-width: 1; } .axis { stroke: #b4bcc0; stroke-width: 1; }
.range { fill: #0b6e8a; opacity: .16; } .train { fill: none; stroke: #0b6e8a; stroke-width: 2; }
.valid { fill: none; stroke: #c4501b; stroke-width: 2; }
.dot { fill: #ffffff; stroke: #c4501b; stroke-width: 2; }
.best { fill: #c4501b; } .test { fill: #5a3d8c; }
.floor { stroke: #69747b; stroke-width: 1.2; stroke-dasharray: 5 4; }
.train-name { fill: #0b6e8a; } .valid-name { fill: #c4501b; } .test-name { fill: #5a3d8c; }
.title { font-size: 17px; font-weight: 650; } .name { font-weight: 600; }
@media (prefers-color-scheme: dark) {
  .ground, .dot { fill: #14191c; } .ink { fill: #e9edef; } .muted { fill: #94a0a7; }
  .grid { stroke: #252c30; } .axis { stroke: #4a555b; } .floor { stroke: #94a0a7; }
  .train { stroke: #4fb3d0; } .range { fill: #4fb3d0; } .valid, .dot { stroke: #f08a4b; }
  .best { fill: #f08a4b; }
  .test { fill: #b79cf0; } .train-name { fill: #4fb3d0; } .valid-name { fill: #f08a4b; }
  .test-name { fill: #b79cf0; }
}
"""


@dataclass(frozen=True)
class Course:
    """Losses of a run, in the order of its updates.

    Arguments:
        steps_N: updates done.
        loss_N: nats per element of each update's batch.
        evaluated: updates, validation loss, and True for the best so far.
        elapsed: seconds at the last entry.
        lengthened: updates at which the run was lengthened.
        begun: updates after which the second and further networks of the model began.
    """

    steps_N: NDArray[np.int64]
    loss_N: NDArray[np.float64]
    evaluated: tuple[tuple[int, float, bool], ...]
    elapsed: float
    lengthened: tuple[int, ...] = ()
    begun: tuple[int, ...] = ()


def read_course(metrics: Path) -> Course:
    """Read a course from `metrics.jsonl`, without losses that are not finite."""
    events = list(read_events(metrics))
    finite = [event for event in events if math.isfinite(event.get("loss", 0.0))]
    steps = [(event["step"], event["loss"]) for event in finite if event["event"] == "step"]
    members = [(e["step"], e.get("member", 0)) for e in events if e["event"] == "step"]
    table = np.array(steps, dtype=np.float64).reshape(-1, 2)
    return Course(
        table[:, 0].astype(np.int64),
        table[:, 1],
        tuple(
            (event["step"], event["loss"], event["best"])
            for event in finite
            if event["event"] == "evaluation"
        ),
        next((float(event["elapsed"]) for event in reversed(events) if "elapsed" in event), 0.0),
        tuple(event["step"] for event in events if event["event"] == "lengthened"),
        tuple(
            step for (step, before), (_, after) in itertools.pairwise(members) if after != before
        ),
    )


def draw_course(
    course: Course,
    *,
    title: str,
    baselines: Mapping[str, float | None],
    test: float | None = None,
    before: float | None = None,
    mixed: float | None = None,
) -> str:
    """Draw a run, as the text of an SVG file.

    Arguments:
        course: of the run.
        title: printed above.
        baselines: nats per element of each baseline, by name; None where there is none.
        test: nats per element of the test split, by the best weights.
        before: validation loss of the base model.
        mixed: nats per element of the test split with the n-gram model; None if it is not mixed.
    """
    smooth_N = _smooth(course.loss_N)
    known = _known(baselines)
    tests = _known({"test split": test, "test, mixed": mixed})
    points = [(step, loss) for step, loss, _ in course.evaluated]
    if before is not None:
        points.insert(0, (0, before))
    last = int(course.steps_N[-1]) if len(course.steps_N) else 1
    losses = [*(loss for _, loss in points), *known.values(), *tests.values()]
    frame = _Frame(max(1, last), *_limits(smooth_N, losses))
    names = _names(smooth_N, course, known, tests)
    updates = f"{plural(last, 'update')} in {format_duration(course.elapsed)}"
    parts = [
        f'<text class="ink title" x="{LEFT}" y="34">{escape(title)}</text>',
        f'<text class="muted" x="{LEFT}" y="56">{updates}; '
        "nats per element, lower is better</text>",
        *_axes(frame),
        *(_across(frame, value, "floor") for value in known.values()),
        *(
            _upright(frame, step, f"lengthened after {step:,} updates")
            for step in course.lengthened
        ),
        *(
            _upright(frame, step, f"member {member} begins after {step:,} updates")
            + _muted(f"{frame.x(step) + 5:.1f}", f"{TOP + 6}", f"member {member}", "start")
            for member, step in enumerate(course.begun, 2)
        ),
        *_training(frame, course, smooth_N),
        *_validation(frame, points, course.begun),
        # Diamonds beside the last validation loss.
        *(
            f'<path class="test" d="M{frame.x(last) + 10:.1f} {frame.y(value) - 6:.1f}'
            'l6 6l-6 6l-6 -6z"/>'
            for value in tests.values()
        ),
        *_labels(frame, names),
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" role="img" '
        f'aria-label="{escape(title, {chr(34): "&quot;"})}">'
        f"<style>{_STYLE}</style>"
        f'<clipPath id="inside"><rect x="{LEFT}" y="{TOP - 6}" width="{WIDTH - LEFT - RIGHT}" '
        f'height="{HEIGHT - TOP - BOTTOM + 6}"/></clipPath>'
        f'<rect class="ground" width="{WIDTH}" height="{HEIGHT}" rx="8"/>{"".join(parts)}</svg>\n'
    )


@dataclass(frozen=True)
class _Frame:
    """The place of updates and nats in the picture."""

    last: int
    low: float
    high: float

    def x(self, step: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * step / self.last

    def y(self, loss: float) -> float:
        share = (loss - self.low) / (self.high - self.low)
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share

    def path(self, points: Iterable[tuple[float, float]]) -> str:
        """Straight lines through updates and their nats."""
        return "L".join(f"{self.x(step):.1f} {self.y(loss):.1f}" for step, loss in points)


def _known(values: Mapping[str, float | None]) -> dict[str, float]:
    return {name: value for name, value in values.items() if value is not None}


def _smooth(loss_N: NDArray[np.float64]) -> NDArray[np.float64]:
    """Centred moving mean over a fortieth of the run.

    The window is narrower at the ends.
    """
    total = len(loss_N)
    sums = np.concatenate(([0.0], np.cumsum(loss_N)))
    # Evenly to both sides, so that the ends are not drawn towards the middle.
    place_N = np.arange(total)
    side_N = np.minimum(max(1, total // 80), np.minimum(place_N, total - 1 - place_N))
    mean_N: NDArray[np.float64] = (sums[place_N + side_N + 1] - sums[place_N - side_N]) / (
        2 * side_N + 1
    )
    return mean_N


def _limits(smooth_N: NDArray[np.float64], others: Sequence[float]) -> tuple[float, float]:
    """Lowest and highest loss in the picture.

    The first updates may lie above it.
    """
    losses = list(others)
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


def _across(frame: _Frame, value: float, kind: str) -> str:
    y = f"{frame.y(value):.1f}"
    return f'<line class="{kind}" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>'


def _upright(frame: _Frame, step: int, title: str) -> str:
    place = f"M{frame.x(step):.1f} {TOP}V{HEIGHT - BOTTOM}"
    return f'<path class="floor" d="{place}"><title>{title}</title></path>'


def _muted(x: str, y: str, text: str, anchor: str = "middle") -> str:
    return f'<text class="muted" text-anchor="{anchor}" x="{x}" y="{y}">{text}</text>'


def _axes(frame: _Frame) -> Iterator[str]:
    right, floor = WIDTH - RIGHT, HEIGHT - BOTTOM
    for value in _ticks(frame.low, frame.high):
        yield _across(frame, value, "grid")
        yield _muted(f"{LEFT - 9}", f"{frame.y(value) + 4:.1f}", f"{value:g}", "end")
    for value in _ticks(0, frame.last):
        if value == int(value):
            yield _muted(f"{frame.x(value):.1f}", f"{floor + 20}", f"{int(value):,}")
    yield f'<line class="axis" x1="{LEFT}" x2="{right}" y1="{floor}" y2="{floor}"/>'
    yield _muted(f"{(LEFT + right) / 2:.0f}", f"{HEIGHT - 12}", "updates")


def _training(frame: _Frame, course: Course, smooth_N: NDArray[np.float64]) -> Iterator[str]:
    """Smoothed losses, and the range of single batches in each column."""
    total = len(smooth_N)
    if not total:
        return
    groups = np.array_split(np.arange(total), min(COLUMNS, total))
    steps = [float(course.steps_N[group].mean()) for group in groups]
    upper = frame.path((x, course.loss_N[g].max()) for x, g in zip(steps, groups, strict=True))
    lower = [(x, course.loss_N[g].min()) for x, g in zip(steps, groups, strict=True)]
    shown = np.unique(np.linspace(0, total - 1, min(total, 2 * COLUMNS)).astype(int))
    line = frame.path(zip(course.steps_N[shown], smooth_N[shown], strict=True))
    yield '<g clip-path="url(#inside)">'
    yield f'<path class="range" d="M{upper}L{frame.path(reversed(lower))}z"/>'
    yield f'<path class="train" stroke-linejoin="round" d="M{line}"/></g>'


def _validation(
    frame: _Frame, points: Sequence[tuple[int, float]], begun: Sequence[int]
) -> Iterator[str]:
    """A line for each network, and a dot for each evaluation, the best one filled."""
    if not points:
        return
    for _, own in itertools.groupby(points, lambda point: sum(step < point[0] for step in begun)):
        yield f'<path class="valid" stroke-linejoin="round" d="M{frame.path(own)}"/>'
    lowest = min(loss for _, loss in points)
    for step, loss in points:
        kind, radius = ("best", 4.5) if loss == lowest else ("dot", 3.4)
        place = f'cx="{frame.x(step):.1f}" cy="{frame.y(loss):.1f}"'
        yield f'<circle class="{kind}" r="{radius}" {place}/>'


def _names(
    smooth_N: NDArray[np.float64],
    course: Course,
    baselines: Mapping[str, float],
    tests: Mapping[str, float],
) -> list[tuple[float, str, str, str]]:
    """Height in nats, class, name and number of every label."""
    names = [(value, "muted", name, f"{value:.3f}") for name, value in baselines.items()]
    if len(smooth_N):
        value = float(smooth_N[-1])
        names.append((value, "train-name name", "training", f"{value:.3f}"))
    if course.evaluated:
        value = course.evaluated[-1][1]
        best = min(loss for _, loss, _ in course.evaluated)
        number = f"{value:.3f}" if value == best else f"{value:.3f}, best {best:.3f}"
        names.append((value, "valid-name name", "validation", number))
    names += [(value, "test-name name", name, f"{value:.3f}") for name, value in tests.items()]
    return names


def _labels(frame: _Frame, names: Sequence[tuple[float, str, str, str]]) -> Iterator[str]:
    """Names at the right, at their heights, without overlap."""
    ordered = sorted(names, key=lambda entry: frame.y(entry[0]))
    heights = np.array([frame.y(value) for value, *_ in ordered])
    # Every label pushes those below it down, and the lower edge pushes all of them up.
    steps = LABEL * np.arange(len(ordered))
    pushed = np.maximum.accumulate(heights - steps) + steps
    places = np.minimum(pushed, HEIGHT - BOTTOM - steps[::-1])
    edge = WIDTH - RIGHT
    for (_, kind, name, number), height, y in zip(ordered, heights, places, strict=True):
        yield (
            f'<path class="grid" fill="none" d="M{edge + 18} {height:.1f}L{edge + 27} {y:.1f}"/>'
            f'<text class="{kind}" x="{edge + 32}" y="{y + 4:.1f}">{escape(name)} '
            f'<tspan class="muted" font-weight="400">{number}</tspan></text>'
        )
