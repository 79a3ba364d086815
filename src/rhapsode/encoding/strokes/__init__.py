"""Strokes: drawings, moves of a pen, and their features."""

from rhapsode.encoding.strokes.drawing import (
    DRAWS,
    ENDS,
    LIFTS,
    PEN_STATES,
    Drawing,
    moves_of,
    strokes_of,
)
from rhapsode.encoding.strokes.moves import StrokeEncoder, StrokeEncoderSettings, StrokePaths

__all__ = [
    "DRAWS",
    "ENDS",
    "LIFTS",
    "PEN_STATES",
    "Drawing",
    "StrokeEncoder",
    "StrokeEncoderSettings",
    "StrokePaths",
    "moves_of",
    "strokes_of",
]
