"""Writing of drawings: SVG, JSON, G-code, moves as text."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rhapsode.encoding.strokes import Drawing
from rhapsode.errors import SettingsError
from rhapsode.files import write_atomically

if TYPE_CHECKING:
    from rhapsode.modalities.strokes.prompts import StrokeDocument

# Longer side of a drawing on paper, and feed, in mm and mm a minute.
PAPER, FEED = 150.0, 3000


def check_suffix(path: Path) -> None:
    """Refuse a suffix that drawings have no format for.

    Raises:
        SettingsError: there is none.
    """
    if path.suffix.lower() not in WRITERS:
        raise SettingsError(
            f"strokes have no format {path.suffix or 'without suffix'}",
            where=str(path),
            hint=f"one of {', '.join(WRITERS)}",
        )


def write_ink(document: StrokeDocument, path: Path) -> None:
    """Write a document in the format of the suffix.

    Raises:
        SettingsError: a suffix that strokes have no format for.
        RunError: it cannot be written.
    """
    check_suffix(path)
    write_atomically(path, WRITERS[path.suffix.lower()](document).encode())


def drawing_json(drawing: Drawing, text: str | None = None) -> str:
    """A drawing as one line of JSON, which `rhapsode train` reads."""
    strokes = [[_plain(axis) for axis in points_N2.T] for points_N2 in drawing.strokes]
    facts = {} if text is None else {"text": text}
    record = {**facts, "y": "up" if drawing.up else "down", "strokes": strokes}
    return json.dumps(record, ensure_ascii=False) + "\n"


def gcode(drawing: Drawing) -> str:
    """A drawing as G-code in mm.

    The pen is down at Z0 and up at Z5; y grows upwards.
    """
    low_x, low_y, high_x, high_y = drawing.bounds()
    factor = PAPER / max(high_x - low_x, high_y - low_y, 1e-9)

    def lines() -> Iterator[str]:
        yield from ("G21 ; mm", "G90 ; absolute", "G0 Z5 ; pen up")
        for points_N2 in drawing.strokes:
            places = (points_N2 - (low_x, low_y)) * factor
            if not drawing.up:
                places[:, 1] = (high_y - low_y) * factor - places[:, 1]
            first, *others = places.tolist()
            yield f"G0 X{first[0]:.3f} Y{first[1]:.3f}"
            yield f"G1 Z0 F{FEED} ; pen down"
            yield from (f"G1 X{x:.3f} Y{y:.3f} F{FEED}" for x, y in others)
            yield "G0 Z5 ; pen up"
        yield "G0 X0 Y0"

    return "\n".join(lines()) + "\n"


def _plain(numbers: np.ndarray[tuple[int], np.dtype[np.float64]]) -> list[float]:
    return [
        int(number) if number == int(number) else round(number, 4) for number in numbers.tolist()
    ]


WRITERS: dict[str, Callable[[StrokeDocument], str]] = {
    ".svg": lambda document: document.svg(),
    ".json": lambda document: drawing_json(document.value, document.written),
    ".ndjson": lambda document: drawing_json(document.value, document.written),
    ".gcode": lambda document: gcode(document.value),
    ".txt": lambda document: document.text(),
}
