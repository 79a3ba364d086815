"""Elements of notes: their settings, names and values."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from rhapsode.encoding.music.contract import pitch_name
from rhapsode.encoding.music.score import DEFAULT_TEMPO, Metre
from rhapsode.encoding.music.transposition import keys_by_name, transposed_chord
from rhapsode.errors import SettingsError

Table = NDArray[np.int64]

DRUMS = range(27, 88)
"""Instruments of General MIDI level 2."""
TEMPO_STEP = math.log(1.03)
VELOCITY_WIDTH = 8
LOUDNESS = 9
"""Default level of loudness."""
_LONGEST_NOTE = 16
_MOST_UNIT = 32
_METRES = (
    (4, 4), (3, 4), (2, 4), (6, 8), (9, 8), (12, 8), (3, 8), (2, 2), (3, 2), (4, 2), (5, 4), (6, 4),
    (7, 4), (5, 8), (7, 8), (1, 4),
)  # fmt: skip


class Kind(IntEnum):
    """Kinds of elements."""

    OTHER = 0
    """End-of-sequence, unknown, and names without a meaning."""
    INSTRUMENT = 1
    BAR = 2
    SHORT = 3
    AT = 4
    TRACK = 5
    PITCH = 6
    DRUM = 7
    LENGTH = 8
    VELOCITY = 9
    TEMPO = 10
    KEY = 11
    CHORD = 12


KIND_NAMES = (
    "end", "instrument", "bar", "bar", "time", "track", "pitch", "pitch", "length", "velocity",
    "tempo", "key", "chord",
)  # fmt: skip


@dataclass(frozen=True)
class NoteSettings:
    """Settings of `notes.v1`. Where a setting is null, the scores decide it."""

    grid: Annotated[int, Meta(ge=1, le=96)] = 24
    """Positions a quarter note; 24 has triplets and 32nds."""
    lowest: Annotated[int, Meta(ge=0, le=127)] | None = None
    """Lowest MIDI pitch; lower notes are dropped."""
    highest: Annotated[int, Meta(ge=0, le=127)] | None = None
    """Highest MIDI pitch; higher notes are dropped."""
    tracks: Annotated[int, Meta(ge=1, le=32)] | None = None
    """Maximum number of tracks without drums; further tracks are dropped."""
    longest_bar: Annotated[int, Meta(ge=1, le=16)] | None = None
    """Quarters of the longest bar; music in longer bars is put into other bars."""
    drums: bool | None = None
    """Keep drums."""
    velocities: bool | None = None
    """Keep 16 levels of loudness."""
    velocity: Annotated[int, Meta(ge=1, le=127)] | None = None
    """Loudness of notes where levels are not kept."""
    slowest: Annotated[int, Meta(ge=5, le=1000)] | None = None
    """Slowest tempo in quarters per minute."""
    fastest: Annotated[int, Meta(ge=5, le=1000)] | None = None
    """Fastest tempo in quarters per minute."""
    keys: bool = True
    """Keep key signatures."""
    chords: bool = True
    """Keep chord symbols."""

    def __post_init__(self) -> None:
        whole = self.limits
        if whole.lowest > whole.highest:
            raise SettingsError(
                f"the lowest pitch {whole.lowest} lies above the highest {whole.highest}",
                where="[encoder] lowest",
            )
        if whole.slowest > whole.fastest:
            raise SettingsError(
                f"the slowest tempo {whole.slowest} lies above the fastest {whole.fastest}",
                where="[encoder] slowest",
            )

    @property
    def limits(self) -> Limits:
        """The settings, the widest where they are null."""

        def given(value: int | None, widest: int) -> int:
            return widest if value is None else value

        return Limits(
            grid=self.grid,
            lowest=given(self.lowest, 0),
            highest=given(self.highest, 127),
            tracks=given(self.tracks, 16),
            bar=given(self.longest_bar, 8) * self.grid,
            drums=self.drums is not False,
            velocities=self.velocities is not False,
            velocity=given(self.velocity, 80),
            slowest=given(self.slowest, 20),
            fastest=given(self.fastest, 300),
        )


@dataclass(frozen=True)
class Limits:
    """Settings of `notes.v1` as numbers; see there.

    Arguments:
        bar: positions of the longest bar.
    """

    grid: int
    lowest: int
    highest: int
    tracks: int
    bar: int
    drums: bool
    velocities: bool
    velocity: int
    slowest: int
    fastest: int

    @property
    def levels(self) -> range:
        """Levels of tempo: powers of 1.03 times 120 quarters a minute."""
        return range(tempo_level(self.slowest), tempo_level(self.fastest) + 1)

    def bar_length(self, metre: Metre) -> int | None:
        """Positions of a bar; None where they are broken or too many."""
        length, rest = divmod(4 * self.grid * metre.beats, metre.unit)
        return None if rest or not 1 <= length <= self.bar else length


def tempo_level(quarters: float) -> int:
    """The level of a tempo in quarters per minute."""
    return round(math.log(quarters / DEFAULT_TEMPO) / TEMPO_STEP)


def tempo_of(level: int) -> float:
    """Quarters per minute of a level, to one decimal."""
    return round(DEFAULT_TEMPO * math.exp(TEMPO_STEP * level), 1)


def note_lengths(grid: int) -> Table:
    """Lengths of notes in positions, ascending: finer for short notes.

    Up to half a quarter every length; then steps of an eighth or a third of the power of two below.
    """
    lengths = set(range(1, max(1, grid // 2) + 1))
    begin = max(1, grid // 2)
    while begin < _LONGEST_NOTE * grid:
        end = 2 * begin
        fine = max(1, begin // (6 if begin < grid else 8))
        lengths |= set(range(begin + fine, end + 1, fine)) | {end}
        if begin % 3 == 0:
            lengths |= {begin + begin // 3, begin + 2 * begin // 3}
        begin = end
    return np.array(sorted(lengths))


def fixed_names(limits: Limits) -> tuple[str, ...]:
    """Names of elements that the settings decide, in order of id."""
    names = ["inst:0", *(["inst:drums", "track:drums"] if limits.drums else [])]
    metres = (Metre(0, *metre) for metre in _METRES)
    bars = [bar_name(metre) for metre in metres if limits.bar_length(metre)]
    names += bars or [bar_name(Metre(0, 1, 4))]
    names += ["short", *(f"at:{position}" for position in range(limits.bar))]
    names += [f"track:{track}" for track in range(1, limits.tracks)]
    names += [pitch_name(pitch) for pitch in range(limits.highest, limits.lowest - 1, -1)]
    names += [f"drum:{drum}" for drum in reversed(DRUMS)] if limits.drums else []
    names += [f"len:{length}" for length in note_lengths(limits.grid)]
    names += [f"vel:{level}" for level in range(16)] if limits.velocities else []
    names += [f"tempo:{tempo_of(level):g}" for level in limits.levels]
    return tuple(names)


def drum_length(grid: int) -> int:
    """Positions that a drum sounds: a sixteenth."""
    return max(1, grid // 4)


def chord_name(name: str) -> str:
    """The name of a chord symbol's element."""
    return f"chord:{transposed_chord('_'.join(name.split()), 0)}"


