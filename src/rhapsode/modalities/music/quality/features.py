"""Measures of scores: pitches, intervals, lengths, density, polyphony, scale, groove, loops.

Groove consistency: Dong, Chen, McAuley and Berg-Kirkpatrick, "MusPy", ISMIR 2020.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.encoding.music.score import Score

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Edges of note lengths and of times between notes, in quarter notes.
EDGES = (0.0, 0.19, 0.29, 0.42, 0.7, 1.2, 1.7, 2.5, 5.0)
LENGTH_NAMES = (
    "32nd",
    "16th",
    "triplet 8th",
    "8th",
    "quarter",
    "dotted quarter",
    "half",
    "whole",
    "longer",
)
_MAJOR = (0, 2, 4, 5, 7, 9, 11)
_INTERVAL = 12
# Positions in a bar by which bars are compared.
_GROOVE = 24
# Bars of the longest period of a loop, and repetitions that make one.
LOOP_BARS, LOOP_TIMES = 4, 4


@dataclass(frozen=True)
class Features:
    """Measures of one score, or means over several.

    Histograms sum to one.

    Arguments:
        pitch_class_P: of notes that are no drums, 12.
        interval_P: of successive notes of a track, from an octave down to an octave up, 25.
        length_P: of note lengths, by `EDGES`.
        onset_P: of times between successive notes of a track, by `EDGES`; chords left out.
        notes_per_beat: notes by quarter notes.
        polyphony: notes that sound, on average where any sounds.
        scale: share of notes within the best major or minor scale.
        range: semitones from the lowest to the highest note.
        groove: 1 minus the mean share of positions by which neighbouring bars differ.
        empty: share of quarter notes in which no note begins.
        loop: share of bars in the longest stretch that repeats a period of at most four bars.
    """

    pitch_class_P: Floats
    interval_P: Floats
    length_P: Floats
    onset_P: Floats
    notes_per_beat: float
    polyphony: float
    scale: float
    range: float
    groove: float
    empty: float
    loop: float


NUMBERS = ("notes_per_beat", "polyphony", "scale", "range", "groove", "empty", "loop")
HISTOGRAMS = ("pitch_class_P", "interval_P", "length_P", "onset_P")


def features_of(score: Score) -> Features:
    """Measures of a score."""
    notes, per = score.notes, score.ticks
    drums_S = np.array([track.drums for track in score.tracks], dtype=np.bool_)
    pitched = notes.select(~drums_S[notes.track_N]) if len(notes) else notes
    pitch_N = pitched.pitch_N.astype(np.int64)
    class_P = np.bincount(pitch_N % 12, minlength=12).astype(np.float64)
    intervals, onsets = [], []
    for track in range(len(score.tracks)):
        own = pitched.select(pitched.track_N == track)
        # The highest note of each moment.
        first_N = np.flatnonzero(np.diff(own.start_N, prepend=-1))
        intervals.append(np.diff(own.pitch_N[first_N].astype(np.int64)))
        onsets.append(np.diff(own.start_N[first_N]) / per)
    interval_N = np.clip(np.concatenate(intervals), -_INTERVAL, _INTERVAL) + _INTERVAL
    beats = max(1.0, score.end / per)
    begun = np.unique(notes.start_N // per)
    return Features(
        _share(class_P),
        _share(np.bincount(interval_N, minlength=2 * _INTERVAL + 1).astype(np.float64)),
        _binned(notes.length_N / per),
        _binned(np.concatenate(onsets)),
        len(notes) / beats,
        _polyphony(score),
        _in_scale(class_P),
        float(np.ptp(pitch_N)) if len(pitch_N) else 0.0,
        _groove(score),
        max(0.0, 1.0 - len(begun) / beats),
        loop_share(score)[0],
    )


def mean_features(scores: Sequence[Score]) -> Features:
    """Measures of several scores, histograms weighted alike."""
    each = [features_of(score) for score in scores]
    means: dict[str, Any] = {
        name: np.mean([getattr(one, name) for one in each], axis=0) for name in HISTOGRAMS
    }
    means |= {name: float(np.mean([getattr(one, name) for one in each])) for name in NUMBERS}
    return Features(**means)


def distance(one_P: Floats, other_P: Floats) -> float:
    """Total variation distance of two histograms, 0 to 1."""
    return float(np.abs(one_P - other_P).sum() / 2)


def _share(counts_P: Floats) -> Floats:
    return counts_P / max(1.0, float(counts_P.sum()))


def _binned(quarters_N: Floats) -> Floats:
    counts_P, _ = np.histogram(quarters_N, bins=[*EDGES, np.inf])
    return _share(counts_P.astype(np.float64))


def _polyphony(score: Score) -> float:
    notes = score.notes
    if not len(notes):
        return 0.0
    change_M = np.concatenate((notes.start_N, notes.start_N + notes.length_N))
    by_M = np.repeat([1, -1], len(notes))
    order_M = np.argsort(change_M, kind="stable")
    time_M, sounding_M = change_M[order_M], np.cumsum(by_M[order_M])
    span_M = np.diff(time_M, append=time_M[-1])
    sounds = float(span_M[sounding_M > 0].sum())
    return float((span_M * sounding_M).sum()) / max(1.0, sounds)


def _in_scale(class_P: Floats) -> float:
    """Share of notes in the best of twelve scales; a minor one has the notes of its major."""
    total = float(class_P.sum())
    if not total:
        return 1.0
    scale_P = np.zeros(12)
    scale_P[list(_MAJOR)] = 1
    return max(float((np.roll(scale_P, key) * class_P).sum()) for key in range(12)) / total


def _bars(score: Score) -> tuple[list[tuple[int, int]], Ints]:
    """Begin and end of each bar, and the bar of each note."""
    starts = np.array([start for start, _ in score.bars()], dtype=np.int64)
    ends = np.append(starts[1:], score.end)
    bar_N = np.searchsorted(starts, score.notes.start_N, side="right") - 1
    return list(zip(starts.tolist(), ends.tolist(), strict=True)), bar_N


def _groove(score: Score) -> float:
    bars, bar_N = _bars(score)
    if len(bars) < 2:
        return 1.0
    begun = np.zeros((len(bars), _GROOVE), dtype=np.bool_)
    starts_N = np.array([bars[bar][0] for bar in bar_N.tolist()], dtype=np.int64)
    sizes_N = np.array([max(1, end - begin) for begin, end in bars])[bar_N]
    place_N = np.minimum(_GROOVE - 1, (score.notes.start_N - starts_N) * _GROOVE // sizes_N)
    begun[bar_N, place_N] = True
    return 1.0 - float((begun[1:] ^ begun[:-1]).mean())


def loop_share(score: Score) -> tuple[float, int, int]:
    """Share of bars in the longest loop, its period and repetitions.

    A loop repeats the same bars, of which some hold notes, at least four times in a row.
    """
    bars, bar_N = _bars(score)
    notes = score.notes
    contents: list[Any] = [[] for _ in bars]
    rows = zip(
        bar_N.tolist(),
        notes.start_N.tolist(),
        notes.pitch_N.tolist(),
        notes.length_N.tolist(),
        notes.track_N.tolist(),
        strict=True,
    )
    for bar, start, pitch, length, track in rows:
        contents[bar].append((start - bars[bar][0], pitch, length, track))
    names: dict[Any, int] = {}
    name_M = [names.setdefault(tuple(content), len(names)) for content in contents]
    silent = names.get(())
    best = (0.0, 0, 0)
    for period in range(1, LOOP_BARS + 1):
        run = 0
        for place in range(period, len(name_M)):
            run = run + 1 if name_M[place] == name_M[place - period] else 0
            times = run // period + 1
            window = name_M[place - period + 1 : place + 1]
            if times >= LOOP_TIMES and any(name != silent for name in window):
                share = (run + period) / len(name_M)
                best = max(best, (share, period, times), key=lambda one: (one[0], -one[1]))
    return best
