"""Measures of written music."""

from __future__ import annotations

from dataclasses import dataclass, field

UNIT = 10_080
"""Time units of a quarter note in measures: divisible by 2 to 9, and down to 1/128."""


@dataclass
class WrittenNote:
    """A note of a measure.

    Arguments:
        start: units from the beginning of the measure.
        length: units.
        pitch: MIDI pitch.
        tie: True if it goes on with the next note of its pitch.
        velocity: from 1 to 127.
    """

    start: int
    length: int
    pitch: int
    tie: bool = False
    velocity: int = 80


@dataclass
class Measure:
    """The music between two bar lines.

    Arguments:
        line: number of its line in the file.
        notes: in any order.
        chords: start and name of chord symbols.
        tempos: start and quarters a minute.
        length: units.
        metre: beats and unit; None for free time.
        key: at its beginning: fifths, and True for minor.
        keys: start, fifths and minor of key changes inside it.
        opens: True if a repeat begins before it.
        closes: number of times that it sends back to the beginning of the repeat.
        endings: passes in which it is played, if it begins an ending.
        last: True if an ending or section ends after it.
        part: label of the part that begins with it.
    """

    line: int = 0
    notes: list[WrittenNote] = field(default_factory=list)
    chords: list[tuple[int, str]] = field(default_factory=list)
    tempos: list[tuple[int, float]] = field(default_factory=list)
    length: int = 0
    metre: tuple[int, int] | None = None
    key: tuple[int, bool] = (0, False)
    keys: list[tuple[int, int, bool]] = field(default_factory=list)
    opens: bool = False
    closes: int = 0
    endings: frozenset[int] = frozenset()
    last: bool = False
    part: str = ""
