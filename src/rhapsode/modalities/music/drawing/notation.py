"""Scores made legible for engraving: times on a grid, names of parts, drums on a staff."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from rhapsode.encoding.music.score import Notes, Score, Track
from rhapsode.errors import DataError, MissingExtraError
from rhapsode.modalities.music.drawing.instruments import PROGRAMS

# Steps of a quarter note: a sixteenth has 6, a triplet's eighth 8.
GRID = 24
SIXTEENTH, TRIPLET = 6, 8
# Places on a staff with a treble clef, by the numbers of drums.
_STAFF = {
    35: 64, 36: 65, 37: 72, 38: 72, 39: 72, 40: 72, 41: 67, 42: 79, 43: 69, 44: 62, 45: 71,
    46: 79, 47: 74, 48: 76, 49: 81, 50: 76, 51: 77, 52: 81, 53: 77, 54: 79, 55: 81, 56: 77,
    57: 81, 59: 77,
}  # fmt: skip
_OTHER_DRUM = 74


def notated(score: Score) -> str:
    """MusicXML of a score without dynamics and tempo marks.

    Raises:
        MissingExtraError: lytk is not installed.
        DataError: the score cannot be notated.
    """
    try:
        import lytk
    except ImportError:
        raise MissingExtraError("music", "engraving a score") from None
    from rhapsode.modalities.music.files.midi.midi_writer import midi_bytes

    try:
        xml = str(lytk.to_musicxml(lytk.from_midi_bytes(midi_bytes(legible_score(score)))))
    except lytk.LytkError as problem:
        reason = str(problem).splitlines()[0]
        raise DataError(f"the score cannot be notated: {reason}") from None
    kept = re.sub(r"<direction\b.*?</direction>\s*", "", xml, flags=re.DOTALL)
    return re.sub(r"<movement-title>.*?</movement-title>\s*", "", kept, flags=re.DOTALL)


def legible_score(score: Score) -> Score:
    """A score on a grid of sixteenths and triplets, its gaps closed, with the tracks that play."""
    score = score.rescaled(GRID)
    notes = score.notes
    used = sorted(set(notes.track_N.tolist())) or [0]
    tracks = tuple(_named(score.tracks[track]) for track in used)
    start_N = _snapped(notes.start_N)
    end_N = _snapped(notes.start_N + notes.length_N)
    length_N = end_N - start_N
    pitch_N = notes.pitch_N.astype(np.int64)
    for track in used:
        own = np.flatnonzero(notes.track_N == track)
        onsets = np.unique(start_N[own])
        following = np.append(onsets, score.end)[np.searchsorted(onsets, start_N[own], "right")]
        gap = following - end_N[own]
        # Notes that are released a little early are written to their full length.
        close = (gap > 0) & (gap < SIXTEENTH)
        length_N[own[close]] += gap[close]
        if score.tracks[track].drums:
            pitch_N[own] = [_STAFF.get(pitch, _OTHER_DRUM) for pitch in notes.pitch_N[own].tolist()]
            length_N[own] = np.clip(following - start_N[own], 1, GRID)
    return replace(
        score,
        notes=Notes.of(
            start_N,
            np.maximum(length_N, 3),
            pitch_N,
            80,
            np.searchsorted(used, notes.track_N),
        ),
        tracks=tracks,
        tempos=(),
        pedals=(),
        title="",
    )


def _snapped(
    tick_N: np.ndarray[tuple[int], np.dtype[np.int64]],
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Ticks moved to the nearest sixteenth or triplet's eighth."""
    sixteenth_N = (tick_N + SIXTEENTH // 2) // SIXTEENTH * SIXTEENTH
    triplet_N = (tick_N + TRIPLET // 2) // TRIPLET * TRIPLET
    nearer_N = np.abs(triplet_N - tick_N) < np.abs(sixteenth_N - tick_N)
    return np.where(nearer_N, triplet_N, sixteenth_N)


def _named(track: Track) -> Track:
    name = track.name.strip() or ("drums" if track.drums else PROGRAMS[track.program])
    return replace(track, name=name)
