"""Notes in bars: positions, bars of any length, tempo, keys, chords, tracks and drums."""

from typing import Any, ClassVar

import numpy as np
import pytest

from rhapsode.encoding.music import NoteEncoder
from rhapsode.encoding.music.score import ChordSymbol, Key, Metre, Notes, Score, Tempo, Track
from rhapsode.encoding.music.transposition import transposed_score
from rhapsode.errors import SettingsError
from tests.contracts.contexts_contract import ContextsContract
from tests.contracts.grammar_contract import GrammarContract
from tests.encoding.music.music_contract import MusicEncoderContract

SMALL = {"lowest": 58, "highest": 62, "tracks": 2, "longest_bar": 1, "slowest": 118, "fastest": 122}


class TestNotes(MusicEncoderContract):
    encoding = "notes.v1"
    exact_walks = False

    def normalised(self, text: str) -> str:
        return super().normalised(text).replace(" bar:", "\nbar:")

    def shifted(self, score: Score, semitones: int) -> Score:
        moved = transposed_score(score, semitones)
        assert moved is not None
        return moved


class TestFewNotes(TestNotes):
    settings: ClassVar[dict[str, Any]] = {
        "grid": 4, "longest_bar": 3, "velocities": False, "drums": False, "keys": False, "chords": False,
        "tracks": 2,
    }  # fmt: skip


class TestNoteGrammar(GrammarContract):
    def make(self):
        return NoteEncoder.learn(["key:C bar:3/16 chord:Am"], {"grid": 4, **SMALL}).grammar()


class TestNoteContexts(ContextsContract):
    def make(self):
        return NoteEncoder.learn((), {"grid": 4, **SMALL}).contexts()


def tune() -> Score:
    return Score(
        ticks=480,
        notes=Notes.of(
            [0, 480, 480, 640, 800, 480, 1920],
            [480, 160, 480, 160, 160, 100, 960],
            [67, 72, 64, 74, 76, 38, 60],
            80,
            [0, 0, 1, 0, 0, 2, 1],
        ),
        tracks=(Track(73), Track(0), Track(drums=True)),
        tempos=(Tempo(0, 90),),
        metres=(Metre(0, 3, 4),),
        keys=(Key(0, -1),),
        chords=(ChordSymbol(480, "Db/F"),),
        upbeat=480,
    )


def test_the_notation_of_a_tune():
    encoder = NoteEncoder.for_scores([tune()], {})
    assert encoder.notation(tune()).split("\n") == [
        "inst:73 inst:0 inst:drums",
        "bar:3/4 key:F tempo:89.3 short at:48 G4 len:24",
        "bar:3/4 at:0 chord:C#/F C5 len:8 track:1 E4 len:24 track:drums drum:38 at:8 D5 len:8 "
        "at:16 E5 len:8",
        "bar:3/4 at:0 track:1 C4 len:48",
    ]


def test_the_vocabulary_follows_the_scores():
    encoder = NoteEncoder.for_scores([tune()], {})
    assert encoder.settings["longest_bar"] == 4
    assert encoder.settings["velocities"] is False
    assert encoder.settings["lowest"] == 54
    assert encoder.settings["velocity"] == 80
    assert "key:Bb" in encoder.vocabulary
    assert "chord:Bb/D" in encoder.vocabulary


def test_marks_tell_bars_places_and_heights():
    encoder = NoteEncoder.for_scores([tune()], {})
    mark_of = dict(zip(encoder.vocabulary, encoder.marks()[2:].tolist(), strict=True))
    wanted = {"bar:3/4": -2, "at:24": -1, "short": 0, "len:24": 0, "drum:38": 0}
    wanted |= {"C4": 2**32 + 60, "D5": 2**32 + 74, "chord:C#/F": 2**32 + 129}
    assert {name: mark_of[name] for name in wanted} == wanted


def test_rests_of_many_bars_cost_one_element_each():
    notes = Notes.of([0, 20 * 1920], [480, 480], [60, 60])
    encoder = NoteEncoder.for_scores([Score(notes=notes)], {})
    ids_N = encoder.elements(Score(notes=notes))
    assert len(ids_N) == 1 + 21 + 2 * 3


def test_incomplete_bars_between_others_are_kept():
    metres = (Metre(0, 4, 4), Metre(960, 4, 4), Metre(2880, 3, 4))
    score = Score(notes=Notes.of([0, 960, 2880], 480, 60), metres=metres)
    encoder = NoteEncoder.for_scores([score], {})
    text = encoder.notation(score)
    assert [line.split()[0:3] for line in text.split("\n")[1:]] == [
        ["bar:4/4", "short", "at:48"],
        ["bar:4/4", "at:0", "C4"],
        ["bar:3/4", "at:0", "C4"],
    ]
    assert [start for start, _ in encoder.score(text).bars()] == [0, 960, 2880]


