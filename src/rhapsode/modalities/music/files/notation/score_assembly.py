"""Measures of several voices as one score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rhapsode.encoding.music.score import (
    DEFAULT_TICKS,
    ChordSymbol,
    Key,
    Metre,
    Notes,
    Score,
    Tempo,
    Track,
)
from rhapsode.errors import DataError
from rhapsode.modalities.music.files.notation.measures import UNIT, Measure
from rhapsode.modalities.music.files.notation.playing_order import playing_order
from rhapsode.modalities.music.files.reading_result import LONGEST, Repairs
from rhapsode.modalities.music.files.tidy_notes import tidy_notes

_FINEST = 64


def score_of_measures(
    voices: Sequence[Sequence[Measure]],
    tracks: Sequence[Track],
    *,
    title: str = "",
    parts: str = "",
    repeats: bool = True,
    repairs: Repairs,
) -> Score:
    """A score of voices, with repeats played out.

    Metres, keys, tempos and chord symbols are those of the first voice. An incomplete first measure
    is an upbeat. A measure that is too long or too short gets a metre of its own, unless two short
    ones make a whole.

    Arguments:
        voices: measures of each voice.
        tracks: of each voice; equal tracks are joined.
        title: of the piece.
        parts: labels of parts in the order of playing.
        repeats: False plays every measure once.
        repairs: counts notes that are shortened.

    Raises:
        DataError: the piece is too long.
    """
    kinds = list(dict.fromkeys(tracks))
    first = playing_order(voices[0], parts) if repeats else list(range(len(voices[0])))
    rows: list[tuple[int, int, int, int, int]] = []
    end = 0
    for voice, track in zip(voices, tracks, strict=True):
        order = first
        if voice is not voices[0] and len(voice) != len(voices[0]):
            order = playing_order(voice, parts) if repeats else list(range(len(voice)))
        more, last = _played_notes(voice, order, kinds.index(track))
        rows += more
        end = max(end, last)
    if end > LONGEST * UNIT:
        raise DataError(f"the piece is longer than {LONGEST:,} quarter notes")
    played = [voices[0][index] for index in first]
    upbeat, metres = _metres(played)
    score = Score(
        ticks=UNIT,
        notes=Notes.of(*zip(*sorted(set(rows)), strict=True)) if rows else Notes.none(),
        tracks=tuple(kinds),
        tempos=_tempos(played),
        metres=metres,
        keys=_keys(played),
        chords=_chords(played),
        upbeat=upbeat,
        end=end,
        title=title,
    )
    score = score.rescaled(DEFAULT_TICKS)
    return replace(score, notes=tidy_notes(score.notes, repairs))


def _played_notes(
    measures: Sequence[Measure], order: Sequence[int], track: int
) -> tuple[list[tuple[int, int, int, int, int]], int]:
    """Start, length, pitch, velocity and track of each note, ties joined; and the end."""
    rows: list[tuple[int, int, int, int, int]] = []
    tied: dict[int, tuple[int, int, int]] = {}  # pitch -> start, end, velocity
    at = 0
    for index in order:
        measure = measures[index]
        for note in sorted(measure.notes, key=lambda note: note.start):
            start, velocity = at + note.start, note.velocity
            end = start + note.length
            before = tied.pop(note.pitch, None)
            if before is not None:
                if before[1] == start:
                    start, velocity = before[0], before[2]
                else:
                    rows.append((before[0], before[1] - before[0], note.pitch, before[2], track))
            if note.tie:
                tied[note.pitch] = start, end, velocity
            else:
                rows.append((start, end - start, note.pitch, velocity, track))
        at += measure.length
    rows += [(start, end - start, pitch, velocity, track)
             for pitch, (start, end, velocity) in tied.items()]  # fmt: skip
    return rows, at


def _metres(played: Sequence[Measure]) -> tuple[int, tuple[Metre, ...]]:
    """The upbeat, and the metres of measures in the order of playing."""
    bars: list[tuple[int, int, tuple[int, int]]] = []  # start, length, metre
    at = 0
    for measure in played:
        metre = measure.metre
        if measure.length == 0:
            continue
        if metre is None:
            metre = _metre_of(measure.length) or (4, 4)
        if bars and not _is_whole(bars[-1]) and len(bars) > 1:
            start, length, before = bars[-1]
            joined = (start, length + measure.length, before)
            if before == metre and joined[1] <= _length(before):
                bars[-1] = joined
                at += measure.length
                continue
        bars.append((at, measure.length, metre))
        at += measure.length
    if not bars:
        return 0, ()
    upbeat = 0
    if len(bars) > 1 and bars[0][1] < _length(bars[0][2]):
        upbeat = bars[0][1]
    metres: list[Metre] = [Metre(0, *bars[0][2])]
    expected = True  # the bars so far follow from the last metre
    for position, (start, length, written) in enumerate(bars):
        metre = written
        is_edge = (position == 0 and upbeat) or position == len(bars) - 1
        if length != _length(written) and not (is_edge and length < _length(written)):
            metre = _metre_of(length) or written
        if (metre[0], metre[1]) != (metres[-1].beats, metres[-1].unit) or not expected:
            if start == metres[-1].start:
                metres.pop()
            metres.append(Metre(start, *metre))
        expected = length == _length(metre) or bool(is_edge)
    return upbeat, tuple(metres)


def _is_whole(bar: tuple[int, int, tuple[int, int]]) -> bool:
    return bar[1] >= _length(bar[2])


def _length(metre: tuple[int, int]) -> int:
    return 4 * UNIT * metre[0] // metre[1]


def _metre_of(length: int) -> tuple[int, int] | None:
    """A metre whose bar has this length; None if there is none."""
    unit = 4
    while unit <= _FINEST:
        beats, rest = divmod(length * unit, 4 * UNIT)
        if rest == 0 and 0 < beats < 256:
            return beats, unit
        unit *= 2
    return None


def _keys(played: Sequence[Measure]) -> tuple[Key, ...]:
    keys: list[Key] = []
    at = 0
    for measure in played:
        for start, *key in ((0, *measure.key), *measure.keys):
            if not keys or [keys[-1].fifths, keys[-1].minor] != key:
                keys.append(Key(at + start, int(key[0]), bool(key[1])))
        at += measure.length
    return tuple(keys)


def _tempos(played: Sequence[Measure]) -> tuple[Tempo, ...]:
    tempos: list[Tempo] = []
    at = 0
    for measure in played:
        for start, quarters in measure.tempos:
            if not tempos or tempos[-1].quarters != quarters:
                tempos.append(Tempo(at + start, quarters))
        at += measure.length
    return tuple(tempos)


def _chords(played: Sequence[Measure]) -> tuple[ChordSymbol, ...]:
    chords: list[ChordSymbol] = []
    at = 0
    for measure in played:
        chords += [ChordSymbol(at + start, name) for start, name in measure.chords]
        at += measure.length
    return tuple(sorted(chords, key=lambda chord: chord.start))
