"""Constraints on generated music."""

import numpy as np
import pytest

from rhapsode.encoding import END_ID
from rhapsode.encoding.music.chords import ChordEncoder
from rhapsode.encoding.music.contract import MusicEncoder
from rhapsode.encoding.music.notes.note_encoder import NoteEncoder
from rhapsode.encoding.music.pitch_frames import FrameEncoder
from rhapsode.encoding.music.voices import VoiceEncoder
from rhapsode.errors import SettingsError
from rhapsode.generation.filters.contract import Context
from rhapsode.modalities.music.constraints.keys import key_of, metre_of, range_of
from rhapsode.modalities.music.constraints.limits import MusicLimits
from rhapsode.modalities.music.settings import MusicGenerateSettings
from tests.modalities.music.chorales import tune

WIDE = {"lowest": 0, "highest": 127}
FRAMES = FrameEncoder.for_scores([], {"grid": 1, **WIDE})
VOICES = VoiceEncoder.for_scores([], {"grid": 4, "voices": 2, **WIDE})


def allowed(limits: MusicLimits, text: str, encoder: MusicEncoder = FRAMES) -> set[str]:
    """Names of the elements that may follow a text, under the grammar."""
    ids_N = encoder.encode(text).astype(np.int64)
    grammar = encoder.grammar()
    inputs_BT = np.array([[END_ID, *ids_N.tolist()]])
    free_BV = grammar.allowed_BV(grammar.advance(inputs_BT, grammar.init(1)))
    logits_BV = np.where(free_BV, 0, -np.inf).astype(np.float32)
    zero_1 = np.zeros(1, dtype=np.int64)
    context = Context((zero_1[:0],), (ids_N,), np.array([len(ids_N)]), zero_1, 0)
    kept_BV, _ = limits.apply(logits_BV, context, None)
    return {encoder.label(e) for e in np.flatnonzero(np.isfinite(kept_BV[0]))}


def limits(encoder: MusicEncoder = FRAMES, **asked: object) -> MusicLimits:
    return MusicLimits(encoder, MusicGenerateSettings(**asked))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "fifths", "minor"),
    [("C", 0, False), ("G", 1, False), ("Gm", -2, True), ("F#-minor", 3, True), ("Bb major", -2, False),
     ("D-dorian", 0, True), ("f# ", 6, False), ("Gb", -6, False), ("Ebm", -6, True)],
)  # fmt: skip
def test_keys_are_read_as_people_write_them(text: str, fifths: int, minor: bool) -> None:
    key, classes = key_of(text)
    assert (key.fifths, key.minor) == (fifths, minor)
    assert len(classes) == 7 + (minor and "dorian" not in text)


@pytest.mark.parametrize("text", ["", "X", "C##", "C-lydianish", "7"])
def test_what_is_no_key_is_an_error(text: str) -> None:
    with pytest.raises(SettingsError, match="no key"):
        key_of(text)


def test_metres_and_ranges() -> None:
    metre = metre_of("6/8")
    assert (metre.beats, metre.unit) == (6, 8)
    assert range_of("48:C6") == (48, 84)
    for wrong in ("6", "3/5", "0/4"):
        with pytest.raises(SettingsError):
            metre_of(wrong)
    for wrong in ("48", "84:48", "x:3", "1:200"):
        with pytest.raises(SettingsError):
            range_of(wrong)


def test_only_pitches_of_the_key_and_the_range_follow() -> None:
    names = allowed(limits(key="G", pitch_range="C4:C5"), "")
    assert names == {"\n", "<end>", "C5", "B4", "A4", "G4", "F#4", "E4", "D4", "C4"}


def test_a_range_without_a_pitch_is_an_error() -> None:
    low = FrameEncoder.for_scores([], {"grid": 1, "lowest": 60, "highest": 70})
    with pytest.raises(SettingsError, match="no pitch"):
        MusicLimits(low, MusicGenerateSettings(pitch_range="20:30"))


def test_a_piece_ends_after_its_bars_and_not_before() -> None:
    four = limits(bars=1)
    assert "<end>" not in allowed(four, "C4\n\nE4\n")
    assert allowed(four, "C4\n\nE4\nC4\n") == {"<end>"}
    waltz = limits(bars=1, metre="3/4")
    assert allowed(waltz, "C4\n\nE4\n") == {"<end>"}
    voices = limits(VOICES, bars=1, metre="1/4")
    assert "<end>" not in allowed(voices, "C4 C3 hold hold hold hold", VOICES)
    assert allowed(voices, "C4 C3 hold hold hold hold hold hold", VOICES) == {"<end>"}


def test_chords_end_after_their_bars() -> None:
    chords = ChordEncoder.for_scores([], {"grid": 2, "voices": 2, "lowest": 60, "highest": 61})
    one = limits(chords, bars=1, metre="1/4")
    assert "<end>" not in allowed(one, "step:0 C4 C4", chords)
    assert allowed(one, "step:0 C4 C4 step:1", chords) == {"<end>", "rest", "C4", "C#4"}
    assert allowed(one, "step:0 C4 C4 step:1 C4 C#4", chords) == {"<end>"}


def test_no_more_notes_sound_together_than_may() -> None:
    two = limits(max_polyphony=2)
    assert "G3" in allowed(two, "C4")
    assert allowed(two, "C4 G3") == {"\n"}
    assert "G3" in allowed(two, "C4 G3\n")


def test_a_state_that_follows_a_piece_is_one_that_catches_up() -> None:
    encoder = NoteEncoder.for_scores([tune(3)], {})
    ids_N = encoder.elements(tune(3)).astype(np.int64)
    both = limits(encoder, tracks=("flute", "drums"), max_polyphony=2, bars=3)
    zero_1 = np.zeros(1, dtype=np.int64)
    flat_BV = np.zeros((1, encoder.vocab_size), dtype=np.float32)
    state = both.init(1)
    for size in range(0, 90, 3):
        prompt, output = (ids_N[:20],), (ids_N[20 : 20 + size],)
        context = Context(prompt, output, np.array([size]), zero_1, 0)
        followed_BV, state = both.apply(flat_BV, context, both.fork(state))
        fresh_BV, _ = both.apply(flat_BV, context, both.init(1))
        np.testing.assert_array_equal(followed_BV, fresh_BV)


def test_notes_end_with_the_last_bar_and_bars_are_whole() -> None:
    encoder = NoteEncoder.learn((), {"lowest": 60, "highest": 60})
    two = limits(encoder, bars=2)
    first = allowed(two, "inst:0 bar:4/4 at:72 C4", encoder)
    assert "len:120" in first
    assert "len:132" not in first
    last = allowed(two, "inst:0 bar:4/4 bar:4/4 at:72 C4", encoder)
    assert "len:24" in last
    assert "len:28" not in last
    assert "short" not in allowed(two, "inst:0 bar:4/4 at:72", encoder)


def test_constraints_that_an_encoding_cannot_keep_are_errors() -> None:
    with pytest.raises(SettingsError, match="no tracks"):
        limits(tracks=("drums",))
    with pytest.raises(SettingsError, match="sound together"):
        limits(VOICES, max_polyphony=1)


def test_constraints_are_told() -> None:
    told = limits(key="G", bars=8, max_polyphony=3).explain()
    assert told == "key G, 8 bars, at most 3 notes together"
    assert not MusicGenerateSettings(temperature=0.5).limited
    assert MusicGenerateSettings(bars=2).limited
