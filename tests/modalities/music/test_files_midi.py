"""MIDI files: what is written is read again, and every repair on its case."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
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
from rhapsode.errors import DataError
from rhapsode.modalities.music.files import read_score
from rhapsode.modalities.music.files.midi.midi_reader import PedalRule, read_midi
from rhapsode.modalities.music.files.midi.midi_writer import midi_bytes

Message = tuple[int, Sequence[int]]


def same(first: Score, second: Score) -> bool:
    """True for scores that are equal in everything."""
    notes = all(
        np.array_equal(getattr(first.notes, field.name), getattr(second.notes, field.name))
        for field in fields(Notes)
    )
    others = (field.name for field in fields(Score) if field.name != "notes")
    return notes and all(getattr(first, name) == getattr(second, name) for name in others)


def variable(number: int) -> bytes:
    parts = [number & 127]
    while number := number >> 7:
        parts.append(128 | number & 127)
    return bytes(reversed(parts))


def midi(*tracks: Sequence[Message], form: int = 0, division: int = 480) -> bytes:
    """A file of messages with the times before them."""
    chunks = []
    for messages in tracks:
        body = b"".join(variable(delta) + bytes(message) for delta, message in messages)
        body += b"\x00\xff\x2f\x00"
        chunks.append(b"MTrk" + struct.pack(">I", len(body)) + body)
    return b"MThd" + struct.pack(">IHHH", 6, form, len(chunks), division) + b"".join(chunks)


def on(delta: int, pitch: int, velocity: int = 80, channel: int = 0) -> Message:
    return delta, (0x90 | channel, pitch, velocity)


def off(delta: int, pitch: int, channel: int = 0) -> Message:
    return delta, (0x80 | channel, pitch, 0)


def rows(score: Score) -> list[tuple[int, int, int]]:
    notes = score.notes
    return list(
        zip(notes.start_N.tolist(), notes.length_N.tolist(), notes.pitch_N.tolist(), strict=True)
    )


@pytest.mark.parametrize(
    ("messages", "notes", "repairs"),
    [
        ([on(0, 200), off(10, 72)], [(0, 10, 127)], {
            "bytes above 127 clipped": 1, "note-offs without a note dropped": 1,
            "note-ons without an end": 1,
        }),
        ([off(0, 60), on(10, 60), off(10, 60), off(5, 60)], [(10, 10, 60)],
         {"note-offs without a note dropped": 2}),
        ([on(0, 60), on(10, 62), off(10, 62)], [(0, 20, 60), (10, 10, 62)],
         {"note-ons without an end": 1}),
        ([on(0, 60), on(10, 60), off(10, 60)], [(0, 10, 60), (10, 10, 60)],
         {"note-ons without an end": 1}),
        ([on(0, 60), on(10, 60), off(10, 60), on(10, 60), off(10, 60)],
         [(0, 10, 60), (10, 10, 60), (30, 10, 60)], {"note-ons without an end": 1}),
        ([on(0, 60), on(10, 60), off(10, 60), off(10, 60)], [(0, 10, 60), (10, 20, 60)],
         {"overlapping notes of one pitch shortened": 1}),
        ([on(0, 60), on(10, 60), off(0, 60), off(10, 60)], [(0, 10, 60), (10, 10, 60)], {}),
        ([on(0, 60), off(0, 60), on(10, 62), off(1, 62)], [(0, 1, 60), (10, 1, 62)],
         {"notes of no length made one tick long": 1}),
        ([on(0, 60), on(0, 60), off(10, 60), off(10, 60)], [(0, 20, 60)], {
            "overlapping notes of one pitch shortened": 1, "doubled notes dropped": 1,
            "notes of no length made one tick long": 1,
        }),
        ([on(0, 60), (10, (60, 0))], [(0, 10, 60)], {}),
        ([(0, (60, 0)), on(0, 60), off(10, 60)], [(0, 10, 60)], {"stray bytes skipped": 3}),
        ([(0, (0xF4,)), on(0, 60), off(10, 60)], [(0, 10, 60)], {"undefined messages skipped": 1}),
    ],
)  # fmt: skip
def test_every_repair_is_counted(messages, notes, repairs) -> None:
    (piece,) = read_midi(midi(messages), "case.mid")
    assert rows(piece.score) == notes
    assert piece.repairs == repairs


PEDALLED = [
    (0, (0xB0, 64, 127)), on(0, 60), off(10, 60), on(10, 60), off(5, 60), on(5, 62), off(5, 62),
    (5, (0xB0, 64, 0)), on(5, 64), off(5, 64), (0, (0xB0, 64, 127)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "notes", "pedals"),
    [
        ("keep", [(0, 10, 60), (20, 5, 60), (30, 5, 62), (45, 5, 64)], 2),
        ("drop", [(0, 10, 60), (20, 5, 60), (30, 5, 62), (45, 5, 64)], 0),
        ("extend", [(0, 20, 60), (20, 20, 60), (30, 10, 62), (45, 5, 64)], 0),
    ],
)
def test_the_pedal_lengthens_notes_until_it_is_released(
    rule: PedalRule, notes: list[tuple[int, int, int]], pedals: int
) -> None:
    (piece,) = read_midi(midi(PEDALLED), "pedal.mid", pedal=rule)
    assert rows(piece.score) == notes
    assert len(piece.score.pedals) == pedals
    assert piece.repairs["pedals never released"] == 1


def test_a_pedal_acts_on_tracks_of_its_channel_that_have_none() -> None:
    data = midi([on(0, 60), off(10, 60)], [(0, (0xB0, 64, 127)), (30, (0xB0, 64, 0))], form=1)
    assert rows(read_midi(data, "pedal.mid")[0].score) == [(0, 30, 60)]


def test_channels_and_programs_are_tracks_and_channel_10_is_drums() -> None:
    messages = [
        (0, (0xC0, 5)), (0, (0xC1, 6)), on(0, 60), on(0, 61, channel=1), on(0, 35, channel=9),
        off(10, 60), off(0, 61, 1), off(0, 35, 9), (0, (0xC0, 9)), on(0, 60), off(10, 60),
    ]  # fmt: skip
    score = read_midi(midi(messages), "type0.mid")[0].score
    assert score.tracks == (Track(5), Track(6), Track(0, drums=True), Track(9))
    assert score.notes.track_N.tolist() == [0, 1, 2, 3]


def test_each_track_of_format_2_is_a_piece() -> None:
    pieces = read_midi(midi([on(0, 60), off(9, 60)], [on(0, 62), off(9, 62)], form=2), "two.mid")
    assert [piece.name for piece in pieces] == ["two.mid: 1", "two.mid: 2"]
    assert [rows(piece.score) for piece in pieces] == [[(0, 9, 60)], [(0, 9, 62)]]


def test_times_in_film_frames_become_seconds() -> None:
    data = midi([(0, (0xFF, 0x51, 3, 1, 2, 3)), on(1000, 60), off(500, 60)], division=0xE728)
    (piece,) = read_midi(data, "film.mid")  # 25 frames of 40 ticks: a tick is a millisecond
    assert rows(piece.score) == [(960, 480, 60)]
    assert piece.score.tempos == (Tempo(0, 120.0),)
    assert piece.score.seconds(960) == pytest.approx(1.0)


def test_tempos_metres_and_keys_that_cannot_be_are_dropped() -> None:
    messages = [
        (0, (0xFF, 0x51, 3, 0, 0, 0)), (0, (0xFF, 0x58, 4, 0, 2, 24, 8)),
        (0, (0xFF, 0x59, 2, 8, 0)), on(0, 60), off(10, 60),
    ]  # fmt: skip
    (piece,) = read_midi(midi(messages), "odd.mid")
    assert piece.repairs == {"impossible tempos, metres and keys dropped": 3}
    assert (piece.score.tempos, piece.score.metres, piece.score.keys) == ((), (), ())


def test_a_file_that_is_cut_off_is_read_as_far_as_it_goes() -> None:
    data = midi([on(0, 60), off(10, 60), on(0, 62), off(10, 62)])
    (piece,) = read_midi(data[:-8], "short.mid")
    assert piece.repairs["tracks cut off"] >= 1
    assert rows(piece.score)[0] == (0, 10, 60)


@pytest.mark.parametrize("data", [b"", b"not a midi file", b"MThd", midi()])
def test_other_files_are_one_clear_line(data: bytes) -> None:
    with pytest.raises(DataError, match=r"MIDI|empty|track") as caught:
        read_score(data, "other.mid")
    assert "\n" not in str(caught.value)


def test_a_piece_of_absurd_length_is_refused() -> None:
    wait = (0x0FFFFFFF, (0xFF, 0x01, 0))
    with pytest.raises(DataError, match="longer than"):
        read_midi(midi([wait, on(0, 60), off(9, 60)], division=1), "long.mid")


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 2), st.integers(0, 0xFFFF))
def test_no_bytes_end_the_reader(body: bytes, form: int, division: int) -> None:
    head = b"MThd" + struct.pack(">IHHH", 6, form, 1, division)
    data = head + b"MTrk" + struct.pack(">I", len(body)) + body
    try:
        pieces = read_midi(data, "random.mid")
    except DataError:
        return
    for piece in pieces:
        again = read_midi(midi_bytes(piece.score), "again.mid", pedal="keep")
        assert len(again[0].score.notes) == len(piece.score.notes)


TICKS = st.integers(0, 3000)


@st.composite
def scores(draw: st.DrawFn) -> Score:
    """Scores as files can hold them: no pitch twice at a time in a track."""
    tracks = draw(
        st.lists(
            st.builds(Track, st.integers(0, 127), st.booleans(), st.text("abé 音", max_size=5)),
            min_size=1,
            max_size=4,
        )
    )
    tracks = [replace(track, name=" ".join(track.name.split())) for track in tracks]
    kept: dict[tuple[int, int], int] = {}
    found = []
    drawn = st.tuples(
        TICKS, st.integers(1, 900), st.integers(0, 127), st.integers(1, 127),
        st.integers(0, len(tracks) - 1),
    )  # fmt: skip
    for start, length, pitch, velocity, track in sorted(draw(st.lists(drawn, max_size=30))):
        if kept.get((pitch, track), 0) <= start:
            kept[pitch, track] = start + length
            found.append((start, length, pitch, velocity, track))
    ticks = draw(st.sampled_from((24, 96, 480, 1024)))
    metres = draw(st.dictionaries(TICKS, st.tuples(st.integers(2, 20), st.sampled_from((2, 4, 8)))))
    metres[0] = (4, 4)
    keys = draw(st.dictionaries(TICKS, st.tuples(st.integers(-7, 7), st.booleans()), max_size=3))
    tempos = draw(st.dictionaries(TICKS, st.integers(20, 300), max_size=4))
    upbeat = draw(st.sampled_from((0, ticks // 2, ticks, 7)))
    moved = [start for start in metres if 0 < start <= 4 * ticks]  # bars that an upbeat would cut
    for start in moved:
        del metres[start]
    symbols = draw(st.dictionaries(TICKS, st.sampled_from(("Am7", "G", "F#m/C#")), max_size=3))
    sounding = sorted({track for *_, track in found})
    pedals = [
        Pedal(100 * place + 3, 50, track)
        for place, track in enumerate(sounding)
        if draw(st.booleans())
    ]
    return Score(
        ticks=ticks,
        notes=Notes.of(*zip(*found, strict=True)) if found else Notes.none(),
        tracks=tuple(tracks),
        tempos=tuple(Tempo(start, float(tempos[start])) for start in sorted(tempos)),
        metres=tuple(Metre(start, *metres[start]) for start in sorted(metres)),
        keys=tuple(Key(start, *keys[start]) for start in sorted(keys)),
        chords=tuple(ChordSymbol(start, symbols[start]) for start in sorted(symbols)),
        pedals=tuple(pedals),
        upbeat=upbeat,
        end=draw(st.integers(4000, 5000)),
        title=" ".join(draw(st.text("abé 音", max_size=6)).split()),
    )


@settings(max_examples=150, deadline=None)
@given(scores())
def test_a_score_comes_back_from_its_file(score: Score) -> None:
    (piece,) = read_midi(midi_bytes(score), "again.mid", pedal="keep")
    assert piece.repairs == {}
    assert same(piece.score, score)


def test_pieces_too_long_for_the_ticks_of_a_file_have_fewer() -> None:
    score = Score(ticks=32767, notes=Notes.of([0, 32767 * 20_000], 32767, 60), end=32767 * 30_000)
    (piece,) = read_midi(midi_bytes(score), "long.mid")
    assert not piece.repairs
    assert (piece.score.notes.start_N // piece.score.ticks).tolist() == [0, 20_000]
    assert piece.score.end // piece.score.ticks == 30_000


def test_notes_are_those_that_symusic_reads() -> None:
    symusic = pytest.importorskip("symusic")
    generator = np.random.default_rng(7)
    start_N = np.sort(generator.integers(0, 5000, 300)) * 10
    notes = Notes.of(
        start_N, generator.integers(1, 9, 300), np.arange(300) % 97 + 20, 80, start_N % 2
    )
    data = midi_bytes(Score(notes=notes, tracks=(Track(1), Track(2))))
    found = symusic.Score.from_midi(data)
    expected = sorted(
        (note.time, note.duration, note.pitch) for track in found.tracks for note in track.notes
    )
    assert expected == sorted(rows(read_midi(data, "oracle.mid")[0].score))
