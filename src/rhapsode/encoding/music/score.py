"""Scores: what files of music become, and what encoders read."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from rhapsode.errors import DataError

Ticks = NDArray[np.int64]
Bytes = NDArray[np.uint8]

DEFAULT_TEMPO = 120.0
DEFAULT_TICKS = 480


@dataclass(frozen=True)
class Notes:
    """N notes as arrays, ordered by start, track, then descending pitch.

    Arguments:
        start_N: ticks from the beginning.
        length_N: ticks, at least 1.
        pitch_N: MIDI pitches from 0 to 127; 60 is middle C. Of drums, the instrument's number.
        velocity_N: loudness from 1 to 127.
        track_N: index of the track.
    """

    start_N: Ticks
    length_N: Ticks
    pitch_N: Bytes
    velocity_N: Bytes
    track_N: Ticks

    def __len__(self) -> int:
        return len(self.start_N)

    @classmethod
    def of(
        cls,
        start: object,
        length: object,
        pitch: object,
        velocity: object = 80,
        track: object = 0,
    ) -> Notes:
        """Notes of sequences or single numbers, in the canonical order."""
        start_N, length_N, pitch_N, velocity_N, track_N = np.broadcast_arrays(
            *(
                np.atleast_1d(np.asarray(part, np.int64))
                for part in (start, length, pitch, velocity, track)
            )
        )
        order_N = np.lexsort((-pitch_N, track_N, start_N))
        return cls(
            start_N[order_N],
            length_N[order_N],
            pitch_N[order_N].astype(np.uint8),
            velocity_N[order_N].astype(np.uint8),
            track_N[order_N],
        )

    @classmethod
    def none(cls) -> Notes:
        """No notes."""
        return cls.of([], [], [], [], [])

    def select(self, which_N: NDArray[np.bool_] | NDArray[np.int64]) -> Notes:
        """Some of the notes, in their order."""
        return Notes(
            self.start_N[which_N],
            self.length_N[which_N],
            self.pitch_N[which_N],
            self.velocity_N[which_N],
            self.track_N[which_N],
        )


@dataclass(frozen=True)
class Track:
    """One instrument.

    Arguments:
        program: General MIDI program from 0 to 127.
        drums: True for a track of drums.
        name: as the file gives it.
    """

    program: int = 0
    drums: bool = False
    name: str = ""


@dataclass(frozen=True)
class Tempo:
    """Speed from a tick on.

    Arguments:
        start: tick.
        quarters: quarter notes per minute.
    """

    start: int
    quarters: float


@dataclass(frozen=True)
class Metre:
    """Time signature from a tick on.

    Arguments:
        start: tick.
        beats: the upper number.
        unit: the lower number, a power of two.
    """

    start: int
    beats: int
    unit: int

    def ticks(self, per_quarter: int) -> int:
        """Length of a bar."""
        return max(1, per_quarter * 4 * self.beats // self.unit)


@dataclass(frozen=True)
class Key:
    """Key signature from a tick on.

    Arguments:
        start: tick.
        fifths: sharps, or flats as a negative number, from -7 to 7.
        minor: True for a minor key.
    """

    start: int
    fifths: int
    minor: bool = False


@dataclass(frozen=True)
class ChordSymbol:
    """A chord symbol above the notes, such as `Am7`.

    Arguments:
        start: tick.
        name: as written.
    """

    start: int
    name: str


@dataclass(frozen=True)
class Pedal:
    """The sustain pedal held down.

    Arguments:
        start: tick.
        length: ticks.
        track: index of the track.
    """

    start: int
    length: int
    track: int = 0


@dataclass(frozen=True)
class Score:
    """A piece of music.

    Arguments:
        ticks: per quarter note.
        notes: of all tracks.
        tracks: instruments.
        tempos, metres, keys, chords, pedals: in order of their starts.
        upbeat: ticks of an incomplete first bar; 0 without.
        end: tick at which the piece ends; no note ends later.
        title: of the piece.

    Raises:
        DataError: a note without a track, or numbers out of range.
    """

    ticks: int = DEFAULT_TICKS
    notes: Notes = field(default_factory=Notes.none)
    tracks: tuple[Track, ...] = (Track(),)
    tempos: tuple[Tempo, ...] = ()
    metres: tuple[Metre, ...] = ()
    keys: tuple[Key, ...] = ()
    chords: tuple[ChordSymbol, ...] = ()
    pedals: tuple[Pedal, ...] = ()
    upbeat: int = 0
    end: int = 0
    title: str = ""

    def __post_init__(self) -> None:
        notes = self.notes
        if self.ticks < 1:
            raise DataError("a score has at least one tick a quarter note")
        if len(notes):
            if notes.track_N.min() < 0 or notes.track_N.max() >= len(self.tracks):
                raise DataError("a note belongs to no track")
            if notes.start_N.min() < 0 or notes.length_N.min() < 1:
                raise DataError("a note begins before the score, or has no length")
            if notes.pitch_N.max() > 127 or not notes.velocity_N.min() >= 1:
                raise DataError("a note has a pitch or a velocity out of range")
            last = int((notes.start_N + notes.length_N).max())
            if last > self.end:
                object.__setattr__(self, "end", last)

    def rescaled(self, ticks: int) -> Score:
        """The score with another number of ticks a quarter note, times rounded."""
        if ticks == self.ticks:
            return self

        def moved(tick: int) -> int:
            return (2 * tick * ticks + self.ticks) // (2 * self.ticks)

        notes = self.notes
        begin_N = (2 * notes.start_N * ticks + self.ticks) // (2 * self.ticks)
        end_N = (2 * (notes.start_N + notes.length_N) * ticks + self.ticks) // (2 * self.ticks)
        return replace(
            self,
            ticks=ticks,
            notes=Notes.of(
                begin_N,
                np.maximum(1, end_N - begin_N),
                notes.pitch_N,
                notes.velocity_N,
                notes.track_N,
            ),
            tempos=tuple(replace(tempo, start=moved(tempo.start)) for tempo in self.tempos),
            metres=tuple(replace(metre, start=moved(metre.start)) for metre in self.metres),
            keys=tuple(replace(key, start=moved(key.start)) for key in self.keys),
            chords=tuple(replace(chord, start=moved(chord.start)) for chord in self.chords),
            pedals=tuple(
                replace(pedal, start=moved(pedal.start), length=max(1, moved(pedal.length)))
                for pedal in self.pedals
            ),
            upbeat=moved(self.upbeat),
            end=moved(self.end),
        )

    def seconds(self, tick: int) -> float:
        """Time of a tick in seconds from the beginning."""
        passed, at, quarters = 0.0, 0, DEFAULT_TEMPO
        for tempo in self.tempos:
            if tempo.start >= tick:
                break
            passed += (tempo.start - at) / self.ticks * 60 / quarters
            at, quarters = tempo.start, tempo.quarters
        return passed + (tick - at) / self.ticks * 60 / quarters

    def bars(self) -> list[tuple[int, Metre]]:
        """Start and metre of every bar; 4/4 where none is given."""
        metres = [metre for metre in self.metres if metre.start < max(1, self.end)]
        if not metres or metres[0].start > 0:
            metres.insert(0, Metre(0, 4, 4))
        starts: list[tuple[int, Metre]] = []
        at, index = 0, 0
        while at < self.end or not starts:
            while index + 1 < len(metres) and metres[index + 1].start <= at:
                index += 1
            starts.append((at, metres[index]))
            first = self.upbeat if at == 0 and self.upbeat else metres[index].ticks(self.ticks)
            following = at + first
            if index + 1 < len(metres):
                following = min(following, metres[index + 1].start)
            at = max(at + 1, following)
        return starts
