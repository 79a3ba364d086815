"""Played scores as written ones, for engraving."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rhapsode.encoding.music.score import Notes, Score, Track
from rhapsode.modalities.music.drawing.instruments import part_names

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
# Places of hi-hats and cymbals, whose heads are crosses.
_CROSSES = {62, 77, 79, 81}
_DRUM_NOTE = re.compile(
    r'<instrument id="P\d+-I(\d+)"/><voice>\d+</voice><type>[^<]*</type>(?:<dot/>)*'
    r"(?:<time-modification>.*?</time-modification>)?"
)
# Programs before this one have two hands; a part from below LOW to above HIGH is divided.
KEYBOARDS, LOW, MIDDLE, HIGH = 24, 55, 60, 65


def notated(score: Score) -> str:
    """MusicXML of a score without dynamics, tempo marks and title."""
    from rhapsode.modalities.music.files.musicxml.xml_writer import musicxml_text

    text = musicxml_text(in_hands(legible_score(score)))
    parts = text.split("<part id=")
    text = "<part id=".join(
        drum_part(part) if "<sign>percussion" in part else part for part in parts
    )
    if text.count("<score-part ") < 2:
        return text
    begin = '<part-group number="1" type="start"><group-symbol>bracket</group-symbol></part-group>'
    end = '<part-group number="1" type="stop"/>'
    text = text.replace("<part-list>", f"<part-list>{begin}", 1)
    return text.replace("</part-list>", f"{end}</part-list>", 1)


def drum_part(part: str) -> str:
    """Drums without a key, stems up, with crosses for cymbals."""

    def signed(found: re.Match[str]) -> str:
        head = "<notehead>x</notehead>" if int(found[1]) in _CROSSES else ""
        return f"{found[0]}<stem>up</stem>{head}"

    return _DRUM_NOTE.sub(signed, re.sub("<key>.*?</key>", "", part))


def in_hands(score: Score) -> Score:
    """Divide a wide keyboard part at middle C, into two staves.

    With several keyboard parts, each is taken for a hand already.
    """
    notes, tracks = score.notes, list[Track]()
    keyboards = [not track.drums and track.program < KEYBOARDS for track in score.tracks]
    track_N = np.zeros(len(notes), np.int64)
    for number, track in enumerate(score.tracks):
        own_N = notes.track_N == number
        pitch_N = notes.pitch_N[own_N]
        track_N[own_N] = len(tracks)
        tracks.append(track)
        alone = keyboards[number] and sum(keyboards) == 1
        if alone and len(pitch_N) and pitch_N.min() < LOW and pitch_N.max() > HIGH:
            track_N[own_N & (notes.pitch_N < MIDDLE)] = len(tracks)
            tracks.append(replace(track, name=""))
    moved = Notes.of(notes.start_N, notes.length_N, notes.pitch_N, notes.velocity_N, track_N)
    return replace(score, notes=moved, tracks=tuple(tracks))


def legible_score(score: Score) -> Score:
    """A score on a grid of sixteenths and triplets.

    Small gaps are closed, drums stand on the lines of a staff, and silent tracks are left out.
    """
    score = score.rescaled(GRID)
    start, metre = score.bars()[-1]
    score = replace(score, end=max(score.end, start + metre.ticks(GRID)))  # a whole last bar
    notes = score.notes
    used = sorted(set(notes.track_N.tolist())) or [0]
    names = part_names([score.tracks[track] for track in used])
    tracks = tuple(
        replace(score.tracks[track], name=name) for track, name in zip(used, names, strict=True)
    )
    start_N = _snapped(notes.start_N)
    played_N = notes.start_N + notes.length_N
    sixteenth_N = _rounded(played_N, SIXTEENTH)
    length_N = (
        np.where(start_N % SIXTEENTH == 0, sixteenth_N, _rounded(played_N, TRIPLET)) - start_N
    )
    pitch_N = notes.pitch_N.astype(np.int64)
    for track in used:
        own = np.flatnonzero(notes.track_N == track)
        onsets = np.unique(start_N[own])
        following = np.append(onsets, score.end)[np.searchsorted(onsets, start_N[own], "right")]
        # Notes that end a little before or after the next one begins are written up to it.
        close = np.abs(following - played_N[own]) < SIXTEENTH
        length_N[own[close]] = (following - start_N[own])[close]
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


def _snapped(tick_N: NDArray[np.int64]) -> NDArray[np.int64]:
    """Ticks moved to the nearest sixteenth or triplet's eighth."""
    sixteenth_N, triplet_N = _rounded(tick_N, SIXTEENTH), _rounded(tick_N, TRIPLET)
    nearer_N = np.abs(triplet_N - tick_N) < np.abs(sixteenth_N - tick_N)
    return np.where(nearer_N, triplet_N, sixteenth_N)


def _rounded(tick_N: NDArray[np.int64], step: int) -> NDArray[np.int64]:
    return (tick_N + step // 2) // step * step
