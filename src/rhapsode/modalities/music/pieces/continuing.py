"""Scores that continue other scores."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from rhapsode.encoding.music.score import Notes, Score, Track
from rhapsode.modalities.music.pieces.stretches import stretch


def joined(first: Score, second: Score) -> Score:
    """Two scores one after the other.

    The first one is kept as it is: its ticks, notes, tempos and names. Of the second one, tracks
    are those of the first with the same instrument, in order, and changes of tempo, metre and key
    are kept where they change something.

    Arguments:
        first: the beginning.
        second: what follows it.
    """
    ticks = math.lcm(first.ticks, second.ticks)
    if ticks > _MOST_TICKS:
        ticks = first.ticks
    first, second = first.rescaled(ticks), second.rescaled(ticks)
    tracks, place_S = _tracks(first, second)
    one, other = first.notes, second.notes
    notes = Notes.of(
        np.concatenate((one.start_N, other.start_N + first.end)),
        np.concatenate((one.length_N, other.length_N)),
        np.concatenate((one.pitch_N, other.pitch_N)),
        np.concatenate((one.velocity_N, other.velocity_N)),
        np.concatenate((one.track_N, place_S[other.track_N] if len(other) else other.track_N)),
    )
    tempos, metres, keys = list(first.tempos), list(first.metres), list(first.keys)
    for tempo in second.tempos:
        if not tempos or not math.isclose(tempos[-1].quarters, tempo.quarters, rel_tol=_SAME):
            tempos.append(replace(tempo, start=tempo.start + first.end))
    for metre in second.metres:
        if not metres or (metres[-1].beats, metres[-1].unit) != (metre.beats, metre.unit):
            metres.append(replace(metre, start=metre.start + first.end))
    for key in second.keys:
        if not keys or (keys[-1].fifths, keys[-1].minor) != (key.fifths, key.minor):
            keys.append(replace(key, start=key.start + first.end))
    return replace(
        first,
        notes=notes,
        tracks=tracks,
        tempos=tuple(tempos),
        metres=tuple(metres),
        keys=tuple(keys),
        chords=(
            *first.chords,
            *(replace(chord, start=chord.start + first.end) for chord in second.chords),
        ),
        pedals=(
            *first.pedals,
            *(
                replace(pedal, start=pedal.start + first.end, track=int(place_S[pedal.track]))
                for pedal in second.pedals
            ),
        ),
        end=first.end + second.end,
    )


# Ticks a quarter note that MIDI files can hold.
_MOST_TICKS = 32767
# Relative difference of tempos below which an encoding has rounded them.
_SAME = 0.02


def _tracks(
    first: Score, second: Score
) -> tuple[tuple[Track, ...], np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Tracks of both scores, and the place of each track of the second one."""
    tracks, free = list(first.tracks), list(range(len(first.tracks)))
    places = []
    for track in second.tracks:
        like = [
            place
            for place in free
            if (tracks[place].program, tracks[place].drums) == (track.program, track.drums)
        ]
        if not like and not track.drums:
            like = [place for place in free if not tracks[place].drums and _plain(track)]
        if like:
            free.remove(like[0])
            places.append(like[0])
        else:
            tracks.append(track)
            places.append(len(tracks) - 1)
    return tuple(tracks), np.array(places, dtype=np.int64)


def _plain(track: Track) -> bool:
    """True of a track as encodings make them that keep no instruments."""
    return track == Track() or (track.program == 0 and not track.name)


def continuation(given: Score, snapped: Score, whole: Score) -> Score:
    """The part of a score after its beginning.

    A beginning that ends within a bar is continued in that bar, although its encoding fills it.

    Arguments:
        given: the beginning as it was given.
        snapped: the beginning, as the encoding keeps it.
        whole: the beginning as the encoding keeps it, and what follows it.
    """
    begin = min(
        snapped.end * whole.ticks // snapped.ticks, round(given.end * whole.ticks / given.ticks)
    )
    return stretch(whole, begin, max(begin, whole.end))
