"""Stretches of bars, cut out of pieces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from rhapsode.encoding.music.score import ChordSymbol, Key, Metre, Score, Tempo
from rhapsode.modalities.music.pieces.reading import Piece

BARS = 16
# Stretches into which the music is cut, about.
STRETCHES = 40

E = TypeVar("E", Tempo, Metre, Key, ChordSymbol)


def cut_pieces(pieces: Sequence[Piece]) -> list[Piece]:
    """Cut pieces into stretches of bars, to hold some out."""
    bars = sum(len(piece.score.bars()) for piece in pieces)
    size = max(1, min(BARS, bars // STRETCHES))
    return [stretch for piece in pieces for stretch in _cut(piece, size)]


def _cut(piece: Piece, size: int) -> Iterator[Piece]:
    starts = [start for start, _ in piece.score.bars()]
    for first in range(0, len(starts), size):
        last = first + size
        end = starts[last] if last < len(starts) else piece.score.end
        score = stretch(piece.score, starts[first], end)
        if len(score.notes):
            name = f"{piece.name}, bars {first + 1} to {min(last, len(starts))}"
            yield Piece(name, score, piece.split)


def stretch(score: Score, begin: int, end: int) -> Score:
    """The notes that begin within a stretch of ticks.

    Tempo, metre and key are those in force there. Notes that last longer end with it.

    Arguments:
        score: the whole.
        begin: first tick.
        end: the tick after the last one.
    """
    notes = score.notes
    within = notes.select((notes.start_N >= begin) & (notes.start_N < end))
    length_N = np.minimum(within.length_N, end - within.start_N)
    return replace(
        score,
        notes=replace(within, start_N=within.start_N - begin, length_N=length_N),
        tempos=_within(score.tempos, begin, end),
        metres=_within(score.metres, begin, end),
        keys=_within(score.keys, begin, end),
        chords=tuple(
            replace(chord, start=chord.start - begin)
            for chord in score.chords
            if begin <= chord.start < end
        ),
        pedals=tuple(
            replace(pedal, start=pedal.start - begin, length=min(pedal.length, end - pedal.start))
            for pedal in score.pedals
            if begin <= pedal.start < end
        ),
        upbeat=score.upbeat if begin == 0 else 0,
        end=end - begin,
    )


def _within(events: Sequence[E], begin: int, end: int) -> tuple[E, ...]:
    """Events of a stretch; the last one before it counts from its beginning."""
    before: list[E] = [replace(event, start=0) for event in events if event.start <= begin][-1:]
    inside: list[E] = [
        replace(event, start=event.start - begin) for event in events if begin < event.start < end
    ]
    return tuple(before + inside)
