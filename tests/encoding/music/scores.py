"""Random scores, and comparisons of scores."""

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from rhapsode.encoding.music.score import (
    ChordSymbol,
    Key,
    Metre,
    Notes,
    Pedal,
    Score,
    Tempo,
    Track,
)

METRES = ((4, 4), (3, 4), (6, 8), (2, 2), (5, 8), (7, 16), (1, 4), (12, 8))


def as_values(score: Score) -> dict[str, object]:
    """The parts of a score as plain values, for comparisons that print well."""
    notes = score.notes
    columns = (notes.start_N, notes.length_N, notes.pitch_N, notes.velocity_N, notes.track_N)
    values = {name: value for name, value in vars(score).items() if name != "notes"}
    return values | {"notes": list(zip(*(column.tolist() for column in columns), strict=True))}


def shifted(score: Score, semitones: int) -> Score:
    """All notes but drums a number of semitones higher."""
    notes = score.notes
    drums = np.array([track.drums for track in score.tracks])[notes.track_N]
    pitch = notes.pitch_N.astype(np.int64) + np.where(drums, 0, semitones)
    moved = Notes.of(notes.start_N, notes.length_N, pitch, notes.velocity_N, notes.track_N)
    return replace(score, notes=moved)


@st.composite
def scores(draw: st.DrawFn, *, tracks: int = 3, exact: bool = False) -> Score:
    """Scores with several tracks, drums, upbeats, changing metres, triplets, and awkward times.

    Arguments:
        tracks: at most.
        exact: only notes of one loudness, without anything else.
    """
    ticks = draw(st.sampled_from([1, 24, 96, 480, 220, 960]))
    kinds = draw(st.lists(st.booleans(), min_size=1, max_size=tracks))
    instruments = tuple(
        Track(draw(st.sampled_from([0, 0, 40, 127])), drums and not exact, "") for drums in kinds
    )
    time = st.integers(0, 12 * ticks) | st.integers(0, 48).map(lambda k: k * ticks // 12)
    count = draw(st.integers(0, 14))
    loud = st.just(80) if draw(st.booleans()) or exact else st.integers(1, 127)
    rows = [
        (
            draw(time),
            max(1, draw(time) // draw(st.sampled_from([1, 4, 12]))),
            draw(st.integers(24, 96)),
            draw(loud),
            draw(st.integers(0, len(instruments) - 1)),
        )
        for _ in range(count)
    ]
    columns = [list(column) for column in zip(*rows, strict=True)] or [[]] * 5
    notes = Notes.of(*columns)
    end = draw(st.integers(0, 20 * ticks))
    if exact:
        return Score(ticks=ticks, notes=notes, tracks=instruments, end=end)
    starts = st.lists(time, max_size=3, unique=True).map(sorted)
    return Score(
        ticks=ticks,
        notes=notes,
        tracks=instruments,
        tempos=tuple(Tempo(at, draw(st.floats(10, 400))) for at in draw(starts)),
        metres=tuple(Metre(at, *draw(st.sampled_from(METRES))) for at in draw(starts)),
        keys=tuple(Key(at, draw(st.integers(-7, 7)), draw(st.booleans())) for at in draw(starts)),
        chords=tuple(
            ChordSymbol(
                at, draw(st.sampled_from(["C", "Am7", "Bb", "F#dim", "N.C.", "Gb/Db", "x y"]))
            )
            for at in draw(starts)
        ),
        pedals=tuple(
            Pedal(at, draw(st.integers(1, 4 * ticks)), draw(st.integers(0, len(instruments) - 1)))
            for at in draw(starts)
        ),
        upbeat=draw(st.sampled_from([0, 0, ticks // 2, ticks])),
        end=end,
    )
