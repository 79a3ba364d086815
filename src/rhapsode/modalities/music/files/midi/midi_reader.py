"""Standard MIDI files as scores."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rhapsode.encoding.music.score import (
    DEFAULT_TICKS,
    ChordSymbol,
    Key,
    Metre,
    Notes,
    Pedal,
    Score,
    Tempo,
    Track,
)
from rhapsode.errors import DataError
from rhapsode.modalities.music.files.midi.midi_events import (
    CHANNEL,
    CUT,
    END,
    FIRST,
    META,
    PITCH,
    PROGRAM,
    REPAIRS,
    SECOND,
    START,
    STATUS,
    TICK,
    VELOCITY,
    Rows,
    pair_notes,
    read_events,
)
from rhapsode.modalities.music.files.reading_result import LONGEST, ReadScore, Repairs
from rhapsode.modalities.music.files.tidy_notes import tidy_notes

PedalRule = Literal["extend", "keep", "drop"]

MOST_BYTES = 16 << 20
DRUMS = 9
CHORD_TEXT = "chord: "
UPBEAT_TEXT = "upbeat: "
_HEADER, _TRACK = b"MThd", b"MTrk"
_TEXT, _TRACK_NAME, _TEMPO, _METRE, _KEY = 0x01, 0x03, 0x51, 0x58, 0x59


@dataclass
class _Chunk:
    """A track of a file, taken apart."""

    events_E4: Rows
    notes_N6: Rows
    pedals_N6: Rows
    last: int
    name: str = ""
    has_messages: bool = False


@dataclass
class _Conductor:
    """Tempo, metre and key of a piece."""

    tempos: dict[int, float] = field(default_factory=dict)
    metres: dict[int, tuple[int, int]] = field(default_factory=dict)
    keys: dict[int, tuple[int, bool]] = field(default_factory=dict)
    chords: list[ChordSymbol] = field(default_factory=list)
    upbeat: int = 0


def read_midi(data: bytes, name: str, *, pedal: PedalRule = "extend") -> list[ReadScore]:
    """Pieces of a MIDI file: several only in format 2.

    Arguments:
        data: contents of the file.
        name: of the file.
        pedal: extend lengthens notes until the pedal is released, keep keeps pedals apart, drop
            leaves them out.

    Raises:
        DataError: this is no MIDI file, or too large a one.
    """
    if len(data) > MOST_BYTES:
        raise DataError(f"a MIDI file of more than {MOST_BYTES >> 20} MB is not read", where=name)
    begin = data.find(_HEADER, 0, 1 << 10)
    if begin < 0 or len(data) < begin + 14:
        what = "the file is empty" if not data else "this is no MIDI file"
        raise DataError(what, where=name, hint="a MIDI file begins with MThd")
    size, form, _, division = struct.unpack(">IHHH", data[begin + 4 : begin + 14])
    counts = np.zeros(len(REPAIRS), dtype=np.int64)
    repairs = Repairs()
    spans = list(_track_spans(data, begin + 8 + min(size, len(data)), counts))
    if not spans:
        raise DataError("the MIDI file has no track", where=name)
    bytes_N = np.frombuffer(data, dtype=np.uint8)
    chunks = [_take_apart(data, bytes_N, first, end, counts) for first, end in spans]
    for text, number in zip(REPAIRS, counts.tolist(), strict=True):
        repairs.add(text, number)
    groups = [[chunk] for chunk in chunks] if form == 2 else [chunks]
    pieces = []
    for number, group in enumerate(groups, 1):
        piece = name if len(groups) == 1 else f"{name}: {number}"
        score = _score(group, data, (form, division), repairs, piece)
        score = _apply_pedals(score, pedal, repairs)
        pieces.append(ReadScore(piece, score, repairs.counts if number == 1 else {}))
    return pieces


def _track_spans(data: bytes, at: int, counts: Any) -> Iterator[tuple[int, int]]:
    """First byte, and end, of each track. A wrong length is corrected by the next header."""
    while at + 8 <= len(data):
        kind, size = data[at : at + 4], struct.unpack(">I", data[at + 4 : at + 8])[0]
        if not kind.isalnum():
            following = data.find(_TRACK, at)
            if following < 0:
                return
            at = following
            continue
        end = at + 8 + size
        if end > len(data):
            counts[CUT] += 1
            end = len(data)
        if kind == _TRACK:
            yield at + 8, end
        at = end


def _take_apart(
    data: bytes, bytes_N: NDArray[np.uint8], begin: int, end: int, counts: Any
) -> _Chunk:
    rows_E4 = np.empty(((end - begin) // 2 + 4, 4), dtype=np.int32)
    number, last = read_events(bytes_N, begin, end, rows_E4, counts)
    events_E4 = rows_E4[:number]
    is_note_E = (events_E4[:, STATUS] & 0xF0) == 0x90
    is_control_E = (events_E4[:, STATUS] & 0xF0) == 0xB0
    notes_N6 = np.zeros((int(is_note_E.sum()), 6), dtype=np.int32)
    pedals_N6 = np.zeros((int(is_control_E.sum()), 6), dtype=np.int32)
    notes, pedals = pair_notes(events_E4, last, notes_N6, pedals_N6, counts)
    chunk = _Chunk(events_E4, notes_N6[:notes], pedals_N6[:pedals], last)
    status_E = events_E4[:, STATUS]
    chunk.has_messages = bool(((status_E >= 0x80) & (status_E < 0xF0)).any())
    chunk.name = next((text for _, text in _texts(chunk, data, _TRACK_NAME)), "")
    return chunk


def _metas(chunk: _Chunk, data: bytes, *kinds: int) -> Iterator[tuple[int, int, bytes]]:
    """Tick, kind and contents of meta events."""
    events_E4 = chunk.events_E4
    for event in np.flatnonzero(events_E4[:, STATUS] == META).tolist():
        kind = int(events_E4[event, FIRST])
        if kind in kinds:
            at = int(events_E4[event, SECOND])
            yield (
                int(events_E4[event, TICK]),
                kind,
                data[at : at + int(events_E4[event + 1, FIRST])],
            )


def _texts(chunk: _Chunk, data: bytes, kind: int) -> Iterator[tuple[int, str]]:
    for tick, _, raw in _metas(chunk, data, kind):
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError:
            text = raw.decode("cp1252", errors="replace")
        yield tick, " ".join(text.replace("\0", " ").split())


def _conductor(chunks: Sequence[_Chunk], data: bytes, repairs: Repairs) -> _Conductor:
    found = _Conductor()
    for chunk in chunks:
        for tick, kind, raw in _metas(chunk, data, _TEMPO, _METRE, _KEY):
            if kind == _TEMPO and len(raw) >= 3 and any(raw[:3]):
                found.tempos[tick] = quarters_a_minute(int.from_bytes(raw[:3], "big"))
            elif kind == _METRE and len(raw) >= 2 and raw[0] and raw[1] <= 6:
                found.metres[tick] = raw[0], 1 << raw[1]
            elif kind == _KEY and len(raw) >= 2 and -7 <= _signed(raw[0]) <= 7 and raw[1] <= 1:
                found.keys[tick] = _signed(raw[0]), raw[1] == 1
            else:
                repairs.add("impossible tempos, metres and keys dropped")
        for tick, text in _texts(chunk, data, _TEXT):
            if text.startswith(CHORD_TEXT):
                found.chords.append(ChordSymbol(tick, text.removeprefix(CHORD_TEXT)))
            elif text.startswith(UPBEAT_TEXT) and text.removeprefix(UPBEAT_TEXT).isdecimal():
                found.upbeat = int(text.removeprefix(UPBEAT_TEXT)[:9])
    return found


def quarters_a_minute(microseconds: int) -> float:
    """The shortest decimal number of quarters a minute that gives these microseconds."""
    exact = 60e6 / microseconds
    for digits in range(1, 12):
        shorter = round(exact, digits)
        if shorter > 0 and round(60e6 / shorter) == microseconds:
            return shorter
    return exact


def _signed(byte: int) -> int:
    return byte - 256 if byte > 127 else byte


def _score(
    chunks: Sequence[_Chunk],
    data: bytes,
    header: tuple[int, int],
    repairs: Repairs,
    name: str,
) -> Score:
    form, division = header
    conductor = _conductor(chunks, data, repairs)
    ticks, in_frames = _grid(division, repairs)
    if in_frames:  # its times are seconds: a tempo would change them
        conductor.tempos = {0: 120.0}
    end = max(chunk.last for chunk in chunks)
    tracks: list[Track] = []
    parts, pedals = [], []
    for index, chunk in enumerate(chunks):
        label = "" if form == 0 else chunk.name
        part_N, more = _tracks_of(chunk, label, len(tracks))
        if not more and chunk.has_messages and len(chunks) > 1:
            more = [_silent_track(chunk, label)]
        parts.append((chunk.notes_N6, part_N))
        pedals += [
            (int(row[START]), int(row[END]), int(row[CHANNEL]), index) for row in chunk.pedals_N6
        ]
        tracks += more
    notes_N6 = np.concatenate([rows for rows, _ in parts])
    track_N = np.concatenate([numbers for _, numbers in parts])
    title = next((chunk.name for chunk in chunks if not len(chunk.notes_N6)), "")
    if form != 1:
        title = chunks[0].name
    elif chunks[0].has_messages:
        title = ""
    notes = Notes.of(
        notes_N6[:, START],
        notes_N6[:, END].astype(np.int64) - notes_N6[:, START],
        notes_N6[:, PITCH],
        notes_N6[:, VELOCITY],
        track_N,
    )
    notes = tidy_notes(notes, repairs)
    score = Score(
        ticks=ticks,
        notes=notes,
        tracks=tuple(tracks) or (Track(),),
        tempos=tuple(Tempo(tick, conductor.tempos[tick]) for tick in sorted(conductor.tempos)),
        metres=tuple(Metre(tick, *conductor.metres[tick]) for tick in sorted(conductor.metres)),
        keys=tuple(Key(tick, *conductor.keys[tick]) for tick in sorted(conductor.keys)),
        chords=tuple(sorted(conductor.chords, key=lambda chord: chord.start)),
        pedals=_pedals(pedals, chunks, parts),
        upbeat=conductor.upbeat,
        end=end,
        title=title,
    )
    if in_frames:
        score = score.rescaled(DEFAULT_TICKS)
    if score.end > LONGEST * score.ticks:
        raise DataError(f"the piece is longer than {LONGEST:,} quarter notes", where=name)
    return _with_upbeat(score)


def _grid(division: int, repairs: Repairs) -> tuple[int, bool]:
    """Ticks a quarter note, and True if the file counts in frames of a film.

    Half a second is a quarter note then.
    """
    if division & 0x8000:
        frames = -_signed(division >> 8)
        repairs.add("times in film frames read as seconds")
        rate = (29.97 if frames == 29 else frames) * (division & 0xFF)
        return max(1, round(rate / 2)), True
    if division == 0:
        repairs.add(f"no ticks a quarter note given: {DEFAULT_TICKS} taken")
        return DEFAULT_TICKS, False
    return division, False


def _tracks_of(chunk: _Chunk, label: str, first: int) -> tuple[NDArray[np.int64], list[Track]]:
    """Track of each note, and the tracks: one for each channel and program."""
    notes_N6 = chunk.notes_N6
    code_N = notes_N6[:, CHANNEL] * 128 + notes_N6[:, PROGRAM]
    codes, opening, inverse_N = np.unique(code_N, return_index=True, return_inverse=True)
    rank = np.empty(len(codes), dtype=np.int64)
    rank[np.argsort(opening)] = np.arange(len(codes))
    tracks = [
        Track(int(code) % 128, int(code) // 128 == DRUMS, label)
        for code in codes[np.argsort(opening)]
    ]
    return first + rank[inverse_N], tracks


def _silent_track(chunk: _Chunk, label: str) -> Track:
    events_E4 = chunk.events_E4
    status_E = events_E4[:, STATUS]
    channel = int(status_E[(status_E >= 0x80) & (status_E < 0xF0)][0]) & 15
    programs_E = events_E4[(status_E & 0xF0) == 0xC0, FIRST]
    return Track(int(programs_E[-1]) if len(programs_E) else 0, channel == DRUMS, label)


def _pedals(
    rows: Sequence[tuple[int, int, int, int]],
    chunks: Sequence[_Chunk],
    parts: Sequence[tuple[Rows, NDArray[np.int64]]],
) -> tuple[Pedal, ...]:
    """Pedals of the tracks that they act on.

    A pedal acts on its channel: on the notes of its own chunk, and on chunks that have no pedal of
    their own, drums apart.
    """
    if not rows:
        return ()
    owners = {(channel, index) for _, _, channel, index in rows}
    reach: dict[tuple[int, int], list[int]] = {}
    for index, (notes_N6, track_N) in enumerate(parts):
        for channel in np.unique(notes_N6[:, CHANNEL]).tolist():
            tracks = np.unique(track_N[notes_N6[:, CHANNEL] == channel]).tolist()
            if (channel, index) in owners:
                reach.setdefault((channel, index), []).extend(tracks)
            elif channel != DRUMS:
                for owner in owners:
                    if owner[0] == channel:
                        reach.setdefault(owner, []).extend(tracks)
    found = [
        Pedal(start, max(1, end - start), track)
        for start, end, channel, index in rows
        for track in reach.get((channel, index), ())
    ]
    return tuple(sorted(found, key=lambda pedal: (pedal.start, pedal.track, pedal.length)))


def _apply_pedals(score: Score, rule: PedalRule, repairs: Repairs) -> Score:
    if rule == "keep" or not score.pedals:
        return score
    if rule == "drop":
        return replace(score, pedals=())
    return extend_notes(score, repairs)


def extend_notes(score: Score, repairs: Repairs) -> Score:
    """The score without pedals, its notes as long as they sound.

    A note that is released while the pedal is down ends with the pedal, at the latest when its
    pitch begins again.
    """
    notes = score.notes
    end_N = notes.start_N + notes.length_N
    extended_N = end_N.copy()
    for track in range(len(score.tracks)):
        pedals = [pedal for pedal in score.pedals if pedal.track == track]
        which_N = np.flatnonzero(notes.track_N == track)
        if not pedals or not len(which_N):
            continue
        down_P = np.array([pedal.start for pedal in pedals])
        up_P = np.maximum.accumulate([pedal.start + pedal.length for pedal in pedals])
        place_N = np.searchsorted(down_P, end_N[which_N]) - 1  # down before the end
        reach_N = np.where(place_N >= 0, up_P[np.maximum(place_N, 0)], 0)
        extended_N[which_N] = np.maximum(end_N[which_N], reach_N)
    # The next onset of the same pitch in the same track.
    order_N = np.lexsort((notes.start_N, notes.pitch_N, notes.track_N))
    same_N = (notes.pitch_N[order_N][1:] == notes.pitch_N[order_N][:-1]) & (
        notes.track_N[order_N][1:] == notes.track_N[order_N][:-1]
    )
    following_N = np.full(len(notes), np.iinfo(np.int64).max)
    following_N[order_N[:-1][same_N]] = notes.start_N[order_N[1:][same_N]]
    extended_N = np.maximum(end_N, np.minimum(extended_N, following_N))
    repairs.add("notes lengthened by the pedal", int((extended_N > end_N).sum()))
    longer = replace_lengths(notes, extended_N - notes.start_N)
    return replace(score, notes=longer, pedals=())


def replace_lengths(notes: Notes, length_N: NDArray[np.int64]) -> Notes:
    """The notes with other lengths."""
    return Notes(notes.start_N, length_N, notes.pitch_N, notes.velocity_N, notes.track_N)


def _with_upbeat(score: Score) -> Score:
    """Read a first bar that has a shorter metre of its own as an upbeat."""
    if score.upbeat or len(score.metres) < 2 or score.metres[0].start:
        return score
    first, second = score.metres[:2]
    length = first.ticks(score.ticks)
    if second.start != length or length >= second.ticks(score.ticks):
        return score
    return replace(score, metres=(replace(second, start=0), *score.metres[2:]), upbeat=length)
