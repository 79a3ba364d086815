"""Path data and transforms of SVG, flattened to lines."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rhapsode.errors import DataError

Floats = NDArray[np.float64]
Line = list[tuple[float, float]]

_TOKEN = re.compile(r"[MmZzLlHhVvCcSsQqTtAa]|[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[^\s,]")
_TRANSFORM = re.compile(r"([A-Za-z]+)\s*\(([^)]*)\)")
_COUNTS = {"M": 2, "L": 2, "H": 1, "V": 1, "C": 6, "S": 4, "Q": 4, "T": 2, "A": 7, "Z": 0}
# Chords of a curve.
_CHORDS = 16


@dataclass(frozen=True)
class Matrix:
    """An affine map of the plane.

    Arguments:
        values: three rows of three numbers, the last one 0, 0, 1.
    """

    values: Floats = field(default_factory=lambda: np.eye(3))

    def __matmul__(self, inner: Matrix) -> Matrix:
        return Matrix(self.values @ inner.values)

    def of(self, points_N2: Floats) -> Floats:
        """Points after the map."""
        return np.asarray(points_N2 @ self.values[:2, :2].T + self.values[:2, 2])


def parse_transform(text: str, where: str) -> Matrix:
    """The map of a `transform` attribute.

    Raises:
        DataError: a transform that there is not, or not its numbers.
    """
    matrix = Matrix()
    for name, arguments in _TRANSFORM.findall(text):
        try:
            numbers = [float(each) for each in arguments.replace(",", " ").split()]
            matrix @= Matrix(_transform(name, numbers))
        except (ValueError, IndexError):
            raise DataError(f"the transform {name}({arguments}) is not read", where=where) from None
    return matrix


def _transform(name: str, numbers: list[float]) -> Floats:
    rows = np.eye(3)
    match name, numbers:
        case "matrix", [a, b, c, d, e, f]:
            rows[:2] = [[a, c, e], [b, d, f]]
        case "translate", [x]:
            rows[0, 2] = x
        case "translate", [x, y]:
            rows[:2, 2] = x, y
        case "scale", [x]:
            rows[0, 0] = rows[1, 1] = x
        case "scale", [x, y]:
            rows[0, 0], rows[1, 1] = x, y
        case "rotate", [turn, *centre] if len(centre) in (0, 2):
            angle = math.radians(turn)
            rows[:2, :2] = [
                [math.cos(angle), -math.sin(angle)],
                [math.sin(angle), math.cos(angle)],
            ]
            place = np.array(centre or (0.0, 0.0))
            rows[:2, 2] = place - rows[:2, :2] @ place
        case "skewX", [turn]:
            rows[0, 1] = math.tan(math.radians(turn))
        case "skewY", [turn]:
            rows[1, 0] = math.tan(math.radians(turn))
        case _:
            raise ValueError(name)
    return rows


def parse_path(text: str, where: str) -> Iterator[Line]:
    """Lines of path data; curves and arcs become chords.

    Raises:
        DataError: a command that there is not, or one without its numbers.
    """
    reader = _PathReader()
    tokens = _TOKEN.findall(text)
    place, command = 0, ""
    while place < len(tokens):
        token = tokens[place]
        if token.upper() in _COUNTS:
            command, place = token, place + 1
        elif not command or command in "Zz":
            raise DataError(f"path data with {token!r} in place of a command", where=where)
        count = _COUNTS[command.upper()]
        try:
            numbers = [float(each) for each in tokens[place : place + count]]
        except ValueError:
            numbers = []
        if len(numbers) < count:
            raise DataError(f"the path command {command} lacks numbers", where=where)
        place += count
        if finished := reader.read(command, numbers):
            yield finished
        # More numbers after a move are lines.
        command = {"M": "L", "m": "l"}.get(command, command)
    if reader.line:
        yield reader.line


class _PathReader:
    """The pen of path data."""

    def __init__(self) -> None:
        self.line: Line = []
        self._at = self._start = (0.0, 0.0)
        self._control: tuple[str, tuple[float, float]] | None = None

    def read(self, command: str, numbers: list[float]) -> Line:
        """Read a command; the line that it ends, or an empty one."""
        finished: Line = []
        kind, (x, y) = command.upper(), self._at
        base = (x, y) if command.islower() else (0.0, 0.0)
        if kind == "H":
            pairs = [(numbers[0] + base[0], y)]
        elif kind == "V":
            pairs = [(x, numbers[0] + base[1])]
        elif kind == "A":
            pairs = [(numbers[5] + base[0], numbers[6] + base[1])]
        else:
            pairs = [
                (a + base[0], b + base[1]) for a, b in zip(numbers[::2], numbers[1::2], strict=True)
            ]
        if kind == "M":
            finished, self.line = self.line, [pairs[0]]
            self._start = pairs[0]
        elif kind == "Z":
            pairs = [self._start]
            self.line += pairs
            finished, self.line = self.line, []
        else:
            self.line = self.line or [self._at]
            self.line += self._curve(kind, pairs, numbers)
        self._control = (kind, pairs[-2]) if kind in "CSQ" else self._control
        if kind not in "CSQT":
            self._control = None
        self._at = pairs[-1]
        return finished

    def _curve(self, kind: str, pairs: Line, numbers: list[float]) -> Line:
        """Points of a line or curve after the present one."""
        if kind in "SC":
            first = self._mirrored("SC") if kind == "S" else pairs[0]
            return _bezier([self._at, first, *pairs[-2:]])
        if kind == "Q":
            return _bezier([self._at, *pairs])
        if kind == "T":
            control = self._mirrored("QT")
            self._control = ("T", control)
            return _bezier([self._at, control, pairs[0]])
        if kind == "A":
            return _arc(self._at, numbers, pairs[0])
        return pairs

    def _mirrored(self, kinds: str) -> tuple[float, float]:
        if self._control is None or self._control[0] not in kinds:
            return self._at
        x, y = self._control[1]
        return 2 * self._at[0] - x, 2 * self._at[1] - y


def _bezier(controls: Line) -> Line:
    """Points of a Bezier curve after its first one (de Casteljau)."""
    share_N11 = (np.arange(1, _CHORDS + 1) / _CHORDS)[:, None, None]
    points = np.array(controls)[None]
    while points.shape[1] > 1:
        points = points[:, :-1] * (1 - share_N11) + points[:, 1:] * share_N11
    return [(float(x), float(y)) for x, y in points[:, 0]]


def _arc(begin: tuple[float, float], numbers: list[float], end: tuple[float, float]) -> Line:
    """Points of an elliptical arc after its first one (SVG 1.1, appendix F.6)."""
    radius_x, radius_y, turn, large, sweep = numbers[:5]
    rx, ry = abs(radius_x), abs(radius_y)
    if rx == 0 or ry == 0 or begin == end:
        return [end]
    cosine, sine = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    half_x, half_y = (begin[0] - end[0]) / 2, (begin[1] - end[1]) / 2
    x, y = cosine * half_x + sine * half_y, cosine * half_y - sine * half_x
    grown = math.sqrt(max(1.0, (x / rx) ** 2 + (y / ry) ** 2))
    rx, ry = rx * grown, ry * grown
    rest = (rx * ry) ** 2 - (rx * y) ** 2 - (ry * x) ** 2
    factor = math.sqrt(max(0.0, rest) / ((rx * y) ** 2 + (ry * x) ** 2))
    factor = -factor if bool(large) == bool(sweep) else factor
    centre_x, centre_y = factor * rx * y / ry, -factor * ry * x / rx
    first = math.atan2((y - centre_y) / ry, (x - centre_x) / rx)
    last = math.atan2((-y - centre_y) / ry, (-x - centre_x) / rx)
    span = (last - first) % (2 * math.pi)
    span = span if sweep else span - 2 * math.pi
    middle = ((begin[0] + end[0]) / 2, (begin[1] + end[1]) / 2)
    points = []
    for step in range(1, _CHORDS):
        angle = first + span * step / _CHORDS
        along, across = centre_x + rx * math.cos(angle), centre_y + ry * math.sin(angle)
        points.append(
            (
                cosine * along - sine * across + middle[0],
                sine * along + cosine * across + middle[1],
            )
        )
    return [*points, end]
