"""Scores as elements of notes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rhapsode.encoding.music.notes.bars import NEVER, Bars, barred, seconds_at
from rhapsode.encoding.music.notes.note_elements import (
    DRUMS,
    LOUDNESS,
    VELOCITY_WIDTH,
    Kind,
    NoteElements,
    chord_name,
    drum_length,
    note_lengths,
    tempo_level,
)
from rhapsode.encoding.music.score import Score
from rhapsode.encoding.music.transposition import key_name

Ints = NDArray[np.int64]
_NONE = -1
# In the order of what happens at one position.
_CUT, _BAR, _CHORD, _NOTE = range(4)


@dataclass(frozen=True)
class Placed:
    """A score on the grid.

    Arguments:
        score: with metres that have elements.
        bars: of the score; they end after its last note.
        index_N: of each note in the score; others are dropped.
        start_N: positions from the beginning.
        length_N: positions.
        pitch_N: pitches or drums.
        level_N: levels of loudness.
        track_N: tracks, the drums last.
    """

    score: Score
    bars: Bars
    index_N: Ints
    start_N: Ints
    length_N: Ints
    pitch_N: Ints
    level_N: Ints
    track_N: Ints


def placed(score: Score, elements: NoteElements) -> Placed:
    """A score on the grid.

    Notes are in order of time, track and descending pitch. Of equal notes the longest and loudest
    remains.
    """
    limits = elements.limits
    score, bars = barred(score, elements.bar_id, elements.metre_of, limits.grid)
    notes = score.notes
    drums_K = np.array([track.drums for track in score.tracks], dtype=np.bool_)
    track_K = np.where(drums_K, elements.drum_track, np.cumsum(~drums_K) - 1)
    track_N = track_K[notes.track_N] if len(notes) else notes.track_N
    pitch_N = notes.pitch_N.astype(np.int64)
    pitched_N = track_N != elements.drum_track
    kept_N = (pitch_N >= limits.lowest) & (pitch_N <= limits.highest) & (track_N < limits.tracks)
    drum_N = (pitch_N >= DRUMS.start) & (pitch_N < DRUMS.stop) & limits.drums
    index_N = np.flatnonzero(np.where(pitched_N, kept_N, drum_N))
    notes, track_N, pitch_N = notes.select(index_N), track_N[index_N], pitch_N[index_N]
    start_N = bars.positions(notes.start_N)
    end_N = bars.positions(notes.start_N + notes.length_N)
    lengths = note_lengths(limits.grid)
    middles = (lengths[1:] + lengths[:-1]) / 2
    length_N = lengths[np.searchsorted(middles, np.maximum(1, end_N - start_N))]
    length_N[track_N == elements.drum_track] = drum_length(limits.grid)
    level_N = (notes.velocity_N.astype(np.int64) - 1) // VELOCITY_WIDTH
    if not limits.velocities:
        level_N[:] = LOUDNESS
    order_N = np.lexsort((-level_N, -length_N, -pitch_N, track_N, start_N))
    key_N = ((start_N * (elements.drum_track + 1) + track_N) * 128 + 127 - pitch_N)[order_N]
    order_N = order_N[np.diff(key_N, prepend=-1) != 0]
    start_N, length_N = start_N[order_N], length_N[order_N]
    bars = bars.extended(int(start_N.max(initial=-1)) + 1)
    # Drums end with the piece.
    drums_N = track_N[order_N] == elements.drum_track
    bars = bars.extended(int((start_N + np.where(drums_N, 1, length_N)).max(initial=0)))
    return Placed(
        score=score,
        bars=bars,
        index_N=index_N[order_N],
        start_N=start_N,
        length_N=length_N,
        pitch_N=pitch_N[order_N],
        level_N=level_N[order_N],
        track_N=track_N[order_N],
    )


def written(piece: Placed, elements: NoteElements) -> NDArray[np.uint16]:
    """Elements of a score on the grid, (N,)."""
    bars = piece.bars
    begin_K = bars.begin_K
    chord_at, chord_ids = _chords(piece, elements)
    late_K = _late(bars, np.concatenate((chord_at, piece.start_N)))
    cut_at = (begin_K + bars.length_K)[(bars.length_K < bars.whole_K) & ~late_K]
    at_R = np.concatenate((begin_K, chord_at, piece.start_N, cut_at))
    sizes = (len(begin_K), len(chord_at), len(piece.start_N), len(cut_at))
    type_R = np.repeat((_BAR, _CHORD, _NOTE, _CUT), sizes)
    first_R = np.cumsum((0, *sizes))
    track_R = np.zeros(len(at_R), np.int64)
    track_R[first_R[2] : first_R[3]] = piece.track_N
    ids_R5 = np.full((len(at_R), 5), _NONE)
    ids_R5[: sizes[0]] = _bar_rows(piece, elements, late_K)
    ids_R5[first_R[1] : first_R[2], 2] = chord_ids
    ids_R5[first_R[2] : first_R[3], 2:] = _note_rows(piece, elements)
    ids_R5[first_R[3] :, 2] = elements.of_kind(Kind.SHORT)[0]
    order_R = np.argsort(at_R * 4 + type_R, kind="stable")
    at_R, type_R, track_R, ids_R5 = (
        at_R[order_R],
        type_R[order_R],
        track_R[order_R],
        ids_R5[order_R],
    )
    event_R = type_R != _BAR
    # The first row is a bar's.
    new_R = event_R.copy()
    new_R[1:] &= (type_R[:-1] == _BAR) | (at_R[1:] != at_R[:-1])
    bar_R = np.cumsum(~event_R) - 1
    offset_K = begin_K - np.where(late_K, bars.whole_K - bars.length_K, 0)
    ids_R5[new_R, 0] = elements.ids[Kind.AT][(at_R - offset_K[bar_R])[new_R]]
    before_R = np.where(new_R, 0, np.append(0, track_R[:-1]))
    other_R = event_R & (track_R != before_R)
    ids_R5[other_R, 1] = elements.ids[Kind.TRACK][track_R[other_R]]
    flat = ids_R5.reshape(-1)
    return np.concatenate((_header(piece.score, elements), flat[flat >= 0])).astype(np.uint16)


def _late(bars: Bars, position_N: Ints) -> NDArray[np.bool_]:
    """True for incomplete bars that begin late, as upbeats do, (K,).

    They begin with a note or chord, and are the first bar or follow an incomplete one.

    Arguments:
        bars: of a score.
        position_N: of its notes and chords.
    """
    short_K = bars.length_K < bars.whole_K
    upbeat_K = np.append(True, short_K[:-1])
    late_K: NDArray[np.bool_] = short_K & upbeat_K & np.isin(bars.begin_K, position_N)
    return late_K


def _header(score: Score, elements: NoteElements) -> Ints:
    table = elements.ids[Kind.INSTRUMENT]
    programs = [track.program for track in score.tracks if not track.drums]
    ids = [int(table[program]) for program in programs[: elements.limits.tracks]]
    ids = [element if element >= 0 else int(table[0]) for element in ids]
    if elements.limits.drums and any(track.drums for track in score.tracks):
        ids.append(int(table[128]))
    return np.array(ids or [int(table[0])], dtype=np.int64)


def _bar_rows(piece: Placed, elements: NoteElements, late_K: NDArray[np.bool_]) -> Ints:
    """Bar, key, tempo, and `short` for bars that begin late, (K, 5)."""
    bars = piece.bars
    ids_K5 = np.full((len(bars.element_K), 5), _NONE)
    ids_K5[:, 0] = bars.element_K
    ids_K5[late_K, 3] = elements.of_kind(Kind.SHORT)[0]
    _write_keys(ids_K5, piece, elements)
    _write_tempos(ids_K5, piece, elements)
    return ids_K5


def _write_keys(ids_K5: Ints, piece: Placed, elements: NoteElements) -> None:
    by_bar: dict[int, int] = {}
    for key in piece.score.keys:
        bar = int(_bar_of(piece, np.array([key.start]))[0])
        alike = (key.fifths, key.fifths - 12, key.fifths + 12)
        known = [
            elements.by_name.get("key:" + key_name(fifths, key.minor), _NONE)
            for fifths in alike
            if -7 <= fifths <= 7
        ]
        element = next((element for element in known if element >= 0), _NONE)
        if element >= 0 and bar < len(ids_K5):
            by_bar[bar] = element
    now = _NONE
    for bar, element in sorted(by_bar.items()):
        if element != now:
            ids_K5[bar, 1] = now = element


def _write_tempos(ids_K5: Ints, piece: Placed, elements: NoteElements) -> None:
    score, bars, levels = piece.score, piece.bars, elements.limits.levels
    if not score.tempos:
        return
    known = int((bars.tick_K < NEVER).sum())
    last = bars.length_K[known - 1] * score.ticks // elements.limits.grid
    tick_K = np.append(bars.tick_K[:known], bars.tick_K[known - 1] + max(1, int(last)))
    passed_K = np.maximum(np.diff(seconds_at(score, tick_K)), 1e-9)
    quarters_K = np.diff(tick_K) / score.ticks * 60 / passed_K
    level_K = np.array([tempo_level(quarters) for quarters in quarters_K])
    level_K = np.clip(level_K, levels.start, levels.stop - 1)
    changed_K = np.flatnonzero(np.diff(level_K, prepend=0))
    ids_K5[changed_K, 2] = elements.ids[Kind.TEMPO][level_K[changed_K]]


def _chords(piece: Placed, elements: NoteElements) -> tuple[Ints, Ints]:
    """Positions and elements of chord symbols, the last one of each position."""
    by_position: dict[int, int] = {}
    chords = piece.score.chords
    at_N = piece.bars.positions(np.array([chord.start for chord in chords], dtype=np.int64))
    for chord, position in zip(chords, at_N.tolist(), strict=True):
        element = elements.by_name.get(chord_name(chord.name), _NONE)
        if element >= 0 and position < piece.bars.end:
            by_position[position] = element
    positions = sorted(by_position)
    ids = [by_position[position] for position in positions]
    return np.array(positions, dtype=np.int64), np.array(ids, dtype=np.int64)


def _note_rows(piece: Placed, elements: NoteElements) -> Ints:
    """Pitch or drum, length and loudness, (N, 3)."""
    drums_N = piece.track_N == elements.drum_track
    ids_N3 = np.full((len(drums_N), 3), _NONE)
    pitched_N = ~drums_N
    ids_N3[pitched_N, 0] = elements.ids[Kind.PITCH][piece.pitch_N[pitched_N]]
    ids_N3[drums_N, 0] = elements.ids[Kind.DRUM][piece.pitch_N[drums_N]]
    ids_N3[pitched_N, 1] = elements.ids[Kind.LENGTH][piece.length_N[pitched_N]]
    if elements.limits.velocities:
        ids_N3[:, 2] = elements.ids[Kind.VELOCITY][piece.level_N]
    return ids_N3


def _bar_of(piece: Placed, tick_N: Ints) -> Ints:
    """The bar of each tick, rounded to the grid; the number of bars for what comes after all."""
    position_N = piece.bars.positions(tick_N)
    ends_K = piece.bars.begin_K + piece.bars.length_K
    return np.searchsorted(ends_K, position_N, "right")
