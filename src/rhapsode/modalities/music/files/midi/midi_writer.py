"""Scores as standard MIDI files of format 1."""

from __future__ import annotations

import struct
from collections.abc import Iterable

import numpy as np

from rhapsode.encoding.music.score import Metre, Score
from rhapsode.modalities.music.files.midi.midi_reader import CHORD_TEXT, DRUMS, UPBEAT_TEXT

MOST_TICKS = 0x7FFF
# Ticks between two events at most: four groups of seven bits.
_LONGEST = (1 << 28) - 1
# Events of one tick are written in this order.
_FIRST, _OFF, _PEDAL, _ON = range(4)
_CHANNELS = tuple(channel for channel in range(16) if channel != DRUMS)
Event = tuple[int, int, bytes]


def midi_bytes(score: Score) -> bytes:
    """Contents of a MIDI file.

    The first track has tempo, metre and key, and each instrument one of its own.
    Chord symbols are text events that begin with `chord: `. An upbeat is a short first bar with a
    metre of its own, or a text event where no metre is as short. Tempos are rounded to
    microseconds a quarter note. Ticks are fewer where the piece is too long for a MIDI file.
    """
    fitting = score.ticks * _LONGEST // max(1, score.end)
    score = score.rescaled(max(1, min(score.ticks, MOST_TICKS, fitting)))
    chunks = [_chunk(_conductor(score), score.end)]
    chunks += [_chunk(_track(score, index), score.end) for index in range(len(score.tracks))]
    header = b"MThd" + struct.pack(">IHHH", 6, 1, len(chunks), score.ticks)
    return header + b"".join(chunks)


def _conductor(score: Score) -> Iterable[Event]:
    if score.title:
        yield 0, _FIRST, _text(0x03, score.title)
    metres = list(score.metres)
    if score.upbeat:
        upbeat = _short_metre(score.upbeat, score.ticks) if metres else None
        if upbeat and metres[0].start == 0 and score.upbeat < metres[0].ticks(score.ticks):
            metres[:1] = [upbeat, Metre(score.upbeat, metres[0].beats, metres[0].unit)]
        else:
            yield 0, _FIRST, _text(0x01, f"{UPBEAT_TEXT}{score.upbeat}")
    for metre in metres:
        power = metre.unit.bit_length() - 1
        yield metre.start, _FIRST, _meta(0x58, bytes((min(metre.beats, 255), power, 24, 8)))
    for key in score.keys:
        yield key.start, _FIRST, _meta(0x59, struct.pack(">bB", key.fifths, int(key.minor)))
    for tempo in score.tempos:
        microseconds = min(max(1, round(60e6 / tempo.quarters)), (1 << 24) - 1)
        yield tempo.start, _FIRST, _meta(0x51, microseconds.to_bytes(3, "big"))
    for chord in score.chords:
        yield chord.start, _FIRST, _text(0x01, f"{CHORD_TEXT}{chord.name}")


def _short_metre(length: int, ticks: int) -> Metre | None:
    """A metre whose bar has this length."""
    for unit in (4, 8, 16, 32, 64):
        beats, rest = divmod(length * unit, 4 * ticks)
        if not rest and 0 < beats < 256:
            return Metre(0, beats, unit)
    return None


def _track(score: Score, index: int) -> Iterable[Event]:
    track = score.tracks[index]
    melodic = [number for number, other in enumerate(score.tracks) if not other.drums]
    channel = DRUMS if track.drums else _CHANNELS[melodic.index(index) % len(_CHANNELS)]
    if track.name:
        yield 0, _FIRST, _text(0x03, track.name)
    yield 0, _FIRST, bytes((0xC0 | channel, track.program))
    for pedal in score.pedals:
        if pedal.track == index:
            yield pedal.start, _PEDAL, bytes((0xB0 | channel, 64, 127))
            yield pedal.start + pedal.length, _FIRST, bytes((0xB0 | channel, 64, 0))
    notes = score.notes.select(np.flatnonzero(score.notes.track_N == index))
    rows = zip(
        notes.start_N.tolist(),
        notes.length_N.tolist(),
        notes.pitch_N.tolist(),
        notes.velocity_N.tolist(),
        strict=True,
    )
    for start, length, pitch, velocity in rows:
        yield start, _ON, bytes((0x90 | channel, pitch, velocity))
        yield start + length, _OFF, bytes((0x80 | channel, pitch, 64))


def _chunk(events: Iterable[Event], end: int) -> bytes:
    parts, now = [], 0
    for tick, _, message in sorted(events, key=lambda event: event[:2]):
        parts += [_variable(tick - now), message]
        now = tick
    parts += [_variable(max(0, end - now)), b"\xff\x2f\x00"]
    body = b"".join(parts)
    return b"MTrk" + struct.pack(">I", len(body)) + body


def _meta(kind: int, content: bytes) -> bytes:
    return bytes((0xFF, kind)) + _variable(len(content)) + content


def _text(kind: int, text: str) -> bytes:
    return _meta(kind, text.encode("utf-8"))


def _variable(number: int) -> bytes:
    """A number in groups of seven bits, the highest first."""
    if number < 128:
        return bytes((number,))
    groups = [number & 127]
    number >>= 7
    while number:
        groups.append(128 | (number & 127))
        number >>= 7
    return bytes(reversed(groups))
