"""Frames and voices: exact over sets of pitches, lossless for rolls."""

import itertools
import json
import os
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rhapsode.encoding import END_ID
from rhapsode.encoding.music import FrameEncoder, VoiceEncoder, roll_score
from rhapsode.errors import SettingsError
from tests.contracts.contexts_contract import ContextsContract
from tests.contracts.grammar_contract import GrammarContract
from tests.encoding.music.music_contract import MusicEncoderContract, prove_music

rolls = st.lists(st.sets(st.integers(40, 60), max_size=4), max_size=8)
DATA = os.environ.get("RHAPSODE_DATA")


class TestFrames(MusicEncoderContract):
    encoding = "frames.v1"

    def normalised(self, text: str) -> str:
        lines = self.learn(text)._names(text)
        return " ".join(lines).replace(" \n", "\n").replace("\n ", "\n")


class TestQuarters(TestFrames):
    settings: ClassVar[dict[str, Any]] = {"grid": 1, "lowest": 12, "highest": 108}


class TestVoices(MusicEncoderContract):
    encoding = "voices.v1"
    walk_length = 60

    def normalised(self, text: str) -> str:
        names = self.learn(text)._names(text)
        return "\n".join(" ".join(names[at : at + 4]) for at in range(0, len(names), 4))


class TestTwoVoices(TestVoices):
    settings: ClassVar[dict[str, Any]] = {"voices": 2, "grid": 3}

    def normalised(self, text: str) -> str:
        names = self.learn(text)._names(text)
        return "\n".join(" ".join(names[at : at + 2]) for at in range(0, len(names), 2))


class TestFrameGrammar(GrammarContract):
    def make(self):
        return FrameEncoder.learn((), {"lowest": 50, "highest": 60}).grammar()


class TestVoiceGrammar(GrammarContract):
    def make(self):
        return VoiceEncoder.learn((), {"voices": 3, "lowest": 50, "highest": 60}).grammar()


class TestJoinedVoiceGrammar(GrammarContract):
    def make(self):
        settings = {"voices": 2, "lowest": 50, "highest": 56, "join": True}
        return VoiceEncoder.learn((), settings).grammar()


class TestFrameContexts(ContextsContract):
    def make(self):
        return FrameEncoder.learn((), {"lowest": 50, "highest": 60}).contexts()


class TestVoiceContexts(ContextsContract):
    def make(self):
        return VoiceEncoder.learn((), {"voices": 3, "lowest": 50, "highest": 60}).contexts()


@prove_music
@given(frames=rolls, grid=st.sampled_from([1, 4, 5]))
def test_rolls_come_back(frames: list[set[int]], grid: int):
    encoder = FrameEncoder.learn((), {"grid": grid})
    ids_N = encoder.elements(roll_score(map(list, frames), grid))
    lines = encoder.decode(ids_N).split("\n")[:-1]
    names = [encoder.encode(line) for line in lines]
    assert [set(encoder.pitch_V[ids].tolist()) for ids in names] == frames
    assert all((np.diff(ids.astype(int)) > 0).all() for ids in names)


def test_probabilities_of_sets_add_up_to_one():
    """Uniform over what the grammar allows: over all sets of pitches, the sum is 1."""
    encoder = FrameEncoder.learn((), {"grid": 1, "lowest": 60, "highest": 65})
    grammar = encoder.grammar()
    total = 0.0
    for size in range(7):
        for frame in itertools.combinations(range(60, 66), size):
            ids = encoder.elements(roll_score([frame], 1)).tolist()
            state, probability = grammar.init(1), 1.0
            for element in ids:
                allowed_V = grammar.allowed_BV(state)[0].copy()
                allowed_V[END_ID] = False  # a step follows
                assert allowed_V[element]
                probability /= allowed_V.sum()
                state = grammar.advance(np.array([[element]]), state)
            total += probability
    assert total == pytest.approx(1)


def test_a_long_and_repeated_notes_are_told_apart_by_voices_alone():
    encoder = VoiceEncoder.learn((), {"voices": 2, "grid": 2})
    text = "C5 E4\nhold E4\nD5 hold\nrest hold\nhold C4"
    score = encoder.score(text)
    assert encoder.notation(score) == text
    assert score.notes.pitch_N.tolist() == [72, 64, 64, 74, 60]
    assert score.notes.length_N.tolist() == [480, 240, 720, 240, 240]
    joined = VoiceEncoder.learn((), {"voices": 2, "grid": 2, "join": True})
    assert joined.notation(score) == "C5 E4\nhold hold\nD5 hold\nrest hold\nhold C4"
    grammar = joined.grammar()
    assert grammar is not None
    state = grammar.advance(joined.encode("C5 E4\nhold").astype(np.int64)[None], grammar.init(1))
    allowed = {joined.label(each) for each in np.flatnonzero(grammar.allowed_BV(state)[0])}
    assert "E4" not in allowed
    assert {"hold", "rest", "C5"} <= allowed


def test_voices_of_one_track_are_ranks():
    encoder = VoiceEncoder.learn((), {"voices": 3, "grid": 1})
    score = roll_score([[60, 64, 67], [60, 65], [60, 65, 69, 72]], 1)
    assert encoder.notation(score) == "G4 E4 C4\nF4 C4 rest\nC5 A4 F4"


def test_a_range_upside_down_is_refused():
    with pytest.raises(SettingsError, match="lies above"):
        FrameEncoder.learn((), {"lowest": 60, "highest": 59})


def test_drums_and_notes_out_of_range_are_reported():
    encoder = FrameEncoder.learn((), {"lowest": 60})
    score = roll_score([[50, 70], [70]], 4)
    snapped, report = encoder.snap(score)
    assert snapped.notes.pitch_N.tolist() == [70]
    assert report.dropped["notes out of range"] == 1


@pytest.mark.skipif(not DATA, reason="RHAPSODE_DATA is not set")
def test_chorales_are_lossless():
    path = Path(str(DATA)) / "jsb_chorales" / "jsb-chorales-quarter.json"
    encoder = FrameEncoder.learn((), {"grid": 1})
    pieces = json.loads(path.read_text())
    sizes = dict.fromkeys(pieces, 0)
    for name, part in pieces.items():
        for piece in part:
            ids_N = encoder.elements(roll_score(piece, 1))
            sizes[name] += int((encoder.pitch_V[ids_N] >= 0).sum())
            lines = encoder.decode(ids_N).split("\n")[:-1]
            back = [sorted(encoder.pitch_V[encoder.encode(line)].tolist()) for line in lines]
            assert back == [sorted(frame) for frame in piece]
    assert sizes == {"train": 53_824, "valid": 17_811, "test": 18_367}