def test_a_bar_that_ends_early_and_the_upbeat_after_it():
    metres = (Metre(0, 4, 4), Metre(3360, 4, 4), Metre(3840, 4, 4))
    score = Score(notes=Notes.of([0, 1920, 3360, 3840], 480, 60), metres=metres)
    encoder = NoteEncoder.for_scores([score], {})
    text = encoder.notation(score)
    assert text.replace(" C4 len:24", " C4").split("\n")[1:] == [
        "bar:4/4 at:0 C4", "bar:4/4 at:0 C4 at:72 short", "bar:4/4 short at:72 C4",
        "bar:4/4 at:0 C4",
    ]  # fmt: skip
    assert [start for start, _ in encoder.score(text).bars()] == [0, 1920, 3360, 3840]


def test_the_report_names_what_changes():
    score = Score(
        notes=Notes.of([3, 480], [480, 481], [60, 62], [70, 96]), metres=(Metre(0, 4, 4),)
    )
    _, report = NoteEncoder.for_scores([score], {}).snap(score)
    assert (report.moved, report.lengths, report.velocities) == (1, 1, 1)
    assert report.largest_shift == pytest.approx(3 / 480)
    assert "1 moved by up to 0.00625 quarters" in str(report)
    assert "1 length changed, 1 velocity rounded" in str(report)
    faster = Score(notes=Notes.of([0], [480], [60], 80), tempos=(Tempo(0, 90), Tempo(480, 120)))
    _, report = NoteEncoder.for_scores([faster], {}).snap(faster)
    assert str(report).startswith("1 note, ")
    assert str(report).endswith("1 tempo dropped")


def test_longer_bars_become_other_bars():
    score = Score(notes=Notes.of([0, 480 * 14], 480, 60), metres=(Metre(0, 13, 4),))
    encoder = NoteEncoder.for_scores([score], {})
    assert encoder.notation(score).count("bar:4/4") == 4


def test_settings_upside_down_are_refused():
    with pytest.raises(SettingsError, match="lowest pitch"):
        NoteEncoder.learn((), {"lowest": 60, "highest": 50})
    with pytest.raises(SettingsError, match="slowest tempo"):
        NoteEncoder.learn((), {"slowest": 200, "fastest": 100})


def test_the_grammar_stays_small_with_many_tracks():
    encoder = NoteEncoder.learn((), {"tracks": 16})
    table = encoder.grammar().compiled()
    assert table is not None
    assert table.next_SV.size < 1 << 20


def test_no_note_of_a_random_walk_is_dropped():
    """Every element that the grammar allows keeps its meaning, in bars of all lengths."""
    encoder = NoteEncoder.learn((), {"grid": 4, "tracks": 3, "lowest": 58, "highest": 64})
    grammar, generator = encoder.grammar(), np.random.default_rng(5)
    names = ("", "", *encoder.vocabulary)
    state, rows = grammar.init(64), []
    # Positions are rare among the elements, and notes among what follows them.
    wanted_V = np.array([3.0 if name.startswith(("at:", "bar:", "short")) else 1 for name in names])
    for _ in range(300):
        weights_BV = grammar.allowed_BV(state) * wanted_V
        weights_BV[:, 0] = 0
        sums_BV = np.cumsum(weights_BV, axis=1)
        points_B1 = generator.random((64, 1)) * sums_BV[:, -1:]
        rows.append((sums_BV > points_B1).argmax(axis=1))
        state = grammar.advance(rows[-1][:, None], state)
    shorts = 0
    for ids_N in np.stack(rows, axis=1):
        assert encoder.outside(ids_N) == 0
        score = encoder.score_of(ids_N)
        named = [names[element] for element in ids_N]
        sounding = [name for name in named if name.startswith(("len:", "drum:"))]
        assert len(score.notes) == len(sounding)
        assert (score.notes.start_N < score.end).all()
        chords = sum(name.startswith("chord:") for name in named)
        assert len(score.chords) == chords
        shorts += named.count("short")
    assert shorts > 50


def test_elements_before_the_first_bar_are_passed_over():
    encoder = NoteEncoder.learn((), {})
    score = encoder.score("C4 len:24 bar:4/4 at:0 C4")
    assert len(score.notes) == 0
    np.testing.assert_array_equal(encoder.score("").notes.start_N, [])


def test_notes_and_chords_after_the_end_of_their_bar_are_dropped():
    text = (
        "bar:2/4 at:24 C4 len:24 at:48 chord:C D4 len:24 at:84 track:1 E4 len:24 "
        "bar:2/4 at:0 F4 len:8"
    )
    encoder = NoteEncoder.learn([text], {"tracks": 2})
    ids = encoder.encode(text)
    score = encoder.score_of(ids)
    starts = (score.notes.start_N / score.ticks).tolist()
    assert list(zip(starts, score.notes.pitch_N.tolist(), strict=True)) == [(1, 60), (2, 65)]
    assert not score.chords
    assert len(score.tracks) == 1
    assert score.end == 4 * score.ticks
    assert encoder.outside(ids) == 2
    assert encoder.outside(encoder.elements(score)) == 0
