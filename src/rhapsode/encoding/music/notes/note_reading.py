"""Elements of notes as scores."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from rhapsode.encoding.music.notes.note_elements import (
    VELOCITY_WIDTH,
    Kind,
    NoteElements,
    drum_length,
    tempo_of,
)
from rhapsode.encoding.music.pitch_frames import score_ticks
from rhapsode.encoding.music.score import ChordSymbol, Key, Metre, Notes, Score, Tempo, Track

Ints = NDArray[np.int64]
_DRUM_KIT = 128


def read_notes(ids_N: Ints, elements: NoteElements) -> Score:
    """The score of any elements.

    Those without a meaning where they stand are passed over, as are notes and chord symbols at or
    after the end of their bar.
    """
    header = elements.value_V[ids_N[elements.kind_V[ids_N] == Kind.INSTRUMENT]].tolist()
    return _reading(ids_N, elements).score(header)


def notes_outside(ids_N: Ints, elements: NoteElements) -> int:
    """Number of notes that `read_notes` drops because their bar ends before them."""
    return _reading(ids_N, elements).outside()


def _reading(ids_N: Ints, elements: NoteElements) -> _Reading:
    kind_N = elements.kind_V[ids_N]
    kept_N = (kind_N != Kind.OTHER) & (kind_N != Kind.INSTRUMENT)
    # Nothing sounds before the first bar.
    kept_N &= np.maximum.accumulate(kind_N == Kind.BAR)
    ids_N = ids_N[kept_N]
    if not len(ids_N):
        ids_N = np.array([min(elements.metre_of)])
    return _Reading(ids_N, elements)


class _Reading:
    """Elements from the first bar on.

    Arguments:
        ids_N: the elements.
        elements: their kinds and values.
    """

    def __init__(self, ids_N: Ints, elements: NoteElements) -> None:
        self._elements = elements
        self._ids_N = ids_N
        self._kind_N = kind_N = elements.kind_V[ids_N]
        self._value_N = elements.value_V[ids_N]
        self._step = score_ticks(elements.limits.grid) // elements.limits.grid
        self._bar_N = np.cumsum(kind_N == Kind.BAR) - 1
        self._bar_K = ids_N[kind_N == Kind.BAR]
        self._whole_K = self._value_N[kind_N == Kind.BAR]
        # `short` before the first position of a bar: it begins there. After one: it ends there.
        moved_N = self._last((kind_N == Kind.AT) | (kind_N == Kind.BAR))
        short_N = kind_N == Kind.SHORT
        late_N = short_N & (kind_N[moved_N] == Kind.BAR) & (self._following(kind_N) == Kind.AT)
        cut_N = short_N & (self._before(kind_N) == Kind.AT)
        self._offset_K, self._length_K = self._lengths(late_N, cut_N)
        self._begin_K = np.cumsum(self._length_K) - self._length_K
        offset_N = self._offset_K[self._bar_N]
        within_N = np.where(kind_N[moved_N] == Kind.AT, self._value_N[moved_N], offset_N)
        within_N -= offset_N
        self._at_N = self._begin_K[self._bar_N] + within_N
        # Elements that the grammar does not allow may lie outside of their bar.
        self._inside_N = (within_N >= 0) & (within_N < self._length_K[self._bar_N])
        place_N = self._last(np.isin(kind_N, (Kind.AT, Kind.BAR, Kind.TRACK)))
        self._track_N = np.where(kind_N[place_N] == Kind.TRACK, self._value_N[place_N], 0)

    @staticmethod
    def _before(kind_N: Ints) -> Ints:
        return np.append(Kind.OTHER, kind_N[:-1])

    @staticmethod
    def _following(kind_N: Ints) -> Ints:
        return np.append(kind_N[1:], Kind.OTHER)

    def _last(self, which_N: NDArray[np.bool_]) -> Ints:
        """The last place until each at which a flag is true."""
        last_N: Ints = np.maximum.accumulate(np.where(which_N, np.arange(len(which_N)), 0))
        return last_N

    def _lengths(self, late_N: NDArray[np.bool_], cut_N: NDArray[np.bool_]) -> tuple[Ints, Ints]:
        """First position of each bar, and its number of positions.

        The last bar is whole, unless it is the first.

        Arguments:
            late_N: True for `short` before the position where a bar begins.
            cut_N: True for `short` after the position where a bar ends.
        """
        offset_K, end_K = np.zeros_like(self._whole_K), self._whole_K.copy()
        last = len(end_K) - 1
        for place in np.flatnonzero(late_N | cut_N).tolist():
            bar = int(self._bar_N[place])
            if 0 < bar == last:
                continue
            if late_N[place]:
                offset_K[bar] = min(int(self._value_N[place + 1]), int(end_K[bar]) - 1)
            elif offset_K[bar] < self._value_N[place - 1] < end_K[bar]:
                end_K[bar] = self._value_N[place - 1]
        return offset_K, end_K - offset_K

    def score(self, header: list[int]) -> Score:
        """The score.

        Arguments:
            header: programs of instruments; 128 for drums.
        """
        elements, step = self._elements, self._step
        notes, tracks = self._notes(header)
        upbeat = int(self._length_K[0]) if self._length_K[0] < self._whole_K[0] else 0
        told = self._told(Kind.CHORD, self._at_N, self._inside_N)
        chords = {at: elements.names[element] for at, element in told}
        return Score(
            ticks=step * elements.limits.grid,
            notes=notes,
            tracks=tracks,
            tempos=tuple(self._tempos()),
            metres=tuple(self._metres()),
            keys=tuple(self._keys()),
            chords=tuple(
                ChordSymbol(at * step, name.removeprefix("chord:"))
                for at, name in sorted(chords.items())
            ),
            upbeat=upbeat * step,
            end=int(self._length_K.sum()) * step,
        )

    def _notes(self, header: list[int]) -> tuple[Notes, tuple[Track, ...]]:
        """Complete notes, and tracks."""
        kind_N, value_N, limits = self._kind_N, self._value_N, self._elements.limits
        sounding_N = self._sounding_N() & self._inside_N
        drum_N = sounding_N & (kind_N == Kind.DRUM)
        pitched_N = sounding_N & ~drum_N
        length_N = np.where(pitched_N, np.append(value_N[1:], 0), drum_length(limits.grid))
        track_N = np.where(self._track_N == self._elements.drum_track, 0, self._track_N)
        programs = [program for program in header if program != _DRUM_KIT][: limits.tracks]
        some = bool(drum_N.any()) or _DRUM_KIT in header
        needed = int(track_N[pitched_N].max(initial=-1)) + 1
        programs += [0] * (max(needed, 0 if some else 1) - len(programs))
        tracks = [Track(program) for program in programs]
        tracks += [Track(drums=True)] if some else []
        track_N = np.where(drum_N, len(programs), track_N)
        # Drums end with the piece.
        left_N = np.maximum(1, int(self._length_K.sum()) - self._at_N)
        length_N = np.where(drum_N, np.minimum(length_N, left_N), length_N)
        chosen_N = np.flatnonzero(sounding_N)
        # The loudness stands after the length of a note, or after a drum.
        loud_N = chosen_N + np.where(drum_N[chosen_N], 1, 2)
        kinds = np.append(kind_N, (Kind.OTHER, Kind.OTHER))
        values = np.append(value_N, (0, 0))
        told_N = kinds[loud_N] == Kind.VELOCITY
        velocity_N = np.where(told_N, velocity_of(values[loud_N]), limits.velocity)
        notes = Notes.of(
            self._at_N[chosen_N] * self._step,
            length_N[chosen_N] * self._step,
            value_N[chosen_N],
            velocity_N,
            track_N[chosen_N],
        )
        return notes, tuple(tracks)

    def _metres(self) -> Iterator[Metre]:
        """Changes of metre, and beginnings of bars after incomplete ones."""
        changed_K = np.diff(self._bar_K, prepend=-1) != 0
        changed_K[2:] |= (self._length_K < self._whole_K)[1:-1]
        for bar in np.flatnonzero(changed_K):
            beats, unit = self._elements.metre_of[int(self._bar_K[bar])]
            yield Metre(int(self._begin_K[bar]) * self._step, beats, unit)

    def _keys(self) -> Iterator[Key]:
        now = None
        at_N = self._begin_K[self._bar_N]
        for at, element in dict(self._told(Kind.KEY, at_N)).items():
            value = int(self._elements.value_V[element])
            if value != now:
                minor = value > 50
                yield Key(at * self._step, value - 100 * minor, minor)
            now = value

    def _tempos(self) -> Iterator[Tempo]:
        now = 0
        at_N = self._begin_K[self._bar_N]
        for at, element in dict(self._told(Kind.TEMPO, at_N)).items():
            level = int(self._elements.value_V[element])
            if level != now:
                yield Tempo(at * self._step, tempo_of(level))
            now = level

    def _told(
        self, kind: Kind, at_N: Ints, among_N: NDArray[np.bool_] | bool = True
    ) -> list[tuple[int, int]]:
        """Positions and ids of a kind of element, where a flag is true."""
        places = np.flatnonzero((self._kind_N == kind) & among_N)
        return list(zip(at_N[places].tolist(), self._ids_N[places].tolist(), strict=True))

    def outside(self) -> int:
        """Number of notes that begin at or after the end of their bar."""
        return int((self._sounding_N() & ~self._inside_N).sum())

    def _sounding_N(self) -> NDArray[np.bool_]:
        """True for the pitch of each complete note, and for each drum."""
        following_N = np.append(self._kind_N[1:], Kind.OTHER)
        pitched_N = (self._kind_N == Kind.PITCH) & (following_N == Kind.LENGTH)
        sounding_N: NDArray[np.bool_] = pitched_N | (self._kind_N == Kind.DRUM)
        return sounding_N


def velocity_of(level_N: Ints) -> Ints:
    """Velocities of levels of loudness."""
    velocity_N: Ints = np.minimum(127, (level_N + 1) * VELOCITY_WIDTH)
    return velocity_N
