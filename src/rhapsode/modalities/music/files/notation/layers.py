"""Notes of a track as written music: bars, layers of chords, ties."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from rhapsode.encoding.music.score import Metre, Score

GRID = 48
"""Ticks a quarter note of written music: triplets of 32nds, and 64ths."""
_COARSE = 24


@dataclass(frozen=True)
class Stretch:
    """A note, chord or rest inside one bar.

    Arguments:
        start: ticks from the beginning of the piece.
        length: ticks.
        pitches: none for a rest.
        tied: True for each pitch that goes on in the next stretch.
        begun: True for each pitch that goes on from the stretch before.
    """

    start: int
    length: int
    pitches: tuple[int, ...] = ()
    tied: tuple[bool, ...] = ()
    begun: tuple[bool, ...] = ()


@dataclass(frozen=True)
class Bar:
    """A bar of one track.

    Arguments:
        start: tick.
        length: ticks.
        metre: that it belongs to.
        layers: stretches that fill the bar, of each layer that has notes, at least one.
    """

    start: int
    length: int
    metre: Metre
    layers: tuple[tuple[Stretch, ...], ...]


def on_grid(score: Score) -> Score:
    """The score with `GRID` ticks a quarter note.

    Times that are not on this grid are rounded to 24ths of a quarter note.
    """
    times_N = np.concatenate([score.notes.start_N, score.notes.length_N, [score.upbeat, score.end]])
    if ((times_N * GRID) % score.ticks).any():
        score = score.rescaled(_COARSE)
    return score.rescaled(GRID)


def bars_of_track(score: Score, track: int, cuts: Iterable[int] = ()) -> list[Bar]:
    """Bars of one track.

    Arguments:
        score: from `on_grid`.
        track: index of the track.
        cuts: ticks at which the first layer is divided, for a symbol above it.
    """
    layers = _layers(score, track)
    starts = score.bars()
    edges = [start for start, _ in starts] + [max(score.end, starts[-1][0] + 1)]
    cut = sorted(set(cuts))
    bars = []
    positions = [0] * len(layers)
    for index, (start, metre) in enumerate(starts):
        end = edges[index + 1]
        contents = []
        for number, layer in enumerate(layers):
            position = positions[number]
            stretches: list[Stretch] = []
            while position < len(layer) and layer[position].start < end:
                item = layer[position]
                begin, stop = max(item.start, start), min(item.start + item.length, end)
                stretches.append(_part(item, begin, stop))
                if item.start + item.length > end:
                    break
                position += 1
            positions[number] = position
            if stretches or number == 0:
                filled = _with_rests(stretches, start, end)
                if number == 0 and cut:
                    filled = [part for item in filled for part in _divided(item, cut)]
                contents.append(tuple(filled))
        bars.append(Bar(start, end - start, metre, tuple(contents)))
    return bars


def _layers(score: Score, track: int) -> list[list[Stretch]]:
    """Notes of a track as sequences of chords that do not overlap."""
    notes = score.notes.select(np.flatnonzero(score.notes.track_N == track))
    chords: dict[tuple[int, int], list[int]] = {}
    rows = zip(notes.start_N.tolist(), notes.length_N.tolist(), notes.pitch_N.tolist(), strict=True)
    for start, length, pitch in rows:
        chords.setdefault((start, length), []).append(pitch)
    layers: list[list[Stretch]] = []
    for (start, length), pitches in sorted(
        chords.items(), key=lambda item: (item[0][0], -item[1][0])
    ):
        chord = Stretch(start, length, tuple(sorted(set(pitches))))
        for layer in layers:
            if layer[-1].start + layer[-1].length <= start:
                layer.append(chord)
                break
        else:
            layers.append([chord])
    return layers or [[]]


def _part(item: Stretch, begin: int, stop: int) -> Stretch:
    goes_on = stop < item.start + item.length
    began = begin > item.start
    count = len(item.pitches)
    return Stretch(begin, stop - begin, item.pitches, (goes_on,) * count, (began,) * count)


def _with_rests(stretches: Sequence[Stretch], start: int, end: int) -> list[Stretch]:
    filled, at = [], start
    for item in stretches:
        if item.start > at:
            filled.append(Stretch(at, item.start - at))
        filled.append(item)
        at = item.start + item.length
    if at < end:
        filled.append(Stretch(at, end - at))
    return filled


def _divided(item: Stretch, cuts: Sequence[int]) -> list[Stretch]:
    """A stretch divided at ticks inside it, its pitches tied."""
    inside = [cut for cut in cuts if item.start < cut < item.start + item.length]
    edges = [item.start, *inside, item.start + item.length]
    parts = []
    for begin, end in pairwise(edges):
        part = replace(item, start=begin, length=end - begin)
        if end < edges[-1]:
            part = replace(part, tied=(True,) * len(item.pitches))
        if begin > item.start:
            part = replace(part, begun=(True,) * len(item.pitches))
        parts.append(part)
    return parts
