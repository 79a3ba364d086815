"""Ink in XML: InkML traces and SVG paths."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers.expat import ExpatError, ParserCreate

import numpy as np

from rhapsode.encoding.strokes import Drawing
from rhapsode.errors import DataError
from rhapsode.modalities.strokes.files.specimen import Specimen, checked_strokes
from rhapsode.modalities.strokes.files.svg_paths import Matrix, parse_path, parse_transform

_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_TRACE_VALUE = re.compile(rf"([!'\"]?)\s*({_NUMBER.pattern}|\*|\?|T|F)")
# Depth of nested elements, and chords of a circle.
_DEEPEST, _CHORDS = 200, 48
_HIDDEN = {"defs", "clipPath", "mask", "pattern", "symbol", "marker", "glyph", "font", "metadata"}


class _Builder:
    """An element tree without name spaces; entities are refused.

    Arguments:
        where: the file, for messages.
    """

    def __init__(self, where: str) -> None:
        self._where, self._tree, self._depth = where, TreeBuilder(), 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise DataError("elements are nested too deeply", where=self._where)
        plain = {name.rpartition("}")[2]: value for name, value in attributes.items()}
        self._tree.start(tag.rpartition("}")[2], plain)

    def end(self, tag: str) -> None:
        self._depth -= 1
        self._tree.end(tag.rpartition("}")[2])

    def data(self, text: str) -> None:
        self._tree.data(text)

    def refuse_entity(self, *declared: object) -> None:
        raise DataError("the file declares entities, which are not read", where=self._where)

    def close(self) -> Element:
        return self._tree.close()


def parse_xml(content: bytes, where: str) -> Element:
    """The root element of an XML file, names without their name spaces.

    Raises:
        DataError: it is malformed, or declares entities.
    """
    builder = _Builder(where)
    parser = ParserCreate(namespace_separator="}")
    parser.StartElementHandler, parser.EndElementHandler = builder.start, builder.end
    parser.CharacterDataHandler = builder.data
    parser.EntityDeclHandler = builder.refuse_entity
    try:
        parser.Parse(content, True)
        return builder.close()
    except (ExpatError, ValueError, LookupError, AssertionError) as problem:
        raise DataError(f"this is no well-formed XML ({problem})", where=where) from None


def read_inkml(content: bytes, where: str) -> Iterator[Specimen]:
    """The drawing of an InkML file: its traces in order.

    Trace formats with other channels before X and Y are read; first and second differences
    (' and ") are added up.

    Raises:
        DataError: it is malformed, or holds no trace.
    """
    root = parse_xml(content, where)
    if root.tag != "ink":
        raise DataError(f"an InkML file begins with <ink>, not <{root.tag}>", where=where)
    channels = [
        str(channel.get("name", "")).upper()
        for channel in next(root.iter("traceFormat"), Element("none")).iter("channel")
    ] or ["X", "Y"]
    if not {"X", "Y"} <= set(channels):
        raise DataError("the trace format has no channels X and Y", where=where)
    traces = [
        _trace(trace.text or "", channels, f"{where}, trace {number}")
        for number, trace in enumerate(root.iter("trace"), 1)
        if trace.get("type", "penDown") == "penDown"
    ]
    strokes = checked_strokes(traces, where)
    if not strokes:
        raise DataError("the file has no trace with points", where=where)
    texts = {
        str(note.get("type", "")).lower(): (note.text or "").strip()
        for note in root.iter("annotation")
    }
    text = next((texts[name] for name in ("truth", "label", "text") if texts.get(name)), None)
    split, writer = texts.get("split") or texts.get("splittagoriginal"), texts.get("writer")
    yield Specimen(Drawing(strokes), True, where, split, text, writer)


def _trace(text: str, channels: Sequence[str], where: str) -> list[tuple[float, float]]:
    """Points of a trace: values separated by spaces, points by commas.

    Raises:
        DataError: a point that is not made of numbers.
    """
    at = channels.index("X"), channels.index("Y")
    order = [0] * len(channels)
    values, speeds = [0.0] * len(channels), [0.0] * len(channels)
    points = []
    for number, point in enumerate(filter(str.strip, text.split(",")), 1):
        found = _TRACE_VALUE.findall(point)
        left = _TRACE_VALUE.sub("", point).strip()
        if left or len(found) <= max(at):
            raise DataError(
                f"point {number} is not made of numbers x and y: {point.strip()[:40]!r}",
                where=where,
            )
        for channel, (prefix, value) in enumerate(found[: len(channels)]):
            if prefix:
                order[channel] = {"!": 0, "'": 1, '"': 2}[prefix]
            if value in "*?TF":
                continue
            number_read = float(value)
            if order[channel] == 0:
                values[channel], speeds[channel] = number_read, 0.0
            else:
                speeds[channel] = number_read + (speeds[channel] if order[channel] == 2 else 0.0)
                values[channel] += speeds[channel]
        points.append((values[at[0]], values[at[1]]))
    return points


def read_svg(content: bytes, where: str) -> Iterator[Specimen]:
    """The drawing of an SVG file: paths, lines and shapes.

    Outlines are read as lines of the pen; fills, texts and styles are not read.

    Raises:
        DataError: it is malformed, or holds no line.
    """
    root = parse_xml(content, where)
    if root.tag != "svg":
        raise DataError(f"an SVG file begins with <svg>, not <{root.tag}>", where=where)
    strokes = checked_strokes([line for line in _lines(root, Matrix(), where) if len(line)], where)
    if not strokes:
        raise DataError("the picture has no path or line", where=where)
    title = root.find("title")
    yield Specimen(Drawing(strokes), True, where, label=None if title is None else title.text)


def _lines(element: Element, matrix: Matrix, where: str) -> Iterator[np.ndarray]:
    """Lines (N, 2) of an element and those within, in the units of the picture."""
    if element.tag in _HIDDEN or "display:none" in element.get("style", "").replace(" ", ""):
        return
    matrix = matrix @ parse_transform(element.get("transform", ""), where)
    for line in _shape(element, where):
        yield matrix.of(np.array(line, dtype=np.float64).reshape(-1, 2))
    for child in element:
        yield from _lines(child, matrix, where)


def _shape(element: Element, where: str) -> Iterator[list[tuple[float, float]]]:
    def number(name: str) -> float:
        found = _NUMBER.match(element.get(name, "0").strip())
        return float(found[0]) if found else 0.0

    match element.tag:
        case "path":
            yield from parse_path(element.get("d", ""), where)
        case "line":
            yield [(number("x1"), number("y1")), (number("x2"), number("y2"))]
        case "polyline" | "polygon":
            numbers = [float(each) for each in _NUMBER.findall(element.get("points", ""))]
            points = list(zip(numbers[::2], numbers[1::2], strict=False))
            yield [*points, *points[:1]] if element.tag == "polygon" else points
        case "rect":
            x, y, width, height = map(number, ("x", "y", "width", "height"))
            if width > 0 and height > 0:
                right, below = x + width, y + height
                yield [(x, y), (right, y), (right, below), (x, below), (x, y)]
        case "circle" | "ellipse":
            names = ("r", "r") if element.tag == "circle" else ("rx", "ry")
            radii = [number(name) for name in names]
            turns = [2 * math.pi * step / _CHORDS for step in range(_CHORDS + 1)]
            if min(radii) > 0:
                yield [
                    (number("cx") + radii[0] * math.cos(t), number("cy") + radii[1] * math.sin(t))
                    for t in turns
                ]