def bar_name(metre: Metre) -> str:
    """The name of a bar's element."""
    return f"bar:{metre.beats}/{metre.unit}"


class NoteElements:
    """Kinds and values of elements.

    Arguments:
        names: of every id from 2 on.
        limits: the settings.

    A value is a number of its kind: the program of an instrument (128 for drums), positions of a
    bar, a position, a track (`drum_track` for drums), a MIDI pitch, a drum, a length, a level of
    loudness or tempo, fifths of a key plus 100 in minor.
    """

    def __init__(self, names: Sequence[str], limits: Limits) -> None:
        self.limits = limits
        self.drum_track = limits.tracks
        self.names = ("", "", *names)
        self._fixed = set(fixed_names(limits))
        self._pitches = {pitch_name(pitch): pitch for pitch in range(128)}
        self._keys = keys_by_name()
        self._tempos = {f"{tempo_of(level):g}": level for level in limits.levels}
        self.metre_of: dict[int, tuple[int, int]] = {}
        """Beats and unit of each bar's element."""
        read = [(Kind.OTHER, 0)] * 2
        read += [self._read(name, element) for element, name in enumerate(names, 2)]
        self.kind_V = np.array([kind for kind, _ in read], dtype=np.int64)
        self.value_V = np.array([value for _, value in read], dtype=np.int64)
        self.ids: dict[Kind, Table] = {}
        """Ids by kind and value; -1 without."""
        for kind in Kind:
            ids_V = np.flatnonzero(self.kind_V == kind)
            if kind in {Kind.BAR, Kind.CHORD, Kind.OTHER}:
                continue
            least = min(limits.levels.start, -7) if kind in {Kind.TEMPO, Kind.KEY} else 0
            table = np.full(1024, -1, dtype=np.int64)
            table[self.value_V[ids_V] - least] = ids_V
            # Negative values are indexes from the end.
            self.ids[kind] = np.roll(table, least)
        self.by_name = {name: element for element, name in enumerate(names, 2)}

    def of_kind(self, kind: Kind) -> Table:
        """Ids of a kind, ascending."""
        return np.flatnonzero(self.kind_V == kind)

    def _read(self, name: str, element: int) -> tuple[Kind, int]:
        """Kind and value of a name."""
        if name in self._pitches and name in self._fixed:
            return Kind.PITCH, self._pitches[name]
        if name == "short":
            return Kind.SHORT, 0
        head, _, text = name.partition(":")
        number = int(text) if re.fullmatch(r"0|[1-9][0-9]{0,3}", text) else -1
        if head == "inst" and (name == "inst:drums" or 0 <= number < 128):
            kept = number >= 0 or self.limits.drums
            return (Kind.INSTRUMENT, number if number >= 0 else 128) if kept else (Kind.OTHER, 0)
        if head == "chord" and text:
            return Kind.CHORD, 0
        if head == "key" and text in self._keys:
            fifths, minor = self._keys[text]
            return Kind.KEY, fifths + 100 * minor
        if head == "bar":
            return self._bar(text, element)
        if name not in self._fixed:
            return Kind.OTHER, 0
        if head == "tempo":
            return Kind.TEMPO, self._tempos[text]
        kind = _HEADS[head]
        return kind, self.drum_track if name == "track:drums" else number

    def _bar(self, text: str, element: int) -> tuple[Kind, int]:
        match = re.fullmatch(r"([1-9][0-9]{0,2})/(1|2|4|8|16|32)", text)
        if match is None:
            return Kind.OTHER, 0
        metre = Metre(0, int(match[1]), int(match[2]))
        length = self.limits.bar_length(metre)
        if length is None:
            return Kind.OTHER, 0
        self.metre_of[element] = (metre.beats, metre.unit)
        return Kind.BAR, length

    def bar_id(self, metre: Metre) -> int:
        """The element of a bar.

        A metre without one has that of a bar of the same length, or else the first.
        """
        own = self.by_name.get(bar_name(metre), -1)
        if own in self.metre_of:
            return own
        length = 4 * metre.beats / metre.unit
        alike = [
            element
            for element, (beats, unit) in self.metre_of.items()
            if 4 * beats / unit == length
        ]
        return min(alike or self.metre_of)


_HEADS = {
    "at": Kind.AT,
    "track": Kind.TRACK,
    "drum": Kind.DRUM,
    "len": Kind.LENGTH,
    "vel": Kind.VELOCITY,
}
